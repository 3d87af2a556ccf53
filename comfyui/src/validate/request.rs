//! What a server makes of the whole body of `POST /prompt`, before and around the prompt itself.

use serde_json::Value;

use super::python::{self, Thrown};
use super::survey::Wanted;
use super::validators::LeftToServer;
use super::{Grounds, Verdict, documents, judge};
use crate::ObjectInfo;

/// What a server that has the classes of `info` answers to this body of `POST /prompt`.
///
/// As [`validate`](super::validate) for its prompt and its `partial_execution_targets`, and what else of the body a
/// server stumbles over: no prompt, a `number` that is none, `extra_data` that is no object.
#[must_use]
pub fn validate_request(body: &Value, info: &ObjectInfo) -> Verdict {
    judge_request(body, info).unwrap_or(Verdict::Trips)
}

fn judge_request(body: &Value, info: &ObjectInfo) -> Result<Verdict, Thrown> {
    if let Some(number) = python::get(body, "number")? {
        python::as_type(&Value::from("FLOAT"), number)?;
    }
    python::get(body, "front")?;
    let Some(prompt) = python::get(body, "prompt")? else {
        return Ok(documents::no_prompt().into());
    };
    let wanted = python::get(body, "partial_execution_targets")?.map_or(Wanted::All, Wanted::Stated);
    let verdict = judge(prompt, wanted, Grounds { info, validators: &LeftToServer });
    // It is written to even if nothing runs when the client names itself, and always when something runs.
    let is_written_to = matches!(verdict, Verdict::Accepted(_)) || body.get("client_id").is_some();
    let is_object = body.get("extra_data").is_none_or(Value::is_object);
    Ok(if is_written_to && !is_object { Verdict::Trips } else { verdict })
}
