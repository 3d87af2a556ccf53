//! Agents that ask for a token or speak TLS: the collector shows the token to them, and to nobody else.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::response::IntoResponse;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use sim::{Agent, AgentConfig, Generation};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::program::{Program, refusal};
use super::stage::comfy;
use super::wait::until;

const TOKEN: &str = "0123456789abcdef";

async fn agent_with_token() -> Agent {
    Agent::start(AgentConfig { token: Some(TOKEN.to_owned()), ..AgentConfig::default() }).await.unwrap()
}

/// A file's text: one backend, its agent, and more keys.
fn configuration(comfy: &str, agent: &str, keys: &str) -> String {
    let backend = format!("[[backend]]\nname = 'a'\nurl = '{comfy}'\nagent = '{agent}'\n");
    format!("listen = '127.0.0.1:0'\npoll_interval = '50ms'\nlog = 'trace'\n{keys}\n{backend}")
}

/// The key that names a file of this text, written beside the state.
fn key(name: &str, state: &Path, text: &str) -> String {
    let path = state.join(name);
    std::fs::write(&path, text).unwrap();
    format!("{name} = '{}'", path.display())
}

async fn figures(program: &Program) -> Value {
    let ask = async || {
        let (status, figures) = program.client.ask("/orchestrator/metrics?backend=a").await;
        (status == 200).then_some(figures)
    };
    until("the agent's figures are known", ask).await
}

/// The line that says why the agent is down.
async fn agent_down(program: &Program) -> String {
    let told = async || program.lines().into_iter().find(|line| line.contains("agent is down"));
    until("the agent is told as down", told).await
}

fn never_shows_the_token(program: &Program) {
    let lines = program.lines();
    assert!(!lines.iter().any(|line| line.contains(TOKEN)), "{lines:#?}");
}

#[tokio::test]
async fn an_agent_that_asks_for_a_token_gets_it_and_no_log_shows_it() {
    let (state, comfy, agent) =
        (tempfile::tempdir().unwrap(), comfy(Generation::V0_8).await, agent_with_token().await);
    let token = key("agent_token_file", state.path(), TOKEN);
    let text = configuration(&comfy.url(), &agent.url(), &token);
    let program = Program::configured(&text, state.path()).await;
    assert!(figures(&program).await["ram_total"].as_u64().is_some());
    agent.kill().await;
    agent_down(&program).await;
    never_shows_the_token(&program);
}

#[tokio::test]
async fn without_the_token_or_with_another_the_agent_is_down_and_the_reason_says_what_to_do() {
    for (shown, expected) in [(None, "name a file"), (Some("another-0123456789"), "another token")] {
        let (state, comfy, agent) =
            (tempfile::tempdir().unwrap(), comfy(Generation::V0_8).await, agent_with_token().await);
        let token = shown.map(|token| key("agent_token_file", state.path(), token)).unwrap_or_default();
        let text = configuration(&comfy.url(), &agent.url(), &token);
        let program = Program::configured(&text, state.path()).await;
        let told = agent_down(&program).await;
        assert!(told.contains(expected) && told.contains("agent_token_file"), "{told}");
    }
}

/// Whatever was asked of a server that has nothing, and whether credentials came along.
type Asked = Arc<Mutex<BTreeSet<(String, bool)>>>;

async fn bare_server() -> (String, Asked) {
    let asked = Asked::default();
    let noted = Arc::clone(&asked);
    let note = async move |request: Request| {
        let credentials = request.headers().contains_key(AUTHORIZATION);
        noted.lock().unwrap().insert((request.uri().path().to_owned(), credentials));
        StatusCode::NOT_FOUND.into_response()
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, Router::new().fallback(note)).await });
    (url, asked)
}

#[tokio::test]
async fn no_comfyui_is_shown_the_token_even_where_it_is_asked_in_the_agents_place() {
    let gone = agent_with_token().await;
    gone.kill().await;
    for its_own_agent in [false, true] {
        let (state, (comfy, asked)) = (tempfile::tempdir().unwrap(), bare_server().await);
        let token = key("agent_token_file", state.path(), TOKEN);
        let agent = if its_own_agent { comfy.clone() } else { gone.url() };
        let _program = Program::configured(&configuration(&comfy, &agent, &token), state.path()).await;
        let all = ["/orchestrator/metrics", "/prompt", "/ws"];
        let seen = async || {
            let asked = asked.lock().unwrap().clone();
            all.iter().all(|path| asked.iter().any(|(seen, _)| seen == path)).then_some(asked)
        };
        let asked = until("the server was asked for everything", seen).await;
        assert!(asked.iter().all(|(_, credentials)| !credentials), "{asked:?}");
    }
}

/// An address where what is behind answers by TLS, and the certificate of the authority that vouches for it.
async fn tls_before(behind: String) -> (String, String) {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &authority);
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = builder.with_single_cert(vec![certificate.unwrap().der().clone()], key).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(pass(listener, TlsAcceptor::from(Arc::new(config)), behind));
    (url, authority.pem())
}

async fn pass(listener: TcpListener, acceptor: TlsAcceptor, behind: String) {
    while let Ok((connection, _)) = listener.accept().await {
        let (acceptor, behind) = (acceptor.clone(), behind.clone());
        tokio::spawn(async move {
            // Who does not trust the certificate goes away.
            let Ok(mut outside) = acceptor.accept(connection).await else { return };
            let mut inside = TcpStream::connect(behind).await.unwrap();
            let _either_side_may_leave = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
        });
    }
}

#[tokio::test]
async fn an_agent_whose_private_authority_is_named_is_read_over_tls() {
    let (state, comfy, agent) =
        (tempfile::tempdir().unwrap(), comfy(Generation::V0_8).await, agent_with_token().await);
    let (url, authority) = tls_before(agent.url().replace("http://", "")).await;
    let token = key("agent_token_file", state.path(), TOKEN);
    let untrusting = configuration(&comfy.url(), &url, &token);
    let program = Program::configured(&untrusting, &state.path().join("first")).await;
    let told = agent_down(&program).await;
    assert!(told.contains("UnknownIssuer"), "{told}");

    let keys = format!("{token}\n{}", key("agent_ca_file", state.path(), &authority));
    let trusting = configuration(&comfy.url(), &url, &keys);
    let program = Program::configured(&trusting, &state.path().join("second")).await;
    figures(&program).await;
    never_shows_the_token(&program);
}

#[tokio::test]
async fn an_authority_without_a_certificate_refuses_the_start_with_what_to_do() {
    let state = tempfile::tempdir().unwrap();
    let ca = state.path().join("ca.pem");
    std::fs::write(&ca, "no certificate").unwrap();
    let arguments = ["--listen", "127.0.0.1:0", "--agent-ca-file", ca.to_str().unwrap()];
    let state = ["--state-directory", state.path().to_str().unwrap()];
    let refusal = refusal(&[&arguments[..], &state].concat()).await;
    for part in ["agent_ca_file", ca.to_str().unwrap(), "no certificate", "PEM"] {
        assert!(refusal.said.contains(part), "{part} in {}", refusal.said);
    }
    assert_eq!(refusal.code, 1);
}
