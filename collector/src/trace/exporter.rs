//! The one task that sends traces: gathers jobs that have ended, reads their courses, and sends them until the receiver takes
//! them or it was tried for a minute.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::{Instant, timeout_at};
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
    /// One that has ended and is not read yet.
    unread: Option<JobId>,
    /// The spans of each of those that are sent together. They stay here until it is settled what comes of them.
    gathered: Vec<Vec<Span>>,
    /// The log tells once of a receiver that takes none, and once that it takes them again.
    is_refused: bool,
}

impl Exporter {
    pub(super) fn new(queue: Queue, sender: Sender, metrics: Arc<Metrics>) -> Self {
        let ends = queue.ends();
        Self { queue, ends, sender, metrics, unread: None, gathered: Vec::new(), is_refused: false }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        let work = async {
            loop {
                self.gather().await;
                self.deliver(&PAUSES_SECONDS).await;
            }
        };
        let _: Option<()> = stop.run_until_cancelled(work).await;
        match tokio::time::timeout(limits::TRACES_STOP_WITHIN, self.finish()).await {
            Ok(0) => {}
            Ok(lost) => {
                tracing::warn!(traces = lost, "the traces of the last jobs were not taken: they are lost")
            }
            Err(_) => {
                tracing::warn!("the receiver is too slow for the traces of the last jobs: they are lost")
            }
        }
    }

    /// Waits for a job to end, and a moment for others.
    async fn gather(&mut self) {
        let told = self.ends.recv().await;
        self.take(told).await;
        let until = Instant::now() + limits::TRACES_GATHERED_FOR;
        while self.gathered.len() < limits::TRACES_A_BATCH {
            // They need not be so many.
            let Ok(told) = timeout_at(until, self.ends.recv()).await else { return };
            self.take(told).await;
        }
    }

    async fn take(&mut self, told: Result<JobId, RecvError>) {
        match told {
            Ok(job) => {
                self.unread = Some(job);
                self.read().await;
            }
            Err(RecvError::Lagged(missed)) => self.metrics.traced(Traced::GivenUp, missed),
            // It does not happen while the queue is held here.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }

    /// At once: its client may have it forgotten as soon as it has the result.
    async fn read(&mut self) {
        let Some(job) = self.unread else { return };
        match self.spans_of(job).await {
            Ok(spans) if !spans.is_empty() => self.gathered.push(spans),
            Ok(_) => self.metrics.traced(Traced::GivenUp, 1),
            Err(error) => {
                tracing::warn!(%job, %error, "its trace cannot be made");
                self.metrics.traced(Traced::GivenUp, 1);
            }
        }
        self.unread = None;
    }

    /// Sends what is left, each batch once; gives how many were not taken.
    async fn finish(&mut self) -> u64 {
        let mut lost = 0;
        self.read().await;
        loop {
            while self.gathered.len() < limits::TRACES_A_BATCH {
                match self.ends.try_recv() {
                    Ok(job) => self.take(Ok(job)).await,
                    Err(TryRecvError::Lagged(missed)) => lost += missed,
                    Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                }
            }
            if self.gathered.is_empty() {
                return lost;
            }
            let traces = self.gathered.len() as u64;
            lost += if self.deliver(&[]).await { 0 } else { traces };
        }
    }

    /// Whether they were taken.
    async fn deliver(&mut self, pauses_seconds: &[u64]) -> bool {
        let traces = self.gathered.len() as u64;
        let is_taken = traces == 0
            || self.insist(self.sender.encoded(self.gathered.concat()), traces, pauses_seconds).await;
        self.gathered.clear();
        self.metrics.traced(if is_taken { Traced::Sent } else { Traced::GivenUp }, traces);
        is_taken
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
        let told = exporter.ends.recv().await;
        exporter.take(told).await;
        assert_eq!((given_up(&exporter).as_str(), exporter.ends.try_recv()), ("3", Ok(jobs[3])));
    }

    #[tokio::test]
    async fn a_job_that_was_forgotten_before_it_was_told_of_is_counted() {
        let (send, ends) = broadcast::channel(2);
        let (_directory, mut exporter) = exporter(ends).await;
        send.send(JobId::random()).unwrap();
        assert_eq!(exporter.finish().await, 0);
        assert_eq!((given_up(&exporter).as_str(), exporter.gathered.len()), ("1", 0));
    }
}
