//! An ordinary ComfyUI client: it knows ComfyUI's routes and nothing of collectors, except where a test asks about one.

use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use super::wait::{PATIENCE, until};

pub(crate) struct Client {
    http: reqwest::Client,
    pub(crate) url: String,
    pub(crate) id: String,
}

/// A status and the document that came with it; null for a body that is no JSON.
pub(crate) type Answer = (u16, Value);

pub(crate) fn http() -> reqwest::Client {
    builder().build().unwrap()
}

pub(crate) fn builder() -> reqwest::ClientBuilder {
    // Fails where another test of this program has done it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(PATIENCE)
}

pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.bytes().await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

impl Client {
    pub(crate) fn new(url: &str, id: &str) -> Self {
        Self { http: http(), url: url.to_owned(), id: id.to_owned() }
    }

    /// Another client of the same server, on the same connections.
    pub(crate) fn named(&self, id: &str) -> Self {
        Self { http: self.http.clone(), url: self.url.clone(), id: id.to_owned() }
    }

    /// The same, which shows a token with every request.
    pub(crate) fn showing(url: &str, id: &str, token: &str) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        let http = builder().default_headers(headers).build().unwrap();
        Self { http, url: url.to_owned(), id: id.to_owned() }
    }

    pub(crate) fn request(&self, method: reqwest::Method, route: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{route}", self.url))
    }

    pub(crate) async fn post(&self, route: &str, body: &Value) -> Answer {
        answer(self.request(reqwest::Method::POST, route).json(body)).await
    }

    pub(crate) async fn post_text(&self, route: &str, body: &str) -> Answer {
        answer(self.request(reqwest::Method::POST, route).body(body.to_owned())).await
    }

    pub(crate) async fn delete(&self, route: &str) -> Answer {
        answer(self.request(reqwest::Method::DELETE, route)).await
    }

    pub(crate) async fn ask(&self, route: &str) -> Answer {
        answer(self.request(reqwest::Method::GET, route)).await
    }

    /// The document of a route that must answer.
    pub(crate) async fn get(&self, route: &str) -> Value {
        let (status, document) = self.ask(route).await;
        assert_eq!(status, 200, "GET {route}: {document}");
        document
    }

    pub(crate) async fn bytes(&self, route: &str) -> Vec<u8> {
        let answer = self.request(reqwest::Method::GET, route).send().await.unwrap();
        assert_eq!(answer.status(), 200, "GET {route}");
        answer.bytes().await.unwrap().to_vec()
    }

    pub(crate) async fn text(&self, route: &str) -> String {
        String::from_utf8(self.bytes(route).await).unwrap()
    }

    /// Submits as this client and gives the job's id.
    pub(crate) async fn submit(&self, prompt: &Value) -> String {
        self.submit_with(prompt, json!({})).await
    }

    /// With more fields in the body: `number`, `front`, `prompt_id`, `extra_data`.
    pub(crate) async fn submit_with(&self, prompt: &Value, more: Value) -> String {
        let (status, document) = self.post("/prompt", &self.body(prompt, more)).await;
        assert_eq!(status, 200, "{document}");
        assert_eq!(document["node_errors"], json!({}));
        document["prompt_id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn body(&self, prompt: &Value, more: Value) -> Value {
        let mut body = json!({"prompt": prompt, "client_id": self.id});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    }

    pub(crate) async fn history_of(&self, id: &str) -> Option<Value> {
        self.get(&format!("/history/{id}")).await.get(id).cloned()
    }

    /// The history of a job, once it has ended.
    pub(crate) async fn ended(&self, id: &str) -> Value {
        until(&format!("job {id} ends"), async || self.history_of(id).await).await
    }

    /// The history of a job that must have ended well.
    pub(crate) async fn succeeded(&self, id: &str) -> Value {
        let history = self.ended(id).await;
        assert_eq!(history["status"]["status_str"], "success", "{history}");
        assert_eq!(history["status"]["completed"], true);
        history
    }

    /// The one picture that node 9 saved.
    pub(crate) async fn picture_in(&self, history: &Value) -> image::RgbImage {
        self.view(&history["outputs"]["9"]["images"][0]).await
    }

    /// Fetches a file as a history names it: `{filename, subfolder, type}`.
    pub(crate) async fn view(&self, file: &Value) -> image::RgbImage {
        image::load_from_memory(&self.bytes(&view_of(file)).await).unwrap().to_rgb8()
    }

    pub(crate) async fn upload(&self, name: &str, content: Vec<u8>, more: &[(&str, &str)]) -> Answer {
        self.upload_to("/upload/image", name, content, more).await
    }

    pub(crate) async fn upload_to(
        &self,
        route: &str,
        name: &str,
        content: Vec<u8>,
        more: &[(&str, &str)],
    ) -> Answer {
        let part = Part::bytes(content).file_name(name.to_owned());
        let fields = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let form = fields.fold(Form::new().part("image", part), |form, (name, value)| form.text(name, value));
        answer(self.request(reqwest::Method::POST, route).multipart(form)).await
    }

    /// The collector's own account of a job.
    pub(crate) async fn job(&self, id: &str) -> Value {
        self.get(&format!("/orchestrator/v1/jobs/{id}")).await
    }

    /// Ids in `queue_running` and in `queue_pending`.
    pub(crate) async fn queue(&self) -> (Vec<String>, Vec<String>) {
        let queue = self.get("/queue").await;
        let ids = |key: &str| {
            let items = queue[key].as_array().unwrap().iter();
            items.map(|item| item[1].as_str().unwrap().to_owned()).collect()
        };
        (ids("queue_running"), ids("queue_pending"))
    }

    /// One series of `/metrics`, by its name and labels as they stand there.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        let page = self.text("/metrics").await;
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(|value| value.parse().unwrap())
    }
}

pub(crate) fn view_of(file: &Value) -> String {
    let text = |key: &str| file[key].as_str().unwrap().replace('/', "%2F").replace(' ', "%20");
    format!("/view?filename={}&subfolder={}&type={}", text("filename"), text("subfolder"), text("type"))
}

/// A PNG of the picture of a seed.
pub(crate) fn png(seed: u64) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    sim::picture::sampled(seed, 6, 5).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}
