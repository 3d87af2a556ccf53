//! HTTP and WebSocket over TLS: a simulated server behind a proxy whose certificate an authority made for the test has
//! signed.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;

use comfyui::{Cause, Client, Error, Socket};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sim::{Comfy, ComfyConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use url::Url;

/// A server, its URL by a name, and the certificate of the authority that vouches for another name or the same.
struct Server {
    _comfy: Comfy,
    url: Url,
    authority_pem: String,
}

async fn server(name: &str, certified_name: &str) -> Server {
    let comfy = Comfy::start(ComfyConfig::default()).await.unwrap();
    let behind = comfy.url().trim_start_matches("http://").to_owned();
    let authority = authority();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("https://{name}:{}", listener.local_addr().unwrap().port()).parse().unwrap();
    tokio::spawn(proxy(listener, acceptor(&authority, certified_name), behind));
    Server { _comfy: comfy, url, authority_pem: authority.pem() }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn acceptor(authority: &CertifiedIssuer<'_, KeyPair>, name: &str) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn proxy(listener: TcpListener, acceptor: TlsAcceptor, behind: String) {
    while let Ok((connection, _)) = listener.accept().await {
        tokio::spawn(pass(connection, acceptor.clone(), behind.clone()));
    }
}

/// Ends without a word where the handshake fails: who does not trust the certificate goes away.
async fn pass(connection: TcpStream, acceptor: TlsAcceptor, behind: String) {
    let Ok(mut outside) = acceptor.accept(connection).await else { return };
    let mut inside = TcpStream::connect(behind).await.unwrap();
    let _either_side_may_leave = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
}

/// Why a client cannot reach it, by HTTP and by WebSocket.
async fn refusals(client: &Client) -> [Error; 2] {
    [client.queue_remaining().await.unwrap_err(), Socket::connect(client, "me", None).await.unwrap_err()]
}

async fn is_reached(client: &Client) {
    assert_eq!(client.queue_remaining().await.unwrap().exec_info.queue_remaining, 0);
    let mut socket = Socket::connect(client, "me", None).await.unwrap();
    socket.next().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_server_whose_authority_is_trusted_is_reached_by_name_and_by_address() {
    for name in ["localhost", "127.0.0.1"] {
        let server = server(name, name).await;
        is_reached(&Client::trusting(&server.url, server.authority_pem.as_bytes()).unwrap()).await;
    }
}

#[tokio::test]
async fn an_authority_that_is_not_trusted_is_told_with_what_to_do() {
    let server = server("127.0.0.1", "127.0.0.1").await;
    for error in refusals(&Client::new(&server.url).unwrap()).await {
        assert!(matches!(error.cause, Cause::Unreachable(_)) && error.never_sent(), "{error:?}");
        let told = error.to_string();
        assert!(told.contains("invalid peer certificate: UnknownIssuer"), "{told}");
        assert!(told.contains("SSL_CERT_FILE"), "{told}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_told_with_both_names() {
    let server = server("127.0.0.1", "elsewhere.test").await;
    let client = Client::trusting(&server.url, server.authority_pem.as_bytes()).unwrap();
    for error in refusals(&client).await {
        assert!(matches!(error.cause, Cause::Unreachable(_)) && error.never_sent(), "{error:?}");
        let told = error.to_string();
        assert!(told.contains("127.0.0.1") && told.contains("elsewhere.test"), "{told}");
    }
}

#[test]
fn a_text_without_a_certificate_is_refused() {
    let url = "https://h".parse().unwrap();
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for pem in ["", "certificate", broken] {
        let error = Client::trusting(&url, pem.as_bytes()).unwrap_err();
        assert!(matches!(&error.cause, Cause::Unsendable(why) if why.contains("certificate")), "{error:?}");
    }
}

/// Where the test in a process of its own finds its server.
const URL: &str = "COMFYUI_TEST_URL";

#[tokio::test]
async fn the_certificates_that_the_environment_names_are_trusted() {
    let server = server("127.0.0.1", "127.0.0.1").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, &server.authority_pem).unwrap();
    let mut inner = Command::new(std::env::current_exe().unwrap());
    inner.args(["--exact", "tls::in_a_process_of_its_own_the_environment_is_heard", "--ignored"]);
    inner.env("SSL_CERT_FILE", file).env(URL, server.url.as_str());
    let output = tokio::task::spawn_blocking(move || inner.output().unwrap()).await.unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

#[tokio::test]
#[ignore = "started by the_certificates_that_the_environment_names_are_trusted with an environment of its own"]
async fn in_a_process_of_its_own_the_environment_is_heard() {
    let url = std::env::var(URL).unwrap().parse().unwrap();
    is_reached(&Client::new(&url).unwrap()).await;
}
