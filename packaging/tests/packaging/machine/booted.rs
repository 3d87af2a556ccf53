//! A machine of its own: a tree of Debian whose service manager has really booted, and a place outside of it on the other end of
//! a cable. All of it is in the namespaces of one process and goes with it; what is written stays in memory.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::super::wait::until;

/// The machine's address, as it is seen from outside.
pub(crate) const ADDRESS: &str = "192.0.2.2";
const OUTSIDE: &str = "192.0.2.1";

/// `$1` the folder to work in, `$2` the tree, `$3` the packages.
const BOOT: &str = r#"
set -e
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$1/root"
exec systemd-nspawn --quiet --boot --directory="$1/root" --machine=fleet --register=no --keep-unit --console=pipe \
  --resolv-conf=off --network-veth --bind-ro="$3:/packages"
"#;

pub(crate) struct Machine {
    process: Child,
    /// Who stands outside, and the machine's first process.
    outside: u32,
    inside: u32,
    _folder: TempDir,
    _turn: File,
}

impl Machine {
    /// Boots; the folder of packages is there as `/packages`.
    pub(crate) fn boot(tree: &Path, packages: &Path) -> Self {
        // One at a time, whoever else tests here: all would get the same control groups.
        let turn = File::open(tree).unwrap();
        turn.lock().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"])
            .args(["--mount-proc", "bash", "-c", BOOT, "boot"])
            .args([folder.path(), tree, packages])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let outside = until("the machine is started", || {
            assert!(process.try_wait().unwrap().is_none(), "it could not be set up: see what was said above");
            child(process.id(), "systemd-nspawn")
        });
        let inside = until("the machine's first process is there", || {
            assert!(process.try_wait().unwrap().is_none(), "systemd-nspawn has ended");
            child(outside, "systemd")
        });
        let machine = Self { process, outside, inside, _folder: folder, _turn: turn };
        until("the machine has booted", || {
            let state = machine.run("systemctl is-system-running").text;
            assert_ne!(state, "degraded", "{}", machine.says("systemctl --failed"));
            (state == "running").then_some(())
        });
        machine.connect();
        machine
    }

    fn connect(&self) {
        for (side, interface, address) in
            [(self.outside, "ve-fleet", OUTSIDE), (self.inside, "host0", ADDRESS)]
        {
            let address = format!("{address}/30");
            for arguments in
                [&["address", "add", &address, "dev", interface][..], &["link", "set", interface, "up"]]
            {
                let mut ip = entered(side, &["--net"], "ip");
                assert!(ip.args(arguments).status().unwrap().success(), "ip {arguments:?}");
            }
        }
    }

    /// What a shell of the administrator says.
    pub(crate) fn run(&self, script: &str) -> Said {
        Said::of(entered(self.inside, &["--all"], "bash").args(["-c", script]))
    }

    /// The same of what must go well.
    pub(crate) fn says(&self, script: &str) -> String {
        let said = self.run(script);
        assert!(said.success, "{script}: {}", said.text);
        said.text
    }

    /// A file that is there already, or is made as the administrator makes files.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let mut shell = entered(self.inside, &["--all"], "bash");
        let mut shell = shell.args(["-c", &format!("cat >{path}")]).stdin(Stdio::piped()).spawn().unwrap();
        shell.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(shell.wait().unwrap().success(), "write {path}");
    }

    /// The machine's first process.
    pub(crate) fn inside(&self) -> u32 {
        self.inside
    }

    /// A program of this machine, as if it were on that one's network; for what stands beside.
    pub(crate) fn beside(&self, program: &Path) -> Command {
        entered(self.inside, &["--net"], program)
    }

    /// The same at the other end of the cable.
    pub(crate) fn outside(&self, program: impl AsRef<OsStr>) -> Command {
        entered(self.outside, &["--net"], program)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.run("journalctl --no-pager --lines 40 --unit 'orchestrator-*'").text);
        }
        // What is in the process' namespaces ends with it. One that has ended already is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
        groups_of_the_machine().iter().for_each(|group| {
            until("its control groups are gone", || remove_groups(Path::new(group)).ok());
        });
    }
}

/// What a command has put out, without the last line break.
pub(crate) struct Said {
    pub(crate) success: bool,
    pub(crate) text: String,
}

impl Said {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim_end().to_owned();
        Self { success: output.status.success(), text }
    }
}

/// A command in namespaces of a process, with nothing of this one's environment.
fn entered(process: u32, namespaces: &[&str], program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LANG", "C.UTF-8");
    command.args(["--target", &process.to_string()]).args(namespaces).arg("--").arg(program);
    command
}

/// A child of a process, if it already is what it is to become.
fn child(process: u32, name: &str) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).ok()?;
    let mut children = children.split_whitespace().filter_map(|child| child.parse::<u32>().ok());
    children
        .find(|child| fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|comm| comm.trim() == name))
}

/// systemd-nspawn makes them below its own and leaves them.
fn groups_of_the_machine() -> BTreeSet<String> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    let own =
        own.lines().filter_map(|line| line.split_once("::").or_else(|| line.split_once(":name=systemd:")));
    let folders = own.flat_map(|(_, group)| {
        ["", "/unified", "/systemd"].map(|kind| format!("/sys/fs/cgroup{kind}{group}"))
    });
    let groups = folders.flat_map(|folder| ["payload", "supervisor"].map(|name| format!("{folder}/{name}")));
    groups.filter(|group| Path::new(group).is_dir()).collect()
}

fn remove_groups(group: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_groups(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}
