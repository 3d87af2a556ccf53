//! A running collector, as a command asks it: ComfyUI's routes by the library, its own ones here. One attempt each.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use comfyui::reqwest::Method;
use comfyui::{Cause, Client, Error, ObjectInfo};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::classes::Classes;
use super::ending::ClientError;
use super::record::Record;
use crate::config::{JobsFlags, ServerFlags};
use crate::limits;

pub(super) struct Server {
    client: Client,
}

impl Server {
    /// Asks nothing yet.
    pub(super) fn of(flags: &ServerFlags) -> Result<Self, ClientError> {
        let client = Client::new(&flags.server.0)?;
        let client = match &flags.token_file {
            Some(path) => bearing(client, path)?,
            None => client,
        };
        Ok(Self { client })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Node classes of the whole fleet; none before any backend has told.
    pub(super) async fn classes(&self) -> Result<Classes, ClientError> {
        let info: ObjectInfo = self.client.object_info().await?;
        Ok(Classes { origin: self.client.backend().to_owned(), info })
    }

    pub(super) async fn jobs(&self, flags: &JobsFlags) -> Result<Value, ClientError> {
        let (states, limit) = (flags.state.join(","), flags.limit.to_string());
        let state = (!states.is_empty()).then_some(("state", states.as_str()));
        let query: Vec<(&str, &str)> = [("limit", limit.as_str())].into_iter().chain(state).collect();
        self.ask("list jobs", Method::GET, &["jobs"], &query, None).await
    }

    pub(super) async fn job(&self, id: &str) -> Result<Value, ClientError> {
        self.ask("read a job", Method::GET, &["jobs", id], &[], None).await
    }

    /// `None` for a job that the collector does not know (any more).
    pub(super) async fn record(&self, id: &str) -> Result<Option<Record>, ClientError> {
        match self.job(id).await {
            Ok(document) => self.read("read a job", &document).map(Some),
            Err(ClientError::Unknown { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn cancel(&self, id: &str) -> Result<Value, ClientError> {
        self.ask("cancel a job", Method::POST, &["jobs", id, "cancel"], &[], Some(&json!({}))).await
    }

    pub(super) async fn backends(&self) -> Result<Value, ClientError> {
        self.ask("list backends", Method::GET, &["backends"], &[], None).await
    }

    /// `action` is `drain`, `resume` or `free`.
    pub(super) async fn operate(
        &self,
        operation: &'static str,
        backend: &str,
        action: &str,
        body: &Value,
    ) -> Result<Value, ClientError> {
        self.ask(operation, Method::POST, &["backends", backend, action], &[], Some(body)).await
    }

    async fn ask(
        &self,
        operation: &'static str,
        method: Method,
        route: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, ClientError> {
        let segments = [&["orchestrator", "v1"], route].concat();
        Ok(self.client.ask(operation, method, &segments, query, body).await?)
    }

    /// What a document of the collector's own says, as this program knows it.
    pub(super) fn read<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        document: &Value,
    ) -> Result<T, ClientError> {
        T::deserialize(document).map_err(|reason| {
            let cause = Cause::Document(reason.to_string());
            Error { operation, backend: self.client.backend().to_owned(), cause }.into()
        })
    }
}

/// No message shows what is in the file.
fn bearing(client: Client, path: &Path) -> Result<Client, ClientError> {
    let mut text = String::new();
    let read =
        File::open(path).and_then(|file| file.take(limits::SECRET_FILE_BYTES).read_to_string(&mut text));
    read.map_err(|reason| ClientError::File { path: path.to_owned(), reason })?;
    let token = text.lines().next().unwrap_or_default().trim();
    client.bearing(token).map_err(|_| ClientError::Token {
        path: path.to_owned(),
        fault: "has no token in its first line: write it there alone, as one word without blanks",
    })
}
