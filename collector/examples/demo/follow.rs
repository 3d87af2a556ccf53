//! Submits jobs and follows them to their ends by `/ws`. Events are told once and not again after a connection has
//! broken, so whether a job has ended is always read from its record; an event only says when to look.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use comfyui::message::{Executing, Preview, Progress};
use comfyui::{Frame, Message, Socket};
use tokio::time::timeout;

use crate::client::{self, Attempt, Client, Record};
use crate::jobs::Job;
use crate::screen::Screen;

/// Nothing heard for so long: look whether something was missed.
const LOOK_AFTER: Duration = Duration::from_secs(5);
/// How long there may be no backend at all.
const ALONE_FOR: Duration = Duration::from_secs(60);

/// A job that has ended.
pub(crate) struct Ended {
    pub(crate) job: Job,
    /// Backends that were given it; the last one is where it ended.
    pub(crate) attempts: Vec<Attempt>,
    /// Pictures that came while it was being made.
    pub(crate) previews: u32,
    /// The name of its picture, if it was saved.
    pub(crate) picture: Option<String>,
    /// Why it has none, else.
    pub(crate) failure: Option<String>,
}

/// Returns when all jobs have ended, in that order.
pub(crate) async fn follow(client: &Client, jobs: Vec<Job>, screen: &Screen) -> Result<Vec<Ended>> {
    // Before the first job is submitted, so that no event of it is missed.
    let mut socket = client.listen().await?;
    let mut following = Following::submit(client, jobs, screen).await?;
    while !following.open.is_empty() {
        match next(&mut socket).await {
            Heard::Frame(frame) => following.heed(*frame).await?,
            Heard::Nothing => following.look().await?,
            Heard::End => {
                socket = client.listen().await?;
                following.look().await?;
            }
        }
    }
    socket.close().await;
    Ok(following.ended)
}

enum Heard {
    Frame(Box<Frame>),
    Nothing,
    End,
}

async fn next(socket: &mut Socket) -> Heard {
    match timeout(LOOK_AFTER, socket.next()).await {
        Ok(Some(Ok(frame))) => Heard::Frame(Box::new(frame)),
        // A frame that cannot be read; after every other error the socket ends by itself.
        Ok(Some(Err(_))) | Err(_) => Heard::Nothing,
        Ok(None) => Heard::End,
    }
}

struct Following<'a> {
    client: &'a Client,
    screen: &'a Screen,
    /// By the ids that the collector gave.
    open: HashMap<String, Open>,
    ended: Vec<Ended>,
    alone_since: Option<Instant>,
}

struct Open {
    job: Job,
    previews: u32,
}

impl<'a> Following<'a> {
    async fn submit(client: &'a Client, jobs: Vec<Job>, screen: &'a Screen) -> Result<Self> {
        screen.submitted(jobs.len());
        let mut open = HashMap::new();
        for job in jobs {
            open.insert(client.submit(&job).await?, Open { job, previews: 0 });
        }
        Ok(Self { client, screen, open, ended: Vec::new(), alone_since: None })
    }

    async fn heed(&mut self, frame: Frame) -> Result<()> {
        let message = match frame {
            Frame::Message(message) => message,
            Frame::Preview(preview) => {
                self.count(&preview);
                return Ok(());
            }
            Frame::Text(_) | Frame::Other(_) => return Ok(()),
        };
        let Some(id) = message.prompt_id().map(str::to_owned) else { return Ok(()) };
        match message {
            Message::ExecutionStart(_) => self.begun(&id).await?,
            Message::Executing(Executing { node: Some(node), .. }) => self.at_node(&id, &node),
            Message::Progress(progress) => self.progressed(&id, &progress),
            Message::ExecutionSuccess(_)
            | Message::ExecutionError(_)
            | Message::ExecutionInterrupted(_)
            | Message::Executing(_) => self.settle(&id).await?,
            _ => {}
        }
        Ok(())
    }

    async fn begun(&self, id: &str) -> Result<()> {
        let Some(open) = self.open.get(id) else { return Ok(()) };
        if let Some(attempt) = self.client.record(id).await?.attempts.last() {
            self.screen.begun(&open.job, &attempt.backend);
        }
        Ok(())
    }

    fn at_node(&self, id: &str, node: &str) {
        if let Some(open) = self.open.get(id) {
            self.screen.at_node(&open.job, node);
        }
    }

    fn progressed(&self, id: &str, progress: &Progress) {
        let steps = progress.value.as_f64().zip(progress.max.as_f64());
        if let (Some(open), Some((done, all))) = (self.open.get(id), steps) {
            self.screen.progressed(&open.job, done as u64, all as u64);
        }
    }

    fn count(&mut self, preview: &Preview) {
        let id = preview.metadata.as_ref().and_then(|metadata| metadata.prompt_id.as_ref());
        if let Some(open) = id.and_then(|id| self.open.get_mut(id)) {
            open.previews += 1;
        }
    }

    /// Looks at every open job, and gives up when there has been no backend for long.
    async fn look(&mut self) -> Result<()> {
        let ids: Vec<String> = self.open.keys().cloned().collect();
        for id in ids {
            self.settle(&id).await?;
        }
        let trouble = client::at_least_one(&self.client.backends().await?);
        let Err(trouble) = trouble else {
            self.alone_since = None;
            return Ok(());
        };
        let screen = self.screen;
        let since = *self.alone_since.get_or_insert_with(|| {
            screen.line(&format!("No backend takes jobs now; waiting {} s for one.", ALONE_FOR.as_secs()));
            Instant::now()
        });
        if since.elapsed() < ALONE_FOR { Ok(()) } else { Err(trouble) }
    }

    /// Takes a job off the list if it has ended.
    async fn settle(&mut self, id: &str) -> Result<()> {
        if !self.open.contains_key(id) {
            return Ok(());
        }
        let record = self.client.record(id).await?;
        if !record.has_ended() {
            return Ok(());
        }
        if let Some(open) = self.open.remove(id) {
            let ended = self.conclude(open, record).await;
            self.screen.ended(&ended);
            self.ended.push(ended);
        }
        Ok(())
    }

    async fn conclude(&self, open: Open, record: Record) -> Ended {
        let Open { job, previews } = open;
        let saved = match record.failure() {
            Some(failure) => Err(failure),
            None => self
                .client
                .save_picture(&job, &record)
                .await
                .map_err(|error| format!("NO PICTURE: {error:#}")),
        };
        let (picture, failure) = match saved {
            Ok(name) => (Some(name), None),
            Err(failure) => (None, Some(failure)),
        };
        Ended { job, attempts: record.attempts, previews, picture, failure }
    }
}
