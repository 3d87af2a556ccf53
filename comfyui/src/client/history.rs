//! What became of prompts: `/history`.

use serde_json::json;

use super::Client;
use crate::Error;
use crate::api::{History, HistoryEntry};

impl Client {
    /// Finished prompts, oldest first (`GET /history`): the last `max_items`, or with an offset those that follow the
    /// first `offset`.
    ///
    /// # Errors
    /// When there is no such answer.
    pub async fn history(&self, max_items: Option<u64>, offset: Option<u64>) -> Result<History, Error> {
        let request = self.get(&["history"]).query(&[("max_items", max_items), ("offset", offset)]);
        self.document("read the history", self.bounds.backlog, request).await
    }

    /// One finished prompt (`GET /history/{id}`); `None` while it waits or runs, and when the server has forgotten or
    /// never known it.
    ///
    /// # Errors
    /// When there is no such answer.
    pub async fn history_of(&self, prompt_id: &str) -> Result<Option<HistoryEntry>, Error> {
        let request = self.get(&["history", prompt_id]);
        let mut history: History = self.document("look up a prompt", self.bounds.backlog, request).await?;
        Ok(history.shift_remove(prompt_id))
    }

    /// Forgets finished prompts (`POST /history`).
    ///
    /// # Errors
    /// When the server does not answer with success.
    pub async fn delete_history(&self, prompt_ids: &[&str]) -> Result<(), Error> {
        let request = self.post(&["history"]).json(&json!({"delete": prompt_ids}));
        self.body("delete from the history", self.bounds.small, request).await.map(drop)
    }

    /// Forgets all finished prompts (`POST /history`).
    ///
    /// # Errors
    /// When the server does not answer with success.
    pub async fn clear_history(&self) -> Result<(), Error> {
        let request = self.post(&["history"]).json(&json!({"clear": true}));
        self.body("clear the history", self.bounds.small, request).await.map(drop)
    }
}
