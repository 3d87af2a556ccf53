//! The TLS configurations, for HTTP and WebSocket alike: rustls with ring, and the certificates that are trusted.

use std::io;
use std::sync::{Arc, OnceLock};

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ClientConfig, RootCertStore};

/// The configuration that trusts what the system trusts, made at the first call: reading the system's certificates takes
/// milliseconds.
///
/// A system without certificates makes connections to `https` fail with an unknown issuer, and `http` work.
pub(crate) fn config() -> Result<Arc<ClientConfig>, rustls::Error> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let fresh = with(trusted())?;
    Ok(CONFIG.get_or_init(|| fresh).clone())
}

/// A configuration that trusts these certificates (PEM) too. `Err` says why not.
pub(crate) fn trusting(certificates_pem: &[u8]) -> Result<Arc<ClientConfig>, String> {
    let mut roots = trusted();
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(certificates_pem) {
        let certificate = certificate.map_err(|why| format!("a certificate cannot be read: {why}"))?;
        roots.add(certificate).map_err(|why| format!("a certificate cannot be trusted: {why}"))?;
    }
    if roots.len() == before {
        return Err("there is no certificate in the PEM text".to_owned());
    }
    with(roots).map_err(|why| why.to_string())
}

/// What is wrong with the other side's TLS, if that is what this error is about.
pub(crate) fn fault(error: &io::Error) -> Option<String> {
    let inner = error.get_ref()?;
    if let Some(error) = inner.downcast_ref::<io::Error>() {
        return fault(error);
    }
    Some(match inner.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => format!(
            "{error}: to trust a private authority, add its certificate to the system's or name its file in SSL_CERT_FILE"
        ),
        error => error.to_string(),
    })
}

fn with(roots: RootCertStore) -> Result<Arc<ClientConfig>, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

fn trusted() -> RootCertStore {
    let mut trusted = RootCertStore::empty();
    trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    trusted
}
