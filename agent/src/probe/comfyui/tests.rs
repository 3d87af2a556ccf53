//! On machines made of files: `/proc` and the control groups are folders, and what cannot be looked into has no `fd`.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;

use report::ComfyUi;
use tempfile::TempDir;

use super::listener::Listener;
use super::*;

const BOOTED_UNIX_SECONDS: u64 = 1_700_000_000;
const AGENT: u32 = 42;
const AGENTS_UNIT: &str = "/system.slice/orchestrator-agent.service";
const SERVICE: &str = "/system.slice/comfyui.service";
const SOCKET: u64 = 777;

/// What a process has open; `None` if the agent may not know.
type OpenSockets<'a> = Option<&'a [u64]>;

struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir_all(machine.proc().join("net")).unwrap();
        fs::create_dir_all(machine.cgroups()).unwrap();
        symlink(AGENT.to_string(), machine.proc().join("self")).unwrap();
        fs::write(machine.proc().join("stat"), format!("cpu 1 2 3 4\nbtime {BOOTED_UNIX_SECONDS}\n"))
            .unwrap();
        machine.process(1, 0, "/init.scope", None);
        machine.process(AGENT, 10, AGENTS_UNIT, Some(&[]));
        let mount = format!("30 23 0:26 / {} rw - cgroup2 cgroup2 rw\n", machine.cgroups().display());
        fs::write(machine.proc().join("self/mountinfo"), mount).unwrap();
        machine
    }

    fn proc(&self) -> PathBuf {
        self.folder.path().join("proc")
    }

    fn cgroups(&self) -> PathBuf {
        self.folder.path().join("cgroup")
    }

    fn process(&self, pid: u32, start_seconds: u64, cgroup: &str, sockets: OpenSockets<'_>) {
        let proc = self.proc().join(pid.to_string());
        fs::create_dir_all(&proc).unwrap();
        let zeros = "0 ".repeat(6);
        let stat =
            format!("{pid} (ma(i) n) S 1 1 1 0 -1 0 0 0 0 0 150 50 {zeros}{} 0\n", start_seconds * 100);
        fs::write(proc.join("stat"), stat).unwrap();
        fs::write(proc.join("status"), "Name:\tmain\nVmRSS:\t  2048 kB\n").unwrap();
        fs::write(proc.join("cgroup"), format!("1:name=systemd:/\n0::{cgroup}\n")).unwrap();
        for (number, socket) in sockets.into_iter().flatten().enumerate() {
            fs::create_dir_all(proc.join("fd")).unwrap();
            symlink(format!("socket:[{socket}]"), proc.join("fd").join(number.to_string())).unwrap();
        }
        if sockets.is_some() {
            fs::create_dir_all(proc.join("fd")).unwrap();
        }
        self.enter(pid, cgroup);
    }

    fn enter(&self, pid: u32, cgroup: &str) {
        let folder = self.cgroup(cgroup);
        fs::create_dir_all(&folder).unwrap();
        let procs = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        fs::write(folder.join("cgroup.procs"), format!("{procs}{pid}\n")).unwrap();
        fs::write(folder.join("cgroup.events"), "populated 1\nfrozen 0\n").unwrap();
        fs::write(folder.join("cpu.stat"), "usage_usec 7500000\nuser_usec 7000000\n").unwrap();
    }

    fn end(&self, pid: u32, cgroup: &str) {
        fs::remove_dir_all(self.proc().join(pid.to_string())).unwrap();
        let file = self.cgroup(cgroup).join("cgroup.procs");
        let left = fs::read_to_string(&file).unwrap().replace(&format!("{pid}\n"), "");
        let populated = u8::from(!left.is_empty());
        fs::write(file, left).unwrap();
        fs::write(self.cgroup(cgroup).join("cgroup.events"), format!("populated {populated}\n")).unwrap();
    }

    /// Gives a control group the figures that only the one hierarchy of version 2 has.
    fn charge(&self, cgroup: &str) {
        fs::write(self.cgroup(cgroup).join("memory.current"), "9000000\n").unwrap();
        let stat = "anon 1\nfile 7000000\ninactive_file 4000000\nactive_file 3000000\n";
        fs::write(self.cgroup(cgroup).join("memory.stat"), stat).unwrap();
    }

    fn cgroup(&self, path: &str) -> PathBuf {
        self.cgroups().join(path.trim_start_matches('/'))
    }

    fn id(&self, cgroup: &str) -> Option<u64> {
        Some(fs::metadata(self.cgroup(cgroup)).unwrap().ino())
    }

    fn probe(&self, whereabouts: Whereabouts) -> ComfyUiProbe {
        ComfyUiProbe::among(whereabouts, Processes::new(self.proc()))
    }
}

fn listener(inode: u64, cgroup_id: Option<u64>) -> Listener {
    Listener { address: "127.0.0.1:8188".parse().unwrap(), inode, cgroup_id }
}

fn at_an_address() -> Whereabouts {
    Whereabouts::Address("127.0.0.1:8188".parse().unwrap())
}

/// What is told when these sockets listen at ComfyUI's address.
fn behind(probe: &mut ComfyUiProbe, listeners: &[Listener]) -> ComfyUiReading {
    let found = probe.search.behind(listeners);
    probe.told(found)
}

fn look(probe: &mut ComfyUiProbe) -> ComfyUiReading {
    match probe.read(Instant::now()).unwrap() {
        Reading::ComfyUi(reading) => reading,
        other => panic!("{other:?}"),
    }
}

fn start(seconds: u64) -> Option<f64> {
    Some((BOOTED_UNIX_SECONDS + seconds) as f64)
}

/// The figures of a control group that has processor time, but no memory of its own.
fn of_cgroup(path: &str, pid: Option<u32>, start_seconds: Option<u64>) -> ComfyUi {
    ComfyUi {
        up: Some(true),
        pid,
        cgroup: Some(path.to_owned()),
        process_start_time_seconds: start_seconds.and_then(start),
        cpu_seconds_total: Some(7.5),
        ..ComfyUi::default()
    }
}

/// The figures of a process.
fn of_process(pid: u32, start_seconds: u64) -> ComfyUi {
    ComfyUi {
        up: Some(true),
        pid: Some(pid),
        process_start_time_seconds: start(start_seconds),
        memory_bytes: Some(2048 * 1024),
        cpu_seconds_total: Some(2.0),
        ..ComfyUi::default()
    }
}

fn running() -> ComfyUi {
    ComfyUi { up: Some(true), ..ComfyUi::default() }
}

/// Where ComfyUI's processes run, what they have open, and what is to be told.
type Case<'a> = (&'a str, &'a [(u32, u64, OpenSockets<'a>)], ComfyUi, &'a [u32]);

#[test]
fn what_listens_is_told_with_what_is_certainly_its_own() {
    let template = "/system.slice/system-comfyui.slice/comfyui@0.service";
    let user_unit = "/user.slice/user-1000.slice/user@1000.service/app.slice/comfyui.service";
    let terminal = "/user.slice/user-1000.slice/user@1000.service/app.slice/vte-spawn-1.scope";
    let session = "/user.slice/user-1000.slice/session-2.scope";
    let container = "/system.slice/docker-12ab.scope";
    let certain = |path| ComfyUi { memory_bytes: Some(2048 * 1024), ..of_cgroup(path, Some(501), Some(60)) };
    let holder: OpenSockets<'_> = Some(&[5, SOCKET]);
    let cases: [Case<'_>; 12] = [
        // The launcher came first, but does not hold the socket.
        (SERVICE, &[(500, 50, Some(&[4])), (501, 60, holder)], certain(SERVICE), &[500, 501]),
        (template, &[(501, 60, holder)], certain(template), &[501]),
        (user_unit, &[(501, 60, holder)], certain(user_unit), &[501]),
        (container, &[(501, 60, holder)], certain(container), &[501]),
        // A worker that was forked holds its parent's socket.
        (SERVICE, &[(600, 90, holder), (501, 60, holder)], certain(SERVICE), &[600, 501]),
        // Another user's: one process is certain, of several the oldest is taken, and its memory is not ComfyUI's.
        (SERVICE, &[(501, 60, None)], certain(SERVICE), &[501]),
        (SERVICE, &[(501, 60, None), (500, 50, None)], of_cgroup(SERVICE, Some(500), Some(50)), &[501, 500]),
        // It has moved elsewhere since it listens.
        (SERVICE, &[(500, 50, Some(&[]))], of_cgroup(SERVICE, None, None), &[500]),
        // Where others run too, the process alone is told, if it can be known.
        (session, &[(500, 50, Some(&[])), (501, 60, holder)], of_process(501, 60), &[501]),
        (session, &[(501, 60, None)], running(), &[]),
        (terminal, &[(501, 60, holder)], of_process(501, 60), &[501]),
        // The port proxy of a container engine says nothing of ComfyUI.
        ("/system.slice/docker.service", &[(501, 60, holder)], running(), &[]),
    ];
    for (cgroup, processes, expected, pids) in cases {
        let machine = Machine::new();
        for (pid, start_seconds, sockets) in processes {
            machine.process(*pid, *start_seconds, cgroup, *sockets);
        }
        let sockets = [listener(SOCKET, machine.id(cgroup))];
        let reading = behind(&mut machine.probe(at_an_address()), &sockets);
        assert_eq!((reading.comfyui, reading.pids.as_slice()), (expected, pids), "{cgroup} {processes:?}");
    }
}

#[test]
fn a_control_group_is_charged_without_the_files_that_nobody_has_read_again() {
    let machine = Machine::new();
    machine.process(500, 50, SERVICE, None);
    machine.charge(SERVICE);
    let sockets = [listener(SOCKET, machine.id(SERVICE))];
    let comfyui = behind(&mut machine.probe(at_an_address()), &sockets).comfyui;
    assert_eq!(comfyui.memory_bytes, Some(5_000_000));
}

#[test]
fn a_comfyui_in_the_agents_own_control_group_is_told_as_a_process() {
    let machine = Machine::new();
    machine.process(501, 60, AGENTS_UNIT, Some(&[SOCKET]));
    let sockets = [listener(SOCKET, machine.id(AGENTS_UNIT))];
    assert_eq!(behind(&mut machine.probe(at_an_address()), &sockets).comfyui, of_process(501, 60));
}

#[test]
fn processes_of_the_control_groups_below_are_comfyuis_too() {
    let machine = Machine::new();
    machine.process(500, 50, SERVICE, Some(&[]));
    machine.process(501, 60, &format!("{SERVICE}/worker"), Some(&[SOCKET]));
    let sockets = [listener(SOCKET, machine.id(SERVICE))];
    let reading = behind(&mut machine.probe(at_an_address()), &sockets);
    assert_eq!((reading.comfyui.pid, reading.pids.as_slice()), (Some(501), &[500, 501][..]));
}

#[test]
fn without_a_control_groups_number_the_sockets_holder_leads_to_it() {
    let machine = Machine::new();
    machine.process(501, 60, SERVICE, Some(&[SOCKET]));
    machine.process(502, 60, "/system.slice/docker.service", Some(&[778]));
    let mut probe = machine.probe(at_an_address());
    for cgroup_id in [None, Some(u64::MAX), machine.id("/")] {
        let reading = behind(&mut probe, &[listener(SOCKET, cgroup_id)]);
        assert_eq!(reading.comfyui.cgroup.as_deref(), Some(SERVICE), "{cgroup_id:?}");
        assert_eq!(behind(&mut probe, &[listener(778, cgroup_id)]).comfyui, running(), "{cgroup_id:?}");
    }
}

#[test]
fn of_two_programs_on_one_port_neither_is_taken_for_comfyui() {
    let machine = Machine::new();
    let session = "/user.slice/user-1000.slice/session-2.scope";
    machine.process(501, 60, SERVICE, Some(&[SOCKET]));
    machine.process(502, 60, session, Some(&[778]));
    let mut probe = machine.probe(at_an_address());
    for (one, other) in [(machine.id(SERVICE), machine.id(session)), (None, None)] {
        let sockets = [listener(SOCKET, one), listener(778, other)];
        assert_eq!(behind(&mut probe, &sockets).comfyui, running(), "{one:?}");
    }
}

#[test]
fn a_comfyui_with_a_socket_for_each_protocol_is_one() {
    let machine = Machine::new();
    machine.process(501, 60, "/init.scope", Some(&[SOCKET, 778]));
    let sockets = [listener(SOCKET, None), listener(778, None)];
    assert_eq!(behind(&mut machine.probe(at_an_address()), &sockets).comfyui, of_process(501, 60));
}

#[test]
fn a_comfyui_that_was_started_again_is_another_process() {
    let machine = Machine::new();
    let mut probe = machine.probe(at_an_address());
    let mut see = |pid, start_seconds, socket, cgroup| {
        machine.process(pid, start_seconds, cgroup, Some(&[socket]));
        let sockets = [listener(socket, machine.id(cgroup))];
        let comfyui = behind(&mut probe, &sockets).comfyui;
        assert_eq!((comfyui.pid, comfyui.process_start_time_seconds), (Some(pid), start(start_seconds)));
        machine.end(pid, cgroup);
        assert_eq!(behind(&mut probe, &[]).comfyui.up, Some(false));
    };
    see(501, 60, 777, SERVICE);
    see(502, 70, 778, SERVICE);
    // The same numbers of process and socket do not make it the same.
    see(502, 80, 778, SERVICE);
    see(502, 90, 778, "/init.scope");
    see(502, 95, 778, "/init.scope");
}

#[test]
fn the_start_does_not_move_when_the_clock_is_set() {
    let machine = Machine::new();
    machine.process(501, 60, SERVICE, Some(&[SOCKET]));
    let sockets = [listener(SOCKET, machine.id(SERVICE))];
    let mut probe = machine.probe(at_an_address());
    let before = behind(&mut probe, &sockets).comfyui;
    fs::write(machine.proc().join("stat"), "btime 5\n").unwrap();
    assert_eq!(behind(&mut probe, &sockets).comfyui, before);
}

#[test]
fn a_unit_is_found_by_its_name_wherever_it_is() {
    let template = "/system.slice/system-comfyui.slice/comfyui@0.service";
    let user_unit = "/user.slice/user-1000.slice/user@1000.service/app.slice/comfyui.service";
    let cases = [
        ("comfyui", SERVICE, SERVICE),
        ("comfyui.service", SERVICE, SERVICE),
        ("comfyui@0", template, template),
        ("comfyui", user_unit, user_unit),
        ("docker-12ab.scope", "/system.slice/docker-12ab.scope", "/system.slice/docker-12ab.scope"),
        ("docker/12ab", "/docker/12ab", "/docker/12ab"),
        ("/system.slice/comfyui.service", SERVICE, SERVICE),
        (r"a\x2db.service", r"/system.slice/a\x2db.service", r"/system.slice/a\x2db.service"),
    ];
    for (name, cgroup, expected) in cases {
        let machine = Machine::new();
        machine.process(501, 60, cgroup, None);
        machine.process(502, 60, "/system.slice/my-comfyui.service", None);
        let reading = look(&mut machine.probe(Whereabouts::Unit(name.to_owned())));
        let told = (reading.comfyui.cgroup.as_deref(), reading.comfyui.pid);
        assert_eq!(told, (Some(expected), Some(501)), "{name}");
    }
}

#[test]
fn a_unit_without_processes_is_down_until_it_has_some() {
    let machine = Machine::new();
    let mut probe = machine.probe(Whereabouts::Unit("comfyui".to_owned()));
    assert_eq!(look(&mut probe).comfyui, ComfyUi { up: Some(false), ..ComfyUi::default() });
    machine.process(501, 60, SERVICE, None);
    assert_eq!(look(&mut probe).comfyui.pid, Some(501));
    machine.end(501, SERVICE);
    assert_eq!(look(&mut probe).comfyui.up, Some(false));
    fs::remove_dir_all(machine.cgroup(SERVICE)).unwrap();
    assert_eq!(look(&mut probe).comfyui.up, Some(false));
    machine.process(502, 90, SERVICE, None);
    assert_eq!(look(&mut probe).comfyui.pid, Some(502));
}

#[test]
fn a_unit_that_cannot_be_told_apart_is_refused_with_what_to_do() {
    let machine = Machine::new();
    let user_unit = "/user.slice/user-1000.slice/user@1000.service/app.slice/comfyui.service";
    machine.process(501, 60, SERVICE, None);
    machine.process(502, 60, user_unit, None);
    for (unit, reason, advice) in [
        ("comfyui", "ambiguous", "more of its path"),
        ("orchestrator-agent", "own_unit", "a unit of its own"),
    ] {
        let failure = machine.probe(Whereabouts::Unit(unit.to_owned())).read(Instant::now()).unwrap_err();
        assert_eq!(failure.reason, reason);
        assert!(failure.message.contains(advice), "{failure}");
    }
    let probe = &mut machine.probe(Whereabouts::Unit("system.slice/comfyui.service".to_owned()));
    assert_eq!(look(probe).comfyui.pid, Some(501));
}

#[test]
fn without_control_groups_units_cannot_be_found() {
    let machine = Machine::new();
    fs::write(
        machine.proc().join("self/mountinfo"),
        "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n",
    )
    .unwrap();
    let failure = machine.probe(Whereabouts::Unit("comfyui".to_owned())).read(Instant::now()).unwrap_err();
    assert_eq!(failure.reason, "unsupported");
    machine.process(501, 60, SERVICE, Some(&[SOCKET]));
    let reading = behind(&mut machine.probe(at_an_address()), &[listener(SOCKET, None)]);
    assert_eq!(reading.comfyui, of_process(501, 60));
}

#[test]
fn a_pid_file_leads_to_the_process_and_to_its_control_group() {
    for (cgroup, expected) in [
        (SERVICE, ComfyUi { memory_bytes: Some(2048 * 1024), ..of_cgroup(SERVICE, Some(501), Some(60)) }),
        ("/user.slice/user-1000.slice/session-2.scope", of_process(501, 60)),
        (AGENTS_UNIT, of_process(501, 60)),
    ] {
        let machine = Machine::new();
        machine.process(501, 60, cgroup, None);
        let file = machine.folder.path().join("comfyui.pid");
        let mut probe = machine.probe(Whereabouts::PidFile(file.clone()));
        assert_eq!(look(&mut probe).comfyui.up, Some(false), "no file");
        fs::write(&file, "501\n").unwrap();
        assert_eq!(look(&mut probe).comfyui, expected);
        fs::write(&file, "502\n").unwrap();
        assert_eq!(look(&mut probe).comfyui.up, Some(false), "no process");
    }
}

#[test]
fn a_pid_file_that_proves_nothing_is_refused_with_what_to_do() {
    let machine = Machine::new();
    let file = machine.folder.path().join("comfyui.pid");
    let mut probe = machine.probe(Whereabouts::PidFile(file.clone()));
    let in_ten_years = 315_360_000;
    machine.process(501, 60 + in_ten_years, SERVICE, None);
    for (text, reason) in [
        ("", "pid_file"),
        ("python main.py", "pid_file"),
        ("-1", "pid_file"),
        ("99999999999", "pid_file"),
        ("501", "stale_pid_file"),
    ] {
        fs::write(&file, text).unwrap();
        assert_eq!(probe.read(Instant::now()).unwrap_err().reason, reason, "{text}");
    }
    // Nobody can say that a process is gone where even the first one is out of sight.
    fs::remove_dir_all(machine.proc().join("1")).unwrap();
    fs::write(&file, "7").unwrap();
    assert_eq!(probe.read(Instant::now()).unwrap_err().reason, "hidden");
}

#[test]
fn a_hybrid_hierarchy_tells_processor_time_and_the_process_its_memory() {
    let machine = Machine::new();
    machine.process(501, 60, SERVICE, Some(&[SOCKET]));
    let mounts = format!(
        "32 31 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n41 31 0:38 / {} rw - cgroup2 cgroup2 rw\n",
        machine.cgroups().display()
    );
    fs::write(machine.proc().join("self/mountinfo"), mounts).unwrap();
    let comfyui =
        behind(&mut machine.probe(at_an_address()), &[listener(SOCKET, machine.id(SERVICE))]).comfyui;
    assert_eq!((comfyui.cpu_seconds_total, comfyui.memory_bytes), (Some(7.5), Some(2048 * 1024)));
}
