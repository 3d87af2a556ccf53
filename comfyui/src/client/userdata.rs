//! What the web interface keeps on a server for its user: `/settings` and `/userdata`.

use reqwest::header::HeaderMap;
use reqwest::{Body, Method};
use serde_json::{Map, Value};

use super::{Client, Download};
use crate::Error;
use crate::api::UserFile;

impl Client {
    /// All settings (`GET /settings`).
    ///
    /// # Errors
    /// When there is no such answer.
    pub async fn settings(&self) -> Result<Map<String, Value>, Error> {
        self.document("read the settings", self.bounds.small, self.get(&["settings"])).await
    }

    /// One setting (`GET /settings/{id}`); null when it has not been set.
    ///
    /// # Errors
    /// When there is no such answer.
    pub async fn setting(&self, id: &str) -> Result<Value, Error> {
        self.document("read a setting", self.bounds.small, self.get(&["settings", id])).await
    }

    /// Changes these settings and leaves the others (`POST /settings`).
    ///
    /// # Errors
    /// When the server does not answer with success.
    pub async fn set_settings(&self, settings: &Map<String, Value>) -> Result<(), Error> {
        let request = self.post(&["settings"]).json(settings);
        self.body("change the settings", self.bounds.small, request).await.map(drop)
    }

    /// Changes one setting (`POST /settings/{id}`).
    ///
    /// # Errors
    /// When the server does not answer with success.
    pub async fn set_setting(&self, id: &str, value: &Value) -> Result<(), Error> {
        let request = self.post(&["settings", id]).json(value);
        self.body("change a setting", self.bounds.small, request).await.map(drop)
    }

    /// The files in a folder of the user's (`GET /userdata?dir=`), those in its subfolders too if asked for.
    ///
    /// ```no_run
    /// # async fn run(client: comfyui::Client) -> Result<(), comfyui::Error> {
    /// for file in client.user_files("workflows", true).await? {
    ///     println!("{}", file.path);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When there is no such answer; status 404 for an unknown folder.
    pub async fn user_files(&self, folder: &str, recurse: bool) -> Result<Vec<UserFile>, Error> {
        let query = [("dir", folder), ("recurse", word(recurse)), ("split", "false"), ("full_info", "true")];
        let request = self.get(&["userdata"]).query(&query);
        self.document("list the user's files", self.bounds.backlog, request).await
    }

    /// A user's file (`GET /userdata/{path}`), such as `workflows/a.json`; `headers` go along.
    ///
    /// # Errors
    /// When there is no such answer; status 404 for an unknown file.
    pub async fn user_file(&self, path: &str, headers: HeaderMap) -> Result<Download, Error> {
        self.open("open a user's file", self.get(&["userdata", path]).headers(headers)).await
    }

    /// Writes a user's file (`POST /userdata/{path}`), held or streamed.
    ///
    /// # Errors
    /// When there is no such answer; status 409 when the file exists and must not be replaced.
    pub async fn write_user_file(
        &self,
        path: &str,
        body: impl Into<Body>,
        overwrite: bool,
    ) -> Result<UserFile, Error> {
        let request = self.post(&["userdata", path]).query(&changed(overwrite)).body(body);
        self.document("write a user's file", self.bounds.upload, request).await
    }

    /// Deletes a user's file (`DELETE /userdata/{path}`).
    ///
    /// # Errors
    /// When the server does not answer with success; status 404 for an unknown file.
    pub async fn delete_user_file(&self, path: &str) -> Result<(), Error> {
        let request = self.request(Method::DELETE, &["userdata", path]);
        self.body("delete a user's file", self.bounds.small, request).await.map(drop)
    }

    /// Gives a user's file another path (`POST /userdata/{path}/move/{to}`).
    ///
    /// # Errors
    /// When there is no such answer; status 404 for an unknown file, 409 when the other exists and must not be replaced.
    pub async fn move_user_file(&self, path: &str, to: &str, overwrite: bool) -> Result<UserFile, Error> {
        let request = self.post(&["userdata", path, "move", to]).query(&changed(overwrite));
        self.document("move a user's file", self.bounds.small, request).await
    }
}

fn changed(overwrite: bool) -> [(&'static str, &'static str); 2] {
    [("overwrite", word(overwrite)), ("full_info", "true")]
}

fn word(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}
