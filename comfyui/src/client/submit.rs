//! `POST /prompt`.

use reqwest::StatusCode;

use super::{Client, call};
use crate::api::{PromptAccepted, PromptRequest};
use crate::{Cause, Error};

const QUEUE_PROMPT: &str = "queue a prompt";

impl Client {
    /// Queues a prompt (`POST /prompt`).
    ///
    /// Accepted with `node_errors`: some of its outputs are valid and will be run. Queuing one `prompt_id` twice makes
    /// two runs.
    ///
    /// # Errors
    /// [`Cause::Rejected`] when nothing of it is valid; 2024 says so with [`Cause::Status`] 500 where it does not know a
    /// class. After [`Cause::Timeout`] and [`Cause::Broken`] it may have been queued.
    pub async fn queue_prompt(&self, request: &PromptRequest) -> Result<PromptAccepted, Error> {
        let request = self.post(&["prompt"]).json(request);
        let answer = self.answer(QUEUE_PROMPT, self.bounds.submit, request).await?;
        if answer.status.is_success() {
            return self.parse(QUEUE_PROMPT, &answer.body);
        }
        Err(self.error(QUEUE_PROMPT, rejection(&answer)))
    }
}

fn rejection(answer: &call::Answer) -> Cause {
    let document = (answer.status == StatusCode::BAD_REQUEST).then(|| crate::from_slice(&answer.body).ok());
    match document.flatten() {
        Some(rejected) => Cause::Rejected(Box::new(rejected)),
        None => call::refusal(answer.status, &answer.body),
    }
}
