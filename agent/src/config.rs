//! The agent's settings: flags, each with a variable `ORCHESTRATOR_AGENT_*` that it overrides. No files are read.

mod access;
mod beside;
mod explain;
mod probes;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub use access::AccessFiles;
pub use beside::{Beside, Whereabouts};
pub use explain::explain;
pub use probes::{Probes, Subject};

use crate::choice::Choice;

/// Sidecar beside a ComfyUI: serves the machine's figures as JSON and for Prometheus.
#[derive(Clone, Debug, Parser)]
#[command(name = "orchestrator-agent", version, max_term_width = 110, after_help = AFTER_HELP)]
pub struct Config {
    /// Address and port to listen on. By custom the port of the ComfyUI beside it plus 1000
    #[arg(
        long,
        env = "ORCHESTRATOR_AGENT_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:9188",
        value_parser = address
    )]
    pub listen: SocketAddr,

    /// The ComfyUI beside the agent.
    #[command(flatten)]
    pub beside: Beside,

    /// The GPUs to speak for: auto (the one that ComfyUI uses, or else the first, NVIDIA's before AMD's), all, an index, a
    /// UUID (GPU-..., MIG-...) or a PCI bus id. /orchestrator/metrics tells of the first of them, /v1/report of all GPUs
    #[arg(long, env = "ORCHESTRATOR_AGENT_GPU", value_name = "GPU", default_value = "auto")]
    pub gpu: Choice,

    /// What `ram_used` means, by the psutil whose figures are to be matched
    #[arg(long, env = "ORCHESTRATOR_AGENT_RAM_USED", value_name = "RULE", default_value = "psutil7")]
    pub ram_used: RamUsed,

    /// Which probes run.
    #[command(flatten)]
    pub probes: Probes,

    /// Names that dashboards made for another exporter read, besides our own
    #[arg(long, env = "ORCHESTRATOR_AGENT_COMPAT", value_name = "EXPORTER")]
    pub compat: Option<Compat>,

    /// NVIDIA's management library, where the system's loader does not find libnvidia-ml.so.1
    #[arg(long, env = "ORCHESTRATOR_AGENT_NVML_LIBRARY", value_name = "FILE")]
    pub nvml_library: Option<PathBuf>,

    /// Who may ask, and over which certificate.
    #[command(flatten)]
    pub access: AccessFiles,

    /// How the log on standard error is written
    #[arg(long, env = "ORCHESTRATOR_AGENT_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// The least severe messages that are logged
    #[arg(long, env = "ORCHESTRATOR_AGENT_LOG_LEVEL", value_name = "LEVEL", default_value = "info")]
    pub log_level: LogLevel,

    /// Print the values that would be used and where each is from, read the files that they name, and end: with 1 if
    /// something cannot be used
    #[arg(long)]
    pub check: bool,

    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}

const AFTER_HELP: &str = "\
Routes:
  /orchestrator/metrics  JSON of the host and one GPU, as the Python custom node answered it
  /metrics               for Prometheus
  /v1/report             JSON of everything, with the age of each reading
  /-/healthy  /-/ready   200 when the agent serves, and when every probe has been read
  POST /-/release?seconds=60   lets go of NVML for as long, to replace the driver or reset a GPU

Examples:
  orchestrator-agent                                    beside a ComfyUI on port 8188
  orchestrator-agent --listen 0.0.0.0:9189 --gpu 1      beside one on port 8189 that uses GPU 1";

/// What the program can do instead of serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Write the completions of a shell to standard output
    Completions {
        /// The shell that is to complete
        shell: Shell,
    },
}

/// What counts as used memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RamUsed {
    /// total − available, as psutil 7.1 and later
    Psutil7,
    /// total − free − buffers − cached, as psutil before 7.1
    Psutil5,
}

/// An exporter whose names are served too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Compat {
    /// NVIDIA's dcgm-exporter: the six families of its dashboard 12239
    Dcgm,
}

/// The shape of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for people
    Text,
    /// An object a line
    Json,
}

/// The severity from which on messages are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// What stops the agent
    Error,
    /// What keeps it from telling something
    Warn,
    /// What changes
    Info,
    /// What it does
    Debug,
}

impl From<LogLevel> for tracing::Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
        }
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "give an IP address and a port, such as 127.0.0.1:9188 or [::]:9188".to_owned())
}

/// What clap says, on one line: the error, its hint, the variable that may be to blame, and where to read more. clap names
/// flags alone, which somebody who has set a variable never gave.
pub fn one_line(error: &clap::Error, is_set: impl Fn(&str) -> bool) -> String {
    let text = error.to_string();
    let words = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let paragraphs = text.split("\n\n").map(words);
    let said = paragraphs.filter(|p| !p.is_empty() && !p.starts_with("Usage:") && !p.starts_with("For more"));
    let mut said: Vec<String> = said.collect();
    let variables = [ContextKind::InvalidArg, ContextKind::PriorArg].into_iter().filter_map(|kind| {
        let ContextValue::String(argument) = error.get(kind)? else { return None };
        Some(variable(argument.strip_prefix("--")?.split(' ').next()?))
    });
    said.extend(variables.filter(|name| is_set(name)).map(|name| format!("correct {name} or unset it")));
    said.push("see `orchestrator-agent --help`".to_owned());
    said.join("; ")
}

/// The variable of a flag, whose name is given without dashes before it.
fn variable(flag: &str) -> String {
    format!("ORCHESTRATOR_AGENT_{}", flag.to_uppercase().replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Config::command().debug_assert();
    }

    #[test]
    fn every_flag_has_its_variable() {
        for argument in Config::command().get_arguments() {
            let Some(long) = argument.get_long().filter(|long| *long != "check") else { continue };
            let own = argument.get_env().and_then(|name| name.to_str());
            assert_eq!(own, Some(variable(long).as_str()), "--{long}");
        }
    }

    #[test]
    fn errors_are_one_line_with_the_way_out() {
        let cases: [(&[&str], &str); 8] = [
            (&["--listn", "x"], "a similar argument exists: '--listen'"),
            (&["--listen", "localhost"], "give an IP address and a port"),
            (&["--gpu", "first"], "give auto, all, an index"),
            (&["--ram-used", "x"], "possible values: psutil7, psutil5"),
            (&["--tls-key", "k.pem"], "not provided: --tls-certificate <FILE>"),
            (&["--tls-certificate", "c.pem"], "not provided: --tls-key <FILE>"),
            (&["serve"], "unrecognized subcommand 'serve'"),
            // A unit without a name would never be found.
            (&["--comfyui-unit", ""], "a value is required for '--comfyui-unit <UNIT>'"),
        ];
        for (arguments, expected) in cases {
            let error = Config::try_parse_from([&["orchestrator-agent"], arguments].concat()).unwrap_err();
            let line = one_line(&error, |_| false);
            assert!(line.contains(expected), "{line}");
            assert!(line.contains("see `orchestrator-agent --help`"), "{line}");
            assert!(!line.contains('\n'), "{line}");
        }
    }

    #[test]
    fn a_variable_that_is_to_blame_is_named() {
        let cases: [(&[&str], &str); 3] = [
            (&["--models", ""], "ORCHESTRATOR_AGENT_MODELS"),
            (&["--ram-used", "x"], "ORCHESTRATOR_AGENT_RAM_USED"),
            (&["--comfyui-unit", "a", "--comfyui-pid-file", "b"], "ORCHESTRATOR_AGENT_COMFYUI_PID_FILE"),
        ];
        for (arguments, variable) in cases {
            let error = Config::try_parse_from([&["orchestrator-agent"], arguments].concat()).unwrap_err();
            let expected = format!("; correct {variable} or unset it; ");
            let line = one_line(&error, |name| name == variable);
            assert!(line.contains(&expected), "{line}");
            assert!(!one_line(&error, |_| false).contains("ORCHESTRATOR_AGENT_"));
        }
    }
}
