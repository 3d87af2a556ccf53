//! The agent beside the Python node that it replaces: real psutil, real nvidia-ml-py and the same driver library, asked
//! at the same time, give the same document.

mod agent_process;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use agent_process::AgentProcess;
use libtest_mimic::{Arguments, Failed};
use report::Report;
use serde_json::{Map, Value};
use sim::outside::{Found, Outside, trial};
use sim_nvml::{Control, Driver, Memory, Utilization};

const NODE: &str = include_str!("../../bench/python_node.py");
const PATIENCE: Duration = Duration::from_secs(20);

/// So many of the agent's windows are compared with one of psutil's.
const WINDOWS: usize = 8;

/// How often memory in use may differ until it counts as another figure.
const COMPARISONS: usize = 5;

fn main() {
    let trials = vec![
        trial("keys_types_and_gpu_figures_are_those_of_the_python_node", Outside::PythonNode, same_document),
        trial("without_a_driver_both_tell_of_the_host_alone", Outside::PythonNode, same_without_a_driver),
        trial("processor_use_is_psutils_over_the_same_time", Outside::PythonNode, same_processor_use),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// The Python node on a port of its own. It dies with its guard.
struct Node {
    child: Child,
    address: String,
}

impl Node {
    fn start(python: &Path, library_folder: &Path) -> Result<Self, Failed> {
        // Free a moment ago: the node cannot tell which port the system chose for it.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new(python)
            .args(["-c", NODE, &address.port().to_string()])
            .env("LD_LIBRARY_PATH", library_folder)
            .stdin(Stdio::null())
            .spawn()?;
        let node = Self { child, address: address.to_string() };
        let begin = Instant::now();
        while node.document().is_err() {
            if begin.elapsed() > PATIENCE {
                return Err("the Python node does not serve".into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(node)
    }

    fn document(&self) -> Result<Map<String, Value>, Failed> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /orchestrator/metrics HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let (_, body) = text.split_once("\r\n\r\n").ok_or("no body")?;
        Ok(serde_json::from_str(body)?)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn python(found: &Found) -> Result<&Path, Failed> {
    found.program().ok_or_else(|| "a Python is a program".into())
}

fn document(agent: &AgentProcess) -> Result<Map<String, Value>, Failed> {
    Ok(serde_json::from_str(&agent.ask("GET", "/orchestrator/metrics").body)?)
}

/// Two GPUs with figures that round differently up and down.
fn driver() -> Driver {
    let mut driver = Driver::with_gpus(2);
    if let Some(first) = driver.gpus.first_mut() {
        first.memory = Some(Memory {
            total_bytes: 25_757_220_864 - 1,
            used_bytes: 8_388_608 + 1_048_575,
            reserved_bytes: 947_912_704,
        });
        first.utilization = Some(Utilization { gpu_percent: 29, memory_percent: 7 });
        first.temperature_celsius = Some(57);
    }
    driver
}

fn same_document(found: Found) -> Result<(), Failed> {
    let control = Control::new(&driver())?;
    let library = control.library();
    let agent = AgentProcess::start(&["--nvml-library", library.to_str().ok_or("a path in UTF-8")?]);
    agent.ask_until("/orchestrator/metrics", |answer| answer.body.contains("gpu_name"));
    let node = Node::start(python(&found)?, control.folder())?;
    compare(&agent, &node, 8)
}

fn same_without_a_driver(found: Found) -> Result<(), Failed> {
    let agent = AgentProcess::start(&[]);
    let node = Node::start(python(&found)?, Path::new("/no/such/folder"))?;
    compare(&agent, &node, 3)
}

/// Keys and types are the same, figures too; memory in use is that of the same second, which is never the same
/// instant: the node's lies between the agent's before and after, or within a hundredth. Where programs start and end
/// meanwhile that may be so only at another time.
fn compare(agent: &AgentProcess, node: &Node, keys: usize) -> Result<(), Failed> {
    let mut last = Ok(());
    for _ in 0..COMPARISONS {
        last = compare_once(agent, node, keys)?;
        if last.is_ok() {
            break;
        }
    }
    last.map_err(Failed::from)
}

/// # Errors
/// The inner one: memory in use differs, which it may once.
fn compare_once(agent: &AgentProcess, node: &Node, keys: usize) -> Result<Result<(), String>, Failed> {
    let (before, theirs) = (document(agent)?, node.document()?);
    // The agent's next reading is younger than the node's answer.
    let age = |report: &Report| report.host.memory.as_ref().and_then(|memory| memory.age_seconds);
    let began = Instant::now();
    agent.ask_until("/v1/report", |answer| {
        let report: Report = serde_json::from_str(&answer.body).unwrap_or_default();
        age(&report).is_some_and(|age| age < began.elapsed().as_secs_f64())
    });
    let after = document(agent)?;
    assert_eq!(names(&after), names(&theirs));
    assert_eq!(theirs.len(), keys);
    for (key, their) in &theirs {
        let ours = after.get(key).ok_or("the keys are the same")?;
        match key.as_str() {
            "cpu_utilization" => assert!(ours.is_f64() && their.is_f64(), "{ours} {their}"),
            "ram_used" => {}
            _ => assert_eq!(ours, their, "{key}"),
        }
    }
    near(&before, &after, &theirs)
}

fn names(document: &Map<String, Value>) -> Vec<&String> {
    let mut names: Vec<_> = document.keys().collect();
    names.sort();
    names
}

type Document = Map<String, Value>;

fn near(before: &Document, after: &Document, their: &Document) -> Result<Result<(), String>, Failed> {
    let used = |document: &Document| document.get("ram_used").and_then(Value::as_u64).ok_or("a whole number");
    let (before, after, their) = (used(before)?, used(after)?, used(their)?);
    let slack = their / 100;
    let (least, most) = (before.min(after).saturating_sub(slack), before.max(after) + slack);
    let is_near = (least..=most).contains(&their);
    Ok(is_near.then_some(()).ok_or_else(|| format!("{their} is not within {least} to {most} MiB")))
}

/// One processor is kept busy; the rest do what other tests make them do, in both programs' eyes.
fn same_processor_use(found: Found) -> Result<(), Failed> {
    let agent = AgentProcess::start(&[]);
    let node = Node::start(python(&found)?, Path::new("/no/such/folder"))?;
    let load = Load::start();
    let mut total = next_reading(&agent, 0.0);
    node.document()?;
    let mut ours = Vec::new();
    for _ in 0..WINDOWS {
        total = next_reading(&agent, total);
        let utilization = document(&agent)?.get("cpu_utilization").and_then(Value::as_f64);
        ours.push(utilization.ok_or("processor use is told")?);
    }
    let theirs = node.document()?.get("cpu_utilization").and_then(Value::as_f64).ok_or("it is told")?;
    drop(load);
    let mean = ours.iter().sum::<f64>() / ours.len() as f64;
    let processors = thread::available_parallelism()?.get() as f64;
    assert!((mean - theirs).abs() < 5.0, "{mean} (of {ours:?}) and {theirs}");
    assert!(mean > 90.0 / processors, "one of {processors} processors was busy: {mean}");
    Ok(())
}

/// Waits for another reading of processor time; gives its sum.
fn next_reading(agent: &AgentProcess, before: f64) -> f64 {
    let sum = |body: &str| {
        let report: Report = serde_json::from_str(body).unwrap_or_default();
        report.host.cpu.map_or(0.0, |cpu| cpu.seconds_total.values().sum())
    };
    sum(&agent.ask_until("/v1/report", |answer| sum(&answer.body) > before).body)
}

/// A thread that is never idle.
struct Load(Arc<AtomicBool>);

impl Load {
    fn start() -> Self {
        let running = Arc::new(AtomicBool::new(true));
        let watched = Arc::clone(&running);
        thread::spawn(move || {
            while watched.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        Self(running)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
