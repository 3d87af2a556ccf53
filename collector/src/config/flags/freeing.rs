//! When memory is freed though nobody asks: one switch a reason.

use clap::Args;

use super::super::value::{Share, Wait};

// No doc comment: clap would take it for the program's description.
#[derive(Args, Clone, Debug, Default)]
pub struct FreeingFlags {
    /// Ask a backend to free its memory when it has been idle for so long; `never` to leave it [default: 10m]
    #[arg(
        id = "free_after_idle",
        long = "free-after-idle",
        value_name = "SPAN",
        env = "ORCHESTRATOR_COLLECTOR_FREE_AFTER_IDLE"
    )]
    pub after_idle: Option<Wait>,

    /// Ask an idle backend to free its memory when other programs hold this share of its GPU's memory, and less than that
    /// is free; `never` to leave it [default: 10%]
    #[arg(
        id = "free_for_others",
        long = "free-for-others",
        value_name = "SHARE",
        env = "ORCHESTRATOR_COLLECTOR_FREE_FOR_OTHERS"
    )]
    pub for_others: Option<Share>,

    /// Ask an idle backend to free its memory when less than this share of its host's main memory is available; `never` to
    /// leave it [default: 5%]
    #[arg(
        id = "free_below_host_memory",
        long = "free-below-host-memory",
        value_name = "SHARE",
        env = "ORCHESTRATOR_COLLECTOR_FREE_BELOW_HOST_MEMORY"
    )]
    pub below_host_memory: Option<Share>,

    /// Free a backend's memory when a job has run out of it, before the job is tried once more [default: true]
    #[arg(
        id = "free_after_out_of_memory",
        long = "free-after-out-of-memory",
        value_name = "BOOL",
        env = "ORCHESTRATOR_COLLECTOR_FREE_AFTER_OUT_OF_MEMORY"
    )]
    pub after_out_of_memory: Option<bool>,

    /// Free a backend's memory before a job that needs more than is free, where ComfyUI has failed to make room before
    /// [default: true]
    #[arg(
        id = "free_before_jobs",
        long = "free-before-jobs",
        value_name = "BOOL",
        env = "ORCHESTRATOR_COLLECTOR_FREE_BEFORE_JOBS"
    )]
    pub before_jobs: Option<bool>,
}
