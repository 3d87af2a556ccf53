//! What the typed answers of routes that no recording holds in full say, and that nothing of them is lost.

use std::fmt::Debug;

use comfyui::api::Cancelled;
use comfyui::{Client, Error};
use reqwest::header::HeaderMap;
use serde::Serialize;
use serde_json::{Value, json};

use crate::scripted::Scripted;

/// What a call makes of this answer, and that it comes out as it went in.
async fn read<T: Serialize + Debug>(answer: Value, call: impl AsyncFnOnce(Client) -> Result<T, Error>) -> T {
    let server = Scripted::answers(200, &answer.to_string()).await;
    let document = call(server.client()).await.unwrap();
    assert_eq!(serde_json::to_value(&document).unwrap(), answer);
    document
}

#[tokio::test]
async fn jobs_come_with_the_page_that_they_are_on() {
    let failed = json!({
        "id": "b", "status": "cancelled", "priority": -7.5, "create_time": 1, "execution_start_time": 2,
        "execution_end_time": 3, "execution_error": {"node_id": "5"}, "outputs_count": 2,
        "previewable_outputs_count": 1, "workflow_id": "w", "new": [null],
        "preview_output": {
            "filename": "a.png", "subfolder": "s", "type": "temp", "nodeId": "9", "mediaType": "images", "new": 1,
        },
    });
    let answer = json!({
        "jobs": [{"id": "a", "status": "pending"}, failed],
        "pagination": {"offset": 4, "limit": null, "total": 6, "has_more": false, "cursor": "x"},
        "new": {},
    });
    let jobs = read(answer, async |client| client.jobs(&Default::default()).await).await;
    assert_eq!((jobs.jobs[0].create_time, jobs.jobs[1].execution_end_time), (None, Some(3)));
    let file = jobs.jobs[1].preview_output.as_ref().unwrap().file().unwrap();
    assert_eq!((file.filename.as_str(), file.subfolder.as_str(), file.kind.as_str()), ("a.png", "s", "temp"));
}

#[tokio::test]
async fn a_text_to_show_for_a_job_is_no_file() {
    let answer = json!({
        "id": "a", "status": "completed",
        "preview_output": {"content": "words", "nodeId": "9", "mediaType": "text"},
    });
    let job = read(answer, async |client| client.job("a").await).await;
    assert_eq!(job.preview_output.unwrap().file(), None);
}

#[tokio::test]
async fn one_job_comes_with_all_of_it() {
    let answer = json!({
        "id": "a", "status": "completed", "outputs": {"9": {"images": []}},
        "execution_status": {"status_str": "success", "completed": true, "messages": [["execution_start", {}]]},
        "workflow": {"prompt": {"9": {"class_type": "SaveImage"}}, "extra_data": {"client_id": "c"}, "new": 1},
    });
    let job = read(answer, async |client| client.job("a").await).await;
    assert!(job.execution_status.unwrap().message("execution_start").is_some());
    assert_eq!(job.workflow.unwrap().extra_data["client_id"], "c");
}

#[tokio::test]
async fn a_cancel_says_whether_there_was_something_to_cancel() {
    let one = read(json!({"cancelled": true}), async |client| client.cancel_job("a").await).await;
    let none =
        read(json!({"cancelled": false, "new": 1}), async |client| client.cancel_jobs(&["a"]).await).await;
    assert_eq!((one, none.cancelled), (Cancelled { cancelled: true, ..Cancelled::default() }, false));
}

#[tokio::test]
async fn features_are_read_and_kept() {
    let answer =
        json!({"supports_preview_metadata": true, "max_upload_size": 7, "extension": {"manager": {}}});
    let features = read(answer, async |client| client.features().await).await;
    assert_eq!((features.supports_preview_metadata, features.max_upload_size), (Some(true), Some(7)));
}

#[tokio::test]
async fn a_server_has_one_user_or_several() {
    let one = json!({"storage": "server", "migrated": false});
    assert_eq!(read(one, async |client| client.users().await).await.migrated, Some(false));
    let several = json!({"storage": "server", "users": {"ann_1": "Ann"}});
    let several = read(several, async |client| client.users().await).await;
    assert_eq!(several.users.unwrap()["ann_1"], "Ann");
}

#[tokio::test]
async fn what_custom_nodes_bring_is_listed() {
    let subgraphs =
        json!({"1f": {"source": "custom_node", "name": "Upscale", "info": {"node_pack": "p"}, "new": 1}});
    let subgraphs = read(subgraphs, async |client| client.global_subgraphs().await).await;
    assert_eq!(subgraphs["1f"].name.as_deref(), Some("Upscale"));
    let templates = json!({"pack": ["a", "b"]});
    assert_eq!(read(templates, async |client| client.workflow_templates().await).await["pack"], ["a", "b"]);
    let translations = json!({"de": {"nodeDefs": {}}});
    read(translations, async |client| client.i18n().await).await;
    read(json!(["/extensions/core/a.js"]), async |client| client.extensions().await).await;
}

#[tokio::test]
async fn model_folders_are_listed() {
    let folders = json!([{"name": "checkpoints", "folders": ["/models/checkpoints"], "new": 1}]);
    let folders = read(folders, async |client| client.experiment_models().await).await;
    assert_eq!(folders[0].folders, ["/models/checkpoints"]);
    let paths = json!({"loras": ["/models/loras"]});
    assert_eq!(read(paths, async |client| client.folder_paths().await).await["loras"], ["/models/loras"]);
    read(json!(["checkpoints"]), async |client| client.models(None).await).await;
    read(json!(["a"]), async |client| client.embeddings().await).await;
}

#[tokio::test]
async fn settings_are_read_together_or_alone() {
    let all = json!({"Comfy.ColorPalette": "dark", "x": {"y": [1]}});
    read(all, async |client| client.settings().await).await;
    read(json!(null), async |client| client.setting("x").await).await;
}

#[tokio::test]
async fn a_users_files_are_listed_in_full_and_by_name_in_2024() {
    let current = json!([{"path": "a.json", "size": 3, "modified": 1_795_368_573_684_u64, "created": 1}]);
    let files = read(current, async |client| client.user_files("workflows", false).await).await;
    assert_eq!((files[0].path.as_str(), files[0].size), ("a.json", Some(3)));

    let server = Scripted::answers(200, r#"["a.json"]"#).await;
    let files = server.client().user_files("workflows", false).await.unwrap();
    assert_eq!((files[0].path.as_str(), files[0].size), ("a.json", None));
}

#[tokio::test]
async fn a_users_file_is_read_as_it_is() {
    let server = Scripted::answers(200, "any bytes").await;
    let file = server.client().user_file("a.css", HeaderMap::new()).await.unwrap();
    assert_eq!(file.bytes(9).await.unwrap(), "any bytes");
}

#[tokio::test]
async fn what_a_write_and_a_move_made_is_told() {
    for answer in [r#""workflows/b.json""#, r#"{"path": "workflows/b.json", "size": 2, "modified": 1.5}"#] {
        let server = Scripted::answers(200, answer).await;
        let client = server.client();
        let written = client.write_user_file("workflows/b.json", "{}", false).await.unwrap();
        let moved = client.move_user_file("a", "workflows/b.json", true).await.unwrap();
        assert_eq!((written.path.as_str(), &written), ("workflows/b.json", &moved));
    }
    let server = Scripted::answers(409, "").await;
    let error = server.client().write_user_file("workflows/b.json", "{}", false).await.unwrap_err();
    assert_eq!(error.status(), Some(409));
}
