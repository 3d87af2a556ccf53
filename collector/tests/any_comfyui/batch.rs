//! Many jobs at once, told apart by their seeds. All of them save under the same names, so that two servers each have
//! a picture of the same name and only the right one is the right picture.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::client::{Client, Queue, Record};
use crate::prompts::{Diffusion, ensure_same, picture_of};
use crate::wait::until;

/// How long one job of a batch runs, without loading.
pub(crate) const JOB: Duration = Duration::from_secs(2);

const STEPS: u32 = 20;

pub(crate) struct Batch {
    client: Client,
    /// The id of each seed.
    ids: BTreeMap<u64, String>,
}

impl Batch {
    /// Submits one job a seed, of two models in turn.
    pub(crate) async fn submit(client: &Client, seeds: Range<u64>) -> Result<Self> {
        let mut ids = BTreeMap::new();
        for seed in seeds {
            let job = Diffusion {
                model: if seed % 2 == 0 { "sd15.safetensors" } else { "sdxl.safetensors" },
                seed,
                steps: STEPS,
                step_seconds: JOB.as_secs_f64() / f64::from(STEPS),
                prefix: "batch",
                ..Diffusion::default()
            };
            ids.insert(seed, client.submit(&job.prompt(), "batch").await?);
        }
        Ok(Self { client: client.clone(), ids })
    }

    pub(crate) fn seeds(&self) -> impl Iterator<Item = u64> {
        self.ids.keys().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Waits until at least so many of them have ended.
    pub(crate) async fn wait_for(&self, count: usize) -> Result<()> {
        // One lane must be enough, with time for another attempt.
        let limit = JOB * u32::try_from(self.len())? + Duration::from_secs(60);
        let what = format!("{count} of {} jobs to end", self.len());
        until(&what, limit, async || {
            let mut ended = 0;
            for id in self.ids.values() {
                ended += usize::from(self.client.record(id).await?.is_some());
            }
            Ok((ended >= count).then_some(()))
        })
        .await
        .with_context(|| format!("batch {:?}", self.ids))
    }

    /// Each has succeeded and is in the history once.
    pub(crate) async fn ensure_all_succeeded(&self) -> Result<()> {
        let history = self.client.history().await?;
        for (seed, id) in &self.ids {
            let of_seed: Vec<_> =
                history.iter().filter(|(_, record)| seed_of(record) == Some(*seed)).collect();
            let ids: Vec<_> = of_seed.iter().map(|(id, _)| id).collect();
            ensure!(ids == [id], "seed {seed} is {id}, but the history has {ids:?}");
            ensure!(of_seed.iter().all(|(_, record)| record.is_success()), "{of_seed:?}");
        }
        Ok(())
    }

    /// The picture of this seed, from wherever it was made.
    pub(crate) async fn ensure_picture(&self, seed: u64) -> Result<()> {
        let id = self.ids.get(&seed).with_context(|| format!("no job of seed {seed}"))?;
        let record = self.client.record(id).await?.with_context(|| format!("{id} is not in the history"))?;
        let files = record.files()?;
        ensure!(files.len() == 1, "seed {seed}: {files:?}");
        for file in &files {
            let picture = self.client.picture(file).await?;
            ensure_same(&picture, &picture_of(seed), 1).with_context(|| format!("seed {seed}: {file:?}"))?;
        }
        Ok(())
    }
}

/// The seeds of all jobs that ended there, each as often as it did.
pub(crate) async fn seeds_in_history(client: &Client) -> Result<Vec<u64>> {
    Ok(client.history().await?.iter().filter_map(|(_, record)| seed_of(record)).collect())
}

fn seed_of(record: &Record) -> Option<u64> {
    record.prompt()["2"]["inputs"]["seed"].as_u64()
}

/// Waits until a job has ended at this server and another has just begun: that one has most of its time before it.
pub(crate) async fn a_job_has_just_begun(client: &Client) -> Result<()> {
    let first = running(client, |_| true).await?;
    running(client, |id| id != first).await.map(drop)
}

async fn running(client: &Client, wanted: impl Fn(&str) -> bool) -> Result<String> {
    let what = format!("another job to run at {}", client.base());
    until(&what, JOB * 10, async || {
        let Queue { running, .. } = client.queue().await?;
        Ok(running.into_iter().find(|id| wanted(id)))
    })
    .await
}
