//! What the web interface needs besides, and passing any request on.

use indexmap::IndexMap;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Body, Method, Response};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Client, Download};
use crate::api::{GlobalSubgraph, ModelFolder, Users};
use crate::{Cause, Error};

const PASS_ON: &str = "pass a request on";

impl Client {
    /// The scripts of the web interface's extensions (`GET /extensions`).
    ///
    /// # Errors
    /// When there is no such answer.
    pub async fn extensions(&self) -> Result<Vec<String>, Error> {
        self.document("list extensions", self.bounds.small, self.get(&["extensions"])).await
    }

    /// Who uses the server (`GET /users`).
    ///
    /// # Errors
    /// When there is no such answer.
    pub async fn users(&self) -> Result<Users, Error> {
        self.document("read the users", self.bounds.small, self.get(&["users"])).await
    }

    /// Language → translations that custom nodes bring (`GET /i18n`).
    ///
    /// # Errors
    /// When there is no such answer; status 404 in 2024.
    pub async fn i18n(&self) -> Result<Map<String, Value>, Error> {
        self.document("read translations", self.bounds.small, self.get(&["i18n"])).await
    }

    /// Id → subgraph that custom nodes bring (`GET /global_subgraphs`).
    ///
    /// # Errors
    /// When there is no such answer; status 404 in 2024.
    pub async fn global_subgraphs(&self) -> Result<IndexMap<String, GlobalSubgraph>, Error> {
        self.document("list subgraphs", self.bounds.small, self.get(&["global_subgraphs"])).await
    }

    /// Custom nodes' module → names of workflows that it brings (`GET /workflow_templates`).
    ///
    /// # Errors
    /// When there is no such answer; status 404 in 2024.
    pub async fn workflow_templates(&self) -> Result<IndexMap<String, Vec<String>>, Error> {
        self.document("list workflow templates", self.bounds.small, self.get(&["workflow_templates"])).await
    }

    /// The model folders, as the web interface's library asks for them (`GET /experiment/models`).
    ///
    /// # Errors
    /// When there is no such answer; status 404 in 2024.
    pub async fn experiment_models(&self) -> Result<Vec<ModelFolder>, Error> {
        self.document("list model folders", self.bounds.small, self.get(&["experiment", "models"])).await
    }

    /// Folder → its paths on the server's disk (`GET /internal/folder_paths`).
    ///
    /// # Errors
    /// When there is no such answer; status 404 in 2024.
    pub async fn folder_paths(&self) -> Result<IndexMap<String, Vec<String>>, Error> {
        self.document("read folder paths", self.bounds.small, self.get(&["internal", "folder_paths"])).await
    }

    /// The document of a route that this library has no method for, such as a node pack's or a proxy's own: `operation`
    /// stands after "cannot" in errors, `segments` are plain text. Bounded as [`Bounds::backlog`](super::Bounds::backlog).
    ///
    /// # Errors
    /// When there is no such answer.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        method: Method,
        segments: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<T, Error> {
        let bare = self.request(method, segments).query(query);
        let request = body.into_iter().fold(bare, |request, body| request.json(body));
        self.document(operation, self.bounds.backlog, request).await
    }

    /// Asks for any path and hands the answer over, whatever its status, its body still to come.
    ///
    /// The path is escaped already, as it stands in a request that is passed on, and must not lead out of the server's
    /// own. `headers` go along as they are (leave out `Host`, `Origin`, `Connection` and the like), except that the
    /// address's credentials, if it has any, take the place of an `Authorization`.
    ///
    /// ```no_run
    /// # async fn run(client: comfyui::Client) -> Result<(), comfyui::Error> {
    /// use reqwest::header::HeaderMap;
    ///
    /// let answer = client.get_stream("/userdata", &[("dir", "workflows")], HeaderMap::new()).await?;
    /// println!("{} {:?}", answer.status(), answer.headers());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When no answer begins, see [`Bounds::stream_silence`](super::Bounds::stream_silence).
    pub async fn get_stream(
        &self,
        path: &str,
        query: &[(&str, &str)],
        headers: HeaderMap,
    ) -> Result<Response, Error> {
        self.forward(Method::GET, path, query, headers, None).await
    }

    /// As [`get_stream`](Self::get_stream) with any method and body. The bound on silence counts from the start of
    /// sending, so it is for bodies of a moment.
    ///
    /// # Errors
    /// When no answer begins.
    pub async fn forward(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        mut headers: HeaderMap,
        body: Option<Body>,
    ) -> Result<Response, Error> {
        if let Some(authorization) = self.address.authorization() {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let url = self.address.path(path).map_err(|why| self.error(PASS_ON, Cause::Unsendable(why)))?;
        let bare = self.request_of(method, url).query(query).headers(headers);
        self.head(PASS_ON, body.into_iter().fold(bare, |request, body| request.body(body))).await
    }

    /// As [`forward`](Self::forward), its body read piece by piece: none may be silent for too long.
    ///
    /// # Errors
    /// When no answer begins.
    pub async fn pass_on(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        headers: HeaderMap,
        body: Option<Body>,
    ) -> Result<Download, Error> {
        let response = self.forward(method, path, query, headers, body).await?;
        Ok(Download::of(response, self.backend().to_owned(), self.bounds.stream_silence))
    }
}
