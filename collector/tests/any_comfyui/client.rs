//! The HTTP side of an ordinary ComfyUI client: what scripts do with `requests`. It knows nothing of the collector.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use image::RgbImage;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
}

/// A file as `executed` and `/history` name it.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
pub(crate) struct File {
    pub(crate) filename: String,
    pub(crate) subfolder: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

/// Prompt ids, as `GET /queue` tells.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) running: Vec<String>,
    pub(crate) pending: Vec<String>,
}

/// What `/history/{id}` has of one prompt.
#[derive(Debug)]
pub(crate) struct Record(pub(crate) Value);

impl File {
    /// As the input of a loader names it.
    pub(crate) fn as_input(&self) -> String {
        let separator = if self.subfolder.is_empty() { "" } else { "/" };
        format!("{}{separator}{} [{}]", self.subfolder, self.filename, self.kind)
    }
}

impl File {
    fn query(&self) -> [(&str, &str); 3] {
        [("filename", &self.filename), ("subfolder", &self.subfolder), ("type", &self.kind)]
    }
}

impl Client {
    pub(crate) fn new(base: &str) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).no_proxy().build()?;
        Ok(Self { http, base: base.to_owned() })
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// `host:port`.
    pub(crate) fn authority(&self) -> Result<&str> {
        self.base.strip_prefix("http://").context("no http address")
    }

    /// What another client was told to fetch here.
    pub(crate) async fn bytes_at(&self, url: &str) -> Result<Bytes> {
        self.bytes(url.strip_prefix(&self.base).with_context(|| format!("{url} is elsewhere"))?, &[]).await
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.bytes(path, &[]).await?;
        serde_json::from_slice(&answer).with_context(|| format!("JSON of {}{path}", self.base))
    }

    pub(crate) async fn text(&self, path: &str) -> Result<String> {
        Ok(String::from_utf8(self.bytes(path, &[]).await?.to_vec())?)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// What it answers, whatever that is; an answer that is no JSON is null.
    pub(crate) async fn ask(&self, path: &str) -> Result<(StatusCode, Value)> {
        let answer = self.request(Method::GET, path).send().await.with_context(|| format!("GET {path}"))?;
        let status = answer.status();
        Ok((status, serde_json::from_slice(&answer.bytes().await?).unwrap_or_default()))
    }

    /// What it answers, whatever that is; an answer that is no JSON is null.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<(StatusCode, Value)> {
        let url = format!("{}{path}", self.base);
        let answer = self.http.post(&url).json(body).send().await.with_context(|| format!("POST {url}"))?;
        let status = answer.status();
        let body = answer.bytes().await?;
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    pub(crate) async fn post_ok(&self, path: &str, body: &Value) -> Result<Value> {
        let (status, answer) = self.post(path, body).await?;
        ensure!(status == StatusCode::OK, "POST {path}: {status}: {answer}");
        Ok(answer)
    }

    /// Submits a prompt and returns its id.
    pub(crate) async fn submit(&self, prompt: &Value, client_id: &str) -> Result<String> {
        let answer = self.post_ok("/prompt", &json!({"prompt": prompt, "client_id": client_id})).await?;
        ensure!(answer["number"].is_number(), "no number: {answer}");
        ensure!(answer["node_errors"].as_object().is_none_or(serde_json::Map::is_empty), "{answer}");
        answer["prompt_id"].as_str().map(str::to_owned).with_context(|| format!("no prompt_id: {answer}"))
    }

    pub(crate) async fn queue(&self) -> Result<Queue> {
        let answer = self.get("/queue").await?;
        Ok(Queue { running: ids(&answer["queue_running"])?, pending: ids(&answer["queue_pending"])? })
    }

    /// `None`: not finished, or never heard of.
    pub(crate) async fn record(&self, id: &str) -> Result<Option<Record>> {
        let mut answer = self.get(&format!("/history/{id}")).await?;
        let entry = answer.as_object_mut().context("history is no object")?.remove(id);
        Ok(entry.map(Record))
    }

    pub(crate) async fn history(&self) -> Result<Vec<(String, Record)>> {
        let Value::Object(entries) = self.get("/history").await? else { bail!("history is no object") };
        Ok(entries.into_iter().map(|(id, entry)| (id, Record(entry))).collect())
    }

    /// In the order of the document.
    pub(crate) async fn history_ids(&self, query: &str) -> Result<Vec<String>> {
        let Value::Object(entries) = self.get(&format!("/history{query}")).await? else { bail!("no object") };
        Ok(entries.into_iter().map(|(id, _)| id).collect())
    }

    pub(crate) async fn upload(&self, name: &str, picture: Vec<u8>) -> Result<String> {
        let part = Part::bytes(picture).file_name(name.to_owned()).mime_str("image/png")?;
        let form = Form::new().part("image", part).text("type", "input");
        let url = format!("{}/upload/image", self.base);
        let answer = self.http.post(&url).multipart(form).send().await?.error_for_status()?;
        let answer: Value = answer.json().await?;
        ensure!(answer["type"] == "input" && answer["subfolder"] == "", "{answer}");
        answer["name"].as_str().map(str::to_owned).with_context(|| format!("no name: {answer}"))
    }

    /// A picture whose alpha is to be put into `original`.
    pub(crate) async fn upload_mask(&self, name: &str, mask: Vec<u8>, original: &File) -> Result<File> {
        let part = Part::bytes(mask).file_name(name.to_owned()).mime_str("image/png")?;
        let original =
            json!({"filename": original.filename, "subfolder": original.subfolder, "type": original.kind});
        let form = Form::new().part("image", part).text("type", "input").text("subfolder", "clipspace");
        let form = form.text("original_ref", original.to_string());
        let url = format!("{}/upload/mask", self.base);
        let answer = self.http.post(&url).multipart(form).send().await?.error_for_status()?;
        let mut answer: Value = answer.json().await?;
        answer["filename"] = answer["name"].take();
        Ok(serde_json::from_value(answer)?)
    }

    pub(crate) async fn file(&self, file: &File) -> Result<Bytes> {
        self.bytes("/view", &file.query()).await
    }

    pub(crate) fn view(&self, file: &File) -> RequestBuilder {
        self.request(Method::GET, "/view").query(&file.query())
    }

    pub(crate) async fn picture(&self, file: &File) -> Result<RgbImage> {
        let bytes = self.file(file).await?;
        Ok(image::load_from_memory(&bytes).with_context(|| format!("decode {file:?}"))?.into_rgb8())
    }

    async fn bytes(&self, path: &str, query: &[(&str, &str)]) -> Result<Bytes> {
        let url = format!("{}{path}", self.base);
        let answer =
            self.http.get(&url).query(query).send().await.with_context(|| format!("GET {url} {query:?}"))?;
        let status = answer.status();
        let body = answer.bytes().await?;
        ensure!(
            status == StatusCode::OK,
            "GET {url} {query:?}: {status}: {}",
            String::from_utf8_lossy(body.get(..body.len().min(500)).unwrap_or_default())
        );
        Ok(body)
    }
}

impl Record {
    /// The files of all its output nodes.
    pub(crate) fn files(&self) -> Result<Vec<File>> {
        let outputs = self.0["outputs"].as_object().context("no outputs")?;
        let files = outputs.values().flat_map(|output| output["images"].as_array().into_iter().flatten());
        files.map(|file| Ok(serde_json::from_value(file.clone())?)).collect()
    }

    pub(crate) fn only_file(&self) -> Result<File> {
        let files = self.files()?;
        let [file] = &*files else { bail!("not one picture: {files:?}") };
        Ok((*file).clone())
    }

    pub(crate) fn is_success(&self) -> bool {
        self.0["status"]["status_str"] == "success" && self.0["status"]["completed"] == true
    }

    pub(crate) fn is_failure(&self) -> bool {
        self.0["status"]["status_str"] == "error" && self.0["status"]["completed"] == false
    }

    /// The data of its messages of this type.
    pub(crate) fn messages(&self, kind: &str) -> Vec<&Value> {
        let messages = self.0["status"]["messages"].as_array().into_iter().flatten();
        messages.filter(|message| message[0] == kind).map(|message| &message[1]).collect()
    }

    /// The graph that was executed.
    pub(crate) fn prompt(&self) -> &Value {
        &self.0["prompt"][2]
    }
}

fn ids(entries: &Value) -> Result<Vec<String>> {
    let entries = entries.as_array().context("a queue is no array")?;
    entries.iter().map(|entry| Ok(entry[1].as_str().context("no id in a queue")?.to_owned())).collect()
}
