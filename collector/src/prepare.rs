//! What a configuration leads to before anything is touched: the tokens, the certificate, how agents are asked. The start, a
//! reload and `check-config` all pass here, so that what one of them takes no other refuses.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::access::{Access, AccessError};
use crate::config::Config;
use crate::limits;

#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    #[error(
        "{address} can be reached from other machines, and whoever reaches it may do everything: name a file of tokens with \
         --token-file (`orchestrator-collector token` makes its entries), or say --insecure if that is meant"
    )]
    Exposed { address: SocketAddr },
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error(transparent)]
    Http(#[from] comfyui::Error),
    #[error(
        "the file {file} that agent_ca_file names cannot be used: {source}; name a PEM file with the certificates of the \
         authority that signed the agents' own"
    )]
    Authority { file: PathBuf, source: comfyui::Error },
}

pub(crate) struct Prepared {
    pub access: Access,
    /// What backends are asked by.
    pub http: reqwest::Client,
    /// What agents are: the same connections, unless another authority vouches for them.
    pub agents_http: reqwest::Client,
}

impl Prepared {
    pub(crate) fn of(config: &Config) -> Result<Self, PrepareError> {
        check_exposure(config)?;
        let access = Access::load(&config.access, &config.webhooks)?;
        let http = comfyui::client::http()?;
        let agents_http = agents_http(config, &http)?;
        Ok(Self { access, http, agents_http })
    }
}

/// Without tokens only this machine may ask, unless somebody said otherwise.
fn check_exposure(config: &Config) -> Result<(), PrepareError> {
    let is_asked_for = config.access.token_file.is_some() || config.access.insecure;
    let address = config.listen;
    match is_asked_for || address.ip().to_canonical().is_loopback() {
        true => Ok(()),
        false => Err(PrepareError::Exposed { address }),
    }
}

/// What other collectors are asked by: the same authority vouches for them.
pub(crate) fn peers_http(config: &Config) -> Result<reqwest::Client, PrepareError> {
    let authority = config.agents.authority.as_ref();
    let pem = authority.map(|authority| authority.pem.as_slice());
    Ok(comfyui::client::http_noticing(limits::PEER_SILENT_FOR, pem)?)
}

fn agents_http(config: &Config, http: &reqwest::Client) -> Result<reqwest::Client, PrepareError> {
    let Some(authority) = &config.agents.authority else { return Ok(http.clone()) };
    comfyui::client::http_trusting(&authority.pem)
        .map_err(|source| PrepareError::Authority { file: authority.file.clone(), source })
}
