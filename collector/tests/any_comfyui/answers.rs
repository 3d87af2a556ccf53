//! Single requests, and what each is answered: one table for servers of both generations and for the collector.

use anyhow::{Result, bail, ensure};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::Value;

use crate::client::Client;
use crate::place::Place;
use Ask::{Delete, File, Get, Options, Post};
use Told::{Document, Has, Nothing, Refused, Refuses};

/// What is asked.
enum Ask {
    Get(&'static str),
    Options(&'static str),
    Delete(&'static str),
    /// Path and body.
    Post(&'static str, &'static str),
    /// An upload of a few bytes: the field of the file, its name, and other fields.
    File(&'static str, &'static str, &'static [(&'static str, &'static str)]),
}

/// What is answered.
#[derive(Debug)]
enum Told {
    /// 200 and exactly this document.
    Document(&'static str),
    /// 200 and a document in which these pointers lead to something.
    Has(&'static [&'static str]),
    /// 200 without a body.
    Nothing,
    /// The status. ComfyUI's own words beside it differ from version to version.
    Refused(u16),
    /// 400 and a document with an error of this type.
    Refuses(&'static str),
}

/// A request, what all answer, and where they do not all: 2024, current, collector.
enum Row {
    All(Ask, Told),
    Differ(Ask, [Told; 3]),
}
use Row::{All, Differ};

const STATS: &[&str] = &[
    "/system/os",
    "/system/python_version",
    "/system/embedded_python",
    "/devices/0/name",
    "/devices/0/type",
    "/devices/0/index",
    "/devices/0/vram_total",
    "/devices/0/vram_free",
    "/devices/0/torch_vram_total",
    "/devices/0/torch_vram_free",
];
const JOBS: &[&str] =
    &["/jobs", "/pagination/offset", "/pagination/limit", "/pagination/total", "/pagination/has_more"];
const FEATURES: &[&str] = &["/supports_preview_metadata", "/max_upload_size"];
const UNKNOWN_CLASS: &str = r#"{"prompt": {"1": {"class_type": "NoSuchNode", "inputs": {}}}}"#;
const NO_CLASS: &str = r#"{"prompt": {"1": {"inputs": {}}}}"#;
const NO_INPUTS: &str = r#"{"prompt": {"1": {"class_type": "SaveImage"}}}"#;
const NO_OUTPUT: &str = r#"{"prompt": {"1": {"class_type": "EmptyImage",
    "inputs": {"width": 4, "height": 4, "batch_size": 1, "color": 0}}}}"#;

fn rows() -> Vec<Row> {
    vec![
        // The queue and what became of it.
        All(Get("/prompt"), Document(r#"{"exec_info": {"queue_remaining": 0}}"#)),
        All(Get("/queue"), Document(r#"{"queue_running": [], "queue_pending": []}"#)),
        All(Get("/history/never-heard-of"), Document("{}")),
        All(Get("/history?max_items=0"), Document("{}")),
        Differ(Get("/history?max_items=x"), [Refused(500), Refused(500), Refused(400)]),
        Differ(Get("/api/jobs"), [Refused(404), Has(JOBS), Has(JOBS)]),
        Differ(Get("/api/jobs?status=nonsense"), [Refused(404), Refused(400), Refused(400)]),
        Differ(Get("/api/jobs?limit=0"), [Refused(404), Refused(400), Refused(400)]),
        Differ(Get("/api/jobs?limit=x"), [Refused(404), Refused(400), Refused(400)]),
        Differ(Get("/api/jobs?sort_by=x"), [Refused(404), Refused(400), Refused(400)]),
        Differ(Get("/api/jobs?sort_order=x"), [Refused(404), Refused(400), Refused(400)]),
        All(Get("/api/jobs/never-heard-of"), Refused(404)),
        All(Get("/jobs"), Refused(404)),
        // What cannot be submitted.
        Differ(Post("/prompt", ""), [Refused(500), Refused(500), Refuses("invalid_json")]),
        Differ(Post("/prompt", "x"), [Refused(500), Refused(500), Refuses("invalid_json")]),
        Differ(Post("/prompt", r#"{"prompt": "x"}"#), [Refused(500), Refused(500), Refuses("invalid_json")]),
        Differ(
            Post("/prompt", r#"{"prompt": {}, "number": "x"}"#),
            [Refused(500), Refused(500), Refused(400)],
        ),
        Differ(Post("/prompt", "{}"), [Refused(400), Refuses("no_prompt"), Refuses("no_prompt")]),
        All(Post("/prompt", r#"{"prompt": {}}"#), Refuses("prompt_no_outputs")),
        All(Post("/prompt", NO_OUTPUT), Refuses("prompt_no_outputs")),
        All(Post("/prompt", NO_INPUTS), Refuses("prompt_outputs_failed_validation")),
        Differ(
            Post("/prompt", UNKNOWN_CLASS),
            [Refused(500), Refuses("invalid_prompt"), Refuses("invalid_prompt")],
        ),
        Differ(
            Post("/prompt", NO_CLASS),
            [Refused(500), Refuses("invalid_prompt"), Refuses("invalid_prompt")],
        ),
        // What changes nothing.
        All(Post("/queue", "{}"), Nothing),
        All(Post("/queue", r#"{"delete": ["never-heard-of"]}"#), Nothing),
        Differ(Post("/queue", "[]"), [Nothing, Nothing, Refused(400)]),
        Differ(Post("/queue", r#"{"delete": "x"}"#), [Nothing, Nothing, Refused(400)]),
        Differ(Post("/queue", "x"), [Refused(500), Refused(500), Refused(400)]),
        All(Post("/history", "{}"), Nothing),
        All(Post("/history", r#"{"delete": ["never-heard-of"]}"#), Nothing),
        Differ(Post("/history", "x"), [Refused(500), Refused(500), Refused(400)]),
        All(Post("/interrupt", ""), Nothing),
        All(Post("/interrupt", "x"), Nothing),
        All(Post("/interrupt", "{}"), Nothing),
        All(Post("/interrupt", r#"{"prompt_id": "never-heard-of"}"#), Nothing),
        All(Post("/free", "{}"), Nothing),
        All(Post("/free", r#"{"unload_models": "yes"}"#), Nothing),
        Differ(Post("/free", ""), [Refused(500), Refused(500), Refused(400)]),
        // What there is.
        All(Get("/object_info/NoSuchNode"), Document("{}")),
        All(
            Get("/object_info/SimLoader"),
            Has(&["/SimLoader/input/required/ckpt_name/0/0", "/SimLoader/output/0"]),
        ),
        All(Get("/embeddings"), Document("[]")),
        Differ(Get("/models"), [Refused(404), Has(&["/0"]), Has(&["/0"])]),
        All(Get("/models/no-such-folder"), Refused(404)),
        All(Get("/view_metadata/checkpoints?filename=none.safetensors"), Refused(404)),
        All(Get("/view_metadata/checkpoints"), Refused(404)),
        Differ(Get("/features"), [Refused(404), Has(FEATURES), Has(FEATURES)]),
        All(Get("/system_stats"), Has(STATS)),
        // Files that are not there, and files that are nobody's to see.
        All(Get("/view"), Refused(404)),
        All(Get("/view?filename=none.png"), Refused(404)),
        All(Get("/view?filename=none.png&type=input"), Refused(404)),
        All(Get("/view?filename=none.png&type=temp"), Refused(404)),
        All(Get("/view?filename=none.png&type=what"), Refused(400)),
        All(Get("/view?filename=..%2Fnone.png"), Refused(400)),
        All(Get("/view?filename=%2Fetc%2Fpasswd"), Refused(400)),
        All(Get("/view?filename=none.png&subfolder=..%2F.."), Refused(403)),
        All(Post("/upload/image", "x"), Refused(400)),
        All(
            File("image", "up.txt", &[("subfolder", "a/b")]),
            Document(r#"{"name": "up.txt", "subfolder": "a/b", "type": "input"}"#),
        ),
        All(
            File("image", "up.txt", &[("type", "temp")]),
            Document(r#"{"name": "up.txt", "subfolder": "", "type": "temp"}"#),
        ),
        All(File("file", "up.txt", &[]), Refused(400)),
        All(File("image", "../up.txt", &[]), Refused(400)),
        All(File("image", "up.txt", &[("subfolder", "../..")]), Refused(400)),
        Differ(File("image", "up.txt", &[("type", "what")]), [Refused(500), Refused(500), Refused(400)]),
        Differ(File("image", "", &[]), [Refused(500), Refused(500), Refused(400)]),
        // Where nothing is.
        All(Get("/nowhere"), Refused(404)),
        All(Get("/api"), Refused(404)),
        All(Get("/ws"), Refused(400)),
        All(Post("/view", "{}"), Refused(405)),
        All(Post("/object_info", "{}"), Refused(405)),
        All(Delete("/queue"), Refused(405)),
        Differ(Options("/prompt"), [Refused(405), Nothing, Refused(405)]),
        Differ(Get("/upload/image"), [Refused(404), Refused(404), Refused(405)]),
        Differ(Get("/api/prompt"), [Refused(404), Has(&["/exec_info"]), Has(&["/exec_info"])]),
    ]
}

pub(crate) async fn every_request_is_answered_as_the_table_says(place: &Place) -> Result<()> {
    let mut wrong = Vec::new();
    for row in rows() {
        let (ask, told) = match row {
            All(ask, told) => (ask, told),
            Differ(ask, [old, current, collector]) => (ask, place.expects(old, current, collector)),
        };
        if let Err(error) = check(&place.client, &ask, &told).await {
            wrong.push(format!("{error:#}"));
        }
    }
    ensure!(wrong.is_empty(), "{} answers are others:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

async fn check(client: &Client, ask: &Ask, told: &Told) -> Result<()> {
    let (name, status, body) = answered(client, ask).await?;
    let document: Option<Value> = serde_json::from_slice(&body).ok();
    let is_so = match told {
        Document(text) => status == 200 && document == Some(serde_json::from_str(text)?),
        Has(pointers) => {
            let has = |document: &Value| pointers.iter().all(|pointer| document.pointer(pointer).is_some());
            status == 200 && document.as_ref().is_some_and(has)
        }
        Nothing => status == 200 && body.is_empty(),
        Refused(refusal) => status == *refusal,
        Refuses(kind) => {
            status == 400 && document.as_ref().is_some_and(|found| found["error"]["type"] == *kind)
        }
    };
    let shown = String::from_utf8_lossy(body.get(..body.len().min(200)).unwrap_or_default()).into_owned();
    if is_so { Ok(()) } else { bail!("{name}: {status} {shown}, not {told:?}") }
}

/// What was asked, for a person; the status, and the body.
async fn answered(client: &Client, ask: &Ask) -> Result<(String, u16, Vec<u8>)> {
    let (method, path) = match ask {
        Get(path) => (Method::GET, *path),
        Options(path) => (Method::OPTIONS, *path),
        Delete(path) => (Method::DELETE, *path),
        Post(path, _) => (Method::POST, *path),
        File(..) => (Method::POST, "/upload/image"),
    };
    let request = client.request(method.clone(), path);
    let (what, request) = match ask {
        Get(_) | Options(_) | Delete(_) => (String::new(), request),
        Post(_, body) => ((*body).to_owned(), request.body(*body)),
        File(field, name, fields) => {
            let part = Part::bytes(b"hello".as_slice()).file_name(*name);
            let form = fields
                .iter()
                .fold(Form::new().part(*field, part), |form, (name, value)| form.text(*name, *value));
            (format!("{field}={name} {fields:?}"), request.multipart(form))
        }
    };
    let answer = request.send().await?;
    let (status, body) = (answer.status().as_u16(), answer.bytes().await?.to_vec());
    Ok((format!("{method} {path} {what}"), status, body))
}
