//! `/api/jobs`: queue and history as one list; in 0.8 and later.

use serde_json::json;

use super::Client;
use crate::Error;
use crate::api::{Cancelled, Job, Jobs, JobsQuery};

impl Client {
    /// Jobs (`GET /api/jobs`).
    ///
    /// # Errors
    /// When there is no such answer; status 404 in 2024, 400 for a filter that the server does not know.
    pub async fn jobs(&self, query: &JobsQuery) -> Result<Jobs, Error> {
        let request = self.get(&["api", "jobs"]).query(query);
        self.document("list jobs", self.bounds.backlog, request).await
    }

    /// One job with its outputs and workflow (`GET /api/jobs/{id}`).
    ///
    /// # Errors
    /// When there is no such answer; status 404 for an unknown job, and in 2024.
    pub async fn job(&self, id: &str) -> Result<Job, Error> {
        self.document("read a job", self.bounds.backlog, self.get(&["api", "jobs", id])).await
    }

    /// Cancels a job wherever it is (`POST /api/jobs/{id}/cancel`). In 0.38 and later.
    ///
    /// # Errors
    /// When there is no such answer; status 404 or 405 in older servers.
    pub async fn cancel_job(&self, id: &str) -> Result<Cancelled, Error> {
        self.document("cancel a job", self.bounds.small, self.post(&["api", "jobs", id, "cancel"])).await
    }

    /// Cancels jobs wherever they are (`POST /api/jobs/cancel`). In 0.38 and later.
    ///
    /// # Errors
    /// When there is no such answer; status 404 or 405 in older servers.
    pub async fn cancel_jobs(&self, ids: &[&str]) -> Result<Cancelled, Error> {
        let request = self.post(&["api", "jobs", "cancel"]).json(&json!({"job_ids": ids}));
        self.document("cancel jobs", self.bounds.small, request).await
    }
}
