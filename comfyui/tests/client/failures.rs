//! Each way in which a call can fail is told apart, and says whether the server may have acted.

use std::time::Duration;

use comfyui::api::{FileRef, PromptRequest};
use comfyui::client::{Bounds, Upload};
use comfyui::{Cause, Client};
use reqwest::header::HeaderMap;

use crate::scripted::{Scripted, Then, answer, refusing};

fn impatient() -> Bounds {
    let mut bounds = Bounds { stream_silence: Duration::from_millis(250), ..Bounds::default() };
    bounds.small.timeout = Duration::from_millis(250);
    bounds
}

fn tight(limit_bytes: u64) -> Bounds {
    let mut bounds = Bounds::default();
    bounds.small.limit_bytes = limit_bytes;
    bounds
}

#[tokio::test]
async fn where_nothing_listens_nothing_was_sent() {
    let (_port, client) = refusing();
    let error = client.queue_remaining().await.unwrap_err();
    assert!(matches!(error.cause, Cause::Refused), "{error:?}");
    assert!(error.never_sent());
    assert!(!client.is_healthy().await);
    assert_eq!(
        error.to_string(),
        format!(
            "cannot count the backlog at {}: nothing listens there; is ComfyUI running, and on this port?",
            client.backend()
        )
    );
}

#[tokio::test]
async fn where_no_tls_is_spoken_nothing_was_sent() {
    let server = Scripted::answers(400, "The plain HTTP request was sent to ...").await;
    let client = Client::new(&format!("https://{}", server.address).parse().unwrap()).unwrap();
    let error = client.queue_remaining().await.unwrap_err();
    assert!(matches!(&error.cause, Cause::Unreachable(why) if why != "no connection in time"), "{error:?}");
    assert!(error.never_sent());
}

#[tokio::test]
async fn a_silent_server_times_out_and_may_have_acted() {
    let server = Scripted::says("", Then::Hold).await;
    let error = server.client().bounded(impatient()).queue_remaining().await.unwrap_err();
    assert!(matches!(error.cause, Cause::Timeout), "{error:?}");
    assert!(!error.never_sent());
}

#[tokio::test]
async fn a_server_that_stops_within_its_answer_times_out() {
    let server =
        Scripted::says("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"exec_info\"", Then::Hold).await;
    let error = server.client().bounded(impatient()).queue_remaining().await.unwrap_err();
    assert!(matches!(error.cause, Cause::Timeout), "{error:?}");
}

#[tokio::test]
async fn a_head_without_an_end_is_given_up() {
    let endless = Scripted::says("HTTP/1.1 200 OK\r\n", Then::Repeat("X-More: and more\r\n")).await;
    let error = endless.client().queue_remaining().await.unwrap_err();
    assert!(matches!(error.cause, Cause::Broken(_)), "{error:?}");

    let slow = Scripted::says("HTTP/1.1 200 OK\r\n", Then::Drip("X: y\r\n")).await;
    let error = slow.client().bounded(impatient()).queue_remaining().await.unwrap_err();
    assert!(matches!(error.cause, Cause::Timeout), "{error:?}");
}

#[tokio::test]
async fn a_body_that_drips_is_not_waited_for_beyond_the_whole_calls_bound() {
    let slow = Scripted::says("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", Then::Drip(" ")).await;
    let error = slow.client().bounded(impatient()).queue_remaining().await.unwrap_err();
    assert!(matches!(error.cause, Cause::Timeout), "{error:?}");
}

#[tokio::test]
async fn a_body_without_an_end_costs_no_more_than_its_bound() {
    let endless = Scripted::says("HTTP/1.1 200 OK\r\n\r\n", Then::Repeat(" ")).await;
    let error = endless.client().bounded(tight(1 << 16)).queue_remaining().await.unwrap_err();
    assert!(matches!(error.cause, Cause::TooLarge { limit_bytes: 65_536 }), "{error:?}");
}

#[tokio::test]
async fn a_body_longer_than_announced_is_read_as_far_as_announced() {
    let says = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}{}";
    let server = Scripted::says(says, Then::Close).await;
    assert_eq!(server.client().history(None, None).await.unwrap().len(), 0);
}

/// The head of a gzip file: a bound on what arrives is one on what is held only where nothing is unpacked.
const PACKED: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03";

#[tokio::test]
async fn a_packed_answer_is_not_asked_for_and_not_unpacked() {
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Encoding: gzip\r\n";
    let says = format!("{head}Content-Length: 10\r\n\r\n");
    let mut server = Scripted::says_bytes([says.as_bytes(), PACKED].concat(), Then::Close).await;
    let error = server.client().queue_remaining().await.unwrap_err();
    assert!(matches!(error.cause, Cause::Document(_)), "{error:?}");
    assert!(!server.request().await.to_lowercase().contains("accept-encoding"));
}

#[tokio::test]
async fn a_name_that_nobody_has_was_never_sent_to() {
    // Longer than a label may be: no resolver asks anybody for it.
    let url = format!("http://{}.invalid", "x".repeat(64)).parse().unwrap();
    let error = Client::new(&url).unwrap().queue_remaining().await.unwrap_err();
    assert!(matches!(&error.cause, Cause::Unreachable(why) if why.contains("lookup")), "{error:?}");
    assert!(error.never_sent());
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_says_where_to() {
    let says = "HTTP/1.1 301 Moved\r\nLocation: https://elsewhere/\r\nContent-Length: 0\r\n\r\n";
    let file = FileRef { filename: "a.png".into(), subfolder: String::new(), kind: "output".into() };
    let mut server = Scripted::says(says, Then::Close).await;
    let client = server.client();
    for error in [client.queue_remaining().await.unwrap_err(), client.open_file(&file).await.unwrap_err()] {
        let told = "it answered with status 301: it redirects to https://elsewhere/; use that address";
        assert!(error.to_string().ends_with(told), "{error}");
    }
    assert_eq!(server.unseen(), 2);
}

#[tokio::test]
async fn a_page_of_a_proxy_is_told_by_its_title() {
    let page = "<html>\r\n<head><title>502 Bad\n Gateway</title></head><body><hr>nginx</body></html>";
    for (page, told) in [(page, "502 Bad Gateway"), ("<!DOCTYPE html><p>no</p>", "a page of HTML")] {
        let server = Scripted::answers(502, page).await;
        let error = server.client().queue_remaining().await.unwrap_err();
        assert!(error.to_string().ends_with(&format!("it answered with status 502: {told}")), "{error}");
    }
}

#[tokio::test]
async fn a_page_instead_of_a_document_is_told_in_a_line() {
    let page = format!("<!DOCTYPE html><title>Router</title>{}", "<p>Welcome</p>\n".repeat(1000));
    let error = Scripted::answers(200, &page).await.client().queue_remaining().await.unwrap_err();
    let told = error.to_string();
    assert!(told.ends_with("is this address a ComfyUI?") && told.len() < 200, "{told}");
}

#[tokio::test]
async fn a_connection_that_breaks_before_or_within_the_answer_is_tried_once() {
    for half in ["", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"prompt_id\""] {
        let mut server = Scripted::says(half, Then::Close).await;
        let request = PromptRequest::of("{}").unwrap();
        let error = server.client().queue_prompt(&request).await.unwrap_err();
        assert!(matches!(error.cause, Cause::Broken(_)), "{error:?}");
        assert!(!error.never_sent());
        assert_eq!(server.unseen(), 1);
    }
}

#[tokio::test]
async fn an_answer_over_its_bound_is_given_up() {
    let announced = answer(200, &"x".repeat(101));
    let unannounced = format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n{}\r\n0\r\n\r\n",
        "x".repeat(101)
    );
    for long in [announced, unannounced] {
        let server = Scripted::says(&long, Then::Close).await;
        let error = server.client().bounded(tight(100)).queue_remaining().await.unwrap_err();
        assert!(matches!(error.cause, Cause::TooLarge { limit_bytes: 100 }), "{error:?}");
        let error = server.client().bounded(tight(101)).queue_remaining().await.unwrap_err();
        assert!(matches!(error.cause, Cause::Document(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_refused_prompt_comes_with_the_servers_document() {
    for (body, words) in [
        (
            r#"{"error": {"type": "no_prompt", "message": "No prompt\nprovided"}, "node_errors": {}}"#,
            "No prompt provided",
        ),
        (r#"{"error": "no prompt", "node_errors": []}"#, "no prompt"),
        (
            r#"{"error": {"message": "Failed"}, "node_errors": {"4": {"errors":
                [{"message": "Too small", "details": "steps\n1"}], "class_type": "X"}}}"#,
            "Failed; node 4 (X): Too small: steps 1",
        ),
    ] {
        let server = Scripted::answers(400, body).await;
        let error = server.client().queue_prompt(&PromptRequest::of("{}").unwrap()).await.unwrap_err();
        assert_eq!(error.status(), Some(400));
        assert!(error.to_string().ends_with(&format!("it refused the prompt: {words}")), "{error}");
        let Cause::Rejected(rejected) = error.cause else { panic!("{error:?}") };
        assert_eq!(
            serde_json::to_value(*rejected).unwrap(),
            serde_json::from_str::<serde_json::Value>(body).unwrap()
        );
    }
}

#[tokio::test]
async fn any_other_status_comes_with_the_beginning_of_the_body_on_one_line() {
    for status in [302, 400, 404, 500] {
        let server =
            Scripted::answers(status, &format!("{status} Server got\n\nitself {}", "x".repeat(600))).await;
        let error = server.client().queue_prompt(&PromptRequest::of("{}").unwrap()).await.unwrap_err();
        let Cause::Status { status: told, body } = &error.cause else { panic!("{error:?}") };
        assert_eq!((*told, body.chars().count()), (status, 500));
        assert!(
            error.to_string().contains(&format!("status {status}: {status} Server got itself x")),
            "{error}"
        );
        assert_eq!(error.to_string().lines().count(), 1);
    }
}

#[tokio::test]
async fn an_error_whose_body_never_comes_is_still_told_by_its_status() {
    let server = Scripted::says("HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nhal", Then::Close).await;
    let error = server.client().queue_remaining().await.unwrap_err();
    assert_eq!(error.status(), Some(503));
}

#[tokio::test]
async fn an_answer_that_is_no_such_document_is_told_from_a_dead_server() {
    for body in ["<html>", "", "{}", "[]"] {
        let server = Scripted::answers(200, body).await;
        let error = server.client().queue_remaining().await.unwrap_err();
        assert!(matches!(error.cause, Cause::Document(_)), "{body}: {error:?}");
    }
}

#[tokio::test]
async fn a_file_that_stops_coming_times_out_and_one_that_breaks_is_broken() {
    let file = FileRef { filename: "a.png".into(), subfolder: String::new(), kind: "output".into() };
    for then in [Then::Hold, Then::Close] {
        let server = Scripted::says("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", then).await;
        let client = server.client().bounded(impatient());
        let mut download = client.view(&file, None, None, HeaderMap::new()).await.unwrap();
        assert_eq!(download.chunk().await.unwrap().as_deref(), Some(&b"half"[..]));
        let cause = download.chunk().await.unwrap_err().cause;
        match then {
            Then::Hold => assert!(matches!(cause, Cause::Timeout), "{cause:?}"),
            _ => assert!(matches!(cause, Cause::Broken(_)), "{cause:?}"),
        }
    }
}

#[tokio::test]
async fn a_file_over_the_callers_bound_is_given_up() {
    let file = FileRef { filename: "a.png".into(), subfolder: String::new(), kind: "output".into() };
    let server = Scripted::answers(200, "picture").await;
    let error = server.client().download(&file, 6).await.unwrap_err();
    assert!(matches!(error.cause, Cause::TooLarge { limit_bytes: 6 }), "{error:?}");
    assert_eq!(server.client().download(&file, 7).await.unwrap(), "picture");
}

#[tokio::test]
async fn a_name_that_would_break_a_header_is_not_sent() {
    let mut server = Scripted::answers(200, "{}").await;
    for name in ["", "a\r\nX: y.png", "a\u{0}"] {
        let error = server.client().upload_image(Upload::input(name, "x")).await.unwrap_err();
        assert!(matches!(error.cause, Cause::Unsendable(_)) && error.never_sent(), "{error:?}");
    }
    assert_eq!(server.unseen(), 0);
}

#[tokio::test]
async fn a_path_that_leads_out_of_the_server_is_not_sent() {
    let mut server = Scripted::answers(200, "{}").await;
    let error = server.client().get_stream("/assets/../../x", &[], HeaderMap::new()).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Unsendable(_)), "{error:?}");
    assert_eq!(server.unseen(), 0);
}

#[tokio::test]
async fn no_error_shows_credentials() {
    let server = Scripted::answers(500, "no").await;
    let client = Client::new(&format!("http://user:secret@{}", server.address).parse().unwrap()).unwrap();
    let error = client.queue_remaining().await.unwrap_err();
    assert!(!format!("{error} {error:?} {client:?}").contains("secret"), "{error:?} {client:?}");
    assert_eq!(error.backend, format!("http://{}", server.address));
}
