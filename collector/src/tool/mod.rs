//! What the program does with one document instead of serving: `convert`, `validate`, `inspect`,
//! and `token`, which makes one.
//!
//! Owns reading files and standard input, asking a server for its node classes, and what is written where: documents to
//! standard output, everything that is said about them to standard error. What a document means is the library's to
//! say. Knows nothing of the fleet and the queue.

mod candidate;
mod classes;
mod conversion;
mod convert;
mod document;
mod inspect;
mod output;
mod report;
mod token;
mod validate;

use std::process::ExitCode;

use comfyui::saved::SavedError;
use comfyui::workflow::Malformed;

pub use self::classes::ClassesError;
pub use self::conversion::ConversionError;
pub use self::document::ReadError;
pub use self::output::{WriteError, say};
use crate::access::NoRandom;
use crate::config::{Command, Flags};

/// Does what a command says, and gives the code to end with.
///
/// # Errors
/// When it cannot: nothing was written to standard output then, and to a file either everything or nothing.
pub async fn run(command: Command) -> Result<ExitCode, ToolError> {
    match command {
        Command::Convert(flags) => convert::convert(flags).await?,
        Command::Validate(flags) => return validate::validate(flags).await,
        Command::Inspect(flags) => inspect::inspect(flags).await?,
        Command::Token(flags) => token::token(&flags)?,
        Command::Completions { shell } => output::print(&Flags::completions(shell))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Classes(#[from] ClassesError),
    #[error(transparent)]
    Conversion(#[from] ConversionError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("--name: {0}")]
    Name(String),
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
    #[error("{document}: {source}")]
    Unreadable { document: String, source: SavedError },
    #[error("{document}: {source}")]
    Malformed { document: String, source: Malformed },
    #[error("{document}: not a prompt, at node {node}: {reason}")]
    BadNode { document: String, node: String, reason: serde_json::Error },
    #[error(
        "{document} is a workflow, and what it needs shows in its prompt: name the server whose node classes make it, \
         with --backend URL, or give its /object_info with --object-info FILE"
    )]
    NeedsClasses { document: String },
}
