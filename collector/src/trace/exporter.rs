//! The one task that sends traces: gathers jobs that have ended, reads their courses, and sends them until the receiver takes
//! them or it was tried for a minute.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio_util::sync::CancellationToken;

use super::send::{Failure, Sender};
use super::spans::spans;
use crate::id::JobId;
use crate::limits;
use crate::metrics::{Metrics, Traced};
use crate::queue::{Queue, StoreError};

/// Pauses after the first failure of a batch, the second, and so on; after the last it is given up. A receiver that restarts
/// misses none.
const PAUSES_SECONDS: [u64; 6] = [1, 2, 4, 8, 16, 30];

pub(super) struct Exporter {
    queue: Queue,
    ends: Receiver<JobId>,
    sender: Sender,
    metrics: Arc<Metrics>,
    /// Those that are sent together. They stay here until it is settled what comes of them.
    gathered: Vec<JobId>,
    /// The log tells once of a receiver that takes none, and once that it takes them again.
    is_refused: bool,
}

impl Exporter {
    pub(super) fn new(queue: Queue, sender: Sender, metrics: Arc<Metrics>) -> Self {
        let (ends, gathered) = (queue.ends(), Vec::new());
        Self { queue, ends, sender, metrics, gathered, is_refused: false }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        let work = async {
            loop {
                self.gather().await;
                self.deliver(&PAUSES_SECONDS).await;
            }
        };
        let _: Option<()> = stop.run_until_cancelled(work).await;
        if tokio::time::timeout(limits::TRACES_STOP_WITHIN, self.finish()).await.is_err() {
            tracing::warn!("the receiver is too slow for the traces of the last jobs: they are lost");
        }
    }

    /// Waits for a job to end, and a moment for others.
    async fn gather(&mut self) {
        self.gather_one().await;
        let more = async {
            while self.gathered.len() < limits::TRACES_A_BATCH {
                self.gather_one().await;
            }
        };
        // They need not be so many.
        let _ = tokio::time::timeout(limits::TRACES_GATHERED_FOR, more).await;
    }

    async fn gather_one(&mut self) {
        match self.ends.recv().await {
            Ok(job) => self.gathered.push(job),
            Err(RecvError::Lagged(missed)) => self.metrics.traced(Traced::GivenUp, missed),
            // It does not happen while the queue is held here.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }

    /// Sends what is left, each batch once.
    async fn finish(&mut self) {
        loop {
            while self.gathered.len() < limits::TRACES_A_BATCH {
                match self.ends.try_recv() {
                    Ok(job) => self.gathered.push(job),
                    Err(TryRecvError::Lagged(missed)) => self.metrics.traced(Traced::GivenUp, missed),
                    Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                }
            }
            if self.gathered.is_empty() {
                return;
            }
            self.deliver(&[]).await;
        }
    }

    async fn deliver(&mut self, pauses_seconds: &[u64]) {
        let (mut told, mut traces) = (Vec::new(), 0);
        for job in &self.gathered {
            let spans = self.spans_of(*job).await.unwrap_or_else(|error| {
                tracing::debug!(%job, %error, "its trace cannot be made");
                Vec::new()
            });
            traces += u64::from(!spans.is_empty());
            told.extend(spans);
        }
        let is_taken =
            told.is_empty() || self.insist(self.sender.encoded(told), traces, pauses_seconds).await;
        let unmade = self.gathered.drain(..).len() as u64 - traces;
        self.metrics.traced(if is_taken { Traced::Sent } else { Traced::GivenUp }, traces);
        self.metrics.traced(Traced::GivenUp, unmade);
    }

    /// None of a job that is forgotten already.
    async fn spans_of(&self, job: JobId) -> Result<Vec<Span>, StoreError> {
        let store = self.queue.store();
        let Some(listed) = store.listed(job).await? else { return Ok(Vec::new()) };
        Ok(spans(&listed, &store.attempts(job).await?))
    }

    /// Whether they were taken in the end.
    async fn insist(&mut self, body: Bytes, traces: u64, pauses_seconds: &[u64]) -> bool {
        let mut pauses = pauses_seconds.iter().copied().map(Duration::from_secs);
        loop {
            let sent = self.sender.send(body.clone()).await;
            self.tell(&sent);
            match (sent, pauses.next()) {
                (Ok(()), _) => return true,
                (Err(failure), Some(pause)) if failure.is_passing => {
                    self.metrics.traced(Traced::Failed, traces);
                    tokio::time::sleep(pause).await;
                }
                (Err(_), _) => return false,
            }
        }
    }

    fn tell(&mut self, sent: &Result<(), Failure>) {
        let was_refused = std::mem::replace(&mut self.is_refused, sent.is_err());
        match sent {
            Err(error) if !was_refused => {
                tracing::warn!(%error, "traces of jobs are not taken; see traces_url. It is told when they are again");
            }
            Ok(()) if was_refused => tracing::info!("traces of jobs are taken again"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast;

    use super::super::send::Resource;
    use super::*;
    use crate::clock::Clock;
    use crate::queue::{Retention, Sqlite, Wanted};

    async fn exporter(ends: Receiver<JobId>) -> (tempfile::TempDir, Exporter) {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Sqlite::open(directory.path()).await.unwrap());
        let (retention, metrics) =
            (Retention { jobs: 1, age: None, bytes: 1 }, Arc::new(Metrics::new().unwrap()));
        let stop = CancellationToken::new();
        let queue =
            Queue::open(store, retention, Wanted::None, Clock::start(), Arc::clone(&metrics), stop).await;
        let http = comfyui::client::http().unwrap();
        let sender = Sender::new(http, &"http://127.0.0.1:9".parse().unwrap(), Resource::of_this_program(1));
        (directory, Exporter { ends, ..Exporter::new(queue.unwrap(), sender, metrics) })
    }

    fn given_up(exporter: &Exporter) -> String {
        let text = exporter.metrics.text(|_| {}).unwrap();
        let series = "orchestrator_collector_traces_total{outcome=\"given_up\"} ";
        text.lines().find_map(|line| line.strip_prefix(series)).unwrap().to_owned()
    }

    #[tokio::test]
    async fn jobs_that_end_faster_than_they_are_told_of_are_counted_the_oldest_first() {
        let (send, ends) = broadcast::channel(2);
        let (_directory, mut exporter) = exporter(ends).await;
        let jobs: Vec<JobId> = (0..5).map(|_| JobId::random()).collect();
        jobs.iter().for_each(|job| drop(send.send(*job)));
        for _ in 0..3 {
            exporter.gather_one().await;
        }
        assert_eq!((given_up(&exporter).as_str(), &exporter.gathered[..]), ("3", &jobs[3..]));
    }

    #[tokio::test]
    async fn a_job_that_was_forgotten_before_it_was_told_of_is_counted() {
        let (send, ends) = broadcast::channel(2);
        let (_directory, mut exporter) = exporter(ends).await;
        send.send(JobId::random()).unwrap();
        exporter.finish().await;
        assert_eq!((given_up(&exporter).as_str(), exporter.gathered.len()), ("1", 0));
    }
}
