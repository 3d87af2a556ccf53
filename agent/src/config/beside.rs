//! Which ComfyUI the agent stands beside, and where its files lie.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

/// ComfyUI's own port where none is given.
const COMFYUI_PORT: u16 = 8188;

/// By custom an agent's port is its ComfyUI's plus this.
const PORT_DISTANCE: u16 = 1000;

/// The flags that name a ComfyUI.
#[derive(Clone, Debug, Default, Args)]
pub struct Beside {
    /// The ComfyUI beside the agent, found by what listens there: localhost or an IP address, no name that would have to be
    /// looked up [default: the agent's own port less 1000]
    #[arg(long, env = "ORCHESTRATOR_AGENT_COMFYUI", value_name = "URL")]
    comfyui: Option<LocalAddress>,

    /// The systemd unit that ComfyUI runs as, instead of its address, e.g. comfyui.service; or a container's scope, as
    /// docker-ID.scope or docker/ID: several last parts of its path where one is ambiguous
    #[arg(
        long,
        env = "ORCHESTRATOR_AGENT_COMFYUI_UNIT",
        value_name = "UNIT",
        value_parser = NonEmptyStringValueParser::new(),
        conflicts_with = "comfyui"
    )]
    comfyui_unit: Option<String>,

    /// A file that holds the number of ComfyUI's process, instead of its address; one older than the process is stale
    #[arg(
        long,
        env = "ORCHESTRATOR_AGENT_COMFYUI_PID_FILE",
        value_name = "FILE",
        conflicts_with_all = ["comfyui", "comfyui_unit"]
    )]
    comfyui_pid_file: Option<PathBuf>,

    /// A models folder of ComfyUI whose files /v1/report lists by name and size; may be repeated, and the earlier wins
    #[arg(long, env = "ORCHESTRATOR_AGENT_MODELS", value_name = "DIRECTORY", value_delimiter = ':')]
    pub models: Vec<PathBuf>,

    /// A folder that ComfyUI reads or writes (input, output, temp): its filesystem's figures are served, and those of
    /// --models; may be repeated [default: all local filesystems]
    #[arg(long, env = "ORCHESTRATOR_AGENT_FOLDER", value_name = "DIRECTORY", value_delimiter = ':')]
    pub folder: Vec<PathBuf>,
}

/// How a ComfyUI's process is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// By the socket that listens at this address; the unspecified address means any.
    Address(SocketAddr),
    /// By the systemd unit that it runs as.
    Unit(String),
    /// By a file that holds its number.
    PidFile(PathBuf),
}

impl Beside {
    /// How the ComfyUI beside an agent that listens at this address is found.
    pub fn whereabouts(&self, agent: SocketAddr) -> Whereabouts {
        match (&self.comfyui_unit, &self.comfyui_pid_file) {
            (Some(unit), _) => Whereabouts::Unit(unit.clone()),
            (None, Some(file)) => Whereabouts::PidFile(file.clone()),
            (None, None) => Whereabouts::Address(self.comfyui.map_or_else(|| by_custom(agent), |url| url.0)),
        }
    }
}

fn by_custom(agent: SocketAddr) -> SocketAddr {
    let port = agent.port().checked_sub(PORT_DISTANCE).filter(|port| *port > 0).unwrap_or(COMFYUI_PORT);
    SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
}

/// An address of this machine, written as the URL of a ComfyUI. Names are not looked up: the agent asks nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LocalAddress(SocketAddr);

/// A URL that is no address of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give ComfyUI's URL with localhost or an IP address, such as http://127.0.0.1:8188")]
struct NoLocalAddress;

impl FromStr for LocalAddress {
    type Err = NoLocalAddress;

    fn from_str(text: &str) -> Result<Self, NoLocalAddress> {
        let authority = match text.split_once("://") {
            Some(("http" | "https", rest)) => rest.trim_end_matches('/'),
            Some(_) => return Err(NoLocalAddress),
            None => text,
        };
        let host_and_port = authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
        let (host, port) = match host_and_port {
            Some((host, port)) => (host, port.parse().map_err(|_| NoLocalAddress)?),
            None => (authority, COMFYUI_PORT),
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let address = match bare {
            "localhost" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            _ => bare.parse().map_err(|_| NoLocalAddress)?,
        };
        Ok(Self(SocketAddr::from((address, port))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Whereabouts {
        Whereabouts::Address(text.parse().unwrap())
    }

    #[test]
    fn a_comfyui_is_named_by_url_or_by_custom() {
        let cases = [
            (None, "127.0.0.1:9188", "0.0.0.0:8188"),
            (None, "0.0.0.0:9189", "0.0.0.0:8189"),
            (None, "127.0.0.1:80", "0.0.0.0:8188"),
            (Some("http://127.0.0.1:8190"), "127.0.0.1:9188", "127.0.0.1:8190"),
            (Some("https://10.0.0.5"), "127.0.0.1:9188", "10.0.0.5:8188"),
            (Some("http://localhost:8189/"), "127.0.0.1:9188", "0.0.0.0:8189"),
            (Some("http://[::1]:8188"), "127.0.0.1:9188", "[::1]:8188"),
            (Some("[::1]"), "127.0.0.1:9188", "[::1]:8188"),
        ];
        for (url, agent, expected) in cases {
            let beside = Beside { comfyui: url.map(|url| url.parse().unwrap()), ..Beside::default() };
            assert_eq!(beside.whereabouts(agent.parse().unwrap()), address(expected), "{url:?} {agent}");
        }
    }

    #[test]
    fn a_name_that_would_have_to_be_looked_up_is_refused() {
        for url in ["http://gpu-1:8188", "ftp://127.0.0.1", "http://127.0.0.1:x", "", "http://"] {
            assert_eq!(url.parse::<LocalAddress>(), Err(NoLocalAddress), "{url}");
        }
    }
}
