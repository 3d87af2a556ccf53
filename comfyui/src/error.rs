//! What can go wrong between this library and a server, and whether the server may have acted.

use std::fmt;

use crate::api::PromptRejected;

/// A call that failed.
#[derive(Debug)]
pub struct Error {
    /// What was tried, to stand after "cannot": `queue a prompt`.
    pub operation: &'static str,
    /// The server's address, without credentials.
    pub backend: String,
    /// Why it failed.
    pub cause: Cause,
}

/// Why a call failed.
#[derive(Debug)]
pub enum Cause {
    /// Nothing listens there: the connection was refused. Never sent.
    Refused,
    /// The server could not be reached: its name, its network, its certificate, or no connection in time. Never sent.
    Unreachable(String),
    /// What was asked cannot be put into a request: an address or a name that makes no sense. Never sent.
    Unsendable(String),
    /// No answer in time. The server may have acted.
    Timeout,
    /// The connection broke before the answer was complete. The server may have acted.
    Broken(String),
    /// The server refused the prompt (400 of `POST /prompt`).
    Rejected(Box<PromptRejected>),
    /// The server answered with another status than success.
    Status {
        /// The HTTP status.
        status: u16,
        /// The beginning of the answer's body, 500 characters at most; for a redirect, where it sends to.
        body: String,
    },
    /// The server's answer is not the document that was asked for.
    Document(String),
    /// The server's answer is longer than allowed.
    TooLarge {
        /// What is allowed.
        limit_bytes: u64,
    },
}

impl Error {
    /// Whether the server certainly has not heard of it, so that trying elsewhere cannot do it twice.
    #[must_use]
    pub fn never_sent(&self) -> bool {
        matches!(self.cause, Cause::Refused | Cause::Unreachable(_) | Cause::Unsendable(_))
    }

    /// The HTTP status of the answer, where there was one other than success.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self.cause {
            Cause::Status { status, .. } => Some(status),
            Cause::Rejected(_) => Some(400),
            _ => None,
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} at {}: {}", self.operation, self.backend, self.cause)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("nothing listens there; is ComfyUI running, and on this port?"),
            Self::Unreachable(why) => {
                write!(f, "it cannot be reached ({why}); check the address and the network")
            }
            Self::Unsendable(why) => write!(f, "the request makes no sense: {why}"),
            Self::Timeout => f.write_str("no answer in time; it may still act on the request"),
            Self::Broken(why) => write!(f, "the connection broke ({why}); it may still act on the request"),
            Self::Rejected(why) => write!(f, "it refused the prompt: {}", refusal(why)),
            Self::Status { status, body } if body.trim().is_empty() => {
                write!(f, "it answered with status {status}")
            }
            Self::Status { status, body } => {
                write!(f, "it answered with status {status}: {}", gist(body))
            }
            Self::Document(why) => write!(f, "its answer cannot be read ({why}); is this address a ComfyUI?"),
            Self::TooLarge { limit_bytes } => write!(f, "its answer is longer than {limit_bytes} bytes"),
        }
    }
}

/// A list of choices may be long: this is for a line of a log, and the document has it all.
const REFUSAL_CHARS: usize = 300;

/// What is wrong, and with which node first.
fn refusal(rejected: &PromptRejected) -> String {
    let first = rejected.node_reasons().next().map(|reason| format!("; {reason}")).unwrap_or_default();
    let told = one_line(&format!("{}{first}", rejected.message()));
    told.chars().take(REFUSAL_CHARS).collect()
}

/// What a page of HTML (a proxy's, a framework's) says in its title; everything that other bodies say.
fn gist(body: &str) -> String {
    let title = |page: &str| Some(page.split_once("<title>")?.1.split_once("</title>")?.0.to_owned());
    match body.trim_start().starts_with('<') {
        true => one_line(&title(body).unwrap_or_else(|| "a page of HTML".to_owned())),
        false => one_line(body),
    }
}

/// Bodies of servers have line breaks, and a log line must not.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
