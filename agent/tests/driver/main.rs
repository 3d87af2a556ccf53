//! The real binary on a driver that fails, hangs, is replaced and loses its GPUs on command.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests: whatever goes wrong here fails them"
)]

#[path = "../agent_process/mod.rs"]
mod agent_process;
mod endurance;
mod failures;
mod figures;
mod host;
mod release;

use agent_process::{AgentProcess, Answer};
use report::{Gpu, Report};
use sim_nvml::{Control, Driver};

/// An agent and the driver that it finds. The agent goes first.
struct Rig {
    agent: AgentProcess,
    control: Control,
}

impl Rig {
    fn start(driver: &Driver, arguments: &[&str]) -> Self {
        Self::start_with(driver, arguments, &[])
    }

    fn start_with(driver: &Driver, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let control = Control::new(driver).unwrap();
        let library = control.library();
        let arguments = [&["--nvml-library", library.to_str().unwrap()], arguments].concat();
        Self { agent: AgentProcess::start_with(&arguments, environment), control }
    }

    fn change(&self, edit: impl FnOnce(&mut Driver)) {
        self.control.change(edit).unwrap();
    }

    fn report(&self) -> Report {
        parsed(&self.agent.ask("GET", "/v1/report"))
    }

    /// Waits until the report is as it should be.
    fn report_until(&self, done: impl Fn(&Report) -> bool) -> Report {
        parsed(&self.agent.ask_until("/v1/report", |answer| done(&parsed(answer))))
    }

    /// Waits until the first GPU is as it should be.
    fn gpu_until(&self, done: impl Fn(&Gpu) -> bool) -> Gpu {
        let report = self.report_until(|report| report.gpus.first().is_some_and(&done));
        report.gpus.into_iter().next().unwrap()
    }

    /// Waits until GPUs are told of, and again later.
    fn ready(&self) {
        self.report_until(|report| !report.gpus.is_empty());
    }

    /// Waits until the page for Prometheus is as it should be.
    fn page_until(&self, done: impl Fn(&str) -> bool) -> String {
        self.agent.ask_until("/metrics", |answer| done(&answer.body)).body
    }

    fn document(&self) -> serde_json::Value {
        serde_json::from_str(&self.agent.ask("GET", "/orchestrator/metrics").body).unwrap()
    }

    /// How often a symbol was called so far.
    fn calls(&self, symbol: &str) -> usize {
        self.control.calls().iter().filter(|call| *call == symbol).count()
    }

    /// Waits until a symbol was called so often.
    fn calls_until(&self, symbol: &str, count: usize) {
        self.agent.ask_until("/-/healthy", |_| self.calls(symbol) >= count);
    }

    /// Why the GPUs' probe failed last.
    fn reason_until(&self, reason: &str) {
        self.report_until(|report| gpu_probe(report).failures_total.contains_key(reason));
    }
}

fn parsed(answer: &Answer) -> Report {
    assert_eq!(answer.status, 200, "{}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

fn gpu_probe(report: &Report) -> &report::Probe {
    report.probes.iter().find(|probe| probe.name == "gpu").unwrap()
}
