//! The agent itself: its build, its process, its probes.

use report::{Agent, Probe, Report};

use super::page::{Labels, Page, truth, whole};

pub(super) fn write(page: &mut Page, report: &Report) {
    if let Some(agent) = &report.agent {
        build(page, agent);
        files(page, agent);
        process(page, agent);
    }
    probes(page, &report.probes);
}

fn build(page: &mut Page, agent: &Agent) {
    let told = [("version", &agent.version), ("revision", &agent.revision), ("rustc", &agent.rustc)];
    let labels = told.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect();
    page.gauges(
        "orchestrator_agent_build_info",
        "What the agent was built from, `revision` only where the build knew it; always 1.",
        [(labels, 1.0)],
    );
    page.gauge(
        "orchestrator_agent_start_time_seconds",
        "When the agent started, in seconds since the Unix epoch.",
        agent.start_time_seconds,
    );
}

fn files(page: &mut Page, agent: &Agent) {
    page.gauge(
        "orchestrator_agent_config_last_reload_successful",
        "Whether the token and the certificate could be read when they were last to be read again (SIGHUP).",
        truth(agent.config_last_reload_successful),
    );
    page.gauge(
        "orchestrator_agent_config_last_reload_success_timestamp_seconds",
        "When they were last read so with success, or at the start, in seconds since the Unix epoch.",
        agent.config_last_reload_success_timestamp_seconds,
    );
    page.gauge(
        "orchestrator_agent_tls_certificate_expiry_timestamp_seconds",
        "When the certificate expires, in seconds since the Unix epoch; absent without TLS.",
        agent.tls_certificate_expiry_timestamp_seconds,
    );
}

fn process(page: &mut Page, agent: &Agent) {
    page.counter(
        "process_cpu_seconds_total",
        "Processor time, user and system, that the agent has used.",
        agent.cpu_seconds_total,
    );
    page.gauge(
        "process_resident_memory_bytes",
        "Resident memory of the agent.",
        whole(agent.resident_memory_bytes),
    );
    page.gauge(
        "process_virtual_memory_bytes",
        "Address space of the agent.",
        whole(agent.virtual_memory_bytes),
    );
    page.gauge("process_open_fds", "File descriptors that the agent has open.", whole(agent.open_fds));
    page.gauge("process_max_fds", "File descriptors that the agent may have open.", whole(agent.max_fds));
    page.gauge("process_threads", "Threads of the agent.", whole(agent.threads));
    page.gauge(
        "process_start_time_seconds",
        "When the agent's process started, in seconds since the Unix epoch.",
        agent.start_time_seconds,
    );
}

fn probes(page: &mut Page, probes: &[Probe]) {
    page.gauges(
        "orchestrator_agent_probe_success",
        "Whether the probe's last reading succeeded and came in time.",
        probes.iter().filter_map(|probe| Some((named(probe), truth(probe.success)?))),
    );
    page.gauges(
        "orchestrator_agent_probe_duration_seconds",
        "How long the probe's last reading took.",
        probes.iter().filter_map(|probe| Some((named(probe), probe.duration_seconds?))),
    );
    page.gauges(
        "orchestrator_agent_probe_last_success_timestamp_seconds",
        "When the probe last succeeded, in seconds since the Unix epoch.",
        probes.iter().filter_map(|probe| Some((named(probe), probe.last_success_timestamp_seconds?))),
    );
    page.counters(
        "orchestrator_agent_probe_failures_total",
        "Readings that failed or came late, by reason.",
        probes.iter().flat_map(failures),
    );
}

fn named(probe: &Probe) -> Labels<'_> {
    vec![("probe", &probe.name)]
}

fn failures(probe: &Probe) -> impl Iterator<Item = (Labels<'_>, f64)> {
    let name = probe.name.as_str();
    probe
        .failures_total
        .iter()
        .map(move |(reason, count)| (vec![("probe", name), ("reason", reason)], *count as f64))
}
