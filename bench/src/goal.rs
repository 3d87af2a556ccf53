//! What a program promises, beside what was measured: pure.

use serde::Serialize;

use crate::figures::{mebibytes, shown_times, time};
use crate::output::Table;

pub(crate) const MIB: f64 = 1_048_576.0;

/// One promise, and whether it was kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Goal {
    goal: String,
    unit: Unit,
    #[serde(flatten)]
    bound: Bound,
    /// Absent where there was nothing to measure it with.
    measured: Option<f64>,
    kept: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    Bytes,
    Count,
    FramesASecond,
    PercentOfACore,
    RequestsASecond,
    Microseconds,
    Seconds,
    Times,
}

impl Unit {
    fn shown(self, figure: f64) -> String {
        match self {
            Self::Bytes => mebibytes(figure as u64),
            Self::Count => format!("{figure:.0}"),
            Self::FramesASecond | Self::RequestsASecond => format!("{figure:.0}/s"),
            Self::PercentOfACore => format!("{figure:.3} %"),
            Self::Microseconds => time(figure),
            Self::Seconds => format!("{figure:.2} s"),
            Self::Times => shown_times(Some(figure)),
        }
    }
}

impl Goal {
    pub(crate) fn new(goal: String, unit: Unit, bound: Bound, measured: Option<f64>) -> Self {
        let kept = measured.map(|measured| match bound {
            Bound::AtMost(most) => measured <= most,
            Bound::AtLeast(least) => measured >= least,
        });
        Self { goal, unit, bound, measured, kept }
    }

    fn row(&self) -> [String; 4] {
        let bound = match self.bound {
            Bound::AtMost(most) => format!("≤ {}", self.unit.shown(most)),
            Bound::AtLeast(least) => format!("≥ {}", self.unit.shown(least)),
        };
        let measured = self.measured.map_or_else(|| "–".to_owned(), |measured| self.unit.shown(measured));
        let kept = match self.kept {
            Some(true) => "kept",
            Some(false) => "MISSED",
            None => "not measured",
        };
        [self.goal.clone(), bound, measured, kept.to_owned()]
    }
}

/// All goals for people.
pub(crate) fn table(goals: &[Goal]) -> Table {
    let mut table = Table::new("Goals", &["goal", "bound", "measured", "verdict"]);
    for goal in goals {
        table.row(goal.row());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_kept_up_to_its_bound_and_open_without_a_figure() {
        let kept = |bound, measured| Goal::new("x".to_owned(), Unit::Times, bound, measured).kept;
        assert_eq!(kept(Bound::AtMost(6.0), Some(6.0)), Some(true));
        assert_eq!(kept(Bound::AtMost(6.0), Some(6.1)), Some(false));
        assert_eq!(kept(Bound::AtLeast(10.0), Some(10.0)), Some(true));
        assert_eq!(kept(Bound::AtLeast(10.0), Some(9.9)), Some(false));
        assert_eq!(kept(Bound::AtLeast(10.0), None), None);
    }

    #[test]
    fn goals_are_written_with_bound_figure_and_verdict() {
        let goal = |unit, bound, measured| Goal::new("x".to_owned(), unit, bound, measured).row();
        let cases = [
            (goal(Unit::Bytes, Bound::AtMost(6.0 * MIB), Some(5.0 * MIB)), ["≤ 6.0 MiB", "5.0 MiB", "kept"]),
            (goal(Unit::Times, Bound::AtLeast(15.0), Some(12.0)), ["≥ 15.00×", "12.00×", "MISSED"]),
            (goal(Unit::PercentOfACore, Bound::AtMost(0.2), None), ["≤ 0.200 %", "–", "not measured"]),
        ];
        for (row, expected) in cases {
            assert_eq!(row[1..], expected);
        }
    }
}
