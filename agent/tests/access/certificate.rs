//! Certificates made for a test, and a client that trusts their authority.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::ring;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// The paths of a fresh certificate for 127.0.0.1 and of its key, in a folder that goes when it is dropped.
    pub(crate) fn files(&self) -> (TempDir, String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (certificate, key) = (write("c.pem", certificate.pem()), write("k.pem", key.serialize_pem()));
        (folder, certificate, key)
    }
}

pub(crate) struct Client {
    config: Arc<ClientConfig>,
    seen: Vec<u8>,
}

impl Client {
    pub(crate) fn trusting(authority: &Authority) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.0.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        Self { config: Arc::new(config), seen: Vec::new() }
    }

    /// The whole answer, head and body.
    pub(crate) fn ask(&mut self, address: &str, path: &str) -> io::Result<String> {
        let name = "127.0.0.1".try_into().unwrap();
        let session = ClientConnection::new(Arc::clone(&self.config), name).unwrap();
        let mut stream = StreamOwned::new(session, TcpStream::connect(address)?);
        write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        self.seen = stream.conn.peer_certificates().unwrap()[0].to_vec();
        Ok(answer)
    }

    /// The one that the last answer came with.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        self.seen.clone()
    }
}
