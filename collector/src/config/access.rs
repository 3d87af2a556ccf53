//! Who may ask, over what: where the files are. What they hold is `access`' matter.

use std::path::PathBuf;

use url::Url;

/// Without any of it, whoever reaches the address may do everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    pub token_file: Option<PathBuf>,
    pub tls: Option<TlsFiles>,
    /// Listen beyond this machine without tokens.
    pub insecure: bool,
    /// Names, besides addresses and localhost, by which clients call the collector. Asked for without tokens only.
    pub allowed_hosts: Vec<String>,
    /// Sites whose pages may ask and act here from a browser.
    pub cors_origins: Vec<Url>,
    /// As browsers reach the collector, where a proxy is before it.
    pub public_url: Option<Url>,
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, thiserror::Error)]
#[error("tls_certificate and tls_key go together: name both files, or neither")]
pub struct HalfCertificate;

impl TlsFiles {
    pub(super) fn of(
        certificate: Option<PathBuf>,
        key: Option<PathBuf>,
    ) -> Result<Option<Self>, HalfCertificate> {
        match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(Some(Self { certificate, key })),
            (None, None) => Ok(None),
            _ => Err(HalfCertificate),
        }
    }
}
