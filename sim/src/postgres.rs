//! A PostgreSQL cluster of one's own, in a temporary directory: made, started, stopped and killed on command, and gone
//! with whoever made it, however that ends. It listens on a Unix socket, and on addresses of one's choice.
//!
//! The programs are the system's ([`crate::outside::Outside::Postgres`]). They refuse to run as root, so root runs them
//! as the user `postgres`, or as `nobody` where there is none.

use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

/// What it takes to clean up: waits until its standard input ends, as it does with the process that holds it.
const GUARD: &str = r#"cat >/dev/null; "$1/pg_ctl" --pgdata "$2/data" --mode immediate stop; rm -rf "$2""#;
/// The least that a test wants to wait; what the system loses with a power cut no test asks for.
const FAST: [&str; 3] = ["fsync=off", "full_page_writes=off", "shared_buffers=64MB"];
const INITDB: [&str; 5] =
    ["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username=orchestrator"];
/// Who may connect, and how: the user `guarded` with its password, all others without.
const MAY_CONNECT: &str = "local all guarded scram-sha-256\nlocal all all trust\nhost all all all trust\n";
const PSQL: [&str; 5] = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"];

/// How a cluster is made.
#[derive(Clone, Debug, Default)]
pub struct ClusterConfig {
    /// Settings of the server, as `name=value`.
    pub settings: Vec<String>,
    /// Commits survive a power cut, at the price that they have in earnest.
    pub durable: bool,
    /// Where its directory is made, for all to enter; `None`: in the one for temporary files.
    pub within: Option<PathBuf>,
}

/// A running cluster.
pub struct Cluster {
    programs: PathBuf,
    directory: PathBuf,
    user: Option<(u32, u32)>,
    settings: Vec<String>,
    guard: (Child, Option<ChildStdin>),
}

impl Cluster {
    /// Makes it with the programs of a folder, and starts it.
    ///
    /// # Errors
    /// A program cannot be run, or says why it fails.
    pub fn start(programs: &Path, config: ClusterConfig) -> io::Result<Self> {
        let user = unprivileged_user()?;
        let within = config.within.unwrap_or_else(std::env::temp_dir);
        let directory = within.join(format!("postgres-{}", uuid::Uuid::new_v4().simple()));
        fs::create_dir(&directory)?;
        if let Some((user, group)) = user {
            chown(&directory, Some(user), Some(group))?;
        }
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "sh"]).args([programs, &directory]).current_dir("/");
        guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // What is typed at a terminal to end the tests is not for it.
        let mut guard = as_user(&mut guard, user).process_group(0).spawn()?;
        let held = guard.stdin.take();
        let fast = FAST.iter().filter(|_| !config.durable).map(|setting| (*setting).to_owned());
        let settings = fast.chain(config.settings).collect();
        let cluster = Self { programs: programs.to_owned(), directory, user, settings, guard: (guard, held) };
        cluster.run("initdb", &INITDB)?;
        fs::write(cluster.directory.join("data/pg_hba.conf"), MAY_CONNECT)?;
        cluster.start_again()?;
        Ok(cluster)
    }

    /// After [`Cluster::stop`] or [`Cluster::kill`].
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_again(&self) -> io::Result<()> {
        let socket = format!("unix_socket_directories={}", self.directory.display());
        let listen = "listen_addresses=".to_owned();
        let given = [socket, listen].into_iter().chain(self.settings.iter().cloned());
        let options = given.map(|setting| format!("-c '{setting}'")).collect::<Vec<_>>().join(" ");
        self.run("pg_ctl", &["start", "--wait", "--log", "log", "--options", &options]).map(drop)
    }

    /// Ends every connection and then itself, in good order.
    ///
    /// # Errors
    /// It does not run.
    pub fn stop(&self) -> io::Result<()> {
        self.run("pg_ctl", &["stop", "--wait", "--mode", "fast"]).map(drop)
    }

    /// Ends at once, as by `kill -9`: the next start recovers what was committed.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill(&self) -> io::Result<()> {
        self.run("pg_ctl", &["stop", "--wait", "--mode", "immediate"]).map(drop)
    }

    /// A new, empty database, by its URL.
    ///
    /// # Errors
    /// There is one of this name already, or the cluster does not run.
    pub fn database(&self, name: &str) -> io::Result<String> {
        self.run("createdb", &[name])?;
        Ok(self.url(name))
    }

    /// Of a database that was made.
    pub fn url(&self, name: &str) -> String {
        let socket = self.directory.to_string_lossy().replace('/', "%2F");
        format!("postgres://orchestrator@{socket}/{name}")
    }

    /// Runs statements in a database, as `psql` takes them, and gives what they print.
    ///
    /// # Errors
    /// One of them fails.
    pub fn run_sql(&self, database: &str, sql: &str) -> io::Result<String> {
        self.run("psql", &[&PSQL[..], &["--dbname", database, "--command", sql]].concat())
    }

    /// The folder of the programs that it runs with.
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// Where it writes its log and its socket.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn run(&self, program: &str, arguments: &[&str]) -> io::Result<String> {
        let mut command = Command::new(self.programs.join(program));
        command.args(arguments).current_dir(&self.directory).stdin(Stdio::null());
        command.env_clear().env("PGDATA", self.directory.join("data"));
        command.env("PGHOST", &self.directory).env("PGUSER", "orchestrator");
        let done = as_user(&mut command, self.user).output()?;
        if done.status.success() {
            return Ok(String::from_utf8_lossy(&done.stdout).trim_end().to_owned());
        }
        let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        let said = String::from_utf8_lossy(&done.stderr);
        Err(io::Error::other(format!("{program} failed: {said}{log}")))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let (guard, held) = &mut self.guard;
        drop(held.take());
        // It ends by itself; where it cannot be waited for, it does so a little later.
        let _ = guard.wait();
    }
}

fn as_user(command: &mut Command, user: Option<(u32, u32)>) -> &mut Command {
    match user {
        Some((user, group)) => command.uid(user).gid(group),
        None => command,
    }
}

/// `None` for whoever is not root.
fn unprivileged_user() -> io::Result<Option<(u32, u32)>> {
    use std::os::unix::fs::MetadataExt;
    if fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let find = |name: &str| users.lines().find_map(|line| ids_of(line, name));
    let found = find("postgres").or_else(|| find("nobody"));
    found
        .map(Some)
        .ok_or_else(|| io::Error::other("root may not run PostgreSQL, and there is no user to run it as"))
}

fn ids_of(line: &str, name: &str) -> Option<(u32, u32)> {
    let mut fields = line.split(':');
    let is_meant = fields.next() == Some(name);
    let mut ids = fields.skip(1).map(str::parse);
    is_meant.then_some((ids.next()?.ok()?, ids.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_a_user_are_read() {
        assert_eq!(
            ids_of("postgres:x:113:121:,,,:/var/lib/postgresql:/bin/bash", "postgres"),
            Some((113, 121))
        );
        assert_eq!(ids_of("postgresql:x:1:2::/:/bin/sh", "postgres"), None);
    }
}
