//! Somewhere that answers like a ComfyUI: a real server, a simulated one, or the collector in front of either.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use image::RgbImage;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::client::{Client, Record};
use crate::socket::Socket;
use crate::wait::until;

/// A server that is asked to interrupt does so at the next step.
const SOON: Duration = Duration::from_secs(20);

/// One of them, for a scenario that asks all the same. Where they differ it asks [`Place::expects`].
pub(crate) struct Place {
    pub(crate) client: Client,
    /// How many jobs run there at once.
    pub(crate) lanes: usize,
    /// Of the server, or of those behind the collector.
    pub(crate) generation: Generation,
    pub(crate) is_collector: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Generation {
    /// March 2024.
    Old,
    /// 0.8 of January 2026, and later.
    Current,
}

impl Place {
    pub(crate) fn bare(client: Client, generation: Generation) -> Self {
        Self { client, lanes: 1, generation, is_collector: false }
    }

    pub(crate) fn fleet(client: Client, generation: Generation, lanes: usize) -> Self {
        Self { client, lanes, generation, is_collector: true }
    }

    /// The same, by the paths that web interfaces use.
    pub(crate) fn under_api(self) -> Result<Self> {
        Ok(Self { client: Client::new(&format!("{}/api", self.client.base()))?, ..self })
    }

    /// What a server of 2024, one of today, and the collector answer. `docs/compatibility.md` lists what differs.
    pub(crate) fn expects<T>(&self, old: T, current: T, collector: T) -> T {
        match (self.is_collector, self.generation) {
            (true, _) => collector,
            (false, Generation::Old) => old,
            (false, Generation::Current) => current,
        }
    }

    /// Submits it, follows it to its end, and looks it up.
    pub(crate) async fn run(&self, client_id: &str, prompt: &Value) -> Result<Record> {
        let mut socket = self.socket(client_id).await?;
        let id = self.client.submit(prompt, client_id).await?;
        socket.follow(&id).await?;
        self.finished(&id).await
    }

    pub(crate) async fn socket(&self, client_id: &str) -> Result<Socket> {
        Socket::open(self.client.base(), client_id).await
    }

    /// Who was told that a job has ended finds it in the history.
    pub(crate) async fn finished(&self, id: &str) -> Result<Record> {
        let record = self.client.record(id).await?.with_context(|| format!("{id} is not in the history"))?;
        ensure!(record.is_success(), "{record:?}");
        Ok(record)
    }

    pub(crate) async fn only_picture(&self, record: &Record) -> Result<RgbImage> {
        self.client.picture(&record.only_file()?).await
    }

    /// An older server interrupts whatever runs, which in here is the job meant.
    pub(crate) async fn interrupt(&self, id: &str) -> Result<()> {
        self.client.post_ok("/interrupt", &json!({"prompt_id": id})).await.map(drop)
    }

    pub(crate) async fn all_busy(&self) -> Result<()> {
        until("all lanes busy", SOON, async || {
            Ok((self.client.queue().await?.running.len() == self.lanes).then_some(()))
        })
        .await
    }

    pub(crate) async fn idle(&self) -> Result<()> {
        until("an empty queue", SOON, async || {
            Ok((self.client.get("/prompt").await?["exec_info"]["queue_remaining"] == 0).then_some(()))
        })
        .await
    }
}

impl Generation {
    /// As a server's own routes tell.
    pub(crate) async fn of(client: &Client) -> Result<Self> {
        let (status, _) = client.ask("/features").await?;
        Ok(if status == StatusCode::OK { Self::Current } else { Self::Old })
    }
}
