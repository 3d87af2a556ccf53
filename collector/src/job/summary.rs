//! What lists show of an ended job, read once out of its results when it ends. Pure.

use serde_json::Value;

use super::Results;
use super::outputs::{Brief, brief};
use crate::clock::UnixMillis;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// As the backend told in its messages; a server of 2024 tells no times.
    pub execution_start: Option<UnixMillis>,
    pub execution_end: Option<UnixMillis>,
    pub outputs: Brief,
}

impl Summary {
    pub fn of(results: &Results) -> Self {
        let mut summary = Self { outputs: brief(&results.outputs), ..Self::default() };
        for (kind, data) in messages(&results.status) {
            let at = data.get("timestamp").and_then(Value::as_u64).map(UnixMillis);
            match kind {
                "execution_start" => summary.execution_start = at,
                "execution_success" | "execution_error" | "execution_interrupted" => {
                    summary.execution_end = at;
                }
                _ => {}
            }
        }
        summary
    }
}

/// What the `execution_error` among a status's messages tells.
pub fn execution_error(status: &Value) -> Option<&Value> {
    messages(status).filter(|(kind, _)| *kind == "execution_error").map(|(_, data)| data).last()
}

fn messages(status: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let messages = status.get("messages").and_then(Value::as_array).into_iter().flatten();
    messages.filter_map(|message| Some((message.get(0)?.as_str()?, message.get(1)?)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_and_errors_are_those_of_the_messages() {
        let error = json!({"exception_type": "ValueError", "timestamp": 9});
        let status = json!({"status_str": "error", "messages": [
            ["execution_start", {"timestamp": 5}], ["execution_cached", {"timestamp": 6}], ["execution_error", error],
        ]});
        assert_eq!(execution_error(&status), Some(&error));
        let summary = Summary::of(&Results { status, ..Results::default() });
        assert_eq!(
            (summary.execution_start, summary.execution_end),
            (Some(UnixMillis(5)), Some(UnixMillis(9)))
        );
    }

    #[test]
    fn what_was_not_told_is_unknown() {
        let status =
            json!({"messages": [["execution_start", {"prompt_id": "x"}], ["execution_success", {}], 7]});
        let summary = Summary::of(&Results { status, ..Results::default() });
        assert_eq!(summary, Summary::default());
        assert_eq!(Summary::of(&Results::default()), Summary::default());
    }
}
