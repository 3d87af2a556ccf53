//! Through the collector's own queue, as its `POST /prompt` submits: what comes at the same time shares a transaction.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use collector::clock::{Clock, UnixMillis};
use collector::metrics::Metrics;
use collector::queue::{Postgres, Queue, Retention, Sqlite, Store};

use super::plain::Database;
use super::together;
use crate::sample::Sample;
use crate::submit::Run;

pub(super) async fn open(database: &Database, directory: &Path) -> Result<Queue> {
    let store: Arc<dyn Store> = match database {
        Database::Sqlite(directory) => Arc::new(Sqlite::open(directory).await?),
        Database::Postgres(url) => {
            Arc::new(Postgres::open(&url.parse()?, None, &directory.join("server")).await?)
        }
    };
    let retention = Retention { jobs: u64::MAX, age: None, bytes: u64::MAX };
    let metrics = Arc::new(Metrics::new().context("set up the queue's metrics")?);
    Ok(Queue::open(
        store,
        retention,
        collector::queue::Wanted::None,
        Clock::start(),
        metrics,
        Default::default(),
    )
    .await?)
}

pub(super) async fn submit(queue: &Queue, submitters: usize, each: usize) -> Result<Run> {
    let sample = Sample::new()?;
    let submitter = |first: usize| {
        let now = UnixMillis(1);
        let submissions = (first * each..(first + 1) * each).map(|seed| sample.submission(seed, now));
        let (submissions, queue) = (submissions.collect::<Result<Vec<_>>>()?, queue.clone());
        Ok(async move {
            let mut took: Vec<Duration> = Vec::with_capacity(submissions.len());
            for submission in submissions {
                let began = Instant::now();
                queue.submit(submission).await?;
                took.push(began.elapsed());
            }
            Ok(took)
        })
    };
    together((0..submitters).map(submitter).collect::<Result<_>>()?).await
}

/// As many bytes as a job's two rows hold, their numbers and times aside.
pub(super) fn payload() -> Result<String> {
    let submission = Sample::new()?.submission(0, UnixMillis(0))?;
    let needs = serde_json::to_string(&submission.needs).context("write the sample's needs")?;
    let extra_data =
        serde_json::to_string(&submission.extra_data).context("write the sample's extra data")?;
    Ok([submission.prompt.get(), &needs, &extra_data].concat())
}
