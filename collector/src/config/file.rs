//! The configuration file. An error names the file, the line, the key, and what is allowed.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

use super::files::Bucket;
use super::flags::LogFormat;
use super::value::{self, BackendUrl, OriginUrl, ReceiverUrl, Share, Wait};
use crate::id::{BackendId, Tag};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub listen: Option<SocketAddr>,
    pub database: Option<String>,
    pub database_password_file: Option<PathBuf>,
    pub state_directory: Option<PathBuf>,
    pub files_directory: Option<PathBuf>,
    pub files_bucket: Option<Bucket>,
    pub peer_url: Option<OriginUrl>,
    #[serde(deserialize_with = "poll_interval")]
    pub poll_interval: Option<Duration>,
    pub free_after_idle: Option<Wait>,
    pub free_for_others: Option<Share>,
    pub free_below_host_memory: Option<Share>,
    pub free_after_out_of_memory: Option<bool>,
    pub free_before_jobs: Option<bool>,
    pub rerun_after_unreachable: Option<Wait>,
    #[serde(deserialize_with = "tempo")]
    pub route_tempo: Option<f64>,
    #[serde(deserialize_with = "overdue_after")]
    pub route_overdue_after: Option<Duration>,
    #[serde(deserialize_with = "fairness")]
    pub route_fairness: Option<f64>,
    #[serde(deserialize_with = "history_jobs")]
    pub history_jobs: Option<u64>,
    pub history_age: Option<Wait>,
    #[serde(deserialize_with = "kept_bytes")]
    pub history_bytes: Option<u64>,
    pub archive: bool,
    pub archive_age: Option<Wait>,
    #[serde(deserialize_with = "kept_bytes")]
    pub archive_bytes: Option<u64>,
    pub max_body_bytes: Option<usize>,
    pub log: Option<String>,
    pub log_format: Option<LogFormat>,
    pub token_file: Option<PathBuf>,
    pub tls_certificate: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub insecure: bool,
    pub allowed_hosts: Vec<String>,
    pub cors_origins: Vec<OriginUrl>,
    pub agent_token_file: Option<PathBuf>,
    pub agent_ca_file: Option<PathBuf>,
    pub webhook_secret_file: Option<PathBuf>,
    #[serde(deserialize_with = "networks")]
    pub webhook_allow: Vec<IpNet>,
    pub traces_url: Option<ReceiverUrl>,
    pub interface_dir: Option<PathBuf>,
    pub interface_backend: Option<BackendId>,
    pub interface_listen: Option<SocketAddr>,
    pub interface_url: Option<OriginUrl>,
    pub public_url: Option<OriginUrl>,
    pub backend: Vec<Backend>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Backend {
    pub url: BackendUrl,
    pub name: Option<BackendId>,
    pub agent: Option<BackendUrl>,
    #[serde(default)]
    pub tags: BTreeSet<Tag>,
}

fn poll_interval<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    value::poll_interval(&text).map(Some).map_err(serde::de::Error::custom)
}

fn tempo<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let number = f64::deserialize(deserializer)?;
    value::between(number, &value::TEMPO).map(Some).map_err(serde::de::Error::custom)
}

fn fairness<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let number = f64::deserialize(deserializer)?;
    value::between(number, &value::FAIRNESS).map(Some).map_err(serde::de::Error::custom)
}

fn overdue_after<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    value::overdue_after(&text).map(Some).map_err(serde::de::Error::custom)
}

fn history_jobs<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let number = u64::deserialize(deserializer)?;
    value::within(number, &value::HISTORY_JOBS).map(Some).map_err(serde::de::Error::custom)
}

fn kept_bytes<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let number = u64::deserialize(deserializer)?;
    value::within(number, &value::KEPT_BYTES).map(Some).map_err(serde::de::Error::custom)
}

fn networks<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| value::network(text)).collect::<Result<_, _>>().map_err(serde::de::Error::custom)
}

#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot read the configuration file {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the configuration file {path} cannot be used:\n{reason}")]
    Parse { path: PathBuf, reason: String },
}

/// What the parser calls by Rust's names.
const WORDS: [(&str, &str); 3] = [
    ("expected f64", "expected a number, without quotes"),
    ("expected u64", "expected a whole number, without quotes"),
    ("expected usize", "expected a whole number, without quotes"),
];

pub(super) fn read(path: &Path) -> Result<File, FileError> {
    parse(&text(path)?).map_err(|reason| FileError::Parse { path: path.to_owned(), reason })
}

/// The keys that stand in it, with what was written.
pub(super) fn table(path: &Path) -> Result<toml::Table, FileError> {
    let table = toml::from_str(&text(path)?);
    table.map_err(|error| FileError::Parse { path: path.to_owned(), reason: error.to_string() })
}

fn text(path: &Path) -> Result<String, FileError> {
    std::fs::read_to_string(path).map_err(|source| FileError::Read { path: path.to_owned(), source })
}

pub(super) fn parse(text: &str) -> Result<File, String> {
    toml::from_str(text).map_err(|error| {
        let told = error.to_string();
        WORDS.iter().fold(told.trim_end().to_owned(), |told, (theirs, ours)| told.replace(theirs, ours))
    })
}

/// All keys that there are, out of what is said about one that there is not.
pub fn keys() -> Vec<String> {
    let told = parse("no_such_key = 1").err().unwrap_or_default();
    let listed = told.split_once("expected").map_or("", |(_, listed)| listed);
    listed.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}
