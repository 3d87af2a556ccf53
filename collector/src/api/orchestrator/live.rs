//! What changes every second: the figures of GPUs, and how far running jobs are. Each telling is whole, so that whoever
//! follows slowly gets the newest one and never a backlog.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::super::App;
use super::gpu::Gpu;
use crate::clock::UnixMillis;
use crate::dispatch::Running;
use crate::id::{BackendId, JobId};
use crate::limits;

#[derive(Serialize)]
struct Live<'a> {
    at: UnixMillis,
    backends: Vec<Figures<'a>>,
}

#[derive(Serialize)]
struct Figures<'a> {
    id: &'a BackendId,
    gpu: Gpu,
    /// The models of its last job, if believed loaded still.
    models: &'a BTreeSet<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<Progress>,
}

/// How far the job is that a backend is at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Progress {
    id: JobId,
    phase: Phase,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<UnixMillis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_step_at: Option<UnixMillis>,
    /// The node at work.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    /// Of that node's.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps_done: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<f64>,
    /// By what was learned of such jobs.
    left_seconds: f64,
    /// Another number for each new picture at `/orchestrator/v1/jobs/{id}/preview`.
    #[serde(skip_serializing_if = "Option::is_none")]
    preview: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    Finishing,
    Sending,
    Loading,
    Running,
}

impl Progress {
    pub(super) fn of(app: &App, job: JobId, running: &Running) -> Self {
        Self::new(job, running, app.hub.preview_numbers([&job]).get(&job).copied())
    }

    fn new(id: JobId, running: &Running, preview: Option<u64>) -> Self {
        let (steps_done, steps) = running.steps.unzip();
        Self {
            id,
            phase: Phase::of(running),
            started_at: running.course.started_at,
            first_step_at: running.course.first_step_at,
            node: running.node.clone(),
            steps_done,
            steps,
            left_seconds: (running.left_seconds * 10.0).round() / 10.0,
            preview,
        }
    }
}

impl Phase {
    fn of(running: &Running) -> Self {
        match running {
            running if running.is_released => Self::Finishing,
            running if running.loads() => Self::Loading,
            running if running.works() => Self::Running,
            _ => Self::Sending,
        }
    }
}

/// Tells once a second, as long as anybody listens.
pub(crate) async fn write(app: Arc<App>, stop: CancellationToken) {
    let mut look = tokio::time::interval(limits::FIGURES_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(look.tick()).await.is_some() {
        if app.live.receiver_count() > 0 {
            app.live.send_replace(now(&app));
        }
    }
}

pub(super) fn now(app: &App) -> Arc<str> {
    let (view, at) = (app.dispatch.view.borrow().clone(), app.clock.now());
    let previews = app.hub.preview_numbers(view.running.keys());
    let mut jobs: HashMap<&BackendId, Progress> = HashMap::new();
    for (job, running) in &view.running {
        let progress = Progress::new(*job, running, previews.get(job).copied());
        // One that ends and the one after it overlap: the one that is worked at is meant.
        let known = jobs.get(&running.backend).is_some_and(|known| known.phase >= progress.phase);
        if !known {
            jobs.insert(&running.backend, progress);
        }
    }
    let figures = view.candidates.iter().map(|candidate| Figures {
        id: &candidate.backend.id,
        gpu: Gpu::of(&candidate.backend, at),
        models: &candidate.resident,
        job: jobs.remove(&candidate.backend.id),
    });
    json!(Live { at, backends: figures.collect() }).to_string().into()
}
