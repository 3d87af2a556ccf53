//! Webhooks: told of every end, signed, until they are taken, over a restart too, and to nobody who must not be told.

use std::path::Path;

use serde_json::{Value, json};
use sim::{Comfy, Generation};

use super::client::Client;
use super::program::{Program, configuration};
use super::prompts::{failing, picture};
use super::receiver::{Receiver, Reply, secret};
use super::stage::{BOTH, Stage, comfy, takes_jobs};
use super::wait::until;

fn asking(url: &str) -> Value {
    json!({"extra_data": {"orchestrator": {"webhook": url}}})
}

/// A fleet whose webhooks may go to this machine.
async fn stage(generation: Generation) -> Stage {
    let stage = Stage::before(vec![comfy(generation).await], |config| {
        let file = config.state_directory.join("secret");
        std::fs::write(&file, secret()).unwrap();
        config.webhooks.secret_file = Some(file);
        config.webhooks.allow = vec!["127.0.0.1/32".parse().unwrap()];
    });
    let stage = stage.await;
    stage.all_take_jobs().await;
    stage
}

/// The real program, whose webhooks may go to `allow`.
async fn program(comfys: &[Comfy], state: &Path, allow: &str) -> Program {
    let file = state.join("secret");
    std::fs::write(&file, secret()).unwrap();
    let ours = format!("webhook_secret_file = '{}'\nwebhook_allow = [{allow}]\n", file.display());
    let program = Program::configured(&(ours + &configuration(comfys)), state).await;
    takes_jobs(&program.client, "a", true).await;
    program
}

/// The webhook of a job once `is` is true of it.
async fn webhook(client: &Client, job: &str, wanted: &str, is: impl Fn(&Value) -> bool) -> Value {
    until(wanted, async || Some(client.job(job).await["webhook"].clone()).filter(|webhook| is(webhook))).await
}

async fn webhook_in(client: &Client, job: &str, state: &str) -> Value {
    webhook(client, job, &format!("the webhook is {state}"), |webhook| webhook["state"] == state).await
}

#[tokio::test]
async fn a_receiver_is_told_once_of_a_jobs_end_signed_and_with_what_it_made() {
    for generation in BOTH {
        let (stage, receiver) = (stage(generation).await, Receiver::start(&[]).await);
        let id = stage.client.submit_with(&picture(7), asking(&receiver.url)).await;
        let history = stage.client.succeeded(&id).await;
        let shown = webhook_in(&stage.client, &id, "delivered").await;
        let [taken] = receiver.taken().try_into().unwrap();
        let document = taken.verified();
        let data = &document["data"];
        assert_eq!((&document["type"], taken.header("webhook-id")), (&json!("job.ended"), id.as_str()));
        assert_eq!(
            (&data["id"], &data["outcome"], &data["backend"]),
            (&json!(id), &json!("succeeded"), &json!("a"))
        );
        assert_eq!(data["outputs"], history["outputs"], "named as clients see them");
        let times = ["submitted_at", "dispatched_at", "ended_at"].map(|key| data[key].as_u64().unwrap());
        assert!(times.is_sorted(), "{document}");
        let sent_at: u64 = taken.header("webhook-timestamp").parse().unwrap();
        assert!(sent_at >= times[2] / 1000 && sent_at < times[2] / 1000 + 60, "{sent_at} {document}");
        assert_eq!((&shown["attempts"], &shown["error"]), (&json!(1), &Value::Null));
        let job = stage.client.job(&id).await;
        assert!(!job.to_string().contains("secret"), "its path is nobody else's: {job}");
        let delivered = "orchestrator_collector_webhooks_total{outcome=\"delivered\"}";
        assert_eq!(stage.client.metric(delivered).await, Some(1.0));
    }
}

#[tokio::test]
async fn a_job_that_failed_or_was_taken_out_of_the_queue_is_told_of_too() {
    let (stage, receiver) = (stage(Generation::V0_8).await, Receiver::start(&[]).await);
    let failed = stage.client.submit_with(&failing("value"), asking(&receiver.url)).await;
    stage.client.ended(&failed).await;
    let document = receiver.takes(1).await[0].verified();
    assert_eq!((&document["data"]["id"], &document["data"]["outcome"]), (&json!(failed), &json!("failed")));
    assert!(document["data"]["error"]["exception_type"].is_string(), "{document}");
    stage.comfys[0].hold();
    let _runs = stage.client.submit(&picture(1)).await;
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    let waits = stage.client.submit_with(&picture(2), asking(&receiver.url)).await;
    stage.client.post("/queue", &json!({"delete": [waits]})).await;
    let document = receiver.takes(2).await[1].verified();
    let data = &document["data"];
    assert_eq!((&data["id"], &data["outcome"]), (&json!(waits), &json!("cancelled")));
    assert_eq!((data.get("backend"), &data["attempts"]), (None, &json!(0)));
}

#[tokio::test]
async fn a_webhook_that_is_not_taken_is_sent_again_under_the_same_id_with_a_new_signature() {
    let replies = [Reply::Status(500), Reply::Redirect];
    let (stage, receiver) = (stage(Generation::V0_8).await, Receiver::start(&replies).await);
    let id = stage.client.submit_with(&picture(7), asking(&receiver.url)).await;
    let said = |text: &'static str| {
        move |webhook: &Value| webhook["error"].as_str().is_some_and(|e| e.contains(text))
    };
    let first = webhook(&stage.client, &id, "the first failure is told", said("500")).await;
    assert_eq!((&first["state"], &first["attempts"]), (&json!("waiting"), &json!(1)));
    assert!(first["due_at"].as_u64() > first["tried_at"].as_u64(), "{first}");
    let second =
        webhook(&stage.client, &id, "the second failure is told", said("redirects are not followed")).await;
    assert_eq!(second["attempts"], json!(2));
    let pause = |webhook: &Value| webhook["due_at"].as_u64().unwrap() - webhook["tried_at"].as_u64().unwrap();
    assert!(pause(&second) > pause(&first), "pauses grow: {first} {second}");
    let delivered = webhook_in(&stage.client, &id, "delivered").await;
    assert_eq!(delivered["attempts"], json!(3));
    let taken = receiver.taken();
    assert_eq!(taken.len(), 3);
    assert!(taken.iter().all(|taken| taken.path == "/hook/secret" && taken.header("webhook-id") == id));
    assert!(taken.iter().all(|taken| taken.verified() == taken.verified()), "each with its own time");
}

#[tokio::test]
async fn a_webhook_outlives_the_collector_and_is_sent_once_more_after_its_next_start() {
    let state = tempfile::tempdir().unwrap();
    let comfys = [comfy(Generation::V0_8).await];
    let receiver = Receiver::start(&[Reply::Status(503), Reply::Never]).await;
    let first = program(&comfys, state.path(), "'127.0.0.1'").await;
    let id = first.client.submit_with(&picture(7), asking(&receiver.url)).await;
    receiver.takes(2).await;
    // While it is being sent for the second time.
    first.kill();
    let second = program(&comfys, state.path(), "'127.0.0.1'").await;
    let shown = webhook_in(&second.client, &id, "delivered").await;
    assert_eq!(shown["attempts"], json!(2), "the one that was cut off was not counted");
    let taken = receiver.taken();
    let bodies: Vec<_> = taken.iter().map(|taken| (taken.header("webhook-id"), &taken.body)).collect();
    assert_eq!(bodies, vec![(id.as_str(), &taken[0].body); 3], "the same, so that a receiver can tell");
    assert_eq!(second.client.metric("orchestrator_collector_webhooks_waiting").await, Some(0.0));
}

#[tokio::test]
async fn where_webhooks_must_not_go_is_refused_at_the_submission_and_again_at_the_sending() {
    let state = tempfile::tempdir().unwrap();
    let comfys = [comfy(Generation::V0_8).await];
    let receiver = Receiver::start(&[]).await;
    let open = program(&comfys, state.path(), "'127.0.0.0/8'").await;
    for (url, wanted) in [
        ("http://[::1]:9/", "a loopback address"),
        ("http://192.168.1.1/", "a private address"),
        ("http://169.254.169.254/latest/meta-data", "a link-local address"),
        ("http://0xa000001/", "a private address"),
        ("http://user:password@1.1.1.1/", "without a user"),
        ("file:///etc/passwd", "https://HOST/PATH"),
    ] {
        let (status, refused) =
            open.client.post("/prompt", &open.client.body(&picture(1), asking(url))).await;
        assert_eq!((status, &refused["error"]["type"]), (400, &json!("invalid_wish")), "{url}");
        assert!(refused["error"]["message"].as_str().unwrap().contains(wanted), "{refused}");
    }
    comfys[0].hold();
    let id = open.client.submit_with(&picture(7), asking(&receiver.url)).await;
    comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    open.kill();
    let closed = program(&comfys, state.path(), "").await;
    comfys[0].release();
    let shown = webhook_in(&closed.client, &id, "given_up").await;
    assert!(shown["error"].as_str().unwrap().contains("127.0.0.1, a loopback address"), "{shown}");
    assert_eq!(receiver.taken().len(), 0);
}

#[tokio::test]
async fn without_a_secret_no_job_may_ask_for_one() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let body = stage.client.body(&picture(1), asking("https://example.org/"));
    let (status, refused) = stage.client.post("/prompt", &body).await;
    assert_eq!((status, &refused["error"]["type"]), (400, &json!("invalid_wish")));
    assert!(refused["error"]["message"].as_str().unwrap().contains("webhook_secret_file"), "{refused}");
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_up_no_other_and_one_that_wants_none_is_left_alone() {
    let hangs = Receiver::start(&[Reply::Never; 16]).await;
    let (leaves, endless) =
        (Receiver::start(&[Reply::Status(410)]).await, Receiver::start(&[Reply::Endless]).await);
    let stage = stage(Generation::V0_8).await;
    let mut hanging = Vec::new();
    for seed in 0..8 {
        hanging.push(stage.client.submit_with(&picture(seed), asking(&hangs.url)).await);
    }
    let left = stage.client.submit_with(&picture(8), asking(&leaves.url)).await;
    let taken = stage.client.submit_with(&picture(9), asking(&endless.url)).await;
    webhook_in(&stage.client, &taken, "delivered").await;
    let given_up = webhook_in(&stage.client, &left, "given_up").await;
    assert!(given_up["error"].as_str().unwrap().contains("410"), "{given_up}");
    assert_eq!(hangs.takes(4).await.len(), 4, "so many at a time");
    let waiting = "orchestrator_collector_webhooks_waiting";
    until("the others wait", async || stage.client.metric(waiting).await.filter(|n| *n == 8.0)).await;
}
