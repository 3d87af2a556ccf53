//! The dashboards for Grafana, made of one line a figure. What they show is written in `fleet`, `host` and `queue`; how
//! Grafana wants it, in `panel`.

mod fleet;
mod host;
mod panel;
mod queue;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use self::panel::{Panel, source};

/// One dashboard.
struct Dashboard {
    uid: &'static str,
    title: &'static str,
    description: &'static str,
    variables: Vec<Variable>,
    panels: Vec<Panel>,
}

/// What a person chooses in the head of a dashboard.
struct Variable {
    name: &'static str,
    label: &'static str,
    query: &'static str,
    /// Several at a time, and all of them at first.
    several: bool,
}

/// The tag by which the dashboards find each other.
const TAG: &str = "orchestrator";

/// All dashboards: the name of the file and what is in it.
pub fn made() -> Vec<(String, String)> {
    let dashboards = [fleet::dashboard(), host::dashboard(), queue::dashboard()];
    dashboards.into_iter().map(|one| (format!("{}.json", one.uid), format!("{:#}\n", one.json()))).collect()
}

/// Writes them into a folder.
///
/// # Errors
/// A file cannot be written.
pub fn write(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    for (name, text) in made() {
        fs::write(folder.join(&name), text).with_context(|| format!("write {name}"))?;
    }
    Ok(())
}

impl Dashboard {
    fn json(self) -> Value {
        let variables = self.variables.iter().map(Variable::json);
        let variables: Vec<Value> =
            [data_source()].into_iter().chain(variables).chain([runbooks()]).collect();
        json!({
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": [TAG],
            "schemaVersion": 38,
            "editable": true,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": { "from": "now-6h", "to": "now" },
            "templating": { "list": variables },
            "links": [
                {
                    "type": "dashboards", "tags": [TAG], "title": "", "asDropdown": false,
                    "includeVars": true, "keepTime": true, "targetBlank": false, "icon": "external link"
                },
                {
                    "type": "link", "title": "Runbooks", "url": "${runbooks}", "icon": "doc", "targetBlank": true,
                    "tags": [], "asDropdown": false, "includeVars": false, "keepTime": false
                }
            ],
            "panels": panel::laid_out(&self.panels),
        })
    }
}

impl Variable {
    /// One of the backends, or several.
    fn backend(query: &'static str, several: bool) -> Self {
        Self { name: "backend", label: "Backend", query, several }
    }

    fn json(&self) -> Value {
        let all = json!({ "selected": true, "text": ["All"], "value": ["$__all"] });
        json!({
            "type": "query", "name": self.name, "label": self.label, "datasource": source(),
            "query": { "query": self.query, "refId": self.name }, "definition": self.query,
            "refresh": 2, "sort": 1, "multi": self.several, "includeAll": self.several,
            "allValue": if self.several { json!(".*") } else { Value::Null },
            "current": if self.several { all } else { json!({}) },
        })
    }
}

fn data_source() -> Value {
    json!({ "type": "datasource", "name": "source", "label": "Prometheus", "query": "prometheus", "current": {} })
}

/// Where the page on operations can be read, as only those who run Grafana know.
fn runbooks() -> Value {
    const ADDRESS: &str = "/docs/operations.md";
    json!({
        "type": "textbox", "name": "runbooks", "label": "Runbooks at", "query": ADDRESS,
        "current": { "text": ADDRESS, "value": ADDRESS }
    })
}
