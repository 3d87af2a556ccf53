//! A real agent on a port of the system's choice, for tests from outside. It dies with its guard.

#![allow(clippy::unwrap_used, reason = "support of tests: whatever goes wrong here fails the test")]

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// A running agent.
pub(crate) struct AgentProcess {
    child: Child,
    /// Where it listens.
    pub(crate) address: String,
    /// What it said before it listened.
    #[allow(dead_code, reason = "each test target uses its part of this module")]
    begin: String,
    #[allow(dead_code, reason = "each test target uses its part of this module")]
    log: RefCell<BufReader<ChildStderr>>,
}

/// What it answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    #[allow(dead_code, reason = "each test target uses its part of this module")]
    pub(crate) head: String,
    pub(crate) body: String,
}

/// The binary, without settings of the surroundings and with no driver to find.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrator-agent"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ORCHESTRATOR_AGENT_") {
            command.env_remove(name);
        }
    }
    command.env("ORCHESTRATOR_AGENT_NVML_LIBRARY", "/no/such/libnvidia-ml.so.1");
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs to the end, for arguments that do not serve.
#[allow(dead_code, reason = "each test target uses its part of this module")]
pub(crate) fn output(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

impl AgentProcess {
    /// Starts it and waits until it listens.
    #[allow(dead_code, reason = "each test target uses its part of this module")]
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    /// The same, with variables of the environment.
    pub(crate) fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::start_given(arguments, environment, Stdio::null())
    }

    /// The same, with something behind its standard input.
    pub(crate) fn start_given(arguments: &[&str], environment: &[(&str, &str)], input: Stdio) -> Self {
        let elsewhere = if arguments.contains(&"--listen") { &[][..] } else { &["--listen", "127.0.0.1:0"] };
        let arguments = [elsewhere, arguments].concat();
        let mut command = command(&arguments);
        let command = command.envs(environment.iter().copied()).stdin(input).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut begin = String::new();
        let address = loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).unwrap() > 0, "the agent ended before it listened");
            if let Some((_, rest)) = line.split_once("listening on http") {
                let address = rest.trim_start_matches('s').trim_start_matches("://").trim();
                break address.trim_end_matches(|c: char| !c.is_ascii_digit()).to_owned();
            }
            begin.push_str(&line);
        };
        Self { child, address, begin, log: RefCell::new(log) }
    }

    /// Its process.
    #[allow(dead_code, reason = "each test target uses its part of this module")]
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it ends by itself.
    #[allow(dead_code, reason = "each test target uses its part of this module")]
    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Asks and waits for the whole answer.
    pub(crate) fn ask(&self, method: &str, path: &str) -> Answer {
        self.answer(&format!("{method} {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n"))
    }

    /// Asks with headers of one's own, each with its line's end.
    #[allow(dead_code, reason = "each test target uses its part of this module")]
    pub(crate) fn ask_with(&self, path: &str, headers: &str) -> Answer {
        self.answer(&format!("GET {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n{headers}\r\n"))
    }

    /// A connection over which this was sent.
    #[allow(dead_code, reason = "each test target uses its part of this module")]
    pub(crate) fn send(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    }

    fn answer(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    /// Asks again until the answer is as it should be.
    #[allow(dead_code, reason = "each test target uses its part of this module")]
    pub(crate) fn ask_until(&self, path: &str, done: impl Fn(&Answer) -> bool) -> Answer {
        let begin = Instant::now();
        loop {
            let answer = self.ask("GET", path);
            if done(&answer) {
                return answer;
            }
            assert!(begin.elapsed() < PATIENCE, "{path} still answers {}: {}", answer.status, answer.body);
            // Another process' state can only be polled.
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Whether it said this before it listened.
    #[allow(dead_code, reason = "each test target uses its part of this module")]
    pub(crate) fn said_at_start(&self, text: &str) -> bool {
        self.begin.contains(text)
    }

    /// The next line of its log that holds this.
    #[allow(dead_code, reason = "each test target uses its part of this module")]
    pub(crate) fn log_until(&self, text: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.log.borrow_mut().read_line(&mut line).unwrap();
            assert!(read > 0, "the agent ended without saying {text:?}");
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Has nobody read its log any more, so that it cannot write one.
    #[allow(dead_code, reason = "each test target uses its part of this module")]
    pub(crate) fn leave_log(&self) {
        let nothing = OwnedFd::from(File::open("/dev/null").unwrap());
        self.log.replace(BufReader::new(ChildStderr::from(nothing)));
    }

    /// Sends a signal.
    #[allow(dead_code, reason = "each test target uses its part of this module")]
    pub(crate) fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Sends a signal and waits for the end.
    #[allow(dead_code, reason = "each test target uses its part of this module")]
    pub(crate) fn stop(mut self, signal: &str) -> ExitStatus {
        self.signal(signal);
        self.child.wait().unwrap()
    }
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
