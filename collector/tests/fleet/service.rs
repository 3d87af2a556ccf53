//! As a service of systemd: what the service manager is told, the socket that it passes, and the end.

use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use sim::{Fault, FaultKind, Generation};

use super::program::{Program, configuration};
use super::prompts::picture;
use super::stage::{comfy, outcomes_of, takes_jobs};
use super::wait::{PATIENCE, until};

/// Where a service manager listens.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new(folder: &Path) -> Self {
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, path }
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("NOTIFY_SOCKET", self.path.to_str().unwrap().to_owned()),
            ("WATCHDOG_USEC", "300000".to_owned()),
        ]
    }

    /// The next message that is no sign of life.
    fn told(&self) -> String {
        loop {
            let told = self.any();
            if told != "WATCHDOG=1\n" {
                return told;
            }
        }
    }

    fn any(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_is_told_of_readiness_life_reloads_and_the_end() {
    let (state, comfys) = (tempfile::tempdir().unwrap(), [comfy(Generation::V0_8).await]);
    let manager = Manager::new(state.path());
    let program = Program::with(&configuration(&comfys), state.path(), &manager.variables()).await;
    let ready = manager.told();
    assert!(ready.starts_with("READY=1\nSTATUS=1 backends; listening on http://127.0.0.1:"), "{ready}");
    for _ in 0..3 {
        assert_eq!(manager.any(), "WATCHDOG=1\n");
    }
    program.hang_up();
    let reloading = manager.told();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(manager.told(), "READY=1\n");
    let stopped = program.stop();
    assert_eq!(stopped.await, 0);
    assert_eq!(manager.told(), "STOPPING=1\n");
}

#[tokio::test]
async fn a_socket_that_is_passed_is_the_one_that_is_served() {
    let (state, comfys) = (tempfile::tempdir().unwrap(), [comfy(Generation::V0_8).await]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    // Its standard input is descriptor 0, which stands here for systemd's first, 3.
    let passed = Stdio::from(listener.as_fd().try_clone_to_owned().unwrap());
    let variables = [("LISTEN_FDS", "1".to_owned()), ("LISTEN_FDS_FIRST_FD", "0".to_owned())];
    let program = Program::given(&configuration(&comfys), state.path(), &variables, passed).await;
    assert_eq!(program.client.url, address);
    takes_jobs(&program.client, "a", true).await;
}

#[tokio::test]
async fn a_job_that_is_being_handed_over_when_it_ends_is_handed_over_and_runs_once() {
    let (state, comfys) = (tempfile::tempdir().unwrap(), [comfy(Generation::V0_8).await]);
    let text = format!("log = 'debug'\n{}", configuration(&comfys));
    let program = Program::configured(&text, state.path()).await;
    takes_jobs(&program.client, "a", true).await;
    comfys[0].hold();
    comfys[0].fail(Fault::once("POST /prompt", FaultKind::Delay(Duration::from_millis(500))));
    let id = program.client.submit(&picture(1)).await;
    let dispatched =
        async || program.lines().iter().any(|line| line.contains("job dispatched")).then_some(());
    until("the job is on its way", dispatched).await;
    assert_eq!(program.stop().await, 0);
    // One that was cut off would never come.
    comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    comfys[0].release();
    let program = Program::configured(&text, state.path()).await;
    program.client.succeeded(&id).await;
    assert_eq!(outcomes_of(&comfys[0], &id).len(), 1);
}
