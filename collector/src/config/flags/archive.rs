//! Copies of what jobs have made.

use clap::Args;

use super::super::value::{self, Wait};

// No doc comment: clap would take it for the program's description.
#[derive(Args, Clone, Debug, Default)]
pub struct ArchiveFlags {
    /// Copy what jobs put into the folder `output` of their backends to where uploaded files are kept: it is served from there
    /// then, also when the backend has gone
    #[arg(id = "archive", long = "archive", env = "ORCHESTRATOR_COLLECTOR_ARCHIVE")]
    pub enabled: bool,

    /// Forget copies that were made so long ago; what the backend still has is served from there [default: never]
    #[arg(
        id = "archive_age",
        long = "archive-age",
        value_name = "SPAN",
        env = "ORCHESTRATOR_COLLECTOR_ARCHIVE_AGE"
    )]
    pub age: Option<Wait>,

    /// Copies that are kept, at least 1 MiB; beyond it the oldest are forgotten [default: 107374182400]
    #[arg(
        id = "archive_bytes",
        long = "archive-bytes",
        value_name = "BYTES",
        env = "ORCHESTRATOR_COLLECTOR_ARCHIVE_BYTES",
        value_parser = value::kept_bytes
    )]
    pub bytes: Option<u64>,
}
