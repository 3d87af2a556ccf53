//! What a client hears: its own jobs, in ComfyUI's order, under the ids that it was given, and of an end only once
//! the history has it.

use serde_json::{Value, json};
use sim::{Generation, State};

use super::client::Client;
use super::prompts::{expected, failing, picture, plain};
use super::socket::{Frame, Socket, order};
use super::stage::{BOTH, Stage};

/// Those of the frames that every generation tells.
fn told_by_all(frames: &[Frame]) -> Vec<&str> {
    let mut kinds = order(frames);
    let own = ["progress", "progress_state", "preview", "preview with metadata"];
    kinds.retain(|kind| !own.contains(kind));
    kinds.dedup();
    kinds
}

fn of_kind<'a>(frames: &'a [Frame], kind: &'a str) -> Vec<Value> {
    frames.iter().filter(|frame| frame.kind() == kind).map(Frame::data).collect()
}

#[tokio::test]
async fn a_client_hears_its_job_in_comfyuis_order_under_the_id_that_it_was_given() {
    for generation in BOTH {
        let stage = Stage::of(generation, 2).await;
        let mut socket = Socket::open(&stage.client).await;
        let id = stage.client.submit(&picture(7)).await;
        let frames = socket.until_end_of(&id).await;
        assert_eq!(
            told_by_all(&frames),
            [
                "execution_start",
                "execution_cached",
                "executing",
                "executed",
                "execution_success",
                "executing"
            ]
        );
        let nodes: Vec<Value> =
            of_kind(&frames, "executing").into_iter().map(|mut data| data["node"].take()).collect();
        assert_eq!(nodes, [json!("1"), json!("2"), json!("9"), Value::Null]);
        let steps: Vec<Value> =
            of_kind(&frames, "progress").into_iter().map(|mut data| data["value"].take()).collect();
        assert_eq!(steps, [1, 2, 3, 4]);
        let named = frames.iter().filter(|frame| **frame != Frame::Preview);
        assert!(named.clone().all(|frame| frame.job() == Some(id.clone())), "{frames:?}");
        let theirs = stage.comfys.iter().flat_map(|comfy| comfy.state().runs).next().unwrap().prompt_id;
        assert_eq!(theirs == id, generation.is_current(), "a server of 2024 gives its own id");
    }
}

#[tokio::test]
async fn an_end_is_told_only_once_the_history_has_it() {
    for generation in BOTH {
        let stage = Stage::of(generation, 1).await;
        let mut socket = Socket::open(&stage.client).await;
        for (seed, prompt) in [(7, picture(7)), (0, failing("value"))] {
            let id = stage.client.submit(&prompt).await;
            let last = |frame: &Frame| matches!(frame.kind(), "execution_success" | "execution_error");
            let frames = socket.until(last).await;
            let history = stage.client.history_of(&id).await.expect("it stands in the history");
            let kind = frames.last().unwrap().kind();
            assert_eq!(history["status"]["completed"] == true, kind == "execution_success");
            if seed != 0 {
                assert_eq!(stage.client.picture_in(&history).await, expected(seed));
            }
            socket.until_end_of(&id).await;
            let queue = stage.client.get("/prompt").await;
            assert_eq!(queue, json!({"exec_info": {"queue_remaining": 0}}));
        }
    }
}

#[tokio::test]
async fn a_client_hears_its_own_jobs_only() {
    for generation in BOTH {
        let stage = Stage::of(generation, 2).await;
        let clients = [stage.another("one"), stage.another("two")];
        let mut sockets = [Socket::open(&clients[0]).await, Socket::open(&clients[1]).await];
        let mut ids: [Vec<String>; 2] = Default::default();
        for seed in 0..6 {
            let which = seed % 2;
            ids[which].push(clients[which].submit(&picture(seed as u64)).await);
        }
        for (socket, ids) in sockets.iter_mut().zip(&ids) {
            let mut left = ids.clone();
            while !left.is_empty() {
                let frame = socket.next().await.unwrap();
                assert!(frame.job().is_none_or(|job| ids.contains(&job)), "{frame:?}");
                left.retain(|id| !frame.ends(id));
            }
        }
    }
}

#[tokio::test]
async fn the_output_that_a_client_hears_of_is_the_one_in_the_history() {
    for generation in BOTH {
        let stage = Stage::of(generation, 1).await;
        let mut socket = Socket::open(&stage.client).await;
        let id = stage.client.submit(&picture(7)).await;
        let frames = socket.until_end_of(&id).await;
        let executed = of_kind(&frames, "executed");
        assert_eq!(executed.len(), 1);
        let history = stage.client.ended(&id).await;
        assert_eq!((&executed[0]["node"], &executed[0]["output"]), (&json!("9"), &history["outputs"]["9"]));
        assert_eq!(executed[0]["output"]["images"][0]["subfolder"], "a");
        assert_eq!(stage.client.view(&executed[0]["output"]["images"][0]).await, expected(7));
    }
}

#[tokio::test]
async fn previews_come_plain_unless_the_client_asks_for_their_metadata() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let mut plain = Socket::open(&stage.client).await;
    let id = stage.client.submit(&picture(7)).await;
    let frames = plain.until_end_of(&id).await;
    assert_eq!(frames.iter().filter(|frame| **frame == Frame::Preview).count(), 4);
    assert!(of_kind(&frames, "preview with metadata").is_empty());

    let other = stage.another("modern");
    let mut modern = Socket::open(&other).await.with_metadata().await;
    let id = other.submit(&picture(8)).await;
    let frames = modern.until_end_of(&id).await;
    let metadata = of_kind(&frames, "preview with metadata");
    assert_eq!((metadata.len(), frames.contains(&Frame::Preview)), (4, false));
    assert!(metadata.iter().all(|data| data["prompt_id"] == id && data["node_id"] == "2"), "{metadata:?}");
}

#[tokio::test]
async fn previews_of_a_server_of_2024_come_plain_to_every_client() {
    let stage = Stage::of(Generation::V2024, 1).await;
    let mut socket = Socket::open(&stage.client).await.with_metadata().await;
    let id = stage.client.submit(&picture(7)).await;
    let frames = socket.until_end_of(&id).await;
    assert_eq!(frames.iter().filter(|frame| **frame == Frame::Preview).count(), 4);
}

#[tokio::test]
async fn a_job_that_is_wholly_cached_ends_with_its_output_told_once() {
    for generation in BOTH {
        let stage = Stage::of(generation, 1).await;
        let mut socket = Socket::open(&stage.client).await;
        let first = stage.client.submit(&plain(0x01_02_03)).await;
        socket.until_end_of(&first).await;
        let second = stage.client.submit(&plain(0x01_02_03)).await;
        let frames = socket.until_end_of(&second).await;
        assert_eq!(of_kind(&frames, "execution_cached")[0]["nodes"], json!(["1", "9"]));
        let executed = of_kind(&frames, "executed");
        assert_eq!(executed.len(), 1, "{frames:?}");
        assert_eq!(
            stage.client.view(&executed[0]["output"]["images"][0]).await,
            sim::picture::plain(4, 4, 0x01_02_03)
        );
        let told = ["execution_start", "execution_cached", "executed", "execution_success", "executing"];
        assert_eq!(told_by_all(&frames), told);
        stage.client.succeeded(&second).await;
    }
}

#[tokio::test]
async fn a_node_that_raises_is_told_and_stands_in_the_history() {
    for generation in BOTH {
        for (kind, exception, runs) in [("value", "ValueError", 1), ("oom", "torch.OutOfMemoryError", 2)] {
            let stage = Stage::of(generation, 1).await;
            let mut socket = Socket::open(&stage.client).await;
            let id = stage.client.submit(&failing(kind)).await;
            let frames = socket.until_end_of(&id).await;
            assert_eq!(order(&frames).split_last_chunk().unwrap().1, &["execution_error", "executing"]);
            let error = of_kind(&frames, "execution_error").remove(0);
            assert_eq!((&error["node_id"], &error["exception_type"]), (&json!("2"), &json!(exception)));
            assert_eq!(error["prompt_id"], id);
            let status = stage.client.ended(&id).await["status"].clone();
            assert_eq!((&status["status_str"], &status["completed"]), (&json!("error"), &json!(false)));
            let last = status["messages"].as_array().unwrap().last().unwrap();
            assert_eq!(last, &json!(["execution_error", error]));
            assert_eq!(stage.runs_of(&id), runs, "what failed by its own doing is not tried again");
            let next = stage.client.submit(&picture(7)).await;
            stage.client.succeeded(&next).await;
        }
    }
}

#[tokio::test]
async fn a_client_that_comes_back_hears_where_its_running_job_stands() {
    for generation in BOTH {
        let stage = Stage::of(generation, 1).await;
        stage.comfys[0].hold();
        stage.comfys[0].let_pass(1);
        let mut socket = Socket::open(&stage.client).await;
        let id = stage.client.submit(&picture(7)).await;
        let at_sampler = |frame: &Frame| frame.kind() == "executing" && frame.data()["node"] == "2";
        socket.until(at_sampler).await;
        drop(socket);
        let mut back = Socket::open(&stage.client).await;
        let frame = back.next().await.unwrap();
        assert!(at_sampler(&frame) && frame.job() == Some(id.clone()), "{frame:?}");
        stage.comfys[0].release();
        let frames = back.until_end_of(&id).await;
        assert_eq!(of_kind(&frames, "executed").len(), 1);
    }
}

#[tokio::test]
async fn every_client_hears_how_much_waits() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    stage.comfys[0].hold();
    let mut bystander = Socket::open(&stage.another("bystander")).await;
    for count in 1..=3 {
        stage.client.submit(&picture(count)).await;
        let frame = bystander.next().await.unwrap();
        assert_eq!(frame.data(), json!({"status": {"exec_info": {"queue_remaining": count}}}));
    }
}

#[tokio::test]
async fn a_job_of_a_client_without_a_name_runs_and_nobody_hears_of_it() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let mut socket = Socket::open(&stage.client).await;
    let (status, answer) = stage.client.post("/prompt", &json!({"prompt": picture(7)})).await;
    assert_eq!(status, 200);
    let nameless = answer["prompt_id"].as_str().unwrap();
    stage.client.succeeded(nameless).await;
    let own = stage.client.submit(&picture(8)).await;
    let frames = socket.until_end_of(&own).await;
    assert!(frames.iter().all(|frame| frame.job().is_none_or(|job| job == own)), "{frames:?}");
}

/// As when a collector that was cut off and replaced ends late: its socket was of the same name.
#[tokio::test]
async fn a_socket_that_its_backend_has_forgotten_is_opened_again() {
    for generation in BOTH {
        let stage = Stage::of(generation, 1).await;
        let comfy = &stage.comfys[0];
        let name = comfy.state().clients[0].clone();
        drop(Socket::open(&Client::new(&comfy.url(), &name)).await);
        comfy.wait_for(|state| state.clients.is_empty()).await.unwrap();
        comfy.hold();
        let mut socket = Socket::open(&stage.client).await;
        let id = stage.client.submit(&picture(7)).await;
        let is_known = |state: &State| state.clients == [name.clone()];
        let counts = |state: &State| state.counters.requests.get("GET /prompt").copied().unwrap_or(0);
        while !is_known(&comfy.state()) {
            // The count of what waits there moves between two looks at it, whatever the first one saw.
            let before = counts(&comfy.state());
            comfy.wait_for(|state| is_known(state) || counts(state) > before + 2).await.unwrap();
            assert!(
                comfy.state().pending.len() < 100,
                "its queue has moved often, and it was not asked again"
            );
            Client::new(&comfy.url(), "other").submit(&picture(8)).await;
        }
        comfy.release();
        let frames = socket.until_end_of(&id).await;
        assert!(!of_kind(&frames, "progress").is_empty(), "{frames:?}");
    }
}
