//! The probe of the ComfyUI beside the agent, on this machine's kernel. Another agent plays ComfyUI: all that matters
//! is that it is a process that listens.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests: whatever goes wrong here fails them")]

mod agent_process;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use agent::config::Whereabouts;
use agent::{ComfyUiProbe, Probe, Reading};
use agent_process::AgentProcess;
use report::ComfyUi;

fn probe(address: &str) -> ComfyUiProbe {
    ComfyUiProbe::new(Whereabouts::Address(address.parse().unwrap()))
}

fn look(probe: &mut ComfyUiProbe) -> ComfyUi {
    match probe.read(Instant::now()).unwrap() {
        Reading::ComfyUi(reading) => reading.comfyui,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_process_that_listens_is_found_by_its_port_at_every_address() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    for ip in ["0.0.0.0", "127.0.0.1"] {
        let comfyui = look(&mut probe(&format!("{ip}:{port}")));
        assert_eq!((comfyui.up, comfyui.pid), (Some(true), Some(std::process::id())), "{ip}");
        // The test plays the agent as well, so the control group is not ComfyUI's alone.
        assert_eq!(comfyui.cgroup, None);
        assert!(comfyui.memory_bytes.unwrap() > 0 && comfyui.cpu_seconds_total.is_some());
        let started = comfyui.process_start_time_seconds.unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        assert!((started - 2.0..started + 3600.0).contains(&now), "{started} {now}");
    }
    assert_eq!(look(&mut probe(&format!("127.0.0.2:{port}"))).up, Some(false));
}

#[test]
fn a_process_that_is_killed_and_started_again_is_another_one() {
    // An address of its own, so that nobody takes the port in between.
    let first = AgentProcess::start(&["--listen", "127.86.12.7:0"]);
    let address = first.address.clone();
    let mut probe = probe(&address);
    let before = look(&mut probe);
    assert_eq!(before.pid, Some(first.pid()));
    drop(first);
    assert_eq!(look(&mut probe), ComfyUi { up: Some(false), ..ComfyUi::default() });

    let second = AgentProcess::start(&["--listen", &address]);
    let after = look(&mut probe);
    assert_eq!((after.up, after.pid), (Some(true), Some(second.pid())));
    assert!(after.process_start_time_seconds > before.process_start_time_seconds);
}

/// A control group that goes with its guard, once its processes are gone.
struct ControlGroup {
    folder: PathBuf,
}

impl ControlGroup {
    fn new(name: &str) -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 ")).unwrap();
        let folder = Path::new(mount.split(' ').nth(4).unwrap()).join(name);
        fs::create_dir(&folder).unwrap();
        Self { folder }
    }
}

fn enter(folder: &Path, pid: u32) {
    fs::write(folder.join("cgroup.procs"), pid.to_string()).unwrap();
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}

#[test]
#[ignore = "makes a control group, which takes root and a hierarchy of version 2 that can be written to"]
fn a_control_group_is_found_by_the_socket_by_its_name_and_by_the_process() {
    let name = format!("comfyui-{}.service", std::process::id());
    let group = ControlGroup::new(&name);
    let path = Some(format!("/{name}"));
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = group.folder.with_file_name(own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap());

    let agent = AgentProcess::start(&[]);
    enter(&group.folder, agent.pid());
    let by_process = look(&mut probe(&agent.address));
    assert_eq!((by_process.cgroup, by_process.pid), (path.clone(), Some(agent.pid())));
    let by_name = look(&mut ComfyUiProbe::new(Whereabouts::Unit(name.clone())));
    assert_eq!((by_name.cgroup, by_name.pid), (path.clone(), Some(agent.pid())));
    assert!(by_name.cpu_seconds_total.is_some());

    // A socket keeps the control group that it was made in, wherever its process goes.
    enter(&group.folder, std::process::id());
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    enter(&own, std::process::id());
    let address: SocketAddr = socket.local_addr().unwrap();
    let by_socket = look(&mut probe(&address.to_string()));
    assert_eq!((by_socket.cgroup, by_socket.up), (path, Some(true)));
    drop(agent);
}
