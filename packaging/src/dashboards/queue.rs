//! Why jobs take as long as they do: waits, routing, loads, frees, and the collector itself.

use super::panel::Panel;
use super::{Dashboard, Variable};

pub(super) fn dashboard() -> Dashboard {
    let panels = [times(), waiting(), routing(), memory(), polling(), collector()].into_iter().flatten();
    Dashboard {
        uid: "orchestrator-queue",
        title: "Orchestrator / Queue and routing",
        description: "Why jobs wait, where they go and what that costs",
        variables: vec![Variable::backend(
            "label_values(orchestrator_collector_backend_draining, backend)",
            true,
        )],
        panels: panels.collect(),
    }
}

fn times() -> Vec<Panel> {
    vec![
        Panel::row("How long jobs take"),
        Panel::lines("Wait: submission to dispatch", "s")
            .quantiles("orchestrator_collector_job_wait_seconds", &["0.5", "0.95", "0.99"])
            .runbook("jobswaittoolong"),
        Panel::lines("Run: a backend's start to its end", "s")
            .quantiles("orchestrator_collector_job_run_seconds", &["0.5", "0.95"]),
        Panel::lines("Total: submission to result", "s")
            .quantiles("orchestrator_collector_job_total_seconds", &["0.5", "0.95"]),
        Panel::lines("Gap between two jobs of a backend", "s")
            .quantiles("orchestrator_collector_dispatch_gap_seconds", &["0.5", "0.95"])
            .says("From the end of one to the acceptance of the next that was waiting: time in which a GPU had nothing to do"),
    ]
}

fn waiting() -> Vec<Panel> {
    vec![
        Panel::row("Why jobs wait"),
        Panel::lines("Waiting jobs by reason", "none")
            .and("{{reason}}", "sum by (reason) (orchestrator_collector_jobs_waiting)")
            .says("What keeps each from the backend that is nearest to running it; busy: all that could have something to do")
            .stacked()
            .runbook("jobsrunnowhere"),
        Panel::lines("Oldest waiting job", "s")
            .and("waits for", "time() - min(orchestrator_collector_oldest_waiting_job_timestamp_seconds)")
            .runbook("jobswaittoolong"),
        Panel::lines("Submitted and ended a minute", "none")
            .and("submitted", "60 * sum(rate(orchestrator_collector_submissions_total[5m]))")
            .and("ended", "60 * sum(fleet:orchestrator_collector_jobs_ended:rate5m)")
            .runbook("queuegrowing"),
        Panel::lines("Jobs that had to begin again", "none")
            .and("{{reason}}", "sum by (reason) (increase(orchestrator_collector_requeues_total[15m]))")
            .runbook("jobsrunagain"),
    ]
}

fn routing() -> Vec<Panel> {
    vec![
        Panel::row("Routing"),
        Panel::lines("Jobs handed to each backend a minute", "none")
            .and(
                "{{backend}}",
                r#"60 * sum by (backend) (rate(orchestrator_collector_attempts_total{backend=~"$backend"}[5m]))"#,
            )
            .stacked(),
        Panel::lines("Decisions a minute, by why there", "none")
            .and("{{verdict}}", "60 * sum by (verdict) (rate(orchestrator_collector_decisions_total[5m]))")
            .says("hot: its largest model is in VRAM; warm: in main memory; cold: worth the load; overdue: it has waited too long")
            .stacked(),
        Panel::lines("Jobs sent where their models were loaded", "percentunit")
            .and("loads avoided", "fleet:orchestrator_collector_loads_avoided:ratio_rate30m")
            .up_to(1.0)
            .runbook("loadsnotavoided"),
        Panel::lines("Share of time spent on loading models", "percentunit")
            .and("loading", "fleet:orchestrator_collector_swap:ratio_rate30m")
            .up_to(1.0)
            .runbook("swapsharehigh"),
        Panel::lines("How long loads take", "s")
            .quantiles("orchestrator_collector_model_load_seconds", &["0.5", "0.95"])
            .says("From a backend's start of a job whose models were not loaded to its first step"),
        Panel::lines("Loads a minute", "none")
            .and("observed", "60 * sum(rate(orchestrator_collector_model_load_seconds_count[15m]))")
            .and("avoided", r#"60 * sum(rate(orchestrator_collector_model_loads_total{loaded="true"}[15m]))"#),
    ]
}

fn memory() -> Vec<Panel> {
    vec![
        Panel::row("Memory that is freed"),
        Panel::lines("Requests to free memory, by what came of them", "none")
            .and(
                "{{reason}}: {{outcome}}",
                "sum by (reason, outcome) (increase(orchestrator_collector_frees_total[15m])) > 0",
            )
            .runbook("freefails"),
        Panel::lines("Memory that was freed", "bytes")
            .and("{{reason}}", "sum by (reason) (increase(orchestrator_collector_freed_bytes_total[15m]))")
            .runbook("vramnotfreed"),
        Panel::lines("Times in a row that nothing was freed", "none")
            .and(
                "{{backend}}",
                r#"max by (backend) (orchestrator_collector_backend_frees_failed{backend=~"$backend"})"#,
            )
            .runbook("vramnotfreed"),
        Panel::lines("GPU memory that ComfyUI holds", "bytes").and(
            "{{backend}}",
            r#"sum by (backend) (orchestrator_comfyui_gpu_memory_bytes{backend=~"$backend"})"#,
        ),
    ]
}

fn polling() -> Vec<Panel> {
    vec![
        Panel::row("Polling"),
        Panel::lines("Time of a poll (95 %)", "s").and(
            "{{backend}} {{asked}}",
            r#"histogram_quantile(0.95, sum by (le, backend, asked) (rate(orchestrator_collector_poll_seconds_bucket{backend=~"$backend"}[5m])))"#,
        ),
        Panel::lines("Age of what is known", "s").and(
            "{{backend}} {{asked}}",
            r#"time() - max by (backend, asked) (orchestrator_collector_backend_observed_timestamp_seconds{backend=~"$backend"})"#,
        ),
        Panel::lines("Polls that failed", "none").and(
            "{{backend}} {{asked}}",
            r#"sum by (backend, asked) (increase(orchestrator_collector_poll_failures_total{backend=~"$backend"}[15m]))"#,
        ),
        Panel::lines("Backlog of each backend", "none")
            .and("{{backend}}", r#"max by (backend) (orchestrator_collector_backend_backlog{backend=~"$backend"})"#)
            .says("Prompts in its own queue, whoever submitted them"),
    ]
}

fn collector() -> Vec<Panel> {
    vec![
        Panel::row("The collector itself"),
        Panel::lines("Time of a commit", "s")
            .quantiles("orchestrator_collector_commit_seconds", &["0.5", "0.99"])
            .runbook("storefails"),
        Panel::lines("Clients", "none")
            .and("sockets", "sum(orchestrator_collector_client_sockets)")
            .and(
                "disconnected because they did not read",
                "sum(increase(orchestrator_collector_slow_clients_total[15m]))",
            )
            .runbook("slowclients"),
        Panel::lines("Previews and progress that slow clients lost", "none")
            .and("lost a minute", "60 * sum(rate(orchestrator_collector_events_dropped_total[5m]))"),
        Panel::lines("Webhooks", "none")
            .and(
                "{{outcome}} in a quarter of an hour",
                "sum by (outcome) (increase(orchestrator_collector_webhooks_total[15m]))",
            )
            .and("waiting", "sum(orchestrator_collector_webhooks_waiting)"),
        Panel::lines("Its memory", "bytes")
            .and("resident", r#"process_resident_memory_bytes{job="orchestrator-collector"}"#),
        Panel::lines("Its processor time", "percentunit")
            .and("processor", r#"rate(process_cpu_seconds_total{job="orchestrator-collector"}[5m])"#),
    ]
}
