//! The real binary's doors: token, TLS, and the bounds of connections as they are wired.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests: whatever goes wrong here fails them"
)]

mod agent_process;
#[path = "access/certificate.rs"]
mod certificate;

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::{Duration, Instant};

use agent_process::{AgentProcess, command, output};
use certificate::{Authority, Client};
use tempfile::TempDir;

const TOKEN: &str = "0123456789abcdef";
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder with one file, and the file's path.
fn file(content: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    (folder, path.to_str().unwrap().to_owned())
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// Everything until the agent closes the connection, be it by a reset.
fn rest(mut stream: TcpStream) -> String {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = Vec::new();
    if let Err(error) = stream.read_to_end(&mut text) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn a_token_is_asked_for_and_a_changed_one_taken_upon_a_hangup() {
    let (_folder, path) = file(&format!("{TOKEN}\n"));
    let agent = AgentProcess::start(&["--token-file", &path]);
    for route in ["/orchestrator/metrics", "/metrics", "/v1/report", "/nowhere"] {
        let refused = agent.ask("GET", route);
        assert_eq!(refused.status, 401, "{route}");
        assert!(refused.head.contains("www-authenticate: bearer"), "{}", refused.head);
        assert!(refused.body.contains("Authorization: Bearer TOKEN"), "{}", refused.body);
    }
    assert_eq!(agent.ask("GET", "/-/healthy").status, 200);
    assert_eq!(agent.ask_with("/v1/report", &bearer(TOKEN)).status, 200);
    assert_eq!(agent.ask_with("/nowhere", &bearer(TOKEN)).status, 404);

    fs::write(&path, "another-token-of-length").unwrap();
    agent.signal("HUP");
    agent.log_until("again");
    assert_eq!(agent.ask_with("/v1/report", &bearer("another-token-of-length")).status, 200);
    assert_eq!(agent.ask_with("/v1/report", &bearer(TOKEN)).status, 401);

    fs::write(&path, "short").unwrap();
    agent.signal("HUP");
    let warned = agent.log_until("stays in force");
    assert!(warned.contains(&path) && warned.contains("too short"), "{warned}");
    assert_eq!(agent.ask_with("/v1/report", &bearer("another-token-of-length")).status, 200);
}

#[test]
fn a_hangup_without_anything_to_read_again_harms_nothing() {
    let agent = AgentProcess::start(&[]);
    agent.signal("HUP");
    assert_eq!(agent.ask("GET", "/-/healthy").status, 200);
    assert_eq!(agent.stop("TERM").code(), Some(0));
}

#[test]
fn a_token_that_others_may_read_is_warned_of() {
    let (_folder, path) = file(TOKEN);
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let agent = AgentProcess::start(&["--token-file", &path]);
    assert!(agent.said_at_start(&format!("chmod o= {path}")));
}

#[test]
fn listening_beyond_this_machine_without_a_token_is_warned_of() {
    let agent = AgentProcess::start(&["--listen", "0.0.0.0:0"]);
    let warned = agent.log_until("whoever reaches");
    assert!(warned.contains("--token-file") && warned.contains("127.0.0.1"), "{warned}");
    assert_eq!(agent.ask("GET", "/metrics").status, 200);
}

#[test]
fn what_cannot_be_used_is_refused_at_the_start_with_what_to_do() {
    let (_empty, empty) = file("\n");
    let (_short, short) = file("secret");
    let authority = Authority::new();
    let (_one, certificate, key) = authority.files();
    let (_two, _, other_key) = authority.files();
    for (arguments, code, expected) in [
        (&["--token-file", "/no/such/file"][..], 1, &["/no/such/file", "--token-file"][..]),
        (&["--token-file", &empty], 1, &[&empty, "is empty", "openssl rand"]),
        (&["--token-file", &short], 1, &[&short, "too short", "16 or more"]),
        (&["--tls-key", &key], 2, &["--tls-certificate"]),
        (&["--tls-certificate", &certificate], 2, &["--tls-key"]),
        (&["--tls-certificate", &short, "--tls-key", &key], 1, &[&short, "no certificate", "PEM"]),
        (
            &["--tls-certificate", &certificate, "--tls-key", &short],
            1,
            &[&short, "no private key", "--tls-key"],
        ),
        (
            &["--tls-certificate", &certificate, "--tls-key", &other_key],
            1,
            &[&certificate, &other_key, "together"],
        ),
    ] {
        let output = output(arguments);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert!(expected.iter().all(|part| told.contains(part)), "{arguments:?} gives\n{told}");
    }
}

#[test]
fn over_tls_it_answers_who_trusts_its_authority_and_a_new_certificate_is_taken_upon_a_hangup() {
    let authority = Authority::new();
    let (_folder, certificate, key) = authority.files();
    let agent = AgentProcess::start(&["--tls-certificate", &certificate, "--tls-key", &key]);
    let mut client = Client::trusting(&authority);
    assert!(client.ask(&agent.address, "/metrics").unwrap().contains("orchestrator_host_"));
    let first = client.certificate();

    let plain = agent.send("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(!rest(plain).contains("200 OK"), "no answer without TLS");
    assert!(Client::trusting(&Authority::new()).ask(&agent.address, "/metrics").is_err());

    // The certificate first: with the old key it cannot be used, and the pair before stays in force.
    let (_other, new_certificate, new_key) = authority.files();
    fs::copy(&new_certificate, &certificate).unwrap();
    agent.signal("HUP");
    agent.log_until("stays in force");
    client.ask(&agent.address, "/metrics").unwrap();
    assert_eq!(client.certificate(), first);

    fs::copy(&new_key, &key).unwrap();
    agent.signal("HUP");
    agent.log_until("again");
    client.ask(&agent.address, "/metrics").unwrap();
    assert_ne!(client.certificate(), first);
}

#[test]
fn at_256_connections_one_more_is_told_so_and_served_once_some_close() {
    let agent = AgentProcess::start(&[]);
    let held: Vec<TcpStream> = (0..256).map(|_| TcpStream::connect(&agent.address).unwrap()).collect();
    let refused = agent.ask("GET", "/-/healthy");
    assert_eq!(refused.status, 503);
    assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);
    for stream in held {
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest(stream), "");
    }
    agent.ask_until("/-/healthy", |answer| answer.status == 200);
}

#[test]
fn heads_and_bodies_that_are_too_long_are_refused() {
    let agent = AgentProcess::start(&[]);
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(17 * 1024));
    assert!(rest(agent.send(&head)).contains(" 431 "));
    let body = "GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 4097\r\n\r\n";
    assert!(rest(agent.send(body)).contains(" 413 "));
    assert_eq!(agent.ask("GET", "/metrics").status, 200);
}

/// One test for all of them: each waits for the ten seconds that the program waits.
#[test]
fn whoever_asks_too_slowly_or_does_not_take_the_answer_is_cut_off() {
    let agent = AgentProcess::start(&[]);
    let begin = Instant::now();
    let half_head = agent.send("GET /metrics HTTP/1.1\r\nHost: a\r\n");
    let no_body = agent.send("GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n");
    let mut deaf = TcpStream::connect(&agent.address).unwrap();
    let asked = "GET /v1/report HTTP/1.1\r\nHost: a\r\n\r\n".repeat(64);
    // Fills both sides' buffers, and then waits until the agent gives up.
    while deaf.write_all(asked.as_bytes()).is_ok() {
        assert!(begin.elapsed() < PATIENCE, "it still takes requests");
    }
    assert!(begin.elapsed() > Duration::from_secs(9), "{:?}", begin.elapsed());
    assert_eq!(rest(half_head), "");
    assert!(!rest(no_body).contains("200 OK"));
    assert_eq!(agent.ask("GET", "/-/healthy").status, 200);
}

/// A file that hangs whoever reads it, until its writer is dropped.
fn pipe(path: &str) {
    fs::remove_file(path).unwrap();
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Returns when the agent has opened the pipe.
fn writer(path: &str) -> fs::File {
    fs::OpenOptions::new().write(true).open(path).unwrap()
}

#[test]
fn a_token_file_that_hangs_does_not_keep_the_agent_from_ending() {
    let (_folder, path) = file(TOKEN);
    let agent = AgentProcess::start(&["--token-file", &path]);
    pipe(&path);
    agent.signal("HUP");
    let _held = writer(&path);
    assert_eq!(agent.ask("GET", "/-/healthy").status, 200);
    assert_eq!(agent.stop("TERM").code(), Some(0));
}

#[test]
fn an_agent_whose_token_file_hangs_at_the_start_can_be_ended() {
    let (_folder, path) = file(TOKEN);
    pipe(&path);
    let mut agent = command(&["--token-file", &path]).spawn().unwrap();
    let _held = writer(&path);
    let terminate = Command::new("kill").arg(agent.id().to_string()).status().unwrap();
    assert!(terminate.success());
    assert_eq!(agent.wait().unwrap().signal(), Some(15));
}
