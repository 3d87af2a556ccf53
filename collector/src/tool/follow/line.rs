//! What is shown of a job as one line of text. Pure.

use super::super::quantity::took;
use super::course::Told;
use std::time::Duration;

pub(super) fn of(told: &Told) -> String {
    match told {
        Told::Accepted => "accepted".to_owned(),
        Told::Waiting { why } => format!("waits ({why})"),
        Told::Begun { backend, attempt: 0 | 1, why } => format!("begins on {backend} ({why})"),
        Told::Begun { backend, attempt, why } => format!("begins on {backend}, attempt {attempt} ({why})"),
        Told::Cached { nodes: 1 } => "1 node needs no work".to_owned(),
        Told::Cached { nodes } => format!("{nodes} nodes need no work"),
        Told::Node { node, label } if label.is_empty() => format!("node {node}"),
        Told::Node { node, label } => format!("node {node}: {label}"),
        Told::Steps { done, all, .. } => format!("step {done} of {all}"),
        Told::Saved { path } => format!("saved {path}"),
        Told::NotSaved { file, reason } => format!("NOT SAVED: {file}: {reason}"),
        Told::Ended { state, reason, seconds } => {
            let seconds =
                seconds.map(|seconds| format!(" in {}", took(Duration::from_secs_f64(seconds.max(0.0)))));
            let reason = reason.as_ref().map(|reason| format!(": {reason}"));
            format!("{state}{}{}", seconds.unwrap_or_default(), reason.unwrap_or_default())
        }
    }
}

/// Whether a line is worth its place in a log: of the steps of a node, every quarter.
pub(super) fn is_worth_it(told: &Told) -> bool {
    match told {
        Told::Steps { done, all, .. } => {
            let quarter = |done: u64| done.saturating_mul(4) / (*all).max(1);
            *done > 0 && quarter(*done) > quarter(done - 1)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_its_words() {
        for (told, words) in [
            (
                Told::Begun { backend: "a".into(), attempt: 2, why: "free".into() },
                "begins on a, attempt 2 (free)",
            ),
            (Told::Node { node: "3".into(), label: "KSampler".into() }, "node 3: KSampler"),
            (Told::Cached { nodes: 1 }, "1 node needs no work"),
            (
                Told::Ended { state: "failed".into(), reason: Some("no".into()), seconds: Some(1.26) },
                "failed in 1.3 s: no",
            ),
            (Told::Ended { state: "succeeded".into(), reason: None, seconds: None }, "succeeded"),
        ] {
            assert_eq!(of(&told), words);
        }
    }

    #[test]
    fn a_log_gets_four_lines_of_many_steps() {
        for (all, shown) in [(100, vec![25, 50, 75, 100]), (4, vec![1, 2, 3, 4]), (2, vec![1, 2])] {
            let worth = |done: &u64| is_worth_it(&Told::Steps { node: String::new(), done: *done, all });
            assert_eq!((0..=all).filter(worth).collect::<Vec<_>>(), shown);
        }
    }
}
