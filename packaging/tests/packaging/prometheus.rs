//! What Prometheus is given: it reads the files, each alert fires where it should, and asks for metrics that there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Failed, Trial};
use sim::outside::{Outside, trial};

use super::built::root;

const CONFIGURATIONS: [&str; 2] = ["prometheus.yml", "prometheus-static.yml"];
const ALERTS: [&str; 2] = ["alerts-fleet.yml", "alerts-host.yml"];
const RECORDING: &str = "recording.yml";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("prometheus::it_reads_the_configurations_and_their_rules", Outside::Promtool, |found| {
            let promtool = found.program().ok_or("no program")?;
            CONFIGURATIONS.iter().try_for_each(|file| checks(promtool, &["check", "config", file]))
        }),
        trial(
            "prometheus::alerts_fire_in_their_cases_and_stay_silent_in_others",
            Outside::Promtool,
            |found| checks(found.program().ok_or("no program")?, &["test", "rules", "alerts.test.yml"]),
        ),
        Trial::test(
            "prometheus::every_alert_has_its_cases_and_its_section",
            every_alert_has_its_cases_and_its_section,
        ),
        Trial::test("prometheus::rules_ask_for_metrics_that_there_are", rules_ask_for_metrics_that_there_are),
    ]
}

fn folder() -> PathBuf {
    root().join("packaging/prometheus")
}

fn read(file: &str) -> String {
    fs::read_to_string(folder().join(file)).unwrap()
}

fn checks(promtool: &Path, arguments: &[&str]) -> Result<(), Failed> {
    let output = Command::new(promtool).args(arguments).current_dir(folder()).output()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(()) } else { Err(said.into()) }
}

/// What stands behind a key, wherever it is.
fn values(text: &str, key: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.trim().trim_start_matches("- "));
    lines.filter_map(|line| line.strip_prefix(key)).map(|value| value.trim().to_owned()).collect()
}

fn every_alert_has_its_cases_and_its_section() -> Result<(), Failed> {
    let (cases, operations) =
        (read("alerts.test.yml"), fs::read_to_string(root().join("docs/operations.md"))?);
    let sections: Vec<String> = values(&operations, "### ").iter().map(|name| name.to_lowercase()).collect();
    for text in ALERTS.map(read) {
        let (alerts, runbooks) = (values(&text, "alert:"), values(&text, "runbook_url:"));
        assert!(!alerts.is_empty() && alerts.len() == runbooks.len());
        for (alert, runbook) in alerts.iter().zip(&runbooks) {
            let section = runbook.strip_prefix("docs/operations.md#").ok_or_else(|| runbook.clone())?;
            assert!(sections.iter().any(|known| known == section), "{alert}: there is no section {section}");
            let cases = cases.matches(&format!("alertname=\"{alert}\"")).count();
            assert!(cases >= 2, "{alert} has {cases} cases: one fires, one does not");
        }
    }
    Ok(())
}

/// The programs' own, as they stand in the list of metrics, and what the rules record.
fn rules_ask_for_metrics_that_there_are() -> Result<(), Failed> {
    let known = words(&fs::read_to_string(root().join("docs/metrics.md"))?);
    let recorded = values(&read(RECORDING), "record:");
    for file in ALERTS.iter().chain([&RECORDING]) {
        let text = read(file);
        let rules = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        for word in rules.flat_map(words) {
            let of_histogram = ["_bucket", "_count", "_sum"].iter().find_map(|end| word.strip_suffix(end));
            let is_known = known.contains(&word) || of_histogram.is_some_and(|word| known.contains(word));
            assert!(is_known || recorded.contains(&word), "{file} asks for {word}");
        }
    }
    Ok(())
}

/// Names of metrics, recorded ones with their colons.
fn words(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = text.split(|c| !is_part(c)).map(|word| word.trim_matches(':'));
    words.filter(|word| word.contains("orchestrator_")).map(str::to_owned).collect()
}
