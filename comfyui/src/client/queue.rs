//! A server's backlog: `/queue`, `GET /prompt`, `/interrupt`.

use serde_json::json;

use super::Client;
use crate::Error;
use crate::api::{QueueRemaining, QueueState};

impl Client {
    /// How many prompts run or wait (`GET /prompt`): the cheapest look at a backlog.
    ///
    /// # Errors
    /// When there is no such answer.
    pub async fn queue_remaining(&self) -> Result<QueueRemaining, Error> {
        self.document("count the backlog", self.bounds.small, self.get(&["prompt"])).await
    }

    /// The whole backlog (`GET /queue`), prompts included.
    ///
    /// # Errors
    /// When there is no such answer.
    pub async fn queue(&self) -> Result<QueueState, Error> {
        self.document("read the backlog", self.bounds.backlog, self.get(&["queue"])).await
    }

    /// Takes waiting prompts out (`POST /queue`). Unknown and running ones are left alone without a word.
    ///
    /// # Errors
    /// When the server does not answer with success.
    pub async fn delete_from_queue(&self, prompt_ids: &[&str]) -> Result<(), Error> {
        let request = self.post(&["queue"]).json(&json!({"delete": prompt_ids}));
        self.body("delete from the backlog", self.bounds.small, request).await.map(drop)
    }

    /// Takes all waiting prompts out (`POST /queue`), whosever they are; the running one goes on.
    ///
    /// # Errors
    /// When the server does not answer with success.
    pub async fn clear_queue(&self) -> Result<(), Error> {
        let request = self.post(&["queue"]).json(&json!({"clear": true}));
        self.body("clear the backlog", self.bounds.small, request).await.map(drop)
    }

    /// Stops a prompt if it runs, or whatever runs if none is named (`POST /interrupt`). It ends at the next step of
    /// its node, with `execution_interrupted`.
    ///
    /// **Servers of 2024 ignore the id and stop whatever runs.**
    ///
    /// # Errors
    /// When the server does not answer with success.
    pub async fn interrupt(&self, prompt_id: Option<&str>) -> Result<(), Error> {
        let bare = self.post(&["interrupt"]);
        let request = match prompt_id {
            Some(prompt_id) => bare.json(&json!({"prompt_id": prompt_id})),
            None => bare,
        };
        self.body("interrupt", self.bounds.small, request).await.map(drop)
    }
}
