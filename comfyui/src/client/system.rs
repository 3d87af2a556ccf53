//! What a server is and has: `/system_stats`, `/object_info`, `/models`, `/embeddings`, `/features`, `/free`.

use bytes::Bytes;

use super::Client;
use crate::Error;
use crate::api::{Features, FreeRequest, SystemStats};
use crate::object_info::{NodeClass, ObjectInfo};

const OBJECT_INFO: &str = "read the node classes";

impl Client {
    /// Whether the server answers (`GET /system_stats`), and why not.
    ///
    /// # Errors
    /// When there is no such answer.
    pub async fn health_check(&self) -> Result<(), Error> {
        let stats =
            self.document::<SystemStats>("check the health", self.bounds.health, self.get(&["system_stats"]));
        stats.await.map(drop)
    }

    /// Whether the server answers.
    pub async fn is_healthy(&self) -> bool {
        self.health_check().await.is_ok()
    }

    /// The machine, the program and the devices (`GET /system_stats`).
    ///
    /// # Errors
    /// When there is no such answer.
    pub async fn system_stats(&self) -> Result<SystemStats, Error> {
        self.document("read the system's figures", self.bounds.small, self.get(&["system_stats"])).await
    }

    /// All node classes (`GET /object_info`). Megabytes; for documents that hardly change, compare
    /// [`object_info_bytes`](Self::object_info_bytes) first.
    ///
    /// # Errors
    /// When there is no such answer.
    pub async fn object_info(&self) -> Result<ObjectInfo, Error> {
        let body = self.object_info_bytes().await?;
        self.parse(OBJECT_INFO, &body)
    }

    /// The text of `GET /object_info`, as the server wrote it.
    ///
    /// # Errors
    /// When there is no such answer.
    pub async fn object_info_bytes(&self) -> Result<Bytes, Error> {
        self.body(OBJECT_INFO, self.bounds.object_info, self.get(&["object_info"])).await
    }

    /// One node class (`GET /object_info/{class}`); `None` when the server does not know it.
    ///
    /// # Errors
    /// When there is no such answer.
    pub async fn object_info_of(&self, class: &str) -> Result<Option<NodeClass>, Error> {
        let request = self.get(&["object_info", class]);
        let mut info: ObjectInfo =
            self.document("read a node class", self.bounds.object_info, request).await?;
        Ok(info.0.shift_remove(class))
    }

    /// Asks to free memory (`POST /free`). Success proves nothing: the server acts when it is idle.
    ///
    /// # Errors
    /// When the server does not answer with success.
    pub async fn free(&self, request: &FreeRequest) -> Result<(), Error> {
        self.body("free memory", self.bounds.small, self.post(&["free"]).json(request)).await.map(drop)
    }

    /// The embeddings' names, without endings (`GET /embeddings`).
    ///
    /// # Errors
    /// When there is no such answer.
    pub async fn embeddings(&self) -> Result<Vec<String>, Error> {
        self.document("list embeddings", self.bounds.small, self.get(&["embeddings"])).await
    }

    /// The model folders' names (`GET /models`), or one folder's files (`GET /models/{folder}`).
    ///
    /// # Errors
    /// When there is no such answer; status 404 for an unknown folder, and in 2024.
    pub async fn models(&self, folder: Option<&str>) -> Result<Vec<String>, Error> {
        let segments: Vec<&str> = std::iter::once("models").chain(folder).collect();
        self.document("list models", self.bounds.small, self.get(&segments)).await
    }

    /// What the server can do (`GET /features`).
    ///
    /// # Errors
    /// When there is no such answer; status 404 in 2024.
    pub async fn features(&self) -> Result<Features, Error> {
        self.document("read the features", self.bounds.small, self.get(&["features"])).await
    }
}
