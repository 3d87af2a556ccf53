//! `submit`: files in, jobs at a collector out; their ids, or with `--follow` what came of them.
//!
//! Everything that can be wrong with the command line and its files is found before the first job is submitted.

mod draft;
mod request;
mod set;
mod upload;

use comfyui::api::{PromptAccepted, PromptRequest};
use comfyui::{Cause, Socket};
use serde_json::{Value, json};
use uuid::Uuid;

use self::draft::Draft;
pub(super) use self::set::SetError;
use super::ending::ClientError;
use super::follow::{self, Job};
use super::output::{self, say};
use super::save::Directory;
use super::server::Server;
use crate::config::SubmitFlags;

/// How often one request is sent: under its id it stays one job however often it arrives.
const TRIES: usize = 3;

pub(super) async fn submit(flags: SubmitFlags) -> Result<u8, ClientError> {
    let server = Server::of(&flags.server)?;
    let client_id = flags.client_id.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
    let drafts = prepared(&server, &flags).await?;
    let requests =
        drafts.iter().map(|draft| request::of(draft, &flags, &client_id)).collect::<Result<Vec<_>, _>>()?;
    let directory = flags.out.as_deref().map(Directory::open).transpose()?;
    if !flags.follow {
        return deliver(&flags, &submit_all(&server, drafts, &requests).await?);
    }
    // Before the first job is there, so that no event of it is missed.
    let socket = Socket::connect(server.client(), &client_id, None).await?;
    let submitted = submit_all(&server, drafts, &requests).await?;
    let refused = submitted.iter().filter_map(Submitted::refusal).map(ClientError::code).max();
    submitted.iter().for_each(Submitted::remark);
    let jobs = told_apart(submitted.into_iter().filter_map(Submitted::followed).collect());
    let code = follow::follow(&server, &client_id, jobs, socket, directory, flags.json).await?;
    Ok(code.max(refused.unwrap_or(0)))
}

/// The drafts with all that the flags change, what they name uploaded.
async fn prepared(server: &Server, flags: &SubmitFlags) -> Result<Vec<Draft>, ClientError> {
    let mut drafts = flags.files.iter().map(|file| Draft::read(file)).collect::<Result<Vec<_>, _>>()?;
    if !flags.set.is_empty() || drafts.iter().any(Draft::is_workflow) {
        let classes = server.classes().await?;
        drafts = drafts.into_iter().map(|draft| draft.converted(&classes)).collect::<Result<_, _>>()?;
        for draft in &mut drafts {
            set::apply(draft, &flags.set, &classes.info, server).await?;
        }
    }
    upload::all(server, &flags.upload, &mut drafts).await?;
    Ok(drafts)
}

/// One file's fate.
struct Submitted {
    draft: Draft,
    answer: Result<PromptAccepted, ClientError>,
}

/// One that is refused does not keep the others out; a collector that is gone does.
async fn submit_all(
    server: &Server,
    drafts: Vec<Draft>,
    requests: &[PromptRequest],
) -> Result<Vec<Submitted>, ClientError> {
    let mut submitted = Vec::new();
    for (draft, request) in drafts.into_iter().zip(requests) {
        match submit_one(server, request).await {
            Err(error) if error.is_passing() => {
                submitted.iter().for_each(|job: &Submitted| job.report_lost());
                return Err(error);
            }
            answer => submitted.push(Submitted { draft, answer }),
        }
    }
    Ok(submitted)
}

async fn submit_one(server: &Server, request: &PromptRequest) -> Result<PromptAccepted, ClientError> {
    let mut tries = 1;
    loop {
        match server.client().queue_prompt(request).await {
            Err(error) if tries < TRIES && matches!(error.cause, Cause::Timeout | Cause::Broken(_)) => {
                tries += 1;
            }
            answer => return Ok(answer?),
        }
    }
}

/// Without following: the ids on standard output, what is wrong on standard error.
fn deliver(flags: &SubmitFlags, submitted: &[Submitted]) -> Result<u8, ClientError> {
    submitted.iter().for_each(Submitted::remark);
    if flags.json {
        let jobs: Vec<Value> = submitted.iter().map(Submitted::document).collect();
        output::print(&output::pretty(&json!({ "jobs": jobs }))?)?;
    } else {
        let ids =
            submitted.iter().filter_map(|job| Some(format!("{}\n", job.answer.as_ref().ok()?.prompt_id)));
        output::print_text(&ids.collect::<String>())?;
    }
    Ok(submitted.iter().filter_map(Submitted::refusal).map(ClientError::code).max().unwrap_or(0))
}

impl Submitted {
    fn refusal(&self) -> Option<&ClientError> {
        self.answer.as_ref().err()
    }

    /// What of it will not be done.
    fn remark(&self) {
        let name = &self.draft.name;
        match &self.answer {
            Err(error) => say(&format!("{name}: {error}")),
            Ok(accepted) => {
                let faults: String = accepted
                    .node_reasons()
                    .map(|reason| {
                        format!(
                            "
  {reason}"
                        )
                    })
                    .collect();
                if !faults.is_empty() {
                    say(&format!("{name}: accepted, except for outputs that cannot run:{faults}"));
                }
            }
        }
    }

    /// It was accepted before the collector could no longer be reached.
    fn report_lost(&self) {
        if let Ok(accepted) = &self.answer {
            say(&format!("{}: accepted as {}", self.draft.name, accepted.prompt_id));
        }
    }

    fn document(&self) -> Value {
        let file = &self.draft.name;
        match &self.answer {
            Ok(accepted) => json!({
                "file": file, "id": accepted.prompt_id, "number": accepted.number,
                "node_errors": accepted.node_errors,
            }),
            Err(error) => json!({ "file": file, "error": error.to_string(), "code": error.code() }),
        }
    }

    fn followed(self) -> Option<Job> {
        let id = self.answer.ok()?.prompt_id;
        Some(Job { id, labels: self.draft.labels(), name: self.draft.name })
    }
}

/// Jobs of one file are numbered.
fn told_apart(mut jobs: Vec<Job>) -> Vec<Job> {
    let names: Vec<String> = jobs.iter().map(|job| job.name.clone()).collect();
    for (at, job) in jobs.iter_mut().enumerate() {
        let earlier = names.iter().take(at).filter(|name| **name == job.name).count();
        let later = names.iter().skip(at + 1).any(|name| *name == job.name);
        if earlier > 0 || later {
            job.name = format!("{} #{}", job.name, earlier + 1);
        }
    }
    jobs
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::*;

    #[test]
    fn jobs_of_one_file_are_told_apart() {
        let job = |name: &str| Job { id: String::new(), name: name.to_owned(), labels: IndexMap::new() };
        let jobs = told_apart(vec![job("a"), job("b"), job("a")]);
        assert_eq!(jobs.iter().map(|job| job.name.as_str()).collect::<Vec<_>>(), ["a #1", "b", "a #2"]);
    }
}
