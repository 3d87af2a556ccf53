//! One host: its GPU, its ComfyUI, its own figures.

use super::panel::Panel;
use super::{Dashboard, Variable};

pub(super) fn dashboard() -> Dashboard {
    let gpu = Variable {
        name: "gpu",
        label: "GPU",
        query: r#"label_values(orchestrator_gpu_info{backend="$backend"}, uuid)"#,
        several: true,
    };
    let backend = Variable::backend(r#"label_values(up{job="orchestrator-agent"}, backend)"#, false);
    let panels = [now(), gpu_work(), gpu_health(), comfyui(), host(), agent()].into_iter().flatten();
    Dashboard {
        uid: "orchestrator-host",
        title: "Orchestrator / Host and GPU",
        description: "One ComfyUI, the GPU that it uses and the host that it runs on, as its agent tells them",
        variables: vec![backend, gpu],
        panels: panels.collect(),
    }
}

fn now() -> Vec<Panel> {
    vec![
        Panel::stat("ComfyUI", "none", r#"max(orchestrator_comfyui_up{backend="$backend"})"#)
            .red_from(1.0, 0.0)
            .says("1: it runs")
            .runbook("comfyuidown"),
        Panel::stat("GPU", "none", r#"min(orchestrator_gpu_up{backend="$backend", uuid=~"$gpu"})"#)
            .red_from(1.0, 0.0)
            .says("0: the driver has lost it")
            .runbook("gpulost"),
        Panel::stat(
            "At work",
            "percentunit",
            r#"max(instance:orchestrator_gpu_busy:ratio_rate5m{backend="$backend", uuid=~"$gpu"})"#,
        ),
        Panel::stat(
            "Memory in use",
            "percentunit",
            r#"max(instance:orchestrator_gpu_memory_used:ratio{backend="$backend", uuid=~"$gpu"})"#,
        )
        .red_from(0.9, 0.98)
        .runbook("vramnotfreed"),
        Panel::stat(
            "Temperature",
            "celsius",
            r#"max(orchestrator_gpu_temperature_celsius{backend="$backend", uuid=~"$gpu"})"#,
        )
        .red_from(80.0, 90.0)
        .runbook("gputhrottles"),
        Panel::stat(
            "XID errors",
            "none",
            r#"sum(orchestrator_gpu_xid_errors_total{backend="$backend", uuid=~"$gpu"}) or vector(0)"#,
        )
        .says("Since the agent's start")
        .red_from(1.0, 1.0)
        .runbook("gpuxiderror"),
    ]
}

fn gpu_work() -> Vec<Panel> {
    vec![
        Panel::row("GPU"),
        Panel::lines("At work", "percentunit")
            .and(
                "kernels",
                r#"max by (uuid) (instance:orchestrator_gpu_busy:ratio_rate5m{backend="$backend", uuid=~"$gpu"})"#,
            )
            .and(
                "memory controller",
                r#"max by (uuid) (orchestrator_gpu_memory_controller_utilization_ratio{backend="$backend", uuid=~"$gpu"})"#,
            )
            .up_to(1.0),
        Panel::lines("Memory", "bytes")
            .and("used", r#"max by (uuid) (orchestrator_gpu_memory_used_bytes{backend="$backend", uuid=~"$gpu"})"#)
            .and(
                "of ComfyUI",
                r#"max by (uuid) (orchestrator_comfyui_gpu_memory_bytes{backend="$backend", uuid=~"$gpu"})"#,
            )
            .and("total", r#"max by (uuid) (orchestrator_gpu_memory_total_bytes{backend="$backend", uuid=~"$gpu"})"#),
        Panel::lines("Temperature", "celsius")
            .and("{{uuid}}", r#"orchestrator_gpu_temperature_celsius{backend="$backend", uuid=~"$gpu"}"#),
        Panel::lines("Power", "watt")
            .and("drawn", r#"max by (uuid) (orchestrator_gpu_power_watts{backend="$backend", uuid=~"$gpu"})"#)
            .and("limit", r#"max by (uuid) (orchestrator_gpu_power_limit_watts{backend="$backend", uuid=~"$gpu"})"#),
        Panel::lines("Clocks", "hertz")
            .and("{{clock}}", r#"orchestrator_gpu_clock_hertz{backend="$backend", uuid=~"$gpu"}"#),
        Panel::lines("Held down by", "percentunit")
            .and(
                "{{reason}}",
                r#"sum by (reason) (rate(orchestrator_gpu_clock_event_seconds_total{backend="$backend", uuid=~"$gpu", reason!="gpu_idle"}[5m]))"#,
            )
            .says("Share of the time; heat and power brakes are reasons to look")
            .runbook("gputhrottles"),
    ]
}

fn gpu_health() -> Vec<Panel> {
    vec![
        Panel::row("GPU: health"),
        Panel::lines("XID errors", "none")
            .and(
                "XID {{xid}}",
                r#"sum by (xid) (orchestrator_gpu_xid_errors_total{backend="$backend", uuid=~"$gpu"})"#,
            )
            .says("Since the agent's start; the series begins with the first error of its number")
            .runbook("gpuxiderror"),
        Panel::lines("Memory errors and replaced rows", "none")
            .and(
                "{{type}}",
                r#"sum by (type) (orchestrator_gpu_ecc_errors_total{backend="$backend", uuid=~"$gpu"})"#,
            )
            .and(
                "rows: {{cause}}",
                r#"sum by (cause) (orchestrator_gpu_remapped_rows{backend="$backend", uuid=~"$gpu"})"#,
            )
            .runbook("gpumemoryerrors"),
    ]
}

fn comfyui() -> Vec<Panel> {
    vec![
        Panel::row("ComfyUI"),
        Panel::lines("Its main memory", "bytes")
            .and("memory", r#"orchestrator_comfyui_memory_bytes{backend="$backend"}"#),
        Panel::lines("Its processors", "none")
            .and("processors", r#"rate(orchestrator_comfyui_cpu_seconds_total{backend="$backend"}[5m])"#),
        Panel::lines("Restarts", "none")
            .and("restarts", r#"increase(orchestrator_comfyui_restarts_total{backend="$backend"}[15m])"#)
            .runbook("comfyuirestarts"),
        Panel::lines("Age of what the collector knows", "s").and(
            "{{asked}}",
            r#"time() - orchestrator_collector_backend_observed_timestamp_seconds{backend="$backend"}"#,
        ),
    ]
}

fn host() -> Vec<Panel> {
    vec![
        Panel::row("Host"),
        Panel::lines("Processors", "percentunit")
            .and("busy", r#"orchestrator_host_cpu_utilization_ratio{backend="$backend"}"#)
            .up_to(1.0),
        Panel::lines("Memory", "bytes")
            .and("used", r#"orchestrator_host_memory_used_bytes{backend="$backend"}"#)
            .and("total", r#"orchestrator_host_memory_total_bytes{backend="$backend"}"#)
            .and("swap used", r#"orchestrator_host_swap_used_bytes{backend="$backend"}"#)
            .runbook("hostmemorylow"),
        Panel::lines("Time lost waiting", "percentunit")
            .and(
                "{{resource}} ({{kind}})",
                r#"rate(orchestrator_host_pressure_seconds_total{backend="$backend"}[5m])"#,
            )
            .says("Share of the time in which some tasks, or all, waited for it"),
        Panel::lines("Filesystems: left", "percentunit")
            .and("{{mountpoint}}", r#"instance:orchestrator_host_filesystem_avail:ratio{backend="$backend"}"#)
            .up_to(1.0)
            .runbook("diskfilling"),
        Panel::lines("Disks", "Bps")
            .and(
                "{{device}} read",
                r#"rate(orchestrator_host_disk_read_bytes_total{backend="$backend"}[5m])"#,
            )
            .and(
                "{{device}} written",
                r#"rate(orchestrator_host_disk_written_bytes_total{backend="$backend"}[5m])"#,
            ),
        Panel::lines("Network", "Bps")
            .and(
                "{{device}} received",
                r#"rate(orchestrator_host_network_receive_bytes_total{backend="$backend"}[5m])"#,
            )
            .and(
                "{{device}} sent",
                r#"rate(orchestrator_host_network_transmit_bytes_total{backend="$backend"}[5m])"#,
            ),
    ]
}

fn agent() -> Vec<Panel> {
    vec![
        Panel::row("The agent itself"),
        Panel::lines("Probes that succeed", "none")
            .and("{{probe}}", r#"orchestrator_agent_probe_success{backend="$backend"}"#)
            .up_to(1.0)
            .runbook("probefails"),
        Panel::lines("Time of a reading", "s")
            .and("{{probe}}", r#"orchestrator_agent_probe_duration_seconds{backend="$backend"}"#),
        Panel::lines("Its memory", "bytes").and(
            "resident",
            r#"process_resident_memory_bytes{job="orchestrator-agent", backend="$backend"}"#,
        ),
        Panel::lines("Its processor time", "percentunit").and(
            "processor",
            r#"rate(process_cpu_seconds_total{job="orchestrator-agent", backend="$backend"}[5m])"#,
        ),
    ]
}
