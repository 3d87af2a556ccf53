//! What the program is told: flags before environment before file before defaults. `file` reads the TOML, `flags` the
//! command line and the environment, `database` where the queue is kept, `files` where files are, `access` and `agents` who
//! may ask and how agents are asked, `webhooks` who is told of ends, `interface` where the web interface comes from, `value`
//! says what a key may hold, `explain` where each value is from; this file puts them together.

mod access;
mod agents;
mod database;
mod explain;
mod file;
mod files;
mod flags;
mod interface;
mod value;
mod webhooks;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

pub use self::access::{Access, HalfCertificate, TlsFiles};
pub use self::agents::{Agents, AgentsError};
pub use self::database::{Database, DatabaseError, Password};
pub use self::explain::{Row, default_of, explain};
pub use self::file::{FileError, keys as file_keys};
pub use self::files::{Bucket, FilesPlace};
pub use self::flags::{
    AccessFlags, ArchiveFlags, BackendFlags, BackendsFlags, CancelFlags, CheckFlags, ClassFlags,
    ClientCommand, Command, ConvertFlags, DatabaseCommand, DatabaseFlags, DatabaseKind, Flags, FreeFlags,
    FreeingFlags, InspectFlags, JobFlags, JobsFlags, LogFormat, PlaceFlags, RoutingFlags, ServeFlags,
    ServerFlags, SubmitFlags, TokenFlags, ValidateFlags, WebhookFlags, WishFlags,
};
pub use self::interface::{Interface, InterfaceError};
pub use self::value::{BackendUrl, OriginUrl, Pair, ReceiverUrl, Share, Wait};
pub use self::webhooks::Webhooks;
use crate::address::without_password;
use crate::id::{BackendId, Tag};
use crate::limits;

#[derive(Clone, Debug)]
pub struct Config {
    pub listen: SocketAddr,
    pub backends: Vec<Backend>,
    pub agents: Agents,
    pub access: Access,
    pub webhooks: Webhooks,
    /// Who is sent jobs' traces.
    pub traces: Option<Url>,
    pub interface: Interface,
    pub database: Database,
    pub peers: Option<Peers>,
    pub state_directory: PathBuf,
    pub poll_interval: Duration,
    pub freeing: Freeing,
    pub routing: Routing,
    pub rerun_after_unreachable: Option<Duration>,
    pub history: History,
    pub archive: Option<Archive>,
    pub max_body_bytes: usize,
    pub log: Log,
}

/// This collector among several that share a database.
#[derive(Clone, Debug, PartialEq)]
pub struct Peers {
    /// Where the others reach it.
    pub url: Url,
    pub database: Url,
}

/// When memory is freed though nobody asks; `None` and false: not for this reason.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Freeing {
    pub after_idle: Option<Duration>,
    /// Share of a GPU's memory.
    pub for_others: Option<f64>,
    /// Share of a host's memory.
    pub below_host_memory: Option<f64>,
    pub after_out_of_memory: bool,
    pub before_jobs: bool,
}

/// How jobs are routed; what each means stands with the flags.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Routing {
    pub tempo: f64,
    pub overdue_after: Duration,
    pub fairness: f64,
}

impl Default for Routing {
    fn default() -> Self {
        Self { tempo: 1.0, overdue_after: Duration::from_secs(5 * 60), fairness: 1.0 }
    }
}

/// How many ended jobs are remembered, how long, and in how many bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct History {
    pub jobs: u64,
    pub age: Option<Duration>,
    pub bytes: u64,
}

impl Default for History {
    fn default() -> Self {
        Self { jobs: limits::HISTORY_JOBS, age: None, bytes: limits::HISTORY_BYTES }
    }
}

/// How long copies of what jobs have made are kept, and how many bytes of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Archive {
    pub age: Option<Duration>,
    pub bytes: u64,
}

/// A row of the store holds one as JSON, so every form that was ever written has to load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backend {
    pub id: BackendId,
    pub url: Url,
    pub agent: Url,
    #[serde(default)]
    pub tags: BTreeSet<Tag>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    pub filter: String,
    pub format: LogFormat,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Agents(#[from] AgentsError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    HalfCertificate(#[from] HalfCertificate),
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    #[error("two backends are called {0}: give one of them another `name` in the configuration file")]
    SameName(BackendId),
    #[error("two backends have the address {0}: one ComfyUI is one backend")]
    SameAddress(Url),
    #[error("no name can be made of {url}: {reason}; give the backend a `name` in the configuration file")]
    Nameless { url: Url, reason: String },
    #[error("{0} has more than {most} tags", most = limits::TAGS)]
    Tags(BackendId),
    #[error(
        "collectors that stand by for each other (peer_url) share a PostgreSQL database and the files that clients upload: name \
         the one with --database, and for the others a directory that all of them see with --files-directory, or a bucket with \
         --files-bucket"
    )]
    PeersApart,
    #[error("files_directory and files_bucket name two places for the same files: take one of them away")]
    TwoFilesPlaces,
    #[error(
        "there is no home directory to keep the queue in: name a place with --state-directory, state_directory in the \
         configuration file, or $STATE_DIRECTORY"
    )]
    NoStateDirectory,
}

pub const DEFAULT_LISTEN: &str = "127.0.0.1:8288";
pub const DEFAULT_BACKEND: &str = "http://127.0.0.1:8188";
const DEFAULT_POLL_INTERVAL: Duration = Duration::from_secs(1);
const DEFAULT_FREE_AFTER_IDLE: Wait = Wait(Some(Duration::from_secs(10 * 60)));
const DEFAULT_FREE_FOR_OTHERS: Share = Share(Some(0.1));
const DEFAULT_FREE_BELOW_HOST_MEMORY: Share = Share(Some(0.05));
const DEFAULT_RERUN_AFTER_UNREACHABLE: Wait = Wait(None);

impl Config {
    /// Where files are kept.
    pub fn files_place(&self) -> FilesPlace {
        self.database.files_place(&self.state_directory)
    }

    /// Reads the file that the flags name, and the files of agents that it names.
    pub fn load(flags: ServeFlags) -> Result<Self, ConfigError> {
        let file = flags.config.as_deref().map(file::read).transpose()?.unwrap_or_default();
        let access = access(flags.access, &file)?;
        let webhooks = Webhooks::of(flags.webhooks, &file);
        let (database, state_directory) = Database::of(&flags.database, &file)?;
        let token = flags.agent_token_file.or(file.agent_token_file);
        let authority = flags.agent_ca_file.or(file.agent_ca_file);
        let backends = backends(flags.backend, file.backend)?;
        let interface = Interface {
            folder: flags.interface_dir.or(file.interface_dir),
            backend: flags.interface_backend.or(file.interface_backend),
            listen: flags.interface_listen.or(file.interface_listen),
            url: flags.interface_url.or(file.interface_url).map(|url| url.0),
        };
        let (unset, usual) = (History::default(), Routing::default());
        Ok(Self {
            listen: flags.listen.or(file.listen).unwrap_or_else(default_listen),
            interface: interface.checked(&backends, &access)?,
            backends,
            access,
            peers: peers(flags.peer_url.or(file.peer_url), &database)?,
            database,
            webhooks,
            traces: flags.traces_url.or(file.traces_url).map(|url| url.0),
            agents: Agents::read(token.as_deref(), authority.as_deref())?,
            state_directory,
            poll_interval: flags.poll_interval.or(file.poll_interval).unwrap_or(DEFAULT_POLL_INTERVAL),
            freeing: Freeing {
                after_idle: flags
                    .freeing
                    .after_idle
                    .or(file.free_after_idle)
                    .unwrap_or(DEFAULT_FREE_AFTER_IDLE)
                    .0,
                for_others: flags
                    .freeing
                    .for_others
                    .or(file.free_for_others)
                    .unwrap_or(DEFAULT_FREE_FOR_OTHERS)
                    .0,
                below_host_memory: flags
                    .freeing
                    .below_host_memory
                    .or(file.free_below_host_memory)
                    .unwrap_or(DEFAULT_FREE_BELOW_HOST_MEMORY)
                    .0,
                after_out_of_memory: flags
                    .freeing
                    .after_out_of_memory
                    .or(file.free_after_out_of_memory)
                    .unwrap_or(true),
                before_jobs: flags.freeing.before_jobs.or(file.free_before_jobs).unwrap_or(true),
            },
            routing: Routing {
                tempo: flags.routing.tempo.or(file.route_tempo).unwrap_or(usual.tempo),
                overdue_after: flags
                    .routing
                    .overdue_after
                    .or(file.route_overdue_after)
                    .unwrap_or(usual.overdue_after),
                fairness: flags.routing.fairness.or(file.route_fairness).unwrap_or(usual.fairness),
            },
            rerun_after_unreachable: flags
                .rerun_after_unreachable
                .or(file.rerun_after_unreachable)
                .unwrap_or(DEFAULT_RERUN_AFTER_UNREACHABLE)
                .0,
            history: History {
                jobs: flags.history_jobs.or(file.history_jobs).unwrap_or(unset.jobs),
                age: flags.history_age.or(file.history_age).map_or(unset.age, |age| age.0),
                bytes: flags.history_bytes.or(file.history_bytes).unwrap_or(unset.bytes),
            },
            archive: (flags.archive.enabled || file.archive).then(|| Archive {
                age: flags.archive.age.or(file.archive_age).and_then(|age| age.0),
                bytes: flags.archive.bytes.or(file.archive_bytes).unwrap_or(limits::ARCHIVE_BYTES),
            }),
            max_body_bytes: flags.max_body_bytes.or(file.max_body_bytes).unwrap_or(limits::BODY_BYTES),
            log: Log {
                filter: flags.log.or(file.log).unwrap_or_else(|| "info".to_owned()),
                format: flags.log_format.or(file.log_format).unwrap_or_default(),
            },
        })
    }
}

fn peers(url: Option<OriginUrl>, database: &Database) -> Result<Option<Peers>, ConfigError> {
    let Some(OriginUrl(url)) = url else { return Ok(None) };
    match (&database.server, &database.files) {
        (Some(server), Some(_)) => Ok(Some(Peers { url, database: server.clone() })),
        _ => Err(ConfigError::PeersApart),
    }
}

fn access(flags: AccessFlags, file: &file::File) -> Result<Access, HalfCertificate> {
    let either = |flag: Option<PathBuf>, key: &Option<PathBuf>| flag.or_else(|| key.clone());
    let (certificate, key) = (&file.tls_certificate, &file.tls_key);
    Ok(Access {
        token_file: either(flags.token_file, &file.token_file),
        tls: TlsFiles::of(either(flags.tls_certificate, certificate), either(flags.tls_key, key))?,
        insecure: flags.insecure || file.insecure,
        allowed_hosts: or_else(flags.allowed_hosts, &file.allowed_hosts),
        cors_origins: or_else(flags.cors_origins, &file.cors_origins)
            .into_iter()
            .map(|origin| origin.0)
            .collect(),
        public_url: flags.public_url.or(file.public_url.clone()).map(|url| url.0),
    })
}

/// The flags' values, where there are any.
fn or_else<T: Clone>(flags: Vec<T>, file: &[T]) -> Vec<T> {
    if flags.is_empty() { file.to_vec() } else { flags }
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8288))
}

/// systemd's `$STATE_DIRECTORY`, else the XDG state directory.
fn default_state_directory() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let xdg = || variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    variable("STATE_DIRECTORY").or_else(|| Some(xdg()?.join("orchestrator-collector")))
}

/// Those of the command line, else those of the file, else the one on this machine.
fn backends(given: Vec<BackendUrl>, file: Vec<file::Backend>) -> Result<Vec<Backend>, ConfigError> {
    let plain = |url| file::Backend { name: None, url, agent: None, tags: BTreeSet::new() };
    let chosen = match (given.is_empty(), file.is_empty()) {
        (false, _) => given.into_iter().map(plain).collect(),
        (true, false) => file,
        (true, true) => DEFAULT_BACKEND.parse().map(plain).into_iter().collect(),
    };
    let mut backends: Vec<Backend> = Vec::new();
    for one in chosen {
        let backend = Backend::of(one.url, one.name, one.agent, one.tags)?;
        if backends.iter().any(|known| known.url == backend.url) {
            return Err(ConfigError::SameAddress(without_password(&backend.url)));
        }
        if backends.iter().any(|known| known.id == backend.id) {
            return Err(ConfigError::SameName(backend.id));
        }
        backends.push(backend);
    }
    Ok(backends)
}

impl Backend {
    /// Named after its address and with an agent on its port plus 1000, unless told otherwise.
    pub fn of(
        url: BackendUrl,
        name: Option<BackendId>,
        agent: Option<BackendUrl>,
        tags: BTreeSet<Tag>,
    ) -> Result<Self, ConfigError> {
        let url = url.0;
        let id = match name {
            Some(name) => name,
            None => value::name_of(&url)
                .map_err(|e| ConfigError::Nameless { url: without_password(&url), reason: e.to_string() })?,
        };
        let agent = agent.map_or_else(|| value::agent_of(&url), |agent| agent.0);
        if tags.len() > limits::TAGS {
            return Err(ConfigError::Tags(id));
        }
        Ok(Self { id, url, agent, tags })
    }
}

#[cfg(test)]
mod tests;
