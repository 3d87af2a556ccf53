//! The real program as a process of its own: for what only a process can show, such as being killed.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use sim::Comfy;

use super::client::Client;
use super::stage::NAMES;
use super::wait::until;

/// What it writes to standard error, line by line.
type Lines = Arc<Mutex<Vec<String>>>;

pub(crate) struct Program {
    process: Process,
    lines: Lines,
    pub(crate) client: Client,
}

/// How a program ended that was not to start.
pub(crate) struct Refusal {
    pub(crate) code: i32,
    pub(crate) said: String,
}

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_orchestrator-collector");

/// A command that runs the program, itself or by another: what the caller's environment configures must not reach it.
pub(crate) fn cleared(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ORCHESTRATOR_COLLECTOR_") {
            command.env_remove(name);
        }
    }
    command.env_remove("STATE_DIRECTORY");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// A process that ends with the test, however that ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a program that must refuse to start.
pub(crate) async fn refusal(arguments: &[&str]) -> Refusal {
    let mut process = Process(cleared(Command::new(PROGRAM)).args(arguments).spawn().unwrap());
    let status = until("the program refuses to start", async || process.0.try_wait().unwrap()).await;
    let mut said = String::new();
    process.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!status.success(), "it started");
    Refusal { code: status.code().unwrap(), said }
}

/// A configuration file that names the servers as a stage does.
pub(crate) fn configuration(comfys: &[Comfy]) -> String {
    let backends = comfys.iter().zip(NAMES).map(|(comfy, name)| {
        format!("[[backend]]\nname = '{name}'\nurl = '{0}'\nagent = '{0}'\n", comfy.url())
    });
    format!("listen = '127.0.0.1:0'\npoll_interval = '50ms'\n{}", backends.collect::<String>())
}

impl Program {
    /// Starts it on a state directory that may have been used before, and waits until it listens.
    pub(crate) async fn start(comfys: &[Comfy], state: &std::path::Path) -> Self {
        Self::configured(&configuration(comfys), state).await
    }

    /// The same with a configuration file of one's own.
    pub(crate) async fn configured(text: &str, state: &std::path::Path) -> Self {
        Self::with(text, state, &[]).await
    }

    /// The same, with variables of the environment.
    pub(crate) async fn with(text: &str, state: &std::path::Path, variables: &[(&str, String)]) -> Self {
        Self::given(text, state, variables, Stdio::null()).await
    }

    /// The same, with something behind its standard input.
    pub(crate) async fn given(
        text: &str,
        state: &std::path::Path,
        variables: &[(&str, String)],
        input: Stdio,
    ) -> Self {
        let mut command = cleared(Command::new(PROGRAM));
        command.stdin(input).envs(variables.iter().map(|(name, value)| (name, value)));
        Self::by(command, text, state).await
    }

    /// The same by a command of one's own, see [`cleared`], which runs the program.
    pub(crate) async fn by(mut command: Command, text: &str, state: &std::path::Path) -> Self {
        std::fs::create_dir_all(state).unwrap();
        let file = state.join("collector.toml");
        std::fs::write(&file, text).unwrap();
        command.arg("--config").arg(file).arg("--state-directory").arg(state);
        let mut child = command.spawn().unwrap();
        let lines = Lines::default();
        let (written, stderr) = (Arc::clone(&lines), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            let read = BufReader::new(stderr).lines().map_while(Result::ok);
            read.for_each(|line| written.lock().unwrap().push(line));
        });
        let mut program = Self { process: Process(child), lines, client: Client::new("", "me") };
        let address = async || {
            let lines = program.lines.lock().unwrap();
            let listens = |line: &str| {
                let said = ["listening on ", "standing by at "].iter().find_map(|said| line.split_once(said));
                said.and_then(|(_, address)| address.split(' ').next())
                    .map(|url| url.trim_end_matches('/').to_owned())
            };
            lines.iter().find_map(|line| listens(line))
        };
        program.client.url = until("the program listens", address).await;
        program
    }

    /// What it has said so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
    }

    /// `kill -HUP`.
    pub(crate) fn hang_up(&self) {
        self.signal("-HUP");
    }

    /// `kill`, with any signal.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.process.0.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// `kill -TERM`, and its exit code.
    pub(crate) async fn stop(self) -> i32 {
        self.signal("-TERM");
        self.ended().await
    }

    /// Its exit code, once it has ended by itself.
    pub(crate) async fn ended(mut self) -> i32 {
        let exited = async || self.process.0.try_wait().unwrap();
        until("the program ends", exited).await.code().unwrap()
    }
}
