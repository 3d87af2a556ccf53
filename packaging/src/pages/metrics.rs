//! The metrics of both programs, as each describes its own.

use anyhow::{Context, Result};

use super::{code, markdown};

/// What the page says of one metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub name: String,
    pub kind: String,
    pub labels: Vec<String>,
    pub meaning: String,
}

/// The tables of the agent's metrics, and how the names in each begin.
const OF_AGENT: [(&str, &[&str]); 5] = [
    ("agent: itself", &["orchestrator_agent_", "process_"]),
    ("agent: host", &["orchestrator_host_"]),
    ("agent: GPU", &["orchestrator_gpu_"]),
    ("agent: ComfyUI", &["orchestrator_comfyui_"]),
    ("agent: DCGM", &["DCGM_"]),
];

pub(super) fn table(name: &str) -> Result<Option<String>> {
    if name == "collector" {
        return Ok(Some(shown(&of_collector()?)));
    }
    let Some((_, starts)) = OF_AGENT.iter().find(|(table, _)| *table == name) else { return Ok(None) };
    let mut rows = of_agent()?;
    rows.retain(|row| starts.iter().any(|start| row.name.starts_with(start)));
    Ok(Some(shown(&rows)))
}

fn shown(rows: &[Row]) -> String {
    let cells = |row: &Row| {
        let labels: Vec<String> = row.labels.iter().map(|label| code(label)).collect();
        vec![
            code(&row.name),
            row.kind.clone(),
            unit(&row.name).to_owned(),
            labels.join(", "),
            row.meaning.clone(),
        ]
    };
    markdown(&["name", "type", "unit", "labels", "meaning"], rows.iter().map(cells))
}

/// By the end of its name, as Prometheus has it.
fn unit(name: &str) -> &str {
    const UNITS: [&str; 7] = ["seconds", "bytes", "hertz", "watts", "joules", "celsius", "ratio"];
    let name = name.strip_suffix("_total").unwrap_or(name);
    UNITS.into_iter().find(|unit| name.ends_with(unit)).unwrap_or_default()
}

/// All of the collector's.
///
/// # Errors
/// A name that Prometheus does not allow.
pub fn of_collector() -> Result<Vec<Row>> {
    let metrics = collector::metrics::Metrics::new()?;
    let row = |family: &collector::metrics::Family| Row {
        name: family.name.clone(),
        kind: family.kind.to_owned(),
        labels: family.labels.clone(),
        meaning: family.help.clone(),
    };
    Ok(metrics.families().iter().map(row).collect())
}

/// All of the agent's: what it tells of a machine of which everything is known.
///
/// # Errors
/// That machine's description cannot be read.
pub fn of_agent() -> Result<Vec<Row>> {
    const ALL_KNOWN: &str = include_str!("../../../agent/tests/data/report_full.json");
    let report = serde_json::from_str(ALL_KNOWN)?;
    read(&agent::exposition::text(&report, Some(agent::config::Compat::Dcgm))?)
}

/// The families of a text in Prometheus' format.
fn read(text: &str) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for line in text.lines() {
        if let Some((name, meaning)) = line.strip_prefix("# HELP ").and_then(|line| line.split_once(' ')) {
            let (kind, labels) = (String::new(), Vec::new());
            rows.push(Row { name: name.to_owned(), kind, labels, meaning: meaning.to_owned() });
            continue;
        }
        let row = rows.last_mut().context("a series without a description")?;
        match line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
            Some((_, kind)) => row.kind = kind.to_owned(),
            None => {
                let new = labels(line).filter(|label| !row.labels.contains(label)).collect::<Vec<_>>();
                row.labels.extend(new);
            }
        }
    }
    Ok(rows)
}

/// Of a series whose labels' values have no quotation marks.
fn labels(line: &str) -> impl Iterator<Item = String> {
    let inside =
        line.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map_or("", |(inside, _)| inside);
    let names = inside.split("=\"").map(|part| part.rsplit("\",").next().unwrap_or(part).to_owned());
    let count = inside.matches("=\"").count();
    names.take(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_of_the_agent_is_in_one_table() {
        for row in of_agent().unwrap() {
            let of = |(_, starts): &&(&str, &[&str])| starts.iter().any(|start| row.name.starts_with(start));
            assert_eq!(OF_AGENT.iter().filter(of).count(), 1, "{}", row.name);
        }
    }

    #[test]
    fn a_text_for_prometheus_is_read_with_its_labels() {
        let text = "# HELP a_seconds Of a, b.\n# TYPE a_seconds gauge\na_seconds{x=\"1\"} 1\na_seconds{x=\"1, 2\",y=\"\"} 2\n\
                    # HELP b Of b.\n# TYPE b counter\nb 1\n";
        let row = |name: &str, kind: &str, labels: &[&str], meaning: &str| Row {
            name: name.into(),
            kind: kind.into(),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            meaning: meaning.into(),
        };
        let wanted = [row("a_seconds", "gauge", &["x", "y"], "Of a, b."), row("b", "counter", &[], "Of b.")];
        assert_eq!(read(text).unwrap(), wanted);
    }

    #[test]
    fn a_unit_is_the_end_of_a_name() {
        for (name, wanted) in
            [("a_seconds", "seconds"), ("a_bytes_total", "bytes"), ("a_total", ""), ("jobs", "")]
        {
            assert_eq!(unit(name), wanted, "{name}");
        }
    }
}
