//! Clients that mean ill, or are broken: each meets a bound and a clear answer, and nobody else notices.

use collector::lifecycle;
use futures_util::future::join_all;
use serde_json::{Value, json};
use sim::Generation;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::Client;
use super::program::Program;
use super::prompts::{MODEL, picture};
use super::socket::Socket;
use super::stage::{Stage, comfy, takes_jobs};
use super::wait::PATIENCE;

const IDLE: usize = 1000;

async fn connect(client: &Client) -> TcpStream {
    TcpStream::connect(client.url.strip_prefix("http://").unwrap()).await.unwrap()
}

/// A thousand connections on which this was sent, and nothing more comes.
async fn idle(client: &Client, sent: &str) -> Vec<TcpStream> {
    let open = async |_| {
        let mut stream = connect(client).await;
        stream.write_all(sent.as_bytes()).await.unwrap();
        stream
    };
    join_all((0..IDLE).map(open)).await
}

#[tokio::test]
async fn a_thousand_idle_sockets_of_each_kind_keep_nobody_waiting() {
    let descriptors = lifecycle::file_descriptors();
    assert!(
        descriptors >= 4096,
        "raise the hard limit of file descriptors (ulimit -Hn): {descriptors} are too few"
    );
    let (comfy, state) = (comfy(Generation::V0_8).await, tempfile::tempdir().unwrap());
    let program = Program::start(std::slice::from_ref(&comfy), state.path()).await;
    takes_jobs(&program.client, "a", true).await;
    let silent = idle(&program.client, "").await;
    let begun = idle(&program.client, "POST /prompt HTTP/1.1\r\nHost: ").await;
    let listener = async |number| Socket::open(&program.client.named(&format!("idle-{number}"))).await;
    let mut listeners = join_all((0..IDLE).map(listener)).await;

    let is_open = |socket: &TcpStream| {
        socket.try_read(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    };
    assert!(silent.iter().chain(&begun).all(is_open), "nobody had to go for them");

    let mut mine = Socket::open(&program.client).await;
    let id = program.client.submit(&picture(1)).await;
    mine.until_end_of(&id).await;
    program.client.succeeded(&id).await;
    let told = join_all(listeners.iter_mut().map(Socket::next)).await;
    assert!(
        told.iter().flatten().filter(|frame| frame.kind() == "status").count() == IDLE,
        "all are told of the queue"
    );
    assert_eq!(program.client.metric("orchestrator_collector_client_sockets").await, Some(IDLE as f64 + 1.0));
    drop((silent, begun));
}

/// A prompt whose pictures of the unfinished result are some megabytes together.
fn talkative(steps: u64) -> Value {
    json!({
        "1": {"class_type": "SimLoader", "inputs": {"ckpt_name": MODEL, "load_seconds": 0.0, "size_mb": 4000}},
        "2": {"class_type": "SimSampler", "inputs": {
            "model": ["1", 0], "seed": 1, "steps": steps, "step_seconds": 0.0, "width": 512, "height": 512,
            "preview": true,
        }},
        "9": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    })
}

#[tokio::test]
async fn a_client_that_reads_nothing_loses_previews_and_hears_of_the_end_when_it_reads_again() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let mut deaf = Socket::open(&stage.client).await;
    let other = stage.another("other");
    let mut heard = Socket::open(&other).await;
    let dropped = async || stage.client.metric("orchestrator_collector_events_dropped_total").await;
    let mut jobs = Vec::new();
    while dropped().await == Some(0.0) {
        let id = stage.client.submit(&talkative(500)).await;
        stage.client.succeeded(&id).await;
        jobs.push(id);
        assert!(jobs.len() < 100, "what nobody reads is kept somewhere");
    }
    let id = other.submit(&picture(2)).await;
    heard.until_end_of(&id).await;
    for id in &jobs {
        deaf.until_end_of(id).await;
    }
}

/// What is answered to a body of chunks that does not end, and how much of it was taken before.
async fn endless(client: &Client, route: &str, kind: &str, begin: &str) -> (String, usize) {
    let (mut read, mut write) = connect(client).await.into_split();
    let head = format!(
        "POST {route} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{begin}\r\n",
        begin.len()
    );
    write.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("{:x}\r\n{}\r\n", 64 << 10, "x".repeat(64 << 10));
    let mut sent = 0;
    let sending = async {
        while write.write_all(chunk.as_bytes()).await.is_ok() {
            sent += chunk.len();
        }
    };
    let mut answer = Vec::new();
    let reading = async {
        // A reset is an end as well.
        let _ = read.read_to_end(&mut answer).await;
    };
    let both = async { tokio::join!(sending, reading) };
    tokio::time::timeout(PATIENCE, both).await.expect("the connection is closed in time");
    (String::from_utf8(answer).unwrap(), sent)
}

#[tokio::test]
async fn a_body_without_an_end_is_refused_at_the_bound_and_read_no_further() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let form = "--x\r\nContent-Disposition: form-data; name=\"image\"; filename=\"in.png\"\r\n\r\n";
    for (route, kind, begin, status) in [
        ("/prompt", "application/json", "{\"prompt\": \"", 413),
        ("/history", "application/json", "{\"delete\": \"", 413),
        ("/upload/image", "multipart/form-data; boundary=x", form, 413),
        ("/orchestrator/v1/jobs", "application/json", "{\"prompt\": \"", 413),
        // Goes to a backend, which has to be told how long it is.
        ("/api/userdata/big.json", "application/json", "\"", 411),
    ] {
        let (answer, sent) = endless(&stage.client, route, kind, begin).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{route}: {answer}");
        // The bound is 1 MiB; the rest lies in the buffers of the two sockets.
        assert!(sent < 32 << 20, "{route}: {sent} bytes were taken");
    }
    let id = stage.client.submit(&picture(1)).await;
    stage.client.succeeded(&id).await;
    assert_eq!(stage.comfys[0].counters().uploads, 0);
}
