//! Where the web interface comes from. Whether its folder and its backend exist is found out at the start, not by the first
//! person who opens the page.

use std::path::PathBuf;

use super::Backend;
use crate::id::BackendId;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interface {
    /// Its files; without it those that a backend serves.
    pub folder: Option<PathBuf>,
    /// Who serves what no folder holds; without it the first backend that is up.
    pub backend: Option<BackendId>,
}

#[derive(Debug, thiserror::Error)]
pub enum InterfaceError {
    #[error(
        "{folder}, which interface_dir names, holds no web interface: there is no index.html; name the folder \
         comfyui_frontend_package/static of an installed comfyui-frontend-package, or leave interface_dir out"
    )]
    NoPage { folder: PathBuf },
    #[error("no backend is called {name}, which interface_backend names; there are {known}")]
    UnknownBackend { name: BackendId, known: String },
}

impl Interface {
    pub(super) fn checked(self, backends: &[Backend]) -> Result<Self, InterfaceError> {
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
