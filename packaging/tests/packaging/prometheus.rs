//! What Prometheus and Grafana are given: it reads the files, each alert fires where it should, and all of them ask for metrics
//! that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use sim::outside::{Outside, trial};

use super::built::root;
use super::scraped::expressions;

const CONFIGURATIONS: [&str; 2] = ["prometheus.yml", "prometheus-static.yml"];
const ALERTS: [&str; 2] = ["alerts-fleet.yml", "alerts-host.yml"];
const RECORDING: &str = "recording.yml";
pub(crate) const RULES: [&str; 3] = ["alerts-fleet.yml", "alerts-host.yml", RECORDING];

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
        Trial::test("grafana::dashboards_are_what_the_code_makes", dashboards_are_what_the_code_makes),
        Trial::test(
            "grafana::dashboards_ask_for_metrics_that_there_are",
            dashboards_ask_for_metrics_that_there_are,
        ),
        Trial::test("grafana::every_runbook_is_a_section", every_runbook_is_a_section),
    ]
}

fn folder() -> PathBuf {
    root().join("packaging/prometheus")
}

pub(crate) fn read(file: &str) -> String {
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
    let (cases, sections) = (read("alerts.test.yml"), sections()?);
    for text in ALERTS.map(read) {
        let (alerts, runbooks) = (values(&text, "alert:"), values(&text, "runbook_url:"));
        assert!(!alerts.is_empty() && alerts.len() == runbooks.len());
        for (alert, runbook) in alerts.iter().zip(&runbooks) {
            let section = runbook.strip_prefix("docs/operations.md#").ok_or_else(|| runbook.clone())?;
            assert!(sections.contains(section), "{alert}: there is no section {section}");
            let cases = cases.matches(&format!("alertname=\"{alert}\"")).count();
            assert!(cases >= 2, "{alert} has {cases} cases: one fires, one does not");
        }
    }
    Ok(())
}

fn rules_ask_for_metrics_that_there_are() -> Result<(), Failed> {
    let known = known();
    for file in RULES {
        for selector in selectors(&read(file)) {
            is_known(&selector, &known).map_err(|reason| format!("{file}: {reason}"))?;
        }
    }
    Ok(())
}

fn dashboards_ask_for_metrics_that_there_are() -> Result<(), Failed> {
    let known = known();
    for (file, text) in packaging::dashboards::made() {
        let dashboard: Value = serde_json::from_str(&text)?;
        let asked = expressions(&dashboard);
        assert!(!asked.is_empty(), "{file} asks for nothing");
        for selector in asked.iter().flat_map(|expression| selectors(expression)) {
            is_known(&selector, &known).map_err(|reason| format!("{file}: {reason}"))?;
        }
    }
    Ok(())
}

fn dashboards_are_what_the_code_makes() -> Result<(), Failed> {
    let folder = root().join("packaging/grafana/dashboards");
    let made = packaging::dashboards::made();
    assert_eq!(fs::read_dir(&folder)?.count(), made.len());
    for (name, text) in made {
        if fs::read_to_string(folder.join(&name))? != text {
            return Err(
                format!("{name} is not what the code makes: cargo run -p packaging -- dashboards").into()
            );
        }
    }
    Ok(())
}

fn every_runbook_is_a_section() -> Result<(), Failed> {
    let sections = sections()?;
    for (file, text) in packaging::dashboards::made() {
        let named: Vec<&str> =
            text.split("${runbooks}#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(!named.is_empty(), "{file} leads to no runbook");
        for section in named {
            assert!(sections.contains(section), "{file}: there is no section {section}");
        }
    }
    Ok(())
}

/// As a link names them.
fn sections() -> Result<BTreeSet<String>, Failed> {
    let operations = fs::read_to_string(root().join("docs/operations.md"))?;
    Ok(values(&operations, "### ").iter().map(|name| name.to_lowercase()).collect())
}

/// The programs' own metrics with their labels, and what the rules record.
fn known() -> BTreeMap<String, BTreeSet<String>> {
    let of_agent = packaging::pages::metrics::of_agent().unwrap();
    let of_collector = packaging::pages::metrics::of_collector().unwrap();
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in of_agent.into_iter().chain(of_collector) {
        let names = match row.kind.as_str() {
            "histogram" => ["_bucket", "_count", "_sum"].map(|end| format!("{}{end}", row.name)).to_vec(),
            _ => vec![row.name],
        };
        for name in names {
            let le = name.ends_with("_bucket").then(|| "le".to_owned());
            known.entry(name).or_default().extend(row.labels.iter().cloned().chain(le));
        }
    }
    // Prometheus' own, and what is recorded: with any label of theirs.
    for name in ["up".to_owned(), "ALERTS".to_owned()].into_iter().chain(values(&read(RECORDING), "record:"))
    {
        known.insert(
            name,
            ["alertname", "alertstate", "outcome", "uuid", "mountpoint"].map(str::to_owned).into(),
        );
    }
    known
}

/// Its name, and the labels by which it chooses; those of the target are there always.
fn is_known(selector: &str, known: &BTreeMap<String, BTreeSet<String>>) -> Result<(), String> {
    let (name, matchers) = selector.split_once('{').unwrap_or((selector, ""));
    let labels = known.get(name).ok_or_else(|| format!("there is no {name}"))?;
    let asked = matchers
        .split('"')
        .step_by(2)
        .map(|part| part.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    let unknown = asked.filter(|label| !label.is_empty() && !["backend", "job", "instance"].contains(label));
    match unknown.into_iter().find(|label| !labels.contains(*label)) {
        Some(label) => Err(format!("{name} has no label {label}")),
        None => Ok(()),
    }
}

/// The series that an expression, or a file of them, selects: names with what stands in braces behind them.
pub(crate) fn selectors(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| is_expression(line)).flat_map(selectors_of_line).collect()
}

fn selectors_of_line(line: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let (mut found, mut rest) = (Vec::new(), line);
    while let Some(start) = rest.find(is_part) {
        let (_, begun) = rest.split_at(start);
        let (word, after) = begun.split_at(begun.find(|c| !is_part(c)).unwrap_or(begun.len()));
        let braces = after.strip_prefix('{').and_then(|inside| inside.split_once('}'));
        let selector = braces.map_or_else(|| word.to_owned(), |(inside, _)| format!("{word}{{{inside}}}"));
        found.extend(is_metric(word).then_some(selector));
        rest = braces.map_or(after, |(_, behind)| behind);
    }
    found
}

fn is_metric(word: &str) -> bool {
    ["up", "ALERTS"].contains(&word) || word.contains("orchestrator_") || word.starts_with("process_")
}

/// Of a file of rules, not what people read of them and how they are called.
fn is_expression(line: &str) -> bool {
    let words = [
        "#",
        "record:",
        "- record:",
        "- alert:",
        "- name:",
        "summary:",
        "description:",
        "runbook_url:",
        "labels:",
    ];
    !words.iter().any(|word| line.starts_with(word))
}
