//! The commands: what `orchestrator-collector` does instead of serving; and the flags of those that need no collector.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use comfyui::convert::Interface;

use super::super::value::BackendUrl;
use super::client::ClientCommand;
use super::database::DatabaseCommand;
use super::{Given, ServeFlags};
use crate::access::Role;

/// What to do instead of serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Print the prompt (API format) that ComfyUI's web interface makes of a workflow.
    Convert(ConvertFlags),
    /// Print what ComfyUI answers to a prompt; ends with 1 unless all of the prompt runs.
    Validate(ValidateFlags),
    /// Print what a prompt needs: node classes, model files, uploads, and how much there is to do.
    Inspect(InspectFlags),
    #[command(flatten)]
    Client(ClientCommand),
    /// Print the configuration that would be used and where each value is from; ends with 1 if it cannot be used.
    CheckConfig(Box<CheckFlags>),
    /// Check the queue's database, back it up, or carry it over to another kind.
    #[command(subcommand)]
    Database(DatabaseCommand),
    /// Print an entry for the file of tokens, and once the token itself, which is kept nowhere.
    Token(TokenFlags),
    /// Print a completion script for a shell, to be sourced by it.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// Whether two things were to come by it, such as the document and the node classes.
    pub(super) fn reads_stdin_twice(&self) -> bool {
        let (document, classes) = match self {
            Self::Convert(flags) => (&flags.workflow, &flags.classes),
            Self::Validate(flags) => (&flags.prompt, &flags.classes),
            Self::Inspect(flags) => (&flags.file, &flags.classes),
            Self::Client(ClientCommand::Submit(flags)) => return flags.reads_stdin_twice(),
            Self::Client(_)
            | Self::CheckConfig(_)
            | Self::Database(_)
            | Self::Token(_)
            | Self::Completions { .. } => {
                return false;
            }
        };
        let stdin = Path::new("-");
        document == stdin && classes.object_info.as_deref() == Some(stdin)
    }
}

/// The flags of `convert`.
#[derive(Clone, Debug, Args)]
#[command(after_help = CONVERT_HELP)]
pub struct ConvertFlags {
    /// The workflow: JSON as the web interface saves it, or a PNG or WebP that ComfyUI saved; `-` for standard input
    pub workflow: PathBuf,

    #[command(flatten)]
    pub classes: ClassFlags,

    /// The web interface to imitate, 1.35 or 1.58, where they differ: 1.58 also notes node packs in `_meta`
    #[arg(long, value_name = "VERSION", default_value = "1.35", value_parser = interface)]
    pub interface: Interface,

    /// Chooses among the alternatives of texts such as `a {red|blue} car` [default: by chance]
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,

    /// Write the prompt to this file, whole or not at all, instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// The flags of `validate`.
#[derive(Clone, Debug, Args)]
#[command(after_help = VALIDATE_HELP)]
pub struct ValidateFlags {
    /// The prompt: JSON in API format, a body of `POST /prompt`, or a PNG or WebP that ComfyUI saved; `-` for standard
    /// input. A workflow is converted first
    pub prompt: PathBuf,

    #[command(flatten)]
    pub classes: ClassFlags,
}

/// The flags of `inspect`.
#[derive(Clone, Debug, Args)]
#[command(after_help = INSPECT_HELP)]
pub struct InspectFlags {
    /// The prompt: JSON in API format, or a PNG or WebP that ComfyUI saved; `-` for standard input. A workflow is
    /// converted first, which takes --backend or --object-info
    pub file: PathBuf,

    #[command(flatten)]
    pub classes: ClassFlags,

    /// Print JSON, for machines
    #[arg(long)]
    pub json: bool,
}

/// The flags of `check-config`: those of serving.
#[derive(Clone, Debug, Args)]
#[command(after_help = CHECK_HELP)]
pub struct CheckFlags {
    #[command(flatten)]
    pub serve: ServeFlags,

    /// Say nothing of what can be used
    #[arg(long)]
    pub quiet: bool,

    /// Which of them were given, and how
    #[arg(skip)]
    pub(crate) given: Given,
}

/// The flags of `token`.
#[derive(Clone, Debug, Args)]
#[command(after_help = TOKEN_HELP)]
pub struct TokenFlags {
    /// Whose token it is: jobs keep the name as their owner
    #[arg(long)]
    pub name: String,

    /// What it may do: `submit` reads, submits and stops its own jobs, `operate` everybody's, `admin` changes the fleet
    #[arg(long, value_enum, default_value = "submit")]
    pub role: Role,

    /// How many of its jobs may wait at a time [default: no bound but the queue's]
    #[arg(long, value_name = "JOBS")]
    pub max_waiting: Option<usize>,

    /// How many of its jobs may be with backends at a time [default: no bound]
    #[arg(long, value_name = "JOBS")]
    pub max_running: Option<usize>,

    /// How long its jobs may have backends in any hour, or other window [default: no bound]
    #[arg(long, value_name = "SECONDS")]
    pub gpu_seconds: Option<u64>,

    /// The window of --gpu-seconds, 1m to 24h [default: 1h]
    #[arg(long, value_name = "SPAN", requires = "gpu_seconds")]
    pub gpu_window: Option<String>,

    /// Its share where there is not enough for all, 0.01 to 100 [default: 1]
    #[arg(long, value_name = "FACTOR")]
    pub weight: Option<f64>,
}

/// Where the node classes are from; a server of a user's own has custom ones.
#[derive(Clone, Debug, Default, Args)]
pub struct ClassFlags {
    /// A file with the node classes: what a server answers at /object_info; `-` for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "backend")]
    pub object_info: Option<PathBuf>,

    /// The ComfyUI, or the collector, to ask for its node classes
    #[arg(long, value_name = "URL")]
    pub backend: Option<BackendUrl>,
}

/// `1.58` or in full `1.58.1`; what lies between the known ones would be a guess.
fn interface(text: &str) -> Result<Interface, String> {
    let mut parts = text.strip_prefix('v').unwrap_or(text).split('.');
    let named = (parts.next(), parts.next());
    let rest_is_numbers = parts.all(|part| part.parse::<u32>().is_ok());
    match named {
        (Some("1"), Some("35")) if rest_is_numbers => Ok(Interface::V1_35),
        (Some("1"), Some("58")) if rest_is_numbers => Ok(Interface::V1_58),
        _ => Err("known are 1.35 and 1.58".to_owned()),
    }
}

const CONVERT_HELP: &str = "\
Without --object-info, the node classes are those of the ComfyUI at --backend, or at http://127.0.0.1:8188.

Examples:
  orchestrator-collector convert workflow.json
  orchestrator-collector convert --backend http://gpu-1:8188 ComfyUI_00001_.png -o prompt.json
  curl http://gpu-1:8188/object_info > object_info.json
  orchestrator-collector convert --object-info object_info.json - < workflow.json";

const VALIDATE_HELP: &str = "\
Without --object-info, the node classes are those of the ComfyUI at --backend, or at http://127.0.0.1:8188.
What only a server can know, such as whether an uploaded picture is there, is not judged.

Ends with
  0  all of the prompt runs
  1  ComfyUI refuses all or a part of it, or it cannot be judged, as standard error says
  2  the command line is wrong

Examples:
  orchestrator-collector validate --backend http://gpu-1:8188 prompt.json
  orchestrator-collector convert workflow.json | orchestrator-collector validate -";

const INSPECT_HELP: &str = "\
Without --backend and --object-info, files are told by the endings of their names alone.

Examples:
  orchestrator-collector inspect ComfyUI_00001_.png
  orchestrator-collector inspect --backend http://gpu-1:8188 --json workflow.json | jq .assets";

const CHECK_HELP: &str = "\
Takes the flags, the environment and the file that serving takes, reads the files that they name, and touches nothing else:
no state, no address, no backend.

Examples:
  orchestrator-collector check-config --config /etc/orchestrator-collector/collector.toml
  systemctl reload orchestrator-collector       reads it again, and fails where this does";

const TOKEN_HELP: &str = "\
The entry goes to standard output, the token to standard error.

Examples:
  orchestrator-collector token --name anna >> /etc/orchestrator-collector/tokens.toml
  orchestrator-collector token --name dashboard --role operate";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_is_named_shortly_or_in_full() {
        for text in ["1.35", "1.35.9", "v1.35.9"] {
            assert_eq!(interface(text), Ok(Interface::V1_35), "{text}");
        }
        for text in ["1.58", "1.58.1", "v1.58"] {
            assert_eq!(interface(text), Ok(Interface::V1_58), "{text}");
        }
    }

    #[test]
    fn an_interface_that_is_not_known_is_told_with_those_that_are() {
        for text in ["", "1", "1.40", "2.35", "1.58.x", "1.58.", "1.580", "latest"] {
            assert_eq!(interface(text), Err("known are 1.35 and 1.58".to_owned()), "{text}");
        }
    }
}
