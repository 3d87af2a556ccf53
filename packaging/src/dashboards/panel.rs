//! Panels as Grafana wants them, and where each stands.

use serde_json::{Map, Value, json};

/// Columns of Grafana's grid.
const WIDTH: u64 = 24;

/// One figure, or a few that are read together.
pub(super) struct Panel {
    kind: Kind,
    title: &'static str,
    /// What a person should know who looks at it.
    description: &'static str,
    unit: &'static str,
    targets: Vec<Target>,
    /// From which value on it is yellow, and red.
    thresholds: Option<(f64, f64)>,
    /// Where a click leads: title and address.
    links: Vec<(&'static str, String)>,
    stacked: bool,
    max: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Row,
    Stat,
    Lines,
    /// A row a backend, with the value of each target in a column.
    Table,
    /// A row a series, with its labels.
    Events,
}

struct Target {
    expression: String,
    legend: String,
}

pub(super) fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${source}" })
}

impl Panel {
    fn new(kind: Kind, title: &'static str, unit: &'static str) -> Self {
        let (targets, thresholds, links, max) = (Vec::new(), None, Vec::new(), None);
        Self { kind, title, description: "", unit, targets, thresholds, links, stacked: false, max }
    }

    /// A heading.
    pub(super) fn row(title: &'static str) -> Self {
        Self::new(Kind::Row, title, "")
    }

    /// One number, as it is now.
    pub(super) fn stat(title: &'static str, unit: &'static str, expression: &str) -> Self {
        Self::new(Kind::Stat, title, unit).and("", expression)
    }

    pub(super) fn lines(title: &'static str, unit: &'static str) -> Self {
        Self::new(Kind::Lines, title, unit)
    }

    pub(super) fn table(title: &'static str) -> Self {
        Self::new(Kind::Table, title, "")
    }

    pub(super) fn events(title: &'static str, expression: &str) -> Self {
        Self::new(Kind::Events, title, "").and("", expression)
    }

    /// One more query, and how its series are called.
    pub(super) fn and(mut self, legend: &str, expression: &str) -> Self {
        self.targets.push(Target { expression: expression.to_owned(), legend: legend.to_owned() });
        self
    }

    /// Of a histogram in which all collectors count, over a quarter of an hour.
    pub(super) fn quantiles(self, histogram: &str, quantiles: &[&str]) -> Self {
        quantiles.iter().fold(self, |panel, quantile| {
            let expression =
                format!("histogram_quantile({quantile}, sum by (le) (rate({histogram}_bucket[15m])))");
            panel.and(&format!("quantile {quantile}"), &expression)
        })
    }

    pub(super) fn says(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    pub(super) fn red_from(mut self, yellow: f64, red: f64) -> Self {
        self.thresholds = Some((yellow, red));
        self
    }

    pub(super) fn leads_to(mut self, title: &'static str, url: &str) -> Self {
        self.links.push((title, url.to_owned()));
        self
    }

    /// What to do when it looks bad: a section of the page on operations.
    pub(super) fn runbook(self, section: &str) -> Self {
        self.leads_to("Runbook", &format!("${{runbooks}}#{section}"))
    }

    pub(super) fn stacked(mut self) -> Self {
        self.stacked = true;
        self
    }

    pub(super) fn up_to(mut self, max: f64) -> Self {
        self.max = Some(max);
        self
    }

    /// Width and height.
    fn size(&self) -> (u64, u64) {
        match self.kind {
            Kind::Row => (WIDTH, 1),
            Kind::Stat => (4, 4),
            Kind::Lines => (12, 8),
            Kind::Table => (WIDTH, 9),
            Kind::Events => (WIDTH, 5),
        }
    }

    fn json(&self, id: usize, x: u64, y: u64) -> Value {
        let (w, h) = self.size();
        let place = json!({ "x": x, "y": y, "w": w, "h": h });
        if self.kind == Kind::Row {
            return json!({
                "id": id, "type": "row", "title": self.title, "gridPos": place, "collapsed": false, "panels": []
            });
        }
        json!({
            "id": id, "type": self.kind_name(), "title": self.title, "description": self.description,
            "gridPos": place, "datasource": source(), "targets": self.targets(),
            "fieldConfig": { "defaults": self.defaults(), "overrides": [] },
            "options": self.options(), "transformations": self.transformations(),
        })
    }

    fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Row => "row",
            Kind::Stat => "stat",
            Kind::Lines => "timeseries",
            Kind::Table | Kind::Events => "table",
        }
    }

    fn is_table(&self) -> bool {
        matches!(self.kind, Kind::Table | Kind::Events)
    }

    fn targets(&self) -> Vec<Value> {
        let now = self.kind != Kind::Lines;
        let targets = self.targets.iter().zip('A'..='Z').map(|(target, letter)| {
            json!({
                "refId": letter.to_string(), "datasource": source(), "expr": target.expression,
                "legendFormat": target.legend, "instant": now, "range": !now,
                "format": if self.is_table() { "table" } else { "time_series" },
            })
        });
        targets.collect()
    }

    fn defaults(&self) -> Value {
        let links: Vec<Value> =
            self.links.iter().map(|(title, url)| json!({ "title": title, "url": url })).collect();
        let is_lines = self.kind == Kind::Lines;
        let custom = json!({
            "fillOpacity": if self.stacked { 40 } else { 10 }, "showPoints": "never", "spanNulls": false,
            "stacking": { "mode": if self.stacked { "normal" } else { "none" }, "group": "A" }
        });
        json!({
            "unit": self.unit, "min": if is_lines { json!(0) } else { Value::Null }, "max": self.max,
            "links": links, "thresholds": { "mode": "absolute", "steps": self.steps() },
            "custom": if is_lines { custom } else { json!({}) },
        })
    }

    fn steps(&self) -> Value {
        let step = |color: &str, value: Option<f64>| json!({ "color": color, "value": value });
        match self.thresholds {
            None => json!([step("green", None)]),
            Some((yellow, red)) if yellow <= red => {
                json!([step("green", None), step("yellow", Some(yellow)), step("red", Some(red))])
            }
            // Less is worse.
            Some((yellow, red)) => {
                json!([step("red", None), step("yellow", Some(red)), step("green", Some(yellow))])
            }
        }
    }

    fn options(&self) -> Value {
        match self.kind {
            Kind::Stat => json!({
                "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false },
                "colorMode": if self.thresholds.is_some() { "background" } else { "value" }, "graphMode": "area"
            }),
            Kind::Lines => json!({
                "legend": { "displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"] },
                "tooltip": { "mode": "multi", "sort": "desc" }
            }),
            Kind::Row | Kind::Table | Kind::Events => json!({ "showHeader": true, "cellHeight": "sm" }),
        }
    }

    /// Of a table the columns that a person wants: those that the targets name, one row a backend; of events their labels.
    fn transformations(&self) -> Value {
        let columns = match self.kind {
            Kind::Table => self.targets.iter().map(|target| target.legend.as_str()).collect(),
            Kind::Events => vec!["alertname", "severity", "backend", "instance", "uuid", "reason"],
            Kind::Row | Kind::Stat | Kind::Lines => return json!([]),
        };
        let letters = self.targets.iter().zip('A'..='Z');
        let names: Map<String, Value> =
            letters.map(|(target, letter)| (format!("Value #{letter}"), json!(target.legend))).collect();
        let joined = json!({ "id": "joinByField", "options": { "byField": "backend", "mode": "outer" } });
        let named = json!({ "id": "organize", "options": { "renameByName": names } });
        let pattern = format!("^(backend|{})$", columns.join("|"));
        let chosen = json!({ "id": "filterFieldsByName", "options": { "include": { "pattern": pattern } } });
        if self.kind == Kind::Table { json!([joined, named, chosen]) } else { json!([chosen]) }
    }
}

/// From left to right, and on the next line where one does not fit.
pub(super) fn laid_out(panels: &[Panel]) -> Vec<Value> {
    let (mut x, mut y, mut line) = (0, 0, 0);
    let place = |(at, panel): (usize, &Panel)| {
        let (width, height) = panel.size();
        if x + width > WIDTH {
            (x, y, line) = (0, y + line, 0);
        }
        let placed = panel.json(at + 1, x, y);
        (x, line) = (x + width, line.max(height));
        placed
    };
    panels.iter().enumerate().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_stand_side_by_side_and_none_on_another() {
        let panels = [
            Panel::stat("a", "", "a"),
            Panel::row("b"),
            Panel::lines("c", ""),
            Panel::lines("d", ""),
            Panel::lines("e", ""),
        ];
        let at = |panel: &Value| {
            let place = &panel["gridPos"];
            (place["x"].as_u64().unwrap(), place["y"].as_u64().unwrap())
        };
        let places: Vec<_> = laid_out(&panels).iter().map(at).collect();
        assert_eq!(places, [(0, 0), (0, 4), (0, 5), (12, 5), (0, 13)]);
    }

    #[test]
    fn where_less_is_worse_red_comes_first() {
        let steps = Panel::stat("a", "", "a").red_from(1.0, 0.0).steps();
        let colors: Vec<_> = steps.as_array().unwrap().iter().map(|step| step["color"].clone()).collect();
        assert_eq!(colors, ["red", "yellow", "green"]);
    }
}
