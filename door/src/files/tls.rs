//! The certificate and its key, as rustls with ring serves them: TLS 1.2 and 1.3, HTTP/1.1.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::{Error, Kind, file};

/// How a server speaks TLS, and until when clients trust its certificate.
#[derive(Debug)]
pub struct Tls {
    /// For rustls.
    pub server: Arc<ServerConfig>,
    /// The end of the first certificate of the chain to expire, since the Unix epoch.
    pub expires: Option<Duration>,
}

pub(super) fn read(certificate: &Path, key: &Path) -> Result<Tls, Error> {
    let (chain, secret) = (chain(certificate)?, secret(key)?);
    let expires = chain.iter().filter_map(end).min();
    let pair = |source| Error::Pair { certificate: certificate.to_owned(), key: key.to_owned(), source };
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(pair)?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, secret).map_err(pair)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A scraper keeps its connection; remembering sessions would only take memory.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Tls { server: Arc::new(config), expires })
}

/// rustls has found that it is a certificate; one that says its end otherwise than it should is used all the same.
fn end(certificate: &CertificateDer<'_>) -> Option<Duration> {
    let certificate = Certificate::from_der(certificate).ok()?;
    Some(certificate.tbs_certificate().validity().not_after.to_unix_duration())
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let content = file::read(Kind::Certificate, path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&content).collect();
    match chain {
        Ok(chain) if chain.is_empty() => {
            Err(unusable(Kind::Certificate, path, "there is no certificate in it".to_owned()))
        }
        Ok(chain) => Ok(chain),
        Err(error) => Err(unusable(Kind::Certificate, path, error.to_string())),
    }
}

fn secret(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let content = file::read_secret(Kind::Key, path)?;
    PrivateKeyDer::from_pem_slice(&content).map_err(|error| {
        let reason = match error {
            pem::Error::NoItemsFound => "there is no private key without a password in it".to_owned(),
            // The others may quote the file.
            _ => "its PEM text is damaged".to_owned(),
        };
        unusable(Kind::Key, path, reason)
    })
}

fn unusable(kind: Kind, path: &Path, reason: String) -> Error {
    Error::Pem { kind, path: path.to_owned(), reason }
}
