//! What the program does instead of serving: `convert`, `validate` and `inspect` a document; `check-config`; make a `token`;
//! look after a `database`; be a client
//! of a collector that runs elsewhere, by HTTP alone (`submit`, `jobs`, `job`, `cancel`, `backends`, `drain`, `resume`,
//! `free`).
//!
//! Owns reading files and standard input, asking servers, saving files, and what is written where: documents to
//! standard output, everything that is said about them to standard error. What a document means is the library's to
//! say. Knows nothing of the fleet, and of the queue its database alone.

mod backends;
mod cancel;
mod candidate;
mod check_config;
mod classes;
mod conversion;
mod convert;
mod database;
mod document;
mod drain;
mod ending;
mod follow;
mod free;
mod inspect;
mod job;
mod jobs;
mod output;
mod quantity;
mod record;
mod report;
mod save;
mod server;
mod submit;
mod table;
mod token;
mod validate;

use std::process::ExitCode;

use comfyui::saved::SavedError;
use comfyui::workflow::Malformed;

pub use self::classes::ClassesError;
pub use self::conversion::ConversionError;
pub use self::database::DatabaseToolError;
pub use self::document::ReadError;
use self::ending::ClientError;
pub use self::output::{WriteError, say};
use crate::access::NoRandom;
use crate::config::{ClientCommand, Command, ConfigError, Flags};
use crate::lifecycle::LogError;
use crate::prepare::PrepareError;

/// Does what a command says, and gives the code to end with.
///
/// # Errors
/// When it cannot: nothing was written to standard output then, and to a file either everything or nothing.
pub async fn run(command: Command) -> Result<ExitCode, ToolError> {
    match command {
        Command::Convert(flags) => convert::convert(flags).await?,
        Command::Validate(flags) => return validate::validate(flags).await,
        Command::Inspect(flags) => inspect::inspect(flags).await?,
        Command::CheckConfig(flags) => check_config::check(&flags)?,
        Command::Database(command) => return Ok(Box::pin(database::database(command)).await?),
        Command::Token(flags) => token::token(&flags)?,
        Command::Completions { shell } => output::print(&Flags::completions(shell))?,
        Command::Client(command) => return Ok(ending::ended(Box::pin(ask(command)).await)),
    }
    Ok(ExitCode::SUCCESS)
}

/// Gives the code to end with.
async fn ask(command: ClientCommand) -> Result<u8, ClientError> {
    match command {
        ClientCommand::Submit(flags) => submit::submit(*flags).await,
        ClientCommand::Jobs(flags) => jobs::jobs(flags).await,
        ClientCommand::Job(flags) => job::job(flags).await,
        ClientCommand::Cancel(flags) => cancel::cancel(flags).await,
        ClientCommand::Backends(flags) => backends::backends(flags).await,
        ClientCommand::Drain(flags) => drain::drain(flags).await,
        ClientCommand::Resume(flags) => drain::resume(flags).await,
        ClientCommand::Free(flags) => free::free(flags).await,
    }
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
    #[error(transparent)]
    Database(#[from] DatabaseToolError),
    #[error("--name: {0}")]
    Name(String),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("{0}")]
    Allowance(String),
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
