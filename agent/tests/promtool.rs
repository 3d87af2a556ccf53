//! What Prometheus' own linter says of `/metrics`: nothing.

mod agent_process;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use agent_process::AgentProcess;
use libtest_mimic::{Arguments, Failed};
use sim::outside::{Found, Outside, trial};

fn main() {
    let trials = vec![
        trial("promtool_is_silent_on_a_running_agent", Outside::Promtool, |found| lint(&found, &live()?)),
        trial("promtool_is_silent_on_every_family_there_is", Outside::Promtool, |found| {
            lint(&found, &full()?)
        }),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn live() -> Result<String, Failed> {
    let agent = AgentProcess::start(&[]);
    agent.ask_until("/-/ready", |answer| answer.status == 200);
    Ok(agent.ask("GET", "/metrics").body)
}

fn full() -> Result<String, Failed> {
    let report = serde_json::from_str(include_str!("data/report_full.json"))?;
    Ok(agent::exposition::text(&report, None)?)
}

fn lint(found: &Found, page: &str) -> Result<(), Failed> {
    let promtool: &Path = found.program().ok_or("promtool is a program")?;
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().ok_or("its input is piped")?.write_all(page.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    if output.status.success() && said.is_empty() && !page.is_empty() {
        Ok(())
    } else {
        Err(format!("{}: {}", output.status, String::from_utf8_lossy(&said)).into())
    }
}
