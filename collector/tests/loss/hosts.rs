//! Hosts with cables between them, each of which can be pulled: what is sent is lost, either way, and nobody is told.
//!
//! A host is a network namespace; a collector has one of its own. The database, the backends and the clients are where the
//! tests run, each at an address. Every relation of a collector has its cable, so that one can be pulled without the others.
//! All of it is within a network of this process' own: no address is anybody else's, and nothing is left when it ends.

use std::env;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use sim::outside::Outside;

const NEEDS: [Outside; 2] = [Outside::Namespaces, Outside::Program { name: "ip", package: "iproute2" }];
/// Set in a network of the tests' own.
const IS_APART: &str = "ORCHESTRATOR_TEST_IS_APART";

/// Last parts of addresses where the tests run; a collector's ends of the cables to them have these and 16 times its place.
const DATABASE: u8 = 1;
const CLIENTS: u8 = 2;
const BACKENDS: [u8; 4] = [11, 12, 13, 14];

static NETWORKS: AtomicU8 = AtomicU8::new(0);
static CABLES: AtomicU32 = AtomicU32::new(0);

/// What is not there of what it takes.
pub(crate) fn missing() -> Option<Outside> {
    NEEDS.into_iter().find(|needed| needed.find().is_err())
}

/// Begins again in a network of the tests' own, where one can be made.
pub(crate) fn begin_apart() {
    if env::var_os(IS_APART).is_some() || missing().is_some() {
        return;
    }
    let mut again = Command::new("unshare");
    again.args(["--net", "sh", "-c", r#"ip link set lo up && exec "$@""#, "sh"]);
    let error =
        again.arg(env::current_exe().unwrap()).args(env::args_os().skip(1)).env(IS_APART, "yes").exec();
    panic!("unshare cannot be run: {error}");
}

/// Two hosts for collectors, and what they are joined to.
pub(crate) struct Hosts {
    pub(crate) database: Ipv4Addr,
    pub(crate) backends: [Ipv4Addr; 4],
    pub(crate) collectors: [Host; 2],
    pub(crate) between: Cable,
}

pub(crate) struct Host {
    namespace: Namespace,
    /// By which clients and other collectors reach it.
    pub(crate) address: Ipv4Addr,
    pub(crate) to_database: Cable,
    pub(crate) to_backends: [Cable; 4],
}

impl Hosts {
    pub(crate) fn new() -> Self {
        let network = NETWORKS.fetch_add(1, Ordering::Relaxed);
        let collectors = [1, 2].map(|place| Host::new(network, place));
        let between =
            Cable::between(collectors.each_ref().map(|host| (host.namespace.process(), host.address)));
        let [database, backends @ ..] =
            [DATABASE, BACKENDS[0], BACKENDS[1], BACKENDS[2], BACKENDS[3]].map(|last| here(network, last));
        Self { database, backends, collectors, between }
    }
}

impl Host {
    fn new(network: u8, place: u8) -> Self {
        let namespace = Namespace::new();
        let there = |last: u8| Ipv4Addr::from([198, 19, network, 16 * place + last]);
        let cable_to = |last| {
            Cable::between([(std::process::id(), here(network, last)), (namespace.process(), there(last))])
        };
        cable_to(CLIENTS);
        let (to_database, to_backends) = (cable_to(DATABASE), BACKENDS.map(cable_to));
        Self { address: there(CLIENTS), to_database, to_backends, namespace }
    }

    /// To run something there.
    pub(crate) fn command(&self, program: &str) -> Command {
        within(self.namespace.process(), program)
    }
}

fn here(network: u8, last: u8) -> Ipv4Addr {
    Ipv4Addr::from([198, 18, network, last])
}

/// It lasts as long as its process, which ends with this one, however that ends.
struct Namespace(Child);

impl Namespace {
    fn new() -> Self {
        let mut keeper = Command::new("unshare");
        keeper.args(["--net", "sh", "-c", "ip link set lo up && echo up && exec cat"]);
        let mut keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "up\n", "a network namespace is made");
        Self(keeper)
    }

    fn process(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Its ends are in the namespaces of two processes.
pub(crate) struct Cable {
    name: String,
    ends: [u32; 2],
}

impl Cable {
    /// Each end has an address, and leads to the other's alone.
    fn between([one, other]: [(u32, Ipv4Addr); 2]) -> Self {
        let name = format!("cable{}", CABLES.fetch_add(1, Ordering::Relaxed));
        let made = format!("link add {name} netns {} type veth peer name {name} netns {}\n", one.0, other.0);
        batch(std::process::id(), "ip", &made);
        for ((process, address), (_, far)) in [(one, other), (other, one)] {
            let joined = format!(
                "address add {address}/32 dev {name}\nlink set {name} up\nroute add {far}/32 dev {name} src {address}\n"
            );
            batch(process, "ip", &joined);
        }
        Self { name, ends: [one.0, other.0] }
    }

    pub(crate) fn pull(&self) {
        self.at_both_ends("qdisc add dev", "root blackhole");
    }

    pub(crate) fn plug(&self) {
        self.at_both_ends("qdisc delete dev", "root");
    }

    fn at_both_ends(&self, before: &str, after: &str) {
        for end in self.ends {
            batch(end, "tc", &format!("{before} {} {after}\n", self.name));
        }
    }
}

/// What `ip` or `tc` is told to do in the namespace of a process.
fn batch(process: u32, program: &str, lines: &str) {
    let mut command = within(process, program);
    let mut told = command.args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    told.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(told.wait().unwrap().success(), "{program}: {lines}");
}

fn within(process: u32, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/proc/{process}/ns/net")).arg("--").arg(program);
    command
}
