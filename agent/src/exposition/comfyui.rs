//! The ComfyUI that the agent stands beside.

use report::ComfyUi;

use super::page::{Page, truth, whole};

pub(super) fn write(page: &mut Page, comfyui: &ComfyUi) {
    page.gauge(
        "orchestrator_comfyui_up",
        "Whether the ComfyUI beside the agent was found running.",
        truth(comfyui.up),
    );
    page.gauge(
        "orchestrator_comfyui_process_start_time_seconds",
        "When its main process started, in seconds since the Unix epoch.",
        comfyui.process_start_time_seconds,
    );
    page.gauge(
        "orchestrator_comfyui_memory_bytes",
        "Main memory that it holds: the working set of its control group (`memory.current` less `inactive_file`) \
         where it has one to itself, else its process' resident set, which counts model files that are mapped.",
        whole(comfyui.memory_bytes),
    );
    page.counter(
        "orchestrator_comfyui_cpu_seconds_total",
        "Processor time, user and system, that the same has used; begins anew with its process.",
        comfyui.cpu_seconds_total,
    );
    page.counter(
        "orchestrator_comfyui_restarts_total",
        "How often another main process was found in its place since the agent's start, looked at every 5 \
         seconds: a lower bound.",
        whole(comfyui.restarts_total),
    );
    page.gauges(
        "orchestrator_comfyui_gpu_memory_bytes",
        "Memory that its processes have of each GPU.",
        comfyui.gpu_memory_bytes.iter().map(|(uuid, bytes)| (vec![("uuid", uuid.as_str())], *bytes as f64)),
    );
}
