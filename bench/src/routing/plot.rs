//! The figures as plots: of each cell how the policies compare, and latency against load.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::figures::Cell;
use super::load::Borne;
use super::policy::Name;
use super::svg::Drawing;

const WIDTH: f64 = 760.0;
const TOP: f64 = 72.0;
const LEFT: f64 = 140.0;
const RIGHT: f64 = WIDTH - 28.0;
const ROW: f64 = 20.0;

/// The policies that have colours of their own; the others are drawn alike.
const COLOURED: [Name; 4] = [Name::Ours, Name::Swarmui, Name::EarliestCompletion, Name::LeastQueue];

/// `mean.svg` and `p99.svg`; of `cells` without SwarmUI's rule, nothing.
pub(super) fn write_cells(cells: &[Cell], folder: &Path) -> Result<()> {
    let mean = beside("Mean latency, as a multiple of SwarmUI's", cells, |cell| cell.mean_seconds);
    let p99 =
        beside("99th percentile of latency, as a multiple of SwarmUI's", cells, |cell| cell.p99_seconds);
    write(folder, "mean.svg", mean)?;
    write(folder, "p99.svg", p99)
}

/// `load.svg`.
pub(super) fn write_loads(borne: &[Borne], folder: &Path) -> Result<()> {
    write(folder, "load.svg", against_load(borne))
}

fn write(folder: &Path, name: &str, drawing: Drawing) -> Result<()> {
    let path = folder.join(name);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, drawing.finish()))
        .with_context(|| format!("write the plot {}", path.display()))
}

fn class(policy: &str) -> String {
    let coloured = COLOURED.iter().any(|name| name.name() == policy);
    if coloured { policy.to_owned() } else { "rest".to_owned() }
}

fn legend(drawing: &mut Drawing, rest: bool) {
    let mut entries: Vec<(String, String)> = COLOURED.iter().map(|name| (name.name(), name.name())).collect();
    if rest {
        entries.push(("rest".to_owned(), "other rules".to_owned()));
    }
    let mut x = 22.0;
    for (class, text) in entries {
        drawing.dot((x, 46.0), 5.0, &class, &text);
        drawing.text((x + 10.0, 50.0), "", &text);
        x += 34.0 + 6.6 * text.len() as f64;
    }
}

/// A scale of powers of two that holds all `figures`.
struct Doublings {
    from: i32,
    to: i32,
}

impl Doublings {
    fn of(figures: impl Iterator<Item = f64> + Clone) -> Self {
        let exponent = |figure: f64| libm::log2(figure);
        let (least, most) =
            (figures.clone().map(exponent).fold(0.0, f64::min), figures.map(exponent).fold(0.0, f64::max));
        Self { from: least.floor() as i32, to: most.ceil() as i32 }
    }

    fn x(&self, figure: f64) -> f64 {
        let span = f64::from(self.to - self.from).max(1.0);
        LEFT + (libm::log2(figure) - f64::from(self.from)) / span * (RIGHT - LEFT)
    }
}

/// A row a cell, a dot a policy.
fn beside(title: &str, cells: &[Cell], figure: fn(&Cell) -> f64) -> Drawing {
    let rows: Vec<&Cell> = cells.iter().filter(|cell| cell.policy == Name::Swarmui.name()).collect();
    let of_row = |row: &Cell| {
        let (scenario, profile, one) = (row.scenario.clone(), row.profile.clone(), figure(row));
        let same = cells.iter().filter(move |cell| cell.scenario == scenario && cell.profile == profile);
        same.map(move |cell| (cell, figure(cell) / one))
    };
    let scale = Doublings::of(rows.iter().flat_map(|row| of_row(row)).map(|(_, times)| times));
    let bottom = TOP + ROW * rows.len() as f64;
    let mut drawing = Drawing::new(WIDTH, bottom + 34.0, title);
    legend(&mut drawing, cells.iter().any(|cell| class(&cell.policy) == "rest"));
    for exponent in scale.from..=scale.to {
        let times = libm::exp2(f64::from(exponent));
        let class = if exponent == 0 { "mark" } else { "grid" };
        drawing.line((scale.x(times), TOP), (scale.x(times), bottom), class);
        drawing.text((scale.x(times), bottom + 20.0), "middle", format_args!("{times}×"));
    }
    for (number, row) in rows.iter().enumerate() {
        let y = TOP + ROW * (number as f64 + 0.5);
        drawing.text((LEFT - 14.0, y + 4.0), "end", format_args!("{}, {}", row.scenario, row.profile));
        // Those with colours last, so that they lie on top.
        let mut dots: Vec<(&Cell, f64)> = of_row(row).collect();
        dots.sort_by_key(|(cell, _)| COLOURED.iter().rev().position(|name| name.name() == cell.policy));
        for (cell, times) in dots {
            let told = format!("{}: {:.1} s, {times:.2}×", cell.policy, figure(cell));
            let class = class(&cell.policy);
            drawing.dot((scale.x(times), y), if class == "rest" { 3.0 } else { 5.0 }, &class, &told);
        }
    }
    drawing
}

/// Latency at every load that was tried, up to where it is too long.
fn against_load(borne: &[Borne]) -> Drawing {
    const HEIGHT: f64 = 380.0;
    const BOTTOM: f64 = HEIGHT - 48.0;
    const MOST_SECONDS: f64 = 180.0;
    let tried = || borne.iter().flat_map(|borne| &borne.tried).map(|(load, _)| *load);
    let (from, to) = (tried().fold(1.0, f64::min), tried().fold(0.0, f64::max));
    let x = |load: f64| 64.0 + (load - from) / (to - from).max(0.05) * (RIGHT - 64.0);
    let y = |seconds: f64| BOTTOM - seconds.min(MOST_SECONDS) / MOST_SECONDS * (BOTTOM - TOP);
    let mut drawing = Drawing::new(
        WIDTH,
        HEIGHT,
        "95th percentile of latency against load (steady; dashed: nvme, solid: nas)",
    );
    legend(&mut drawing, false);
    for seconds in [0.0, 30.0, 60.0, 90.0, 120.0, 150.0, 180.0] {
        let class = if seconds == 120.0 { "mark" } else { "grid" };
        drawing.line((64.0, y(seconds)), (RIGHT, y(seconds)), class);
        drawing.text((56.0, y(seconds) + 4.0), "end", format_args!("{seconds} s"));
    }
    for hundredths in ((from * 100.0).round() as u32..=(to * 100.0).round() as u32).step_by(10) {
        let load = f64::from(hundredths) / 100.0;
        drawing.text((x(load), BOTTOM + 20.0), "middle", format_args!("{load:.2}"));
    }
    drawing.text(
        ((64.0 + RIGHT) / 2.0, BOTTOM + 38.0),
        "middle",
        "load: run time that comes, of what the backends can run",
    );
    for Borne { profile, policy, tried, .. } in borne.iter().filter(|borne| class(&borne.policy) != "rest") {
        let points: Vec<_> = tried.iter().map(|(load, seconds)| (x(*load), y(*seconds))).collect();
        drawing.path(&points, &format!("{}{}", policy, if profile == "nvme" { " dashed" } else { "" }));
        for ((load, seconds), at) in tried.iter().zip(&points) {
            drawing.dot(*at, 3.0, policy, &format!("{policy}, {profile}, {load:.2}: {seconds:.0} s"));
        }
    }
    drawing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(scenario: &str, policy: &str, mean_seconds: f64) -> Cell {
        Cell {
            scenario: scenario.to_owned(),
            profile: "nas".to_owned(),
            policy: policy.to_owned(),
            mean_seconds,
            ..Cell::default()
        }
    }

    #[test]
    fn every_policy_of_a_cell_has_its_dot_in_the_cells_row_where_its_multiple_is() {
        let cells =
            [cell("steady", "ours", 5.0), cell("steady", "swarmui", 10.0), cell("steady", "fifo", 40.0)];
        let drawn = beside("Mean", &cells, |cell| cell.mean_seconds).finish();
        let dots: Vec<&str> = drawn.lines().filter(|line| line.contains("cy=\"82.0\"")).collect();
        assert_eq!(dots.len(), 3, "{drawn}");
        // The scale goes from a half to four: three doublings.
        for (dot, told, doublings) in [
            (2, "ours: 5.0 s, 0.50×", 0.0),
            (1, "swarmui: 10.0 s, 1.00×", 1.0),
            (0, "fifo: 40.0 s, 4.00×", 3.0),
        ] {
            let x = LEFT + doublings / 3.0 * (RIGHT - LEFT);
            assert!(
                dots[dot].contains(told) && dots[dot].contains(&format!("cx=\"{x:.1}\"")),
                "{}",
                dots[dot]
            );
        }
    }

    #[test]
    fn a_line_of_loads_ends_where_latency_is_too_long() {
        let borne = |policy: &str, tried: &[(f64, f64)]| Borne {
            profile: "nas".to_owned(),
            policy: policy.to_owned(),
            backends: 8,
            highest_load: None,
            tried: tried.to_vec(),
        };
        let borne =
            [borne("ours", &[(0.3, 20.0), (0.35, 60.0), (0.4, 900.0)]), borne("fifo", &[(0.3, 500.0)])];
        let drawn = against_load(&borne).finish();
        let paths: Vec<&str> = drawn.lines().filter(|line| line.starts_with("<path")).collect();
        assert_eq!(paths, [r#"<path class="ours" d="M64.0 303.1L398.0 245.3L732.0 72.0"/>"#], "{drawn}");
    }
}
