//! Where the web interface comes from. Whether its folder and its backend exist is found out at the start, not by the first
//! person who opens the page.

use std::net::SocketAddr;
use std::path::PathBuf;

use url::Url;

use super::{Access, Backend};
use crate::id::BackendId;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interface {
    /// Its files; without it those that a backend serves.
    pub folder: Option<PathBuf>,
    /// Who serves what no folder holds; without it the first backend that is up.
    pub backend: Option<BackendId>,
    /// An address of its own, so that code of the backends runs in a browser without the rights of whoever looks.
    pub listen: Option<SocketAddr>,
    /// As browsers reach that address, where a proxy is before it.
    pub url: Option<Url>,
}

#[derive(Debug, thiserror::Error)]
pub enum InterfaceError {
    #[error(
        "{folder}, which interface_dir names, holds no web interface: there is no index.html; name the folder \
         comfyui_frontend_package/static of an installed comfyui-frontend-package, or leave interface_dir out"
    )]
    NoPage { folder: PathBuf },
    #[error(
        "interface_listen keeps the web interface's code apart from whoever is logged in, and without tokens nobody is: name \
         a token_file, or leave interface_listen out"
    )]
    ApartWithoutTokens,
    #[error("interface_url says how browsers reach interface_listen: name that too")]
    UrlWithoutListener,
    #[error("no backend is called {name}, which interface_backend names; there are {known}")]
    UnknownBackend { name: BackendId, known: String },
}

impl Interface {
    pub(super) fn checked(self, backends: &[Backend], access: &Access) -> Result<Self, InterfaceError> {
        if self.listen.is_some() && access.token_file.is_none() {
            return Err(InterfaceError::ApartWithoutTokens);
        }
        if self.url.is_some() && self.listen.is_none() {
            return Err(InterfaceError::UrlWithoutListener);
        }
        if let Some(folder) = self.folder.as_ref().filter(|folder| !folder.join("index.html").is_file()) {
            return Err(InterfaceError::NoPage { folder: folder.clone() });
        }
        let is_known = |name: &BackendId| backends.iter().any(|backend| backend.id == *name);
        if let Some(name) = self.backend.as_ref().filter(|name| !is_known(name)) {
            let known: Vec<&str> = backends.iter().map(|backend| backend.id.as_str()).collect();
            return Err(InterfaceError::UnknownBackend { name: name.clone(), known: known.join(", ") });
        }
        Ok(self)
    }
}
