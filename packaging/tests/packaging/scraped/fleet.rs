//! Simulated ComfyUI servers, a real agent beside each, a real collector in front of them, all on ports of the system's choice.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use sim_nvml::{Control, Driver, Ecc, Memory, Process, RemappedRows, Utilization};
use tempfile::TempDir;

use super::super::built::{Running, picture, program};
use super::super::wait::until;

pub(crate) const SERVERS: usize = 2;
/// Errors of the hardware, for which an alert fires, and of a program.
const XIDS: [u64; 2] = [79, 31];

pub(crate) struct Fleet {
    pub(crate) collector: String,
    /// Where each agent listens.
    pub(crate) agents: Vec<String>,
    folder: TempDir,
    // The programs go before the driver that they have loaded.
    _programs: Vec<Running>,
    driver: Control,
}

impl Fleet {
    /// All up, every agent read, every backend ready to take jobs.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(program("sim"));
        command.arg(format!("--servers={SERVERS}"));
        let (sim, servers) = said(
            command.stdout(Stdio::piped()),
            |child| child.stdout.take().unwrap(),
            SERVERS,
            |line| Some(line.strip_prefix("server ")?.split_whitespace().next()?.to_owned()),
        );
        let driver = driver(sim.0.id());
        let (mut programs, mut agents) = (vec![sim], Vec::new());
        for (at, server) in servers.iter().enumerate() {
            let mut command = Command::new(program("orchestrator-agent"));
            command.args(["--listen=127.0.0.1:0", "--gpu=0", "--comfyui", server, "--nvml-library"]);
            command.arg(if at == 0 { driver.library() } else { "/no/such/library".into() });
            // One agent speaks for the host.
            command.args(if at == 0 { [].as_slice() } else { ["--no-probe=host"].as_slice() });
            let (agent, address) = listening(&mut command);
            programs.push(agent);
            agents.push(address);
        }
        let configuration = folder.path().join("collector.toml");
        fs::write(&configuration, settings(&servers, &agents)).unwrap();
        let mut command = Command::new(program("orchestrator-collector"));
        command.arg("--config").arg(&configuration).arg("--state-directory").arg(folder.path().join("state"));
        let (collector, address) = listening(&mut command);
        programs.push(collector);
        let fleet = Self { collector: address, agents, folder, _programs: programs, driver };
        until("every backend takes jobs, and every agent is read", || {
            let told = fleet.says(&["backends", "--json"]);
            let backends: Value = serde_json::from_str(&told).ok()?;
            let backends = backends["backends"].as_array()?.clone();
            let ready = |backend: &Value| backend["takes_jobs"] == true && backend["agent_state"] == "up";
            (backends.len() == SERVERS && backends.iter().all(ready)).then_some(())
        });
        // What came before an agent is not told.
        fleet.driver.change(|driver| XIDS.iter().for_each(|xid| driver.report_xid(0, *xid))).unwrap();
        fleet
    }

    /// So many jobs, to their end.
    pub(crate) fn runs_jobs(&self, count: usize) {
        let jobs: Vec<Child> = (0..count).map(|_| self.submits(1, &["--follow"])).collect();
        for mut job in jobs {
            assert!(job.wait().unwrap().success(), "a job fails");
        }
    }

    /// Three for each backend, of the longest that there are: some wait for longer than anything here takes.
    pub(crate) fn keeps_waiting(&self) {
        for mut job in (0..3 * SERVERS).map(|_| self.submits(60, &[])).collect::<Vec<_>>() {
            assert!(job.wait().unwrap().success(), "a job is not accepted");
        }
    }

    pub(crate) fn frees_memory(&self) {
        self.says(&["free", "gpu-1-8188"]);
    }

    fn submits(&self, seconds: u32, flags: &[&str]) -> Child {
        let file =
            tempfile::NamedTempFile::new_in(self.folder.path()).unwrap().into_temp_path().keep().unwrap();
        fs::write(&file, picture(seconds).to_string()).unwrap();
        let mut command = self.client(&["submit"]);
        command.args(flags).arg(file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn says(&self, arguments: &[&str]) -> String {
        let output = self.client(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn client(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("orchestrator-collector"));
        command.args(arguments).arg(format!("--server=http://{}", self.collector)).stdin(Stdio::null());
        command
    }
}

/// A driver with one GPU of which everything is known; ComfyUI's process holds memory there.
fn driver(comfyui: u32) -> Control {
    const GIB: u64 = 1 << 30;
    let mut driver = Driver::with_gpus(1);
    let gpu = &mut driver.gpus[0];
    gpu.memory = Some(Memory { total_bytes: 24 * GIB, used_bytes: 9 * GIB, reserved_bytes: GIB / 2 });
    gpu.utilization = Some(Utilization { gpu_percent: 60, memory_percent: 30 });
    gpu.compute_processes = vec![Process { pid: comfyui, used_bytes: Some(8 * GIB) }];
    gpu.ecc = Some(Ecc { corrected_aggregate: 7, ..Ecc::default() });
    gpu.remapped_rows = Some(RemappedRows { correctable: 1, ..RemappedRows::default() });
    Control::new(&driver).unwrap()
}

/// The names are those that stand in the configuration for Prometheus.
fn settings(servers: &[String], agents: &[String]) -> String {
    let backends = servers.iter().zip(agents).zip(1..).map(|((server, agent), number)| {
        format!("[[backend]]\nname = 'gpu-{number}-8188'\nurl = '{server}'\nagent = 'http://{agent}'\n")
    });
    let head = "listen = '127.0.0.1:0'\npoll_interval = '200ms'\n".to_owned();
    [head].into_iter().chain(backends).collect()
}

/// A program, and where it says that it listens.
fn listening(command: &mut Command) -> (Running, String) {
    let (program, mut addresses) = said(
        command.stderr(Stdio::piped()),
        |child| child.stderr.take().unwrap(),
        1,
        |line| {
            let (_, rest) = line.split_once("http://127.0.0.1:")?;
            let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
            line.contains("listening").then(|| format!("127.0.0.1:{port}"))
        },
    );
    (program, addresses.remove(0))
}

/// A program, and the first so many of what one of its lines tells each.
fn said<R: std::io::Read + Send + 'static>(
    command: &mut Command,
    output: impl FnOnce(&mut Child) -> R,
    count: usize,
    told: impl Fn(&str) -> Option<String>,
) -> (Running, Vec<String>) {
    for (name, _) in std::env::vars_os() {
        let is_setting = ["ORCHESTRATOR_AGENT_", "ORCHESTRATOR_COLLECTOR_"];
        if is_setting.iter().any(|start| name.to_string_lossy().starts_with(start)) {
            command.env_remove(name);
        }
    }
    let mut child = command.stdin(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(output(&mut child)).lines().map_while(Result::ok);
    let program = Running(child);
    let told: Vec<String> = lines.by_ref().filter_map(|line| told(&line)).take(count).collect();
    assert_eq!(told.len(), count, "{command:?} ended before it said all");
    // It goes on talking, and must not wait for a reader.
    std::thread::spawn(move || lines.for_each(drop));
    (program, told)
}
