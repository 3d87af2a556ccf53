//! How the commands that ask a collector end: what went wrong in words, and the code for scripts.

use std::path::PathBuf;
use std::process::ExitCode;

use comfyui::api::PromptRejected;
use comfyui::{Cause, Error};
use serde_json::Value;

use super::output::say;
use super::submit::SetError;
use super::{ConversionError, ReadError, ToolError, WriteError};

/// A job did not succeed, or what it made was not saved.
pub(super) const FAILED: u8 = 1;
/// The command line is wrong, or a file that it names.
const WRONG: u8 = 2;
/// The collector refused.
pub(super) const REFUSED: u8 = 3;
/// The collector cannot be asked.
const UNREACHABLE: u8 = 4;
/// What shells expect of a program that was stopped by Ctrl-C.
pub(super) const STOPPED: u8 = 130;

/// Why a command that asks a collector could not do its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error(transparent)]
    Document(ToolError),
    #[error(transparent)]
    Set(#[from] SetError),
    #[error("cannot read {path}: {reason}")]
    File { path: PathBuf, reason: std::io::Error },
    #[error("{path} {fault}")]
    Token { path: PathBuf, fault: &'static str },
    #[error("{document} cannot be submitted: {reason}")]
    Body { document: String, reason: serde_json::Error },
    #[error("{0}")]
    Address(String),
    #[error("{0}")]
    Refused(String),
    #[error("cannot {operation}: {reason}")]
    Unknown { operation: &'static str, reason: String },
    #[error(
        "the collector at {server} is too old: it cannot {operation}; update it to the version of this program"
    )]
    TooOld { server: String, operation: &'static str },
    #[error(
        "the collector at {server} asks for a token that it knows: name the file that holds one with --token-file FILE"
    )]
    Unauthorized { server: String },
    #[error("the collector at {server} does not let this token do that: {reason}")]
    Forbidden { server: String, reason: String },
    #[error("{0}")]
    Unreachable(String),
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl ClientError {
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Document(_) | Self::Set(_) | Self::File { .. } | Self::Token { .. } => WRONG,
            Self::Body { .. } | Self::Address(_) => WRONG,
            Self::Refused(_) | Self::Unknown { .. } | Self::TooOld { .. } => REFUSED,
            Self::Unauthorized { .. } | Self::Forbidden { .. } | Self::Unreachable(_) => UNREACHABLE,
            Self::Write(_) => FAILED,
        }
    }

    /// Whether asking again later may do.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }
}

impl From<ReadError> for ClientError {
    fn from(error: ReadError) -> Self {
        Self::Document(error.into())
    }
}

/// That a class is unknown is not the document's fault but the fleet's.
impl From<ToolError> for ClientError {
    fn from(error: ToolError) -> Self {
        match error {
            ToolError::Conversion(ConversionError::UnknownClasses { workflow, classes, .. }) => {
                let classes: String = classes.iter().map(|class| format!("\n  {class}")).collect();
                Self::Refused(format!("{workflow} uses node classes that no backend has:{classes}"))
            }
            error => Self::Document(error),
        }
    }
}

impl From<Error> for ClientError {
    fn from(error: Error) -> Self {
        let Error { operation, backend, cause } = error;
        match cause {
            Cause::Unsendable(why) => Self::Address(format!("cannot {operation} at {backend}: {why}")),
            Cause::Refused => Self::Unreachable(format!(
                "nothing listens at {backend}: start the collector there, or name another with --server URL"
            )),
            Cause::Rejected(rejected) => Self::Refused(refusal(&rejected)),
            Cause::Status { status: 401, .. } => Self::Unauthorized { server: backend },
            Cause::Status { status: 403, body } => {
                Self::Forbidden { server: backend, reason: message(&body) }
            }
            Cause::Status { status: 405, .. } => Self::TooOld { server: backend, operation },
            Cause::Status { status: 404, body } if names_no_route(&body) => {
                Self::TooOld { server: backend, operation }
            }
            Cause::Status { status: 404, body } => Self::Unknown { operation, reason: message(&body) },
            Cause::Status { status: 400..=499, body } => {
                Self::Refused(format!("cannot {operation}: {}", message(&body)))
            }
            cause => Self::Unreachable(Error { operation, backend, cause }.to_string()),
        }
    }
}

/// A line for the whole and one for each fault of a node.
fn refusal(rejected: &PromptRejected) -> String {
    let details = rejected.error.get("details").and_then(Value::as_str).unwrap_or_default();
    let separator = if details.is_empty() { "" } else { ": " };
    let nodes: String = rejected.node_reasons().map(|reason| format!("\n  {reason}")).collect();
    format!("refused: {}{separator}{details}{nodes}", rejected.message())
}

/// The collector's word for a path that it does not know, and that of other servers, which say nothing of a job.
fn names_no_route(body: &str) -> bool {
    body.contains("has no route") || !body.contains("\"not_found\"")
}

/// What a refusal says to a person. A long one comes cut off, and is shown as it is.
fn message(body: &str) -> String {
    let document: Option<Value> = serde_json::from_str(body).ok();
    let error = document.as_ref().and_then(|document| document.get("error"));
    let text = |key: &str| error?.get(key)?.as_str().filter(|text| !text.is_empty());
    match (text("message"), text("details")) {
        (Some(message), Some(details)) => format!("{message}: {details}"),
        (Some(message), None) => message.to_owned(),
        _ => body.to_owned(),
    }
}

/// Says what went wrong, and gives the code to end with.
pub(super) fn ended(result: Result<u8, ClientError>) -> ExitCode {
    let code = result.unwrap_or_else(|error| {
        say(&error.to_string());
        error.code()
    });
    code.into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(cause: Cause) -> (u8, String) {
        let error = ClientError::from(Error { operation: "read a job", backend: "http://h".into(), cause });
        (error.code(), error.to_string())
    }

    fn status(status: u16, body: &Value) -> Cause {
        Cause::Status { status, body: body.to_string() }
    }

    #[test]
    fn every_answer_has_its_code_and_says_what_to_do() {
        let refused =
            |message: &str| json!({"error": {"type": "not_found", "message": message, "details": ""}});
        for (cause, code, wanted) in [
            (Cause::Refused, 4, "--server"),
            (Cause::Timeout, 4, "no answer in time"),
            (status(503, &json!({})), 4, "503"),
            (status(401, &json!({})), 4, "--token-file"),
            (status(403, &json!({"error": {"message": "it may only look"}})), 4, "that: it may only look"),
            (status(404, &refused("no job has the id x")), 3, "cannot read a job: no job has the id x"),
            (status(404, &refused("the collector has no route /a")), 3, "too old"),
            (status(404, &json!("404: Not Found")), 3, "too old"),
            (status(405, &json!({})), 3, "too old"),
            (status(429, &json!({"error": {"message": "full", "details": "of jobs"}})), 3, "full: of jobs"),
            (status(409, &json!("odd")), 3, "odd"),
            (Cause::Unsendable("it begins with http://".into()), 2, "http://"),
        ] {
            let (got, said) = of(cause);
            assert!(got == code && said.contains(wanted), "{got} {said}");
        }
    }

    #[test]
    fn a_refused_prompt_is_told_with_a_line_for_each_fault() {
        let rejected = json!({
            "error": {"type": "t", "message": "Prompt outputs failed validation", "details": ""},
            "node_errors": {"3": {"class_type": "K", "errors": [
                {"message": "Value too small", "details": "steps: 0"}, {"message": "Missing", "details": "model"}]}},
        });
        let told = of(Cause::Rejected(Box::new(serde_json::from_value(rejected).unwrap()))).1;
        assert_eq!(
            told,
            "refused: Prompt outputs failed validation\n  node 3 (K): Value too small: steps: 0\n  node 3 (K): Missing: model"
        );
    }
}
