//! The programs under measurement as child processes, stopped when dropped.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::client::Connection;

/// How long a program may take until it is ready.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is asked whether it is.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A running program that serves HTTP.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Program {
    /// Starts a program and waits until `path` answers 200.
    pub(crate) fn start(mut command: Command, address: SocketAddr, path: &str) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().with_context(|| format!("start {name}"))?;
        let mut program = Self { address, child };
        program.ready(path).with_context(|| format!("wait for {name} to serve {path} on {address}"))?;
        Ok(program)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn ready(&mut self, path: &str) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().context("look after it")? {
                bail!("it ended: {status}");
            }
            let answer = Connection::open(self.address).and_then(|mut connection| connection.get(path));
            if answer.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            thread::sleep(LOOK_EVERY);
        }
        bail!("it was not ready within {PATIENCE:?}")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Where it has ended already there is nothing to stop.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address of the loopback interface that was free a moment ago.
pub(crate) fn free_address() -> Result<SocketAddr> {
    free_addresses(1)?.pop().context("find a free port")
}

/// So many of them, all different.
pub(crate) fn free_addresses(count: usize) -> Result<Vec<SocketAddr>> {
    let listeners = (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    // All at once, or one could be found twice.
    let listeners = listeners.collect::<std::io::Result<Vec<_>>>().context("find free ports")?;
    listeners.iter().map(|listener| listener.local_addr().context("find a free port")).collect()
}

/// A binary of this workspace, beside the one that runs.
pub(crate) fn binary(name: &str) -> Result<PathBuf> {
    let this = std::env::current_exe().context("find this program's folder")?;
    let path = this.parent().unwrap_or(Path::new("/")).join(name);
    ensure!(
        path.is_file(),
        "there is no {}: build it first with `cargo build --release -p agent -p collector -p bench`",
        path.display(),
    );
    Ok(path)
}
