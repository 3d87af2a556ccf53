//! One OpenTelemetry trace a job: when it has ended its course is read from the store and sent to a receiver, by OTLP over
//! HTTP. `spans` is pure: it says what a trace looks like. It knows nothing of backends, changes no job, and holds nothing
//! up: what is not taken in time is given up and counted.

mod exporter;
mod send;
mod spans;

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use self::exporter::Exporter;
use self::send::{Resource, Sender};
use crate::metrics::Metrics;
use crate::queue::Queue;

/// What [`Traces::start`] is given; `run.rs` has it all.
pub struct Parts {
    pub queue: Queue,
    pub http: reqwest::Client,
    /// Of the receiver.
    pub url: Url,
    /// The port that is served, which tells this collector from others on its host.
    pub port: u16,
    pub metrics: Arc<Metrics>,
}

/// The task that sends them. It goes on while the collector stops, so that jobs which end meanwhile are told of too.
pub struct Traces {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Traces {
    /// Sends those of the jobs that end from now on.
    pub fn start(parts: Parts) -> Self {
        let Parts { queue, http, url, port, metrics } = parts;
        let sender = Sender::new(http, &url, Resource::of_this_program(port));
        let stop = CancellationToken::new();
        let task = tokio::spawn(Exporter::new(queue, sender, metrics).run(stop.clone()));
        Self { stop, task }
    }

    /// Sends what is left, within a bound.
    pub async fn finish(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "traces were lost");
        }
    }
}
