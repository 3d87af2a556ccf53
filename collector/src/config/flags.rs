//! The command line, and the environment behind each of its flags.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, ValueEnum};
use serde::Deserialize;

mod access;
mod archive;
mod client;
mod command;
mod database;
mod freeing;
mod given;
mod routing;
mod webhooks;

pub use self::access::AccessFlags;
pub use self::archive::ArchiveFlags;
pub use self::client::{
    BackendFlags, BackendsFlags, CancelFlags, ClientCommand, FreeFlags, JobFlags, JobsFlags, ServerFlags,
    SubmitFlags, WishFlags,
};
pub use self::command::{
    CheckFlags, ClassFlags, Command, ConvertFlags, InspectFlags, TokenFlags, ValidateFlags,
};
pub use self::database::{DatabaseCommand, DatabaseFlags, DatabaseKind, PlaceFlags};
pub use self::freeing::FreeingFlags;
pub(crate) use self::given::Given;
pub use self::routing::RoutingFlags;
pub use self::webhooks::WebhookFlags;
use super::value::{self, BackendUrl, Wait};
use crate::id::BackendId;

/// One ComfyUI in front of many: keeps a durable queue, keeps models where they are loaded, and answers
/// every ComfyUI client as a single server would.
#[derive(Debug, Default, Parser)]
#[command(name = "orchestrator-collector", version, args_conflicts_with_subcommands = true, after_help = AFTER_HELP)]
pub struct Flags {
    #[command(subcommand)]
    pub command: Option<Command>,

    #[command(flatten)]
    pub serve: ServeFlags,
}

// No doc comment: clap would take it for the program's description. What serving is told, and what `check-config` judges.
#[derive(Args, Clone, Debug, Default)]
pub struct ServeFlags {
    /// Configuration file (TOML); flags and environment override it.
    #[arg(long, value_name = "FILE", env = "ORCHESTRATOR_COLLECTOR_CONFIG")]
    pub config: Option<PathBuf>,

    /// Address to serve ComfyUI's API on [default: 127.0.0.1:8288]
    #[arg(long, value_name = "ADDRESS:PORT", env = "ORCHESTRATOR_COLLECTOR_LISTEN")]
    pub listen: Option<SocketAddr>,

    /// A ComfyUI server; may be repeated, and replaces all those of the file. Its agent is expected on its port plus 1000
    /// [default: http://127.0.0.1:8188]
    #[arg(long, value_name = "URL", env = "ORCHESTRATOR_COLLECTOR_BACKEND", value_delimiter = ',')]
    pub backend: Vec<BackendUrl>,

    #[command(flatten)]
    pub access: AccessFlags,

    #[command(flatten)]
    pub webhooks: WebhookFlags,

    /// An OpenTelemetry receiver, as http://HOST:4318, that is sent a trace of each job when it has ended: by OTLP over HTTP as
    /// protobuf, at v1/traces below this address
    #[arg(long, value_name = "URL", env = "ORCHESTRATOR_COLLECTOR_TRACES_URL")]
    pub traces_url: Option<value::ReceiverUrl>,

    /// A file whose first line is the token that the agents ask for; it is sent to agents only
    #[arg(long, value_name = "FILE", env = "ORCHESTRATOR_COLLECTOR_AGENT_TOKEN_FILE")]
    pub agent_token_file: Option<PathBuf>,

    /// Certificates (PEM) of a private authority to trust for agents with https:// addresses, besides the system's
    #[arg(long, value_name = "FILE", env = "ORCHESTRATOR_COLLECTOR_AGENT_CA_FILE")]
    pub agent_ca_file: Option<PathBuf>,

    /// Serve ComfyUI's web interface from here: the folder `static` of PyPI's comfyui-frontend-package [default: what one
    /// backend serves]
    #[arg(long, value_name = "DIRECTORY", env = "ORCHESTRATOR_COLLECTOR_INTERFACE_DIR")]
    pub interface_dir: Option<PathBuf>,

    /// The name of the backend that keeps the web interface's settings and saved workflows [default: the first that is up]
    #[arg(long, value_name = "NAME", env = "ORCHESTRATOR_COLLECTOR_INTERFACE_BACKEND")]
    pub interface_backend: Option<BackendId>,

    /// An address of its own for the web interface, with tokens: code of the backends' node packs runs there in a browser
    /// without more rights than to submit
    #[arg(long, value_name = "ADDRESS:PORT", env = "ORCHESTRATOR_COLLECTOR_INTERFACE_LISTEN")]
    pub interface_listen: Option<SocketAddr>,

    /// How browsers reach that address, where a proxy is before it; else by the host that they used, and its port
    #[arg(long, value_name = "URL", env = "ORCHESTRATOR_COLLECTOR_INTERFACE_URL")]
    pub interface_url: Option<value::OriginUrl>,

    #[command(flatten)]
    pub database: DatabaseFlags,

    /// How other collectors of the same PostgreSQL database reach this one: one of them works, the others pass everything on
    /// to it, and one of those takes over when it is gone
    #[arg(long, value_name = "URL", env = "ORCHESTRATOR_COLLECTOR_PEER_URL")]
    pub peer_url: Option<value::OriginUrl>,

    /// Time between two looks at a backend, 50ms to 60s; its agent is asked every 2 of them, its figures every 10, its node
    /// classes every 60 [default: 1s]
    #[arg(long, value_name = "SPAN", env = "ORCHESTRATOR_COLLECTOR_POLL_INTERVAL", value_parser = value::poll_interval)]
    pub poll_interval: Option<Duration>,

    #[command(flatten)]
    pub freeing: FreeingFlags,

    #[command(flatten)]
    pub routing: RoutingFlags,

    /// Run the jobs of a backend elsewhere when it has been unreachable for so long, although they may still run there.
    /// A backend whose address refuses connections is not meant: its jobs go elsewhere after 3 s [default: never]
    #[arg(long, value_name = "SPAN", env = "ORCHESTRATOR_COLLECTOR_RERUN_AFTER_UNREACHABLE")]
    pub rerun_after_unreachable: Option<Wait>,

    /// Ended jobs that are remembered, 1 to 10000000; beyond it the oldest-ended are forgotten [default: 10000]
    #[arg(long, value_name = "JOBS", env = "ORCHESTRATOR_COLLECTOR_HISTORY_JOBS", value_parser = value::history_jobs)]
    pub history_jobs: Option<u64>,

    /// Forget jobs that ended so long ago [default: never]
    #[arg(long, value_name = "SPAN", env = "ORCHESTRATOR_COLLECTOR_HISTORY_AGE")]
    pub history_age: Option<Wait>,

    /// Documents and results of ended jobs that are remembered, at least 1 MiB; beyond it the oldest-ended are
    /// forgotten. Uploads do not count, and stay [default: 1073741824]
    #[arg(long, value_name = "BYTES", env = "ORCHESTRATOR_COLLECTOR_HISTORY_BYTES", value_parser = value::kept_bytes)]
    pub history_bytes: Option<u64>,

    #[command(flatten)]
    pub archive: ArchiveFlags,

    /// Largest upload; any other body is bounded by 16 MiB besides [default: 104857600]
    #[arg(long, value_name = "BYTES", env = "ORCHESTRATOR_COLLECTOR_MAX_BODY_BYTES")]
    pub max_body_bytes: Option<usize>,

    /// What is logged: error, warn, info, debug, trace, or by module as in `info,collector=debug` [default: info]
    #[arg(long, value_name = "FILTER", env = "ORCHESTRATOR_COLLECTOR_LOG")]
    pub log: Option<String>,

    /// How it is logged [default: text]
    #[arg(long, value_name = "FORMAT", env = "ORCHESTRATOR_COLLECTOR_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

const AFTER_HELP: &str = "\
Point any ComfyUI client at http://127.0.0.1:8288 instead of at one ComfyUI.

Examples:
  orchestrator-collector --backend http://gpu-1:8188 --backend http://gpu-2:8188
  orchestrator-collector --config /etc/orchestrator-collector.toml --log debug
  orchestrator-collector submit --follow --out pictures workflow.json
  orchestrator-collector convert workflow.json | orchestrator-collector validate -";

impl Flags {
    /// Exits with a message where the command line is wrong.
    pub fn read() -> Self {
        let matches = Self::command().get_matches();
        let mut flags = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        if let Some(Command::CheckConfig(check)) = &mut flags.command {
            check.given = Given::of(matches.subcommand().map_or(&matches, |(_, matches)| matches));
        }
        if flags.command.as_ref().is_some_and(Command::reads_stdin_twice) {
            let message = "standard input can give one thing: one document or the node classes, not both";
            Self::command().error(ErrorKind::ArgumentConflict, message).exit();
        }
        flags
    }

    /// The script that completes this command line in a shell.
    pub fn completions(shell: clap_complete::Shell) -> Vec<u8> {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Self::command(), "orchestrator-collector", &mut script);
        script
    }
}
