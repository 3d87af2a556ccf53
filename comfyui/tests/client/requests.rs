//! What each method asks of a server: method, path, query, headers and body.

use bytes::Bytes;
use comfyui::api::{FileRef, FreeRequest, JobsQuery, PromptRequest};
use comfyui::client::Upload;
use comfyui::{Client, Error};
use futures_util::{StreamExt, TryStreamExt};
use reqwest::Method;
use reqwest::header::{HeaderMap, IF_NONE_MATCH, RANGE};
use serde_json::{Map, json};

use crate::scripted::{Scripted, Then, answer};

/// The request line without the version, and the body, of what a call sends.
async fn sent<T>(call: impl AsyncFnOnce(Client) -> Result<T, Error>) -> (String, String) {
    let mut server = Scripted::answers(200, "{}").await;
    let _answered = call(server.client()).await;
    let request = server.request().await;
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned(), body.to_owned())
}

macro_rules! asks {
    ($($test:ident: $call:expr => $line:literal, $body:literal;)+) => {$(
        #[tokio::test]
        async fn $test() {
            assert_eq!(sent($call).await, ($line.to_owned(), $body.to_owned()));
        }
    )+};
}

asks! {
    counting_asks_the_prompt_route: async |c| c.queue_remaining().await => "GET /prompt", "";
    the_backlog_is_at_queue: async |c| c.queue().await => "GET /queue", "";
    deleting_names_the_prompts: async |c| c.delete_from_queue(&["a", "b"]).await => "POST /queue", r#"{"delete":["a","b"]}"#;
    clearing_names_none: async |c| c.clear_queue().await => "POST /queue", r#"{"clear":true}"#;
    all_of_the_history: async |c| c.history(None, None).await => "GET /history", "";
    some_of_the_history: async |c| c.history(Some(2), Some(0)).await => "GET /history?max_items=2&offset=0", "";
    one_of_the_history: async |c| c.history_of("a/b").await => "GET /history/a%2Fb", "";
    forgetting_names_the_prompts: async |c| c.delete_history(&["a"]).await => "POST /history", r#"{"delete":["a"]}"#;
    forgetting_all: async |c| c.clear_history().await => "POST /history", r#"{"clear":true}"#;
    interrupting_one_names_it: async |c| c.interrupt(Some("a")).await => "POST /interrupt", r#"{"prompt_id":"a"}"#;
    interrupting_whatever_runs_has_no_body: async |c| c.interrupt(None).await => "POST /interrupt", "";
    freeing_says_what: async |c| c.free(&FreeRequest { unload_models: true, free_memory: false }).await
        => "POST /free", r#"{"unload_models":true,"free_memory":false}"#;
    health_is_system_stats: async |c| c.health_check().await => "GET /system_stats", "";
    figures_are_system_stats: async |c| c.system_stats().await => "GET /system_stats", "";
    all_classes: async |c| c.object_info().await => "GET /object_info", "";
    one_class: async |c| c.object_info_of("Load Image").await => "GET /object_info/Load%20Image", "";
    embeddings: async |c| c.embeddings().await => "GET /embeddings", "";
    model_folders: async |c| c.models(None).await => "GET /models", "";
    model_files: async |c| c.models(Some("loras")).await => "GET /models/loras", "";
    model_description: async |c| c.view_metadata("loras", "a b.safetensors").await
        => "GET /view_metadata/loras?filename=a+b.safetensors", "";
    features: async |c| c.features().await => "GET /features", "";
    jobs_are_under_api_only: async |c| c.jobs(&JobsQuery::default()).await => "GET /api/jobs", "";
    jobs_are_filtered_and_sorted: async |c| {
        c.jobs(&JobsQuery {
            status: Some("pending,failed".into()), workflow_id: Some("w".into()), sort_by: Some("created_at".into()),
            sort_order: Some("asc".into()), limit: Some(5), offset: Some(10),
        }).await
    } => "GET /api/jobs?status=pending%2Cfailed&workflow_id=w&sort_by=created_at&sort_order=asc&limit=5&offset=10", "";
    one_job: async |c| c.job("a").await => "GET /api/jobs/a", "";
    cancelling_one_job: async |c| c.cancel_job("a").await => "POST /api/jobs/a/cancel", "";
    cancelling_jobs: async |c| c.cancel_jobs(&["a", "b"]).await => "POST /api/jobs/cancel", r#"{"job_ids":["a","b"]}"#;
    extensions: async |c| c.extensions().await => "GET /extensions", "";
    settings: async |c| c.settings().await => "GET /settings", "";
    one_setting: async |c| c.setting("Comfy.ColorPalette").await => "GET /settings/Comfy.ColorPalette", "";
    changing_settings_says_which: async |c| c.set_settings(&Map::from_iter([("a".into(), json!(1))])).await
        => "POST /settings", r#"{"a":1}"#;
    changing_a_setting_gives_its_value: async |c| c.set_setting("a", &json!("dark")).await => "POST /settings/a", r#""dark""#;
    the_users_files: async |c| c.user_files("work flows", true).await
        => "GET /userdata?dir=work+flows&recurse=true&split=false&full_info=true", "";
    a_users_file: async |c| c.user_file("workflows/a b.json", HeaderMap::new()).await => "GET /userdata/workflows%2Fa%20b.json", "";
    writing_a_users_file: async |c| c.write_user_file("workflows/a.json", "{}", true).await
        => "POST /userdata/workflows%2Fa.json?overwrite=true&full_info=true", "{}";
    deleting_a_users_file: async |c| c.delete_user_file("workflows/a.json").await => "DELETE /userdata/workflows%2Fa.json", "";
    moving_a_users_file: async |c| c.move_user_file("workflows/a.json", "old/a.json", false).await
        => "POST /userdata/workflows%2Fa.json/move/old%2Fa.json?overwrite=false&full_info=true", "";
    users: async |c| c.users().await => "GET /users", "";
    translations: async |c| c.i18n().await => "GET /i18n", "";
    subgraphs: async |c| c.global_subgraphs().await => "GET /global_subgraphs", "";
    workflow_templates: async |c| c.workflow_templates().await => "GET /workflow_templates", "";
    experiment_models: async |c| c.experiment_models().await => "GET /experiment/models", "";
    folder_paths: async |c| c.folder_paths().await => "GET /internal/folder_paths", "";
    a_prompt_goes_with_all_that_is_said_of_it: async |c| {
        let mut request = PromptRequest::of("{}").unwrap();
        request.client_id = Some("c".into());
        request.prompt_id = Some("p".into());
        request.number = serde_json::Number::from_f64(-7.0);
        request.front = Some(true);
        request.extra_data = Some(Map::from_iter([("extra_pnginfo".into(), json!({}))]));
        request.partial_execution_targets = Some(vec!["9".into()]);
        request.extra.insert("new".into(), json!(null));
        c.queue_prompt(&request).await
    } => "POST /prompt", r#"{"prompt":{},"client_id":"c","prompt_id":"p","number":-7.0,"front":true,"extra_data":{"extra_pnginfo":{}},"partial_execution_targets":["9"],"new":null}"#;
    a_prompt_is_sent_as_it_was_written: async |c| {
        let mut request = PromptRequest::of(r#"{"1": {"class_type":"X",  "inputs":{"a":1.0}}}"#).unwrap();
        request.prompt_id = Some("id".into());
        c.queue_prompt(&request).await
    } => "POST /prompt", r#"{"prompt":{"1": {"class_type":"X",  "inputs":{"a":1.0}}},"prompt_id":"id"}"#;
    opening_a_file_names_it: async |c| c.open_file(&picture("sub dir")).await
        => "GET /view?filename=a%26b.png&subfolder=sub+dir&type=output", "";
    viewing_asks_for_an_encoding: async |c| c.view(&picture(""), Some("webp;90"), Some("rgb"), HeaderMap::new()).await
        => "GET /view?filename=a%26b.png&subfolder=&type=output&preview=webp%3B90&channel=rgb", "";
    passing_on_keeps_the_escapes: async |c| {
        c.forward(Method::POST, "/userdata/a%2Fb.json", &[("overwrite", "true")], HeaderMap::new(), Some("{}".into())).await
    } => "POST /userdata/a%2Fb.json?overwrite=true", "{}";
}

fn picture(subfolder: &str) -> FileRef {
    FileRef { filename: "a&b.png".into(), subfolder: subfolder.into(), kind: "output".into() }
}

const UPLOADED: &str = r#"{"name": "up (1).png", "subfolder": "s", "type": "input"}"#;

#[tokio::test]
async fn an_upload_is_in_the_field_image_and_leaves_out_what_is_not_said() {
    let mut server = Scripted::answers(200, UPLOADED).await;
    let upload =
        Upload { kind: String::new(), ..Upload::input("ü \"q\".png", Bytes::from_static(b"bytes")) };
    let answer = server.client().upload_image(upload).await.unwrap();
    assert_eq!(answer.input_value(), "s/up (1).png");
    let request = server.request().await;
    assert!(request.starts_with("POST /upload/image HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("name=\"image\"; filename=\"ü \\\"q\\\".png\"\r\n\r\nbytes\r\n"), "{request}");
    for unsaid in ["name=\"type\"", "name=\"subfolder\"", "name=\"overwrite\"", "chunked"] {
        assert!(!request.contains(unsaid), "{request}");
    }
}

#[tokio::test]
async fn a_streamed_upload_says_where_to_and_whether_to_replace() {
    let mut server = Scripted::answers(200, UPLOADED).await;
    let pieces = futures_util::stream::iter([Ok::<_, std::io::Error>("by"), Ok("tes")]);
    let body = reqwest::Body::wrap_stream(pieces);
    let upload = Upload { subfolder: "s".into(), overwrite: true, ..Upload::input("up.png", body) };
    server.client().upload_image(upload).await.unwrap();
    let request = server.request().await;
    for (field, value) in [("type", "input"), ("subfolder", "s"), ("overwrite", "true")] {
        assert!(request.contains(&format!("name=\"{field}\"\r\n\r\n{value}\r\n")), "{request}");
    }
}

#[tokio::test]
async fn a_mask_names_its_original() {
    let mut server = Scripted::answers(200, UPLOADED).await;
    server.client().upload_mask(&picture("s"), Upload::input("m.png", "mask")).await.unwrap();
    let request = server.request().await;
    assert!(request.starts_with("POST /upload/mask "), "{request}");
    let original =
        "name=\"original_ref\"\r\n\r\n{\"filename\":\"a&b.png\",\"subfolder\":\"s\",\"type\":\"output\"}\r\n";
    assert!(request.contains(original), "{request}");
}

#[tokio::test]
async fn credentials_of_the_address_go_along_and_take_a_forwarded_headers_place() {
    let mut server = Scripted::answers(200, "{}").await;
    let base = format!("http://user:p%40ss@{}/comfy/", server.address).parse().unwrap();
    let client = Client::new(&base).unwrap();
    let foreign = HeaderMap::from_iter([(reqwest::header::AUTHORIZATION, "Bearer foreign".parse().unwrap())]);
    client.get_stream("/x", &[], foreign).await.unwrap();
    let _no_document = client.queue_remaining().await;
    for path in ["/comfy/x", "/comfy/prompt"] {
        let request = server.request().await;
        assert!(request.starts_with(&format!("GET {path} ")), "{request}");
        assert!(request.contains("authorization: Basic dXNlcjpwQHNz\r\n"), "{request}");
        assert!(!request.contains("foreign"), "{request}");
    }
}

#[tokio::test]
async fn a_file_is_streamed_with_the_servers_status_and_headers() {
    let partial = "HTTP/1.1 206 Partial\r\nContent-Range: bytes 1-3/9\r\nContent-Length: 3\r\n\r\nict";
    let mut server = Scripted::says(partial, Then::Close).await;
    let range = HeaderMap::from_iter([(RANGE, "bytes=1-3".parse().unwrap())]);
    let download = server.client().view(&picture(""), None, None, range).await.unwrap();
    assert_eq!(
        (download.status.as_u16(), &download.headers["content-range"]),
        (206, &"bytes 1-3/9".parse().unwrap())
    );
    let pieces: Vec<Bytes> = download.into_stream().try_collect().await.unwrap();
    assert_eq!(pieces.concat(), b"ict");
    assert!(server.request().await.contains("range: bytes=1-3\r\n"));
}

#[tokio::test]
async fn a_copy_that_is_still_good_is_no_error() {
    let server = Scripted::says("HTTP/1.1 304 Same\r\nConnection: close\r\n\r\n", Then::Close).await;
    let known = HeaderMap::from_iter([(IF_NONE_MATCH, "\"e\"".parse().unwrap())]);
    let download = server.client().view(&picture(""), None, None, known).await.unwrap();
    assert_eq!(download.status.as_u16(), 304);
}

#[tokio::test]
async fn a_stream_ends_after_its_first_error() {
    let server = Scripted::says("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", Then::Close).await;
    let download = server.client().view(&picture(""), None, None, HeaderMap::new()).await.unwrap();
    let pieces: Vec<Result<Bytes, Error>> = download.into_stream().collect().await;
    assert!(matches!(&pieces[..], [Ok(half), Err(_)] if half == "half"), "{pieces:?}");
}

#[tokio::test]
async fn an_answer_that_is_passed_on_keeps_its_status() {
    let server = Scripted::says(&answer(404, "none"), Then::Close).await;
    let response = server.client().get_stream("/user.css", &[], HeaderMap::new()).await.unwrap();
    assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (404, "none"));
}

#[tokio::test]
async fn what_a_server_does_not_know_is_none() {
    let server = Scripted::answers(200, "{}").await;
    assert_eq!(server.client().history_of("x").await.unwrap(), None);
    assert_eq!(server.client().object_info_of("X").await.unwrap(), None);
}
