//! The acts that take time, performed: each is one future that commits, speaks to one backend, and says what came of it. No
//! decisions here beyond telling apart what an answer proves.

use std::sync::Arc;
use std::time::Instant;

use comfyui::api::{FreeRequest, PromptAccepted, PromptRequest};
use comfyui::{Cause, Client, Error};

use super::act::{FreeReply, TakenUp, Work};
use super::conclude::conclude;
use super::deliver::{DeliveryError, bring};
use super::done::{Done, Sent};
use super::kept::{Kept, SETTING};
use super::recover::{self, Found, Known};
use super::tools::Tools;
use super::{loaded, rename};
use crate::id::{BackendId, JobId};
use crate::job::{Change, Course, Job, Outcome};
use crate::limits;
use crate::queue::{ChangeError, Documents, StoreError};
use crate::route::Assignment;

pub(super) async fn perform(tools: Arc<Tools>, work: Work) -> Done {
    match work {
        Work::Dispatch { job, attempt, assignment } => dispatch(tools, job, attempt, assignment).await,
        Work::LookUp { backend, job, attempt, prompt_id } => {
            look_up(tools, backend, job, attempt, prompt_id).await
        }
        Work::Requeue { job, attempt, spent, reason, course } => {
            requeue(tools, job, attempt, spent, reason, course).await
        }
        Work::Conclude(closing) => conclude(tools, *closing).await,
        Work::Stop { backend, job, attempt, prompt_id, pending } => {
            stop(tools, backend, job, attempt, prompt_id, pending).await
        }
        Work::Cancel { job, only_pending, reply } => cancel(tools, job, only_pending, reply).await,
        Work::Free { backend, number, request, reply } => free(tools, backend, number, request, reply).await,
        Work::Keep(kept) => keep(&tools, &kept).await,
    }
}

async fn dispatch(tools: Arc<Tools>, job: Arc<Job>, attempt: u32, assignment: Assignment) -> Done {
    let id = job.id;
    let intended = intend(&tools, id, &assignment).await;
    let committed = Instant::now();
    let sent = match intended {
        (Ok(()), Ok(documents)) => {
            send(&tools, &job, attempt, &assignment.backend, documents, committed).await
        }
        (Ok(()), Err(error)) => Sent::Never { reason: error.to_string() },
        (Err(error), _) => Sent::NotCommitted(error),
    };
    Done::Sent { job: id, attempt, sent }
}

/// Commits the intent, and reads what is to be sent meanwhile: documents never change.
async fn intend(
    tools: &Tools,
    job: JobId,
    assignment: &Assignment,
) -> (Result<(), ChangeError>, Result<Option<Documents>, StoreError>) {
    let (backend, at, why) = (assignment.backend.clone(), tools.clock.now(), assignment.why.to_string());
    let intent = tools.queue.change(Change::Dispatch { job, backend, at, why });
    tokio::join!(intent, tools.queue.store().documents(job))
}

async fn send(
    tools: &Tools,
    job: &Job,
    attempt: u32,
    backend: &BackendId,
    documents: Option<Documents>,
    committed: Instant,
) -> Sent {
    let Some(client) = tools.clients.get(backend) else {
        return Sent::Undeliverable { reason: format!("{backend} is no longer part of the fleet") };
    };
    let Some(documents) = documents else {
        return Sent::Impossible { reason: "its prompt is no longer in the database".into() };
    };
    if let Err(error) = tools.delivered.deliver(&tools.files, backend, &client, &job.needs.files).await {
        return undelivered(&error);
    }
    let loaded = loaded::plan(
        &job.needs.outputs,
        backend,
        |id| tools.clients.get(id).is_some(),
        |file| tools.files.contains(file),
    );
    if let Err(error) = bring(tools, &client, &loaded).await {
        return undelivered(&error);
    }
    let documents = match rename::renamed(documents.prompt, &loaded::names(&loaded)) {
        Ok(prompt) => Documents { prompt, ..documents },
        Err(error) => return Sent::Impossible { reason: format!("its prompt cannot be read: {error}") },
    };
    // Files take their time, in which another collector may have taken over and given the job to another backend.
    if committed.elapsed() > limits::CONFIRM_AFTER
        && let Err(error) = tools.queue.store().confirm().await
    {
        return Sent::Never { reason: error.to_string() };
    }
    match client.queue_prompt(&request(tools, job.id, attempt, documents)).await {
        Ok(accepted) => accept(tools, job.id, attempt, accepted).await,
        Err(error) => refusal(error),
    }
}

fn undelivered(error: &DeliveryError) -> Sent {
    let reason = error.to_string();
    match error {
        DeliveryError::Backend(error) if error.never_sent() => Sent::Never { reason },
        DeliveryError::Unread { .. } => Sent::Never { reason },
        DeliveryError::Backend(_) | DeliveryError::Renamed { .. } => Sent::Undeliverable { reason },
        DeliveryError::Missing { .. } | DeliveryError::Gone { .. } => Sent::Impossible { reason },
    }
}

fn request(tools: &Tools, job: JobId, attempt: u32, documents: Documents) -> PromptRequest {
    let mut extra_data = documents.extra_data;
    extra_data.insert(recover::MARK.to_owned(), recover::mark(job, attempt));
    PromptRequest {
        prompt: documents.prompt,
        client_id: Some(tools.client_id.as_str().to_owned()),
        prompt_id: Some(job.to_string()),
        number: None,
        front: None,
        extra_data: Some(extra_data),
        partial_execution_targets: documents.partial_execution_targets,
        extra: serde_json::Map::new(),
    }
}

/// That the backend has it is worth a commit of its own: after a restart it need not be searched by its mark. Should
/// the commit fail, the mark still finds it.
async fn accept(tools: &Tools, job: JobId, attempt: u32, accepted: PromptAccepted) -> Sent {
    let prompt_id = accepted.prompt_id;
    let change = Change::Accept { job, attempt, prompt_id: prompt_id.clone() };
    if let Err(error) = tools.queue.change(change).await {
        tracing::warn!(%job, %error, "that a backend accepted the job could not be written");
    }
    Sent::Accepted { prompt_id }
}

fn refusal(error: Error) -> Sent {
    let (never_sent, reason) = (error.never_sent(), error.to_string());
    match error.cause {
        Cause::Rejected(rejected) => Sent::Rejected(rejected),
        _ if never_sent => Sent::Never { reason },
        Cause::Status { status: 400..500, .. } => Sent::Refused { reason },
        _ => Sent::Doubtful { reason },
    }
}

async fn look_up(
    tools: Arc<Tools>,
    backend: BackendId,
    job: JobId,
    attempt: u32,
    prompt_id: Option<String>,
) -> Done {
    let found = match tools.clients.get(&backend) {
        Some(client) => find(&client, Known { job, attempt, prompt_id: prompt_id.as_deref() }).await,
        None => Ok(Found::Nowhere),
    };
    Done::LookedUp { job, attempt, found: found.map_err(|error| error.to_string()) }
}

async fn find(client: &Client, known: Known<'_>) -> Result<Found, Error> {
    if let Some(found) = recover::in_queue(&client.queue().await?, known) {
        return Ok(found);
    }
    let id = known.prompt_id.map_or_else(|| known.job.to_string(), str::to_owned);
    let entry = client.history_of(&id).await?;
    if let Some(entry) = entry.filter(|entry| recover::is_attempt(&entry.prompt.extra_data, known.attempt)) {
        return Ok(Found::Ended { prompt_id: id, entry: Box::new(entry) });
    }
    match known.prompt_id {
        Some(_) => Ok(Found::Nowhere),
        None => Ok(recover::in_history(client.history(Some(limits::HISTORY_SEARCH), None).await?, known)),
    }
}

async fn requeue(
    tools: Arc<Tools>,
    job: JobId,
    attempt: u32,
    spent: bool,
    reason: String,
    course: Course,
) -> Done {
    let change = || {
        let (at, reason) = (tools.clock.now(), reason.clone());
        Change::Requeue { job, attempt, spent, at, reason, course }
    };
    tools.insist(change).await;
    Done::Requeued { job, attempt }
}

/// A prompt that waits on the backend is taken out of its queue, one that runs is interrupted.
async fn stop(
    tools: Arc<Tools>,
    backend: BackendId,
    job: JobId,
    attempt: u32,
    prompt_id: String,
    pending: bool,
) -> Done {
    let result = match tools.clients.get(&backend) {
        Some(client) if pending => client.delete_from_queue(&[&prompt_id]).await,
        Some(client) => interrupt(&client, job, &prompt_id).await,
        None => Ok(()),
    };
    Done::Stopped { job, attempt, pending, result }
}

/// A server that gives its own ids is of 2024 and interrupts whatever runs, so it is asked first what that is.
async fn interrupt(client: &Client, job: JobId, prompt_id: &str) -> Result<(), Error> {
    if prompt_id != job.to_string() {
        let running = client.queue().await?.queue_running;
        if !running.iter().any(|item| item.prompt_id == prompt_id) {
            return Ok(());
        }
    }
    client.interrupt(Some(prompt_id)).await
}

async fn free(
    tools: Arc<Tools>,
    backend: BackendId,
    number: u64,
    request: FreeRequest,
    reply: Option<FreeReply>,
) -> Done {
    let result = match tools.clients.get(&backend) {
        Some(client) => client.free(&request).await,
        None => Ok(()),
    };
    Done::Freed { backend, number, result, reply }
}

/// Should it fail it is written the next time: it is only what was learned.
async fn keep(tools: &Tools, kept: &Kept) -> Done {
    let row = serde_json::to_string(kept).map_err(|error| error.to_string());
    let written = match row {
        Ok(row) => tools.queue.store().keep_setting(SETTING, &row).await.map_err(|error| error.to_string()),
        Err(error) => Err(error),
    };
    if let Err(error) = written {
        tracing::warn!(error, "what was learned of jobs' memory could not be written");
    }
    Done::Kept
}

/// Takes a job out of the queue that no backend has. `only_pending`: it is to be left alone should it have begun.
async fn cancel(tools: Arc<Tools>, job: JobId, only_pending: bool, reply: Option<TakenUp>) -> Done {
    let (outcome, results, course) = (Outcome::Cancelled, Box::default(), Course::default());
    let change = Change::End { job, attempt: None, at: tools.clock.now(), outcome, results, course };
    let result = tools.queue.change(change).await;
    // One that waits no longer is stopped where it is.
    let taken_up = result.clone().or_else(|error| match error {
        ChangeError::Illegal(_) => Ok(()),
        error @ (ChangeError::Store(_) | ChangeError::Stopping) => Err(error),
    });
    // Whoever asked may be gone.
    let _ = reply.map(|reply| reply.send(taken_up));
    Done::Cancelled { job, only_pending, result }
}
