//! Why a job failed, as far as that says something of the backend: its memory, its GPU, or files that it alone lacks. Any
//! other exception is the job's own. Pure.

use comfyui::api::{HistoryEntry, PromptRejected};
use comfyui::message::{ExecutionError, Message};
use serde::Deserialize;
use serde_json::Value;

use super::track::Ending;

/// How much of an exception is told in a line.
const TOLD_CHARACTERS: usize = 200;
/// What CUDA and HIP say after which a process can do nothing more on its GPU: every later call fails as well.
const BROKEN: [&str; 10] = [
    "illegal memory access",
    "illegal instruction",
    "device-side assert",
    "unspecified launch failure",
    "misaligned address",
    "uncorrectable ecc error",
    "uncorrectable nvlink error",
    "unknown error",
    "context is destroyed",
    "device is lost",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    OutOfMemory,
    /// The process's context on its GPU: it has to be restarted.
    BrokenContext,
}

/// A failure that says something of the backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub kind: Kind,
    /// The exception, in one line.
    pub told: String,
}

/// As its frames told it, or else as the backend remembers it.
pub(super) fn of(ending: &Ending, entry: Option<&HistoryEntry>) -> Option<Failure> {
    let remembered = || {
        let error = entry?.status.as_ref()?.message("execution_error")?;
        ExecutionError::deserialize(error).ok()
    };
    match &ending.last {
        Some(Message::ExecutionError(error)) => judge(error),
        Some(_) => None,
        None => judge(&remembered()?),
    }
}

fn judge(error: &ExecutionError) -> Option<Failure> {
    let kind = if error.is_out_of_memory() {
        Kind::OutOfMemory
    } else if is_broken(&error.exception_message) {
        Kind::BrokenContext
    } else {
        return None;
    };
    let message = error.exception_message.split_whitespace().collect::<Vec<_>>().join(" ");
    let told = format!("{}: {message}", error.exception_type).chars().take(TOLD_CHARACTERS).collect();
    Some(Failure { kind, told })
}

fn is_broken(message: &str) -> bool {
    let message = message.to_lowercase();
    let is_of_the_gpu =
        ["cuda error", "cuda driver error", "hip error"].iter().any(|word| message.contains(word));
    is_of_the_gpu && BROKEN.iter().any(|word| message.contains(word))
}

/// What a backend's refusal of a prompt says of the backend: that it lacks something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lacking {
    /// A node class, or a value that its lists have not.
    Offer,
    /// A file that it was given, or so it was believed.
    File,
}

/// `None`: there is something else wrong with the prompt, and any backend would say so.
pub(super) fn lacking(rejected: &PromptRejected) -> Option<Lacking> {
    let text = |key| rejected.error.get(key).and_then(Value::as_str).unwrap_or_default();
    let unknown_class = text("type") == "missing_node_type"
        || text("type") == "invalid_prompt" && text("message").contains("does not exist");
    if unknown_class {
        return Some(Lacking::Offer);
    }
    let errors = rejected.node_errors.as_object().into_iter().flatten();
    let errors =
        errors.flat_map(|(_, node)| node.get("errors").and_then(Value::as_array).into_iter().flatten());
    let lacks = errors.map(|error| match error.get("type").and_then(Value::as_str) {
        Some("value_not_in_list") => Some(Lacking::Offer),
        // That of `LoadImage` and its like: the file is not there.
        Some("custom_validation_failed") => Some(Lacking::File),
        _ => None,
    });
    let lacks: Vec<Lacking> = lacks.collect::<Option<_>>()?;
    lacks.iter().find(|lacking| **lacking == Lacking::Offer).or_else(|| lacks.first()).copied()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kind(exception_type: &str, exception_message: &str) -> Option<Kind> {
        let data = json!({"exception_type": exception_type, "exception_message": exception_message});
        let last = Some(Message::of("execution_error".to_owned(), data));
        Some(of(&Ending { outcome: None, last }, None)?.kind)
    }

    #[test]
    fn exceptions_are_told_apart_by_what_they_say_of_the_backend() {
        let (memory, broken) = (Some(Kind::OutOfMemory), Some(Kind::BrokenContext));
        for (exception_type, message, wanted) in [
            ("torch.OutOfMemoryError", "Allocation on device", memory),
            ("torch.cuda.OutOfMemoryError", "CUDA out of memory. Tried to allocate 20.00 GiB", memory),
            (
                "torch.AcceleratorError",
                "CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA`",
                memory,
            ),
            ("RuntimeError", "HIP out of memory. Tried to allocate 2.00 GiB", memory),
            ("torch.AcceleratorError", "CUDA error: an illegal memory access was encountered", broken),
            ("RuntimeError", "CUDA error: device-side assert triggered\nCUDA kernel errors might be", broken),
            ("RuntimeError", "CUDA error: unspecified launch failure", broken),
            ("RuntimeError", "HIP error: an illegal memory access was encountered", broken),
            ("RuntimeError", "CUDA error: invalid device function", None),
            ("RuntimeError", "CUDA error: no kernel image is available for execution on the device", None),
            ("ValueError", "unknown error", None),
            ("RuntimeError", "mat1 and mat2 shapes cannot be multiplied (77x2048 and 768x320)", None),
        ] {
            assert_eq!(kind(exception_type, message), wanted, "{message}");
        }
    }

    #[test]
    fn the_backends_history_tells_it_where_its_frames_were_missed() {
        let error =
            json!({"exception_type": "torch.OutOfMemoryError", "exception_message": "CUDA\n out of  memory"});
        let entry = serde_json::from_value(json!({
            "prompt": [1, "id", {}, {}, []],
            "status": {"status_str": "error", "completed": false, "messages": [["execution_error", error]]},
        }))
        .unwrap();
        let failure = of(&Ending::default(), Some(&entry)).unwrap();
        let told = "torch.OutOfMemoryError: CUDA out of memory".to_owned();
        assert_eq!(failure, Failure { kind: Kind::OutOfMemory, told });
        let success = Message::of("execution_success".to_owned(), json!({}));
        assert_eq!(of(&Ending { outcome: None, last: Some(success) }, Some(&entry)), None, "frames go first");
        assert_eq!(of(&Ending::default(), None), None);
    }

    #[test]
    fn a_refusal_that_only_this_backend_would_give_is_told_from_one_that_any_would() {
        let outputs = |types: &[&str]| {
            let errors: Vec<_> = types.iter().map(|kind| json!({"type": kind})).collect();
            json!({"error": {"type": "prompt_outputs_failed_validation"}, "node_errors": {"4": {"errors": errors}}})
        };
        let of_type = |kind: &str, message: &str| json!({"error": {"type": kind, "message": message}, "node_errors": []});
        for (document, wanted) in [
            (outputs(&["value_not_in_list"]), Some(Lacking::Offer)),
            (outputs(&["custom_validation_failed"]), Some(Lacking::File)),
            (outputs(&["custom_validation_failed", "value_not_in_list"]), Some(Lacking::Offer)),
            (outputs(&["value_not_in_list", "value_smaller_than_min"]), None),
            (outputs(&["required_input_missing"]), None),
            (outputs(&[]), None),
            (of_type("missing_node_type", "Node 'X' not found"), Some(Lacking::Offer)),
            (
                of_type("invalid_prompt", "Cannot execute because node X does not exist."),
                Some(Lacking::Offer),
            ),
            (
                of_type(
                    "invalid_prompt",
                    "Cannot execute because a node is missing the class_type property.",
                ),
                None,
            ),
            (of_type("prompt_no_outputs", "Prompt has no outputs"), None),
        ] {
            assert_eq!(lacking(&serde_json::from_value(document.clone()).unwrap()), wanted, "{document}");
        }
    }
}
