//! The one TLS configuration, for HTTP and WebSocket: rustls with ring, and the certificates that the system trusts.

use std::sync::{Arc, OnceLock};

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

/// The configuration, made at the first call: reading the system's certificates takes milliseconds.
///
/// A system without certificates makes connections to `https` fail with an unknown issuer, and `http` work.
pub(crate) fn config() -> Result<Arc<ClientConfig>, rustls::Error> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let fresh = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(trusted())
        .with_no_client_auth();
    Ok(CONFIG.get_or_init(|| Arc::new(fresh)).clone())
}

fn trusted() -> RootCertStore {
    let mut trusted = RootCertStore::empty();
    trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    trusted
}
