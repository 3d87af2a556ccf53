//! The flags of the commands that ask a running collector.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::super::value::{BackendUrl, Pair};

/// What to ask a collector for.
#[derive(Clone, Debug, Subcommand)]
pub enum ClientCommand {
    /// Submit prompts, workflows or pictures that carry one to a collector; follow them and save what they make.
    Submit(Box<SubmitFlags>),
    /// List the jobs of a collector, the newest first.
    Jobs(JobsFlags),
    /// Show where a job stands, where it was tried and why, and what came of it.
    Job(JobFlags),
    /// Cancel jobs wherever they are: waiting, or running on a backend.
    Cancel(CancelFlags),
    /// List the backends of a collector.
    Backends(BackendsFlags),
    /// Give a backend no more jobs; what runs there goes on.
    Drain(BackendFlags),
    /// Give a drained backend jobs again.
    Resume(BackendFlags),
    /// Ask one backend or all to free memory.
    Free(FreeFlags),
}

/// Which collector, and what to show it.
#[derive(Clone, Debug, Args)]
pub struct ServerFlags {
    /// The collector to ask
    #[arg(
        long,
        value_name = "URL",
        env = "ORCHESTRATOR_COLLECTOR_SERVER",
        default_value = "http://127.0.0.1:8288"
    )]
    pub server: BackendUrl,

    /// A file whose first line is the token that the collector asks for
    #[arg(long, value_name = "FILE", env = "ORCHESTRATOR_COLLECTOR_SERVER_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
}

/// The flags of `submit`.
#[derive(Clone, Debug, Args)]
#[command(after_help = SUBMIT_HELP)]
pub struct SubmitFlags {
    /// A prompt (API format, or a body of `POST /prompt`), a workflow, or a PNG or WebP that ComfyUI saved; `-` for
    /// standard input. Each becomes a job
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Give an input of a node, named by its id, its title or its class, another value, in every FILE; `@PATH` for what
    /// is in a file, which an input that takes uploads is sent; `@@` for a text that begins with `@`
    #[arg(long, value_name = "NODE.INPUT=VALUE")]
    pub set: Vec<Pair>,

    /// Upload a file first, under the name by which the prompt calls it
    #[arg(long, value_name = "NAME=PATH")]
    pub upload: Vec<Pair>,

    /// Stay until the jobs have ended, and show how far they are. Ctrl-C stops that and no job
    #[arg(long)]
    pub follow: bool,

    /// Save the pictures, films and sounds that the jobs put out into this directory; nothing in it is overwritten
    #[arg(long, value_name = "DIR", requires = "follow")]
    pub out: Option<PathBuf>,

    /// The client that hears of the jobs, such as an open web interface [default: one of its own]
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,

    /// Run before this client's other jobs that wait, and count ten times among those of others
    #[arg(long, conflicts_with = "number")]
    pub front: bool,

    /// The place among this client's jobs that are alike, the least first; one below the natural place counts as --front
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = number)]
    pub number: Option<f64>,

    #[command(flatten)]
    pub wishes: WishFlags,

    /// Print JSON, for machines; with --follow a line for each event
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: ServerFlags,
}

/// What the jobs ask of the collector, which says what is allowed.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "What the jobs ask for")]
pub struct WishFlags {
    /// A factor of their weight among those that wait, 0.01 to 100
    #[arg(long, value_name = "FACTOR", value_parser = number)]
    pub priority: Option<f64>,

    /// When they should have ended: in a time span such as 30m, or at a time such as 2030-01-31T18:00:00Z
    #[arg(long, value_name = "WHEN")]
    pub deadline: Option<String>,

    /// Run on this backend and on no other
    #[arg(long, value_name = "NAME")]
    pub backend: Option<String>,

    /// Run only on backends that carry this tag; may be repeated
    #[arg(long = "tag", value_name = "TAG", value_delimiter = ',')]
    pub tags: Vec<String>,

    /// Attempts that may reach a backend, 1 to 10
    #[arg(long, value_name = "N")]
    pub max_attempts: Option<u32>,

    /// Tell this address of their ends, signed; docs/webhooks.md says how to take it
    #[arg(long, value_name = "URL")]
    pub webhook: Option<String>,
}

/// What JSON can write.
fn number(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok();
    number.filter(|number| number.is_finite()).ok_or_else(|| "it is a number, such as 5 or -2.5".to_owned())
}

impl SubmitFlags {
    pub(super) fn reads_stdin_twice(&self) -> bool {
        self.files.iter().filter(|file| *file == Path::new("-")).count() > 1
    }
}

/// The flags of `jobs`.
#[derive(Clone, Debug, Args)]
#[command(after_help = JOBS_HELP)]
pub struct JobsFlags {
    /// Only jobs in these states: waiting, dispatched, succeeded, failed, interrupted, cancelled
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    pub state: Vec<String>,

    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,

    /// Print JSON, for machines
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: ServerFlags,
}

/// The flags of `job`.
#[derive(Clone, Debug, Args)]
#[command(after_help = JOB_HELP)]
pub struct JobFlags {
    /// The job's id
    pub id: String,

    /// Show what each attempt was expected to cost where it went, beside why it went there
    #[arg(long)]
    pub why: bool,

    /// Print JSON, for machines
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: ServerFlags,
}

/// The flags of `cancel`.
#[derive(Clone, Debug, Args)]
#[command(after_help = CANCEL_HELP)]
pub struct CancelFlags {
    /// The jobs' ids
    #[arg(required = true, value_name = "ID")]
    pub ids: Vec<String>,

    #[command(flatten)]
    pub server: ServerFlags,
}

/// The flags of `backends`.
#[derive(Clone, Debug, Args)]
#[command(after_help = BACKENDS_HELP)]
pub struct BackendsFlags {
    /// Print JSON, for machines
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub server: ServerFlags,
}

/// The flags of `drain` and `resume`.
#[derive(Clone, Debug, Args)]
#[command(after_help = BACKEND_HELP)]
pub struct BackendFlags {
    /// The backend's name, as `backends` lists it
    pub id: String,

    #[command(flatten)]
    pub server: ServerFlags,
}

/// The flags of `free`.
#[derive(Clone, Debug, Args)]
#[command(after_help = FREE_HELP)]
pub struct FreeFlags {
    /// The backend's name, as `backends` lists it [default: all backends]
    pub id: Option<String>,

    /// Take models out of the GPU's memory
    #[arg(long)]
    pub unload_models: bool,

    /// Forget cached results too [default: this, where neither is given]
    #[arg(long)]
    pub free_memory: bool,

    #[command(flatten)]
    pub server: ServerFlags,
}

macro_rules! help {
    ($examples:literal) => {
        concat!(
            $examples,
            "\n\nEnds with (of several jobs, with the highest)\n  \
             0    all went well: jobs were accepted, or with --follow have succeeded\n  \
             1    a job failed, was interrupted or cancelled, or its files could not be saved\n  \
             2    the command line is wrong, or a file that it names\n  \
             3    the collector refused, as standard error says\n  \
             4    the collector cannot be reached, or asks for a token\n  \
             130  following was stopped by Ctrl-C; the jobs go on"
        )
    };
}

const SUBMIT_HELP: &str = help!(
    "\
Prints the ids of the jobs, or with --out the paths of the files that were saved; all else goes to standard error.

Examples:
  orchestrator-collector submit --follow --out pictures workflow.json
  orchestrator-collector submit --set 3.seed=42 --set KSampler.steps=20 --set 6.text=@words.txt prompt.json
  orchestrator-collector submit --set LoadImage.image=@cat.jpg --follow --json ComfyUI_00001_.png"
);

const JOBS_HELP: &str = help!(
    "\
Examples:
  orchestrator-collector jobs --state waiting,dispatched
  orchestrator-collector jobs --state failed --limit 100 --json | jq -r '.jobs[].id'"
);

const JOB_HELP: &str = help!(
    "\
Examples:
  orchestrator-collector job 0a0a0a0a-1111-4222-8333-444444444444
  orchestrator-collector job 0a0a0a0a-1111-4222-8333-444444444444 --why"
);

const CANCEL_HELP: &str = help!(
    "\
Examples:
  orchestrator-collector cancel 0a0a0a0a-1111-4222-8333-444444444444
  orchestrator-collector jobs --state waiting --json | jq -r '.jobs[].id' | xargs orchestrator-collector cancel"
);

const BACKENDS_HELP: &str = help!(
    "\
Examples:
  orchestrator-collector backends
  orchestrator-collector backends --server http://queue-1:8288 --json | jq '.backends[].state'"
);

const BACKEND_HELP: &str = help!(
    "\
Examples:
  orchestrator-collector drain gpu-1
  orchestrator-collector resume gpu-1"
);

const FREE_HELP: &str = help!(
    "\
Examples:
  orchestrator-collector free
  orchestrator-collector free gpu-1 --unload-models"
);
