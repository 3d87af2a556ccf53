//! How agents are asked: the token that they are shown, and the authority that vouches for their certificates. Both
//! come from files that are read with the configuration. No message shows what is in them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use reqwest::header::HeaderValue;
use url::Url;

use super::Backend;
use crate::limits;

/// What all agents share. By default they ask for no token, and the system's authorities are trusted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Agents {
    /// `Authorization`; debug output hides it.
    token: Option<HeaderValue>,
    /// Trusted besides the system's authorities.
    pub authority: Option<Authority>,
}

/// The certificates of a private authority.
#[derive(Clone, Debug, PartialEq)]
pub struct Authority {
    pub file: PathBuf,
    pub pem: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
pub enum AgentsError {
    #[error(
        "cannot read the file {path} that {key} names: {source}; name a file that the collector's user may read, or leave \
         {key} out"
    )]
    Read { key: &'static str, path: PathBuf, source: std::io::Error },
    #[error("the file {path} that {key} names is longer than 1 MiB: is it the right one?")]
    TooLong { key: &'static str, path: PathBuf },
    #[error(
        "there is no token in the first line of {path}, which agent_token_file names: write the token there that the \
         agents have in their --token-file, or leave agent_token_file out"
    )]
    NoToken { path: PathBuf },
    #[error(
        "the first line of {path}, which agent_token_file names, has a blank or a letter that no header can carry: write \
         the token there that the agents have in their --token-file"
    )]
    BadToken { path: PathBuf },
}

impl Agents {
    pub(super) fn read(token: Option<&Path>, authority: Option<&Path>) -> Result<Self, AgentsError> {
        let token = token.map(token_of).transpose()?;
        let authority = authority.map(|file| {
            let pem = content("agent_ca_file", file)?;
            Ok(Authority { file: file.to_owned(), pem })
        });
        Ok(Self { token, authority: authority.transpose()? })
    }

    /// The `Authorization` for an agent. None where its address is a ComfyUI's own, as with the old Python node: the
    /// token is nothing to tell another program.
    pub fn authorization(&self, agent: &Url, backends: &[Backend]) -> Option<&HeaderValue> {
        let place = |url: &Url| (url.host_str().map(str::to_owned), url.port_or_known_default());
        let is_comfyui = backends.iter().any(|backend| place(&backend.url) == place(agent));
        self.token.as_ref().filter(|_| !is_comfyui)
    }
}

/// The first line, without what is blank around it.
fn token_of(path: &Path) -> Result<HeaderValue, AgentsError> {
    let content = content("agent_token_file", path)?;
    let token = content.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
    if token.is_empty() {
        return Err(AgentsError::NoToken { path: path.to_owned() });
    }
    let bad = || AgentsError::BadToken { path: path.to_owned() };
    let is_one_word = token.iter().all(u8::is_ascii_graphic);
    let header = is_one_word.then(|| HeaderValue::from_bytes(&[b"Bearer ", token].concat()).ok());
    let mut header = header.flatten().ok_or_else(bad)?;
    header.set_sensitive(true);
    Ok(header)
}

fn content(key: &'static str, path: &Path) -> Result<Vec<u8>, AgentsError> {
    let mut content = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(limits::SECRET_FILE_BYTES + 1).read_to_end(&mut content));
    read.map_err(|source| AgentsError::Read { key, path: path.to_owned(), source })?;
    if content.len() as u64 > limits::SECRET_FILE_BYTES {
        return Err(AgentsError::TooLong { key, path: path.to_owned() });
    }
    Ok(content)
}
