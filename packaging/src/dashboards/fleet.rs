//! Is all well? What is up, what waits, what fails, and who works.

use super::panel::Panel;
use super::{Dashboard, Variable};

pub(super) fn dashboard() -> Dashboard {
    let panels = [now(), alerts(), jobs(), backends()].into_iter().flatten();
    Dashboard {
        uid: "orchestrator-fleet",
        title: "Orchestrator / Fleet",
        description: "All ComfyUI servers behind the collector",
        variables: vec![Variable::backend(
            "label_values(orchestrator_collector_backend_draining, backend)",
            true,
        )],
        panels: panels.collect(),
    }
}

const TO_HOST: &str = "/d/orchestrator-host?var-backend=${__field.labels.backend}&${__url_time_range}";
const TO_QUEUE: &str = "/d/orchestrator-queue?${__url_time_range}";

fn now() -> Vec<Panel> {
    vec![
        Panel::stat("Backends up", "none", "sum(orchestrator_collector_backend_up)"),
        Panel::stat("Backends down", "none", "sum(orchestrator_collector_backend_up == bool 0)")
            .red_from(1.0, 1.0)
            .runbook("backenddown"),
        Panel::stat("Jobs waiting", "none", r#"sum(orchestrator_collector_jobs{state="waiting"})"#)
            .leads_to("Queue and routing", TO_QUEUE)
            .runbook("queuegrowing"),
        Panel::stat("Jobs with backends", "none", r#"sum(orchestrator_collector_jobs{state="dispatched"})"#),
        Panel::stat(
            "Oldest job waits",
            "s",
            "time() - min(orchestrator_collector_oldest_waiting_job_timestamp_seconds)",
        )
        .red_from(600.0, 3600.0)
        .says("Empty where none waits")
        .runbook("jobswaittoolong"),
        Panel::stat(
            "Jobs that fail",
            "percentunit",
            "fleet:orchestrator_collector_job_failures:ratio_rate15m",
        )
        .red_from(0.05, 0.1)
        .says("Of those that succeeded or failed within a quarter of an hour")
        .runbook("jobsfail"),
    ]
}

fn alerts() -> Vec<Panel> {
    vec![
        Panel::events("Alerts", r#"ALERTS{alertname!="", alertstate="firing"}"#)
            .says("Each has its section in the runbooks"),
    ]
}

fn jobs() -> Vec<Panel> {
    vec![
        Panel::row("Jobs"),
        Panel::lines("Jobs in the queue", "none")
            .and("{{state}}", "sum by (state) (orchestrator_collector_jobs)")
            .stacked(),
        Panel::lines("Jobs ended a minute", "none")
            .and("{{outcome}}", "60 * fleet:orchestrator_collector_jobs_ended:rate5m")
            .stacked(),
        Panel::lines("From submission to result", "s")
            .quantiles("orchestrator_collector_job_total_seconds", &["0.5", "0.95"])
            .leads_to("Queue and routing", TO_QUEUE),
        Panel::lines("Share of time spent on loading models", "percentunit")
            .and("loading", "fleet:orchestrator_collector_swap:ratio_rate30m")
            .up_to(1.0)
            .runbook("swapsharehigh"),
    ]
}

fn backends() -> Vec<Panel> {
    vec![
        Panel::row("Backends"),
        Panel::table("Backends")
            .and("Up", r#"sum by (backend) (orchestrator_collector_backend_up{backend=~"$backend"})"#)
            .and(
                "Takes jobs",
                r#"sum by (backend) (orchestrator_collector_backend_takes_jobs{backend=~"$backend"})"#,
            )
            .and(
                "Drained",
                r#"sum by (backend) (orchestrator_collector_backend_draining{backend=~"$backend"})"#,
            )
            .and("Our jobs", r#"sum by (backend) (orchestrator_collector_backend_jobs{backend=~"$backend"})"#)
            .and(
                "Backlog",
                r#"sum by (backend) (orchestrator_collector_backend_backlog{backend=~"$backend"})"#,
            )
            .and(
                "Agent up",
                r#"sum by (backend) (orchestrator_collector_backend_agent_up{backend=~"$backend"})"#,
            )
            .and("GPU °C", r#"max by (backend) (orchestrator_gpu_temperature_celsius{backend=~"$backend"})"#)
            .leads_to(
                "Host and GPU",
                "/d/orchestrator-host?var-backend=${__data.fields.backend}&${__url_time_range}",
            ),
        Panel::lines("GPU at work", "percentunit")
            .and(
                "{{backend}}",
                r#"max by (backend) (instance:orchestrator_gpu_busy:ratio_rate5m{backend=~"$backend"})"#,
            )
            .up_to(1.0)
            .leads_to("Host and GPU", TO_HOST),
        Panel::lines("GPU memory in use", "percentunit")
            .and(
                "{{backend}}",
                r#"max by (backend) (instance:orchestrator_gpu_memory_used:ratio{backend=~"$backend"})"#,
            )
            .up_to(1.0)
            .leads_to("Host and GPU", TO_HOST),
        Panel::lines("Our jobs on each backend", "none").and(
            "{{backend}}",
            r#"sum by (backend) (orchestrator_collector_backend_jobs{backend=~"$backend"})"#,
        ),
        Panel::lines("Up and down", "none")
            .and(
                "{{backend}}",
                r#"max by (backend) (orchestrator_collector_backend_up{backend=~"$backend"})"#,
            )
            .up_to(1.0)
            .runbook("backendflapping"),
    ]
}
