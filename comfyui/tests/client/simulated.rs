//! The client and the socket against simulated servers of both generations.

use bytes::Bytes;
use comfyui::api::{FileRef, FreeRequest, JobsQuery, PromptRequest, files_of};
use comfyui::client::Upload;
use comfyui::{Cause, Client, Error, Frame, Message, Socket};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use sim::{Comfy, ComfyConfig, Fault, FaultKind, Generation};

const GENERATIONS: [Generation; 2] = [Generation::V0_8, Generation::V2024];

/// A server that does not sleep, and a client of it.
async fn server(generation: Generation) -> (Comfy, Client) {
    let comfy = Comfy::start(ComfyConfig { generation, speed: 0.0, ..ComfyConfig::default() }).await.unwrap();
    let client = Client::new(&comfy.url().parse().unwrap()).unwrap();
    (comfy, client)
}

fn graph(model: &str, seed: u64) -> Value {
    json!({
        "1": {"class_type": "SimLoader", "inputs": {"ckpt_name": model, "load_seconds": 0.3, "size_mb": 4000}},
        "2": {"class_type": "SimSampler", "inputs": {
            "model": ["1", 0], "seed": seed, "steps": 4, "step_seconds": 0.1, "width": 64, "height": 64, "preview": true,
        }},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "job"}},
    })
}

fn request(client_id: &str, seed: u64) -> PromptRequest {
    let mut request = PromptRequest::of(graph("sd15.safetensors", seed).to_string()).unwrap();
    request.client_id = Some(client_id.to_owned());
    request
}

/// All frames up to the message that ends a prompt.
async fn until_its_end(socket: &mut Socket) -> Vec<Frame> {
    let mut frames = Vec::new();
    loop {
        let frame = socket.next().await.unwrap().unwrap();
        let is_end =
            matches!(&frame, Frame::Message(Message::Executing(executing)) if executing.node.is_none());
        frames.push(frame);
        if is_end {
            return frames;
        }
    }
}

fn messages(frames: &[Frame]) -> impl Iterator<Item = &Message> {
    frames.iter().filter_map(|frame| if let Frame::Message(message) = frame { Some(message) } else { None })
}

fn picture_of(frames: &[Frame]) -> FileRef {
    let executed = messages(frames)
        .find_map(|message| if let Message::Executed(data) = message { Some(data) } else { None });
    files_of(&executed.unwrap().output).next().unwrap()
}

#[tokio::test]
async fn a_prompt_is_followed_to_its_picture() {
    for generation in GENERATIONS {
        let (comfy, client) = server(generation).await;
        let features = json!({"supports_preview_metadata": true});
        let mut socket = Socket::connect(&client, "me", Some(&features)).await.unwrap();
        let accepted = client.queue_prompt(&request("me", 1)).await.unwrap();
        let frames = until_its_end(&mut socket).await;

        assert!(messages(&frames).all(|message| !matches!(message, Message::Other { .. })));
        assert!(messages(&frames).filter_map(Message::prompt_id).all(|id| id == accepted.prompt_id));
        let has = |kind: &str| messages(&frames).any(|message| message.kind() == kind);
        let current = generation.is_current();
        assert!(has("status") && has("execution_start") && has("progress"));
        assert_eq!(
            (has("feature_flags"), has("progress_state"), has("execution_success")),
            (current, current, current)
        );

        let previews: Vec<_> = frames.iter().filter(|frame| matches!(frame, Frame::Preview(_))).collect();
        assert!(!previews.is_empty());
        assert!(
            previews
                .iter()
                .all(|preview| preview.prompt_id() == current.then_some(accepted.prompt_id.as_str()))
        );

        let file = picture_of(&frames);
        let picture = client.download(&file, 1 << 20).await.unwrap();
        assert!(
            comfy.file(&format!("{} [{}]", file.filename, file.kind)).is_some_and(|made| made == picture)
        );
        let entry = client.history_of(&accepted.prompt_id).await.unwrap().unwrap();
        let status = entry.status.unwrap();
        assert_eq!((status.status_str.as_str(), status.completed), ("success", true));
        assert!(status.message("execution_start").is_some());
        let history = client.history(Some(1), None).await.unwrap();
        assert_eq!(history[&accepted.prompt_id].files().collect::<Vec<_>>(), [("9", file)]);
    }
}

#[tokio::test]
async fn only_0_8_gives_a_prompt_the_id_that_was_asked_for() {
    for generation in GENERATIONS {
        let (_comfy, client) = server(generation).await;
        let mut request = request("me", 1);
        request.prompt_id = Some("11111111-2222-4333-8444-555555555555".to_owned());
        let accepted = client.queue_prompt(&request).await.unwrap();
        assert_eq!(Some(accepted.prompt_id) == request.prompt_id, generation.is_current());
    }
}

#[tokio::test]
async fn the_backlog_is_seen_and_changed() {
    for generation in GENERATIONS {
        let (comfy, client) = server(generation).await;
        let mut socket = Socket::connect(&client, "me", None).await.unwrap();
        comfy.hold();
        let mut ids = Vec::new();
        for seed in 1..=3 {
            ids.push(client.queue_prompt(&request("me", seed)).await.unwrap().prompt_id);
        }
        comfy.wait_for(|state| state.waits_at_gate).await.unwrap();

        let backlog = client.queue().await.unwrap();
        assert_eq!(backlog.queue_running.iter().map(|item| &item.prompt_id).collect::<Vec<_>>(), [&ids[0]]);
        assert_eq!(backlog.queue_pending.len(), 2);
        assert_eq!(backlog.queue_running[0].prompt, graph("sd15.safetensors", 1));
        assert_eq!(backlog.queue_running[0].extra_data["client_id"], "me");
        assert_eq!(client.queue_remaining().await.unwrap().exec_info.queue_remaining, 3);

        client.delete_from_queue(&[&ids[1]]).await.unwrap();
        assert_eq!(client.queue_remaining().await.unwrap().exec_info.queue_remaining, 2);
        client.clear_queue().await.unwrap();
        assert_eq!(client.queue_remaining().await.unwrap().exec_info.queue_remaining, 1);

        client.interrupt(Some(&ids[0])).await.unwrap();
        comfy.release();
        let frames = until_its_end(&mut socket).await;
        assert!(messages(&frames).any(|message| matches!(message, Message::ExecutionInterrupted(_))));
        let status = client.history_of(&ids[0]).await.unwrap().unwrap().status.unwrap();
        assert!(!status.completed && status.message("execution_interrupted").is_some());

        client.delete_history(&[&ids[0]]).await.unwrap();
        assert_eq!(client.history_of(&ids[0]).await.unwrap(), None);
        client.clear_history().await.unwrap();
    }
}

#[tokio::test]
async fn a_node_that_runs_out_of_memory_is_told_from_one_that_fails() {
    for (generation, kind) in
        GENERATIONS.into_iter().flat_map(|generation| [(generation, "oom"), (generation, "value")])
    {
        let (_comfy, client) = server(generation).await;
        let mut socket = Socket::connect(&client, "me", None).await.unwrap();
        let mut failing = graph("sd15.safetensors", 1);
        failing["5"] = json!({"class_type": "SimFail", "inputs": {"image": ["2", 0], "kind": kind}});
        failing["9"]["inputs"]["images"] = json!(["5", 0]);
        let mut request = PromptRequest::of(failing.to_string()).unwrap();
        request.client_id = Some("me".to_owned());
        client.queue_prompt(&request).await.unwrap();
        let failed = messages(&until_its_end(&mut socket).await).find_map(|message| match message {
            Message::ExecutionError(error) => Some(error.is_out_of_memory()),
            _ => None,
        });
        assert_eq!(failed, Some(kind == "oom"));
    }
}

#[tokio::test]
async fn a_bad_prompt_is_refused_as_each_generation_does() {
    for generation in GENERATIONS {
        let (_comfy, client) = server(generation).await;
        let missing = PromptRequest::of(graph("missing.safetensors", 1).to_string()).unwrap();
        let Cause::Rejected(rejected) = client.queue_prompt(&missing).await.unwrap_err().cause else {
            panic!()
        };
        assert_eq!(rejected.kind(), Some("prompt_outputs_failed_validation"));
        assert!(rejected.node_errors.get("1").is_some());

        let unknown = PromptRequest::of(r#"{"1": {"class_type": "NoSuchNode", "inputs": {}}}"#).unwrap();
        match client.queue_prompt(&unknown).await.unwrap_err().cause {
            Cause::Rejected(rejected) if generation.is_current() => {
                assert_eq!(rejected.kind(), Some("invalid_prompt"))
            }
            Cause::Status { status: 500, .. } if !generation.is_current() => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_picture_goes_up_and_comes_back() {
    for generation in GENERATIONS {
        let (_comfy, client) = server(generation).await;
        let bytes = Bytes::from(sim_picture(&client).await);
        let upload =
            Upload { subfolder: "fleet".into(), overwrite: true, ..Upload::input("ü 1.png", bytes.clone()) };
        let answer = client.upload_image(upload).await.unwrap();
        assert_eq!((answer.name.as_str(), answer.input_value().as_str()), ("ü 1.png", "fleet/ü 1.png"));
        let file = FileRef { filename: answer.name, subfolder: answer.subfolder, kind: answer.kind };
        assert_eq!(client.download(&file, 1 << 20).await.unwrap(), bytes);

        let preview = client.view(&file, Some("webp;8"), None, HeaderMap::new()).await.unwrap();
        assert_eq!(preview.headers["content-type"], "image/webp");
        let unknown = FileRef { filename: "none.png".into(), ..file };
        assert_eq!(client.download(&unknown, 1).await.unwrap_err().status(), Some(404));
    }
}

/// A picture that a server has made.
async fn sim_picture(client: &Client) -> Vec<u8> {
    let mut socket = Socket::connect(client, "painter", None).await.unwrap();
    client.queue_prompt(&request("painter", 7)).await.unwrap();
    let picture = picture_of(&until_its_end(&mut socket).await);
    client.download(&picture, 1 << 20).await.unwrap().into()
}

fn is_missing<T>(answer: &Result<T, Error>) -> bool {
    answer.as_ref().is_err_and(|error| error.status() == Some(404))
}

#[tokio::test]
async fn what_a_server_is_and_has_can_be_asked() {
    for generation in GENERATIONS {
        let (comfy, client) = server(generation).await;
        let current = generation.is_current();
        assert!(client.is_healthy().await);
        let stats = client.system_stats().await.unwrap();
        assert_eq!(stats.devices[0].vram_total, Some(comfy.config().vram_bytes));
        assert_eq!(
            (stats.system.comfyui_version.is_some(), stats.system.ram_total.is_some()),
            (current, current)
        );

        let info = client.object_info().await.unwrap();
        let models = info.0["SimLoader"].input.required["ckpt_name"].combo().unwrap();
        assert!(models.contains(&json!("flux.safetensors")));
        assert!(info.0["SaveImage"].output_node);
        assert_eq!(client.object_info_of("SaveImage").await.unwrap().as_ref(), info.0.get("SaveImage"));
        assert_eq!(client.object_info_of("NoSuchNode").await.unwrap(), None);
        let text = client.object_info_bytes().await.unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&text).unwrap(), json!(info));

        client.embeddings().await.unwrap();
        client.free(&FreeRequest { unload_models: true, free_memory: true }).await.unwrap();
        assert_eq!(is_missing(&client.models(Some("checkpoints")).await), !current);
        assert!(is_missing(&client.models(Some("nope")).await));
        assert_eq!(is_missing(&client.features().await), !current);
        assert_eq!(is_missing(&client.jobs(&JobsQuery::default()).await), !current);
        assert!(is_missing(&client.job("nope").await));
    }
}

#[tokio::test]
async fn what_the_web_interface_asks_for_is_there_or_missing_as_in_each_generation() {
    for generation in GENERATIONS {
        let (_comfy, client) = server(generation).await;
        client.users().await.unwrap();
        client.settings().await.unwrap();
        client.extensions().await.unwrap();
        assert!(is_missing(&client.user_files("workflows", true).await));
        assert!(is_missing(&client.user_file("user.css", HeaderMap::new()).await));
        let older = !generation.is_current();
        assert_eq!(is_missing(&client.i18n().await), older);
        assert_eq!(is_missing(&client.global_subgraphs().await), older);
        assert_eq!(is_missing(&client.workflow_templates().await), older);
        assert_eq!(is_missing(&client.experiment_models().await), older);
        assert_eq!(is_missing(&client.folder_paths().await), older);
    }
}

#[tokio::test]
async fn a_job_is_listed_and_read() {
    let (_comfy, client) = server(Generation::V0_8).await;
    let mut socket = Socket::connect(&client, "me", None).await.unwrap();
    let id = client.queue_prompt(&request("me", 1)).await.unwrap().prompt_id;
    until_its_end(&mut socket).await;

    let completed = JobsQuery { status: Some("completed".into()), limit: Some(1), ..JobsQuery::default() };
    let jobs = client.jobs(&completed).await.unwrap();
    assert_eq!((jobs.jobs[0].id.as_str(), jobs.pagination.total), (id.as_str(), 1));
    let cancelled = JobsQuery { status: Some("cancelled".into()), ..JobsQuery::default() };
    assert_eq!(client.jobs(&cancelled).await.unwrap_err().status(), Some(400));

    let job = client.job(&id).await.unwrap();
    let file = job.preview_output.unwrap().file().unwrap();
    assert_eq!(files_of(&job.outputs.unwrap()["9"]).collect::<Vec<_>>(), [file]);
    assert_eq!(job.workflow.unwrap().prompt, graph("sd15.safetensors", 1));
    assert!(job.execution_status.unwrap().completed);
}

#[tokio::test]
async fn what_a_server_may_have_heard_is_told_from_what_it_has_not() {
    let (comfy, client) = server(Generation::V0_8).await;
    comfy.fail(Fault::once("POST /prompt", FaultKind::ResetAfterAccepting));
    let lost = client.queue_prompt(&request("me", 1)).await.unwrap_err();
    assert!(matches!(lost.cause, Cause::Broken(_)) && !lost.never_sent(), "{lost:?}");
    assert_eq!(comfy.counters().accepted, 1);

    comfy.kill().await;
    let refused = client.queue_prompt(&request("me", 2)).await.unwrap_err();
    assert!(matches!(refused.cause, Cause::Refused) && refused.never_sent(), "{refused:?}");
    assert_eq!(comfy.counters().accepted, 1);

    comfy.restart().await.unwrap();
    client.queue_prompt(&request("me", 3)).await.unwrap();
}

#[tokio::test]
async fn a_server_that_dies_breaks_its_sockets() {
    let (comfy, client) = server(Generation::V0_8).await;
    let mut socket = Socket::connect(&client, "me", None).await.unwrap();
    assert!(
        matches!(socket.next().await, Some(Ok(Frame::Message(Message::Status(first)))) if first.sid.is_some())
    );
    comfy.kill().await;
    let error = socket.next().await.unwrap().unwrap_err();
    assert!(matches!(error.cause, Cause::Broken(_)), "{error:?}");
    assert!(socket.next().await.is_none());
}
