//! What came of a job, translated from the backend's words into the client's: its own id, and in each file's
//! `subfolder` a first segment that names the backend, so that equal file names of two backends stay apart. Pure.

use comfyui::api::{HistoryEntry, PromptRejected};
use serde_json::{Map, Value, json};

use crate::clock::UnixMillis;
use crate::id::{BackendId, JobId};
use crate::job::{Outcome, Results};

/// Puts the backend's name before the subfolder of every file in a node's output. Input files are the fleet's, not a
/// backend's, so they keep their names.
pub(super) fn name_backend(output: &mut Value, backend: &BackendId) {
    match output {
        Value::Array(items) => items.iter_mut().for_each(|item| name_backend(item, backend)),
        Value::Object(fields) if is_file(fields) => {
            if let Some(Value::String(subfolder)) = fields.get_mut("subfolder") {
                let separator = if subfolder.is_empty() { "" } else { "/" };
                *subfolder = format!("{backend}{separator}{subfolder}");
            }
        }
        Value::Object(fields) => fields.values_mut().for_each(|field| name_backend(field, backend)),
        _ => {}
    }
}

fn is_file(fields: &Map<String, Value>) -> bool {
    let is_text = |key| fields.get(key).is_some_and(Value::is_string);
    is_text("filename") && is_text("subfolder") && fields.get("type").is_none_or(|kind| kind != "input")
}

/// The backend's history entry in the client's words.
pub(super) fn of_history(entry: HistoryEntry, job: JobId, backend: &BackendId) -> (Outcome, Results) {
    let mut outputs: Map<String, Value> = entry.outputs.into_iter().collect();
    outputs.values_mut().for_each(|output| name_backend(output, backend));
    let status = entry.status;
    let interrupted = status.as_ref().is_some_and(|status| status.message("execution_interrupted").is_some());
    let outcome = match &status {
        _ if interrupted => Outcome::Interrupted,
        Some(status) if !status.completed => Outcome::Failed,
        Some(_) | None => Outcome::Succeeded,
    };
    let mut status = json!(status);
    name_job(&mut status, job);
    let meta = entry.meta.and_then(|meta| meta.as_object().cloned()).unwrap_or_default();
    (outcome, Results { outputs, status, meta })
}

fn name_job(status: &mut Value, job: JobId) {
    let messages = status.get_mut("messages").and_then(Value::as_array_mut).into_iter().flatten();
    for data in messages.filter_map(|message| message.get_mut(1)) {
        if let Some(id) = data.get_mut("prompt_id") {
            *id = json!(job.to_string());
        }
    }
}

/// Of a job whose backend can no longer be asked: what its frames told.
pub(super) fn of_frames(
    outcome: Outcome,
    outputs: Map<String, Value>,
    last: Option<&comfyui::Message>,
) -> Results {
    let messages: Vec<_> = last.map(|message| json!([message.kind(), message.data()])).into_iter().collect();
    let (status_str, completed) =
        if outcome == Outcome::Succeeded { ("success", true) } else { ("error", false) };
    let status = json!({ "status_str": status_str, "completed": completed, "messages": messages });
    Results { outputs, status, meta: Map::new() }
}

/// The `execution_error` of a job that no backend ran to an end: ComfyUI's form, with a node only where one is to blame.
pub(super) fn error_message(
    job: JobId,
    kind: &str,
    reason: &str,
    extra: Value,
    now: UnixMillis,
) -> comfyui::Message {
    comfyui::Message::of(
        "execution_error".to_owned(),
        json!({
            "prompt_id": job.to_string(), "node_id": null, "node_type": null, "executed": [],
            "exception_message": reason, "exception_type": kind, "traceback": [],
            "current_inputs": {}, "current_outputs": [], "timestamp": now.0, "orchestrator": extra,
        }),
    )
}

/// What a backend's refusal of a prompt says, in one line and in full.
pub(super) fn rejection(rejected: &PromptRejected) -> (String, Value) {
    let details = rejected.error.get("details").and_then(Value::as_str).unwrap_or_default();
    let errors = rejected.node_errors.as_object().into_iter().flatten().flat_map(|(node, errors)| {
        let errors = errors.get("errors").and_then(Value::as_array).cloned().unwrap_or_default();
        errors.into_iter().map(move |error| {
            let text = |key| error.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            format!("node {node}: {}: {}", text("message"), text("details"))
        })
    });
    let mut lines = vec![rejected.message().to_owned()];
    lines.extend((!details.is_empty()).then(|| details.to_owned()));
    lines.extend(errors);
    (lines.join("\n"), json!({ "error": rejected.error, "node_errors": rejected.node_errors }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_two_backends_stay_apart_and_other_values_stay_as_they_are() {
        let mut output = json!({
            "images": [{"filename": "a.png", "subfolder": "", "type": "output"},
                       {"filename": "b.png", "subfolder": "x", "type": "temp"},
                       {"filename": "c.png", "subfolder": "", "type": "input"}],
            "gifs": [{"filename": "d.mp4", "subfolder": "y/z", "type": "output", "format": "video/h264"}],
            "text": ["subfolder"], "animated": [false],
        });
        name_backend(&mut output, &"gpu-1".parse().unwrap());
        assert_eq!(output["images"][0]["subfolder"], "gpu-1");
        assert_eq!(output["images"][1]["subfolder"], "gpu-1/x");
        assert_eq!(output["images"][2]["subfolder"], "");
        assert_eq!(output["gifs"][0]["subfolder"], "gpu-1/y/z");
        assert_eq!((&output["text"], &output["animated"]), (&json!(["subfolder"]), &json!([false])));
    }

    #[test]
    fn a_backends_history_speaks_of_the_clients_job() {
        let entry = serde_json::from_value(json!({
            "prompt": [1, "theirs", {}, {}, ["9"]],
            "outputs": {"9": {"images": [{"filename": "a.png", "subfolder": "", "type": "output"}]}},
            "status": {"status_str": "error", "completed": false,
                       "messages": [["execution_start", {"prompt_id": "theirs"}],
                                    ["execution_interrupted", {"prompt_id": "theirs", "node_id": "3"}]]},
        }));
        let job = JobId::random();
        let (outcome, results) = of_history(entry.unwrap(), job, &"a".parse().unwrap());
        assert_eq!(outcome, Outcome::Interrupted);
        assert_eq!(results.status["messages"][1][1], json!({"prompt_id": job.to_string(), "node_id": "3"}));
        assert_eq!(results.outputs["9"]["images"][0]["subfolder"], "a");
    }

    #[test]
    fn a_rejection_names_the_node_and_what_is_wrong_with_it() {
        let rejected: PromptRejected = serde_json::from_value(json!({
            "error": {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation", "details": ""},
            "node_errors": {"4": {"errors": [{"message": "Value not in list", "details": "ckpt_name: 'x' not in []"}]}},
        }))
        .unwrap();
        let (text, _) = rejection(&rejected);
        assert_eq!(
            text,
            "Prompt outputs failed validation\nnode 4: Value not in list: ckpt_name: 'x' not in []"
        );
    }
}
