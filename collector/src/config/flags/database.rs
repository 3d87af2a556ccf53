//! `database`: what is done with the queue's database as a whole.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::config::Bucket;

/// What to do with it.
#[derive(Clone, Debug, Subcommand)]
pub enum DatabaseCommand {
    /// Look through it, while a collector works on it or not; ends with 1 where something is wrong.
    Check(PlaceFlags),
    /// Write it and the uploaded files into a new directory, which can be started on as --state-directory. A collector may
    /// work on it meanwhile.
    Backup {
        /// A directory that is new or empty
        directory: PathBuf,

        #[command(flatten)]
        place: PlaceFlags,
    },
    /// Carry everything over into an empty database of the other kind. No collector may work on either.
    Migrate {
        /// The kind that is read
        #[arg(long)]
        from: DatabaseKind,

        /// The kind that is written
        #[arg(long)]
        to: DatabaseKind,

        #[command(flatten)]
        place: PlaceFlags,
    },
}

/// `sqlite`: the file in the state directory. `postgres`: the database that --database names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DatabaseKind {
    Sqlite,
    Postgres,
}

/// The collector's whose database it is, whose variables and file count here too.
#[derive(Args, Clone, Debug, Default)]
pub struct PlaceFlags {
    /// The collector's configuration file
    #[arg(long, value_name = "FILE", env = "ORCHESTRATOR_COLLECTOR_CONFIG")]
    pub config: Option<PathBuf>,

    #[command(flatten)]
    pub database: DatabaseFlags,
}

// No doc comment: clap would take it for the program's description.
#[derive(Args, Clone, Debug, Default)]
pub struct DatabaseFlags {
    /// A PostgreSQL database (15 or later) to keep the queue in, as postgres://USER@HOST:PORT/NAME; the password is given
    /// in $ORCHESTRATOR_COLLECTOR_DATABASE_PASSWORD, in a file, or as libpq finds it [default: an SQLite file in the state
    /// directory]
    // Checked where its password cannot show.
    #[arg(long, value_name = "URL", env = "ORCHESTRATOR_COLLECTOR_DATABASE", hide_env_values = true)]
    pub database: Option<String>,

    /// A file whose first line is the password of the database; $ORCHESTRATOR_COLLECTOR_DATABASE_PASSWORD goes before it
    #[arg(long, value_name = "FILE", env = "ORCHESTRATOR_COLLECTOR_DATABASE_PASSWORD_FILE")]
    pub database_password_file: Option<PathBuf>,

    /// Where the queue, uploaded files and copies are kept, of one collector at a time [default: $STATE_DIRECTORY, else
    /// $XDG_STATE_HOME/orchestrator-collector, else ~/.local/state/orchestrator-collector]
    #[arg(long, value_name = "DIRECTORY", env = "ORCHESTRATOR_COLLECTOR_STATE_DIRECTORY")]
    pub state_directory: Option<PathBuf>,

    /// Where uploaded files and copies are kept; collectors that stand by for each other name one that all of them see
    /// [default: the state directory]
    #[arg(long, value_name = "DIRECTORY", env = "ORCHESTRATOR_COLLECTOR_FILES_DIRECTORY")]
    pub files_directory: Option<PathBuf>,

    /// A bucket of an S3-compatible store to keep them in instead, as s3://BUCKET/PREFIX; its key and address are given as to
    /// Amazon's programs, in $AWS_ACCESS_KEY_ID, $AWS_SECRET_ACCESS_KEY, $AWS_REGION and $AWS_ENDPOINT_URL
    #[arg(long, value_name = "URL", env = "ORCHESTRATOR_COLLECTOR_FILES_BUCKET")]
    pub files_bucket: Option<Bucket>,
}
