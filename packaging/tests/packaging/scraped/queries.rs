//! What the dashboards and the rules ask Prometheus for.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::super::built::root;
use super::super::prometheus::{RULES, read, selectors};

/// The backend whose host and GPU are looked at.
const BACKEND: &str = "gpu-1-8188";

/// Nothing may answer these: they need an event that did not happen, or what not every machine has.
const MAY_BE_EMPTY: [(&str, &str); 6] = [
    ("_tls_certificate_expiry_", "a certificate"),
    ("_archive_waiting_since_", "a file that waits to be archived"),
    (r#"probe_failures_total{probe="gpu""#, "a driver that fails"),
    ("orchestrator_host_disk_", "a filesystem on a disk of its own"),
    ("orchestrator_host_pressure_", "a kernel that tells of pressure"),
    (r#"probe="amd_gpu""#, "a GPU of AMD's"),
];

pub(crate) fn may_be_empty(query: &str) -> bool {
    MAY_BE_EMPTY.iter().any(|(part, _)| query.contains(part))
}

/// The queries of the dashboards with what a person would choose there, and what each rule selects: an alert's own
/// condition is not to hold.
pub(crate) fn all() -> BTreeSet<String> {
    let dashboards = fs::read_dir(root().join("packaging/grafana/dashboards")).unwrap();
    let dashboards = dashboards.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let of_dashboards = dashboards.flat_map(|text| expressions(&serde_json::from_str(&text).unwrap()));
    let of_rules = RULES.iter().flat_map(|file| selectors(&read(file)));
    of_dashboards.chain(of_rules).collect()
}

/// Of all panels.
pub(crate) fn expressions(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    targets.map(|target| chosen(target["expr"].as_str().unwrap())).collect()
}

fn chosen(expression: &str) -> String {
    let expression = expression.replace("=~\"$backend\"", "=~\".*\"").replace("=~\"$gpu\"", "=~\".*\"");
    let expression = expression.replace("$backend", BACKEND);
    assert!(!expression.contains('$'), "nobody chooses all of {expression}");
    expression
}
