//! As a service of systemd: what the service manager is told, and the socket that it passes.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests: whatever goes wrong here fails them"
)]

mod agent_process;

use std::fs;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Duration;

use agent_process::{AgentProcess, command, output};

const PATIENCE: Duration = Duration::from_secs(20);

/// The next message that is no sign of life.
fn told(manager: &UnixDatagram) -> String {
    let mut buffer = [0; 4096];
    loop {
        let length = manager.recv(&mut buffer).unwrap();
        let told = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if told != "WATCHDOG=1\n" {
            return told;
        }
    }
}

#[test]
fn the_service_manager_is_told_of_readiness_life_reloads_and_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (path, token) = (folder.path().join("notify"), folder.path().join("token"));
    fs::write(&token, "0123456789abcdef").unwrap();
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let variables = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "300000")];
    let agent = AgentProcess::start_with(&["--token-file", token.to_str().unwrap()], &variables);
    assert_eq!(told(&manager), format!("READY=1\nSTATUS=listening on http://{}\n", agent.address));
    for _ in 0..3 {
        let mut life = [0; 64];
        let length = manager.recv(&mut life).unwrap();
        assert_eq!(&life[..length], b"WATCHDOG=1\n");
    }
    agent.signal("HUP");
    assert!(told(&manager).starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(told(&manager), "READY=1\n");
    agent.stop("TERM");
    assert_eq!(told(&manager), "STOPPING=1\n");
}

#[test]
fn a_socket_that_is_passed_is_the_one_that_is_served() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // Its standard input is descriptor 0, which stands here for systemd's first, 3.
    let passed = Stdio::from(listener.as_fd().try_clone_to_owned().unwrap());
    let variables = [("LISTEN_FDS", "1"), ("LISTEN_FDS_FIRST_FD", "0")];
    let agent = AgentProcess::start_given(&["--listen", "127.0.0.1:1"], &variables, passed);
    assert_eq!(agent.address, address);
    assert_eq!(agent.ask("GET", "/-/healthy").status, 200);
}

#[test]
fn several_sockets_are_refused_with_what_to_do() {
    let refused = command(&[]).envs([("LISTEN_FDS", "2"), ("LISTEN_FDS_FIRST_FD", "0")]).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        !refused.status.success() && said.contains("passes 2 sockets; leave one ListenStream="),
        "{said}"
    );
}

#[test]
fn check_tells_each_value_and_where_it_is_from_and_refuses_what_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    let path = token.to_str().unwrap();
    fs::write(&token, "0123456789abcdef").unwrap();
    let checked =
        command(&["--check", "--gpu", "all"]).env("ORCHESTRATOR_AGENT_TOKEN_FILE", path).output().unwrap();
    let said = String::from_utf8(checked.stdout).unwrap();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = said.lines().map(words).collect();
    for line in [
        "--gpu all --gpu".to_owned(),
        format!("--token-file {path} $ORCHESTRATOR_AGENT_TOKEN_FILE"),
        "--listen 127.0.0.1:9188 default".to_owned(),
    ] {
        assert!(lines.contains(&line), "{line} is not in\n{said}");
    }
    assert!(checked.status.success() && !said.contains("0123456789abcdef"));

    fs::write(&token, "short").unwrap();
    let refused = output(&["--check", "--token-file", path]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(1) && said.contains("too short"), "{said}");
}
