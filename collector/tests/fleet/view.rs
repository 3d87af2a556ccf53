//! `/view`: files of the collector's own store and of backends, in parts, rendered, and never anything else.

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use sim::Generation;

use super::client::{Client, png, view_of};
use super::prompts::{picture, plain};
use super::stage::{Stage, quick};

async fn asked(
    client: &Client,
    route: &str,
    headers: &[(&'static str, &str)],
) -> (StatusCode, HeaderMap, Vec<u8>) {
    let pair = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    let request = client.request(reqwest::Method::GET, route).headers(headers.iter().map(pair).collect());
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    (status, headers, answer.bytes().await.unwrap().to_vec())
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
}

/// One file that was uploaded and one that a backend made, as routes.
async fn both_kinds(stage: &Stage) -> [String; 2] {
    stage.client.upload("in.png", png(3), &[]).await;
    let id = stage.client.submit(&picture(7)).await;
    let history = stage.client.succeeded(&id).await;
    ["/view?filename=in.png&type=input".to_owned(), view_of(&history["outputs"]["9"]["images"][0])]
}

#[tokio::test]
async fn files_come_in_parts_and_not_at_all_where_a_copy_is_good() {
    let stage = Stage::of(Generation::V0_8, 2).await;
    for route in both_kinds(&stage).await {
        let (status, headers, whole) = asked(&stage.client, &route, &[]).await;
        assert_eq!((status, header(&headers, "content-type")), (StatusCode::OK, "image/png"));
        assert_eq!(header(&headers, "accept-ranges"), "bytes");
        assert!(header(&headers, "content-disposition").starts_with("filename=\""));
        let tag = header(&headers, "etag");
        let (status, headers, part) = asked(&stage.client, &route, &[("range", "bytes=2-5")]).await;
        assert_eq!((status, &part[..]), (StatusCode::PARTIAL_CONTENT, &whole[2..6]), "{route}");
        assert_eq!(header(&headers, "content-range"), format!("bytes 2-5/{}", whole.len()));
        let (status, _, body) = asked(&stage.client, &route, &[("if-none-match", tag)]).await;
        assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0), "{route}");
    }
}

#[tokio::test]
async fn the_date_of_a_backends_file_is_passed_on_both_ways() {
    let stage = Stage::of(Generation::V0_8, 2).await;
    let [_, made] = both_kinds(&stage).await;
    let (_, headers, _) = asked(&stage.client, &made, &[]).await;
    let date = header(&headers, "last-modified");
    let (status, ..) = asked(&stage.client, &made, &[("if-modified-since", date)]).await;
    assert_eq!(status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn renditions_of_an_upload_are_those_of_a_server_that_has_it() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let [kept, _] = both_kinds(&stage).await;
    let server = Client::new(&stage.comfys[0].url(), "direct");
    server.upload("in.png", png(3), &[]).await;
    for more in ["", "&preview=webp;80", "&preview=jpeg", "&channel=rgb", "&channel=a", "&channel=rgba"] {
        let route = format!("{kept}{more}");
        let (ours, theirs) = (asked(&stage.client, &route, &[]).await, asked(&server, &route, &[]).await);
        for name in ["content-type", "content-disposition"] {
            assert_eq!(header(&ours.1, name), header(&theirs.1, name), "{more}");
        }
        let pixels = |bytes: &[u8]| image::load_from_memory(bytes).unwrap().into_rgba8();
        if !more.contains("jpeg") {
            assert_eq!(pixels(&ours.2), pixels(&theirs.2), "{more}");
        }
    }
    stage.client.upload("notes.txt", b"no picture".to_vec(), &[]).await;
    assert_eq!(stage.client.ask("/view?filename=notes.txt&type=input&preview=webp").await.0, 400);
}

#[tokio::test]
async fn what_a_browser_would_run_comes_as_bytes() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    for name in ["a.html", "a.js", "a.css", "a.svg", "a.xhtml", "a.htm", "a.mjs", "a.xml"] {
        stage.client.upload(name, b"<script>".to_vec(), &[]).await;
        let (_, headers, _) = asked(&stage.client, &format!("/view?filename={name}&type=input"), &[]).await;
        assert_eq!(header(&headers, "content-type"), "application/octet-stream", "{name}");
        assert_eq!(header(&headers, "x-content-type-options"), "nosniff");
    }
}

#[tokio::test]
async fn nothing_outside_the_folders_can_be_reached_in_any_spelling() {
    let stage = Stage::of(Generation::V0_8, 2).await;
    both_kinds(&stage).await;
    let views = || -> u64 {
        let counters = stage.comfys.iter().map(sim::Comfy::counters);
        counters.map(|counters| counters.requests.get("GET /view").copied().unwrap_or_default()).sum()
    };
    let before = views();
    let filenames =
        ["../x.png", "..%2Fx.png", "%2e%2e/x.png", "..%5Cx.png", "%2Fetc%2Fpasswd", "%5Cx", "x%00.png"];
    let subfolders = [
        "..",
        "%2e%2e",
        "%2e%2e%2f%2e%2e",
        "/etc",
        "%2Fetc",
        "a/../..",
        "a%5C..%5C..",
        "C:%5C",
        "%5C%5Chost",
        "%00",
    ];
    for kind in ["input", "output", "temp"] {
        for filename in filenames {
            let route = format!("/view?filename={filename}&subfolder=a&type={kind}");
            assert_eq!(stage.client.ask(&route).await.0, 400, "{route}");
        }
        for subfolder in subfolders {
            let route = format!("/api/view?filename=x.png&subfolder={subfolder}&type={kind}");
            assert_eq!(stage.client.ask(&route).await.0, 403, "{route}");
        }
    }
    assert_eq!(views(), before, "no backend has seen any of it");
    for (filename, expected) in
        [("%252e%252e%252fx.png", 404), ("a/.../x.png", 400), ("x.png%20[nope]", 404), ("sub/", 404)]
    {
        let route = format!("/view?filename={filename}&subfolder=a");
        assert_eq!(stage.client.ask(&route).await.0, expected, "{route}");
    }
}

#[tokio::test]
async fn a_file_without_its_backends_name_is_found_only_where_one_backend_alone_made_it() {
    let stage = Stage::before(
        vec![
            sim::Comfy::start(quick(Generation::V0_8)).await.unwrap(),
            sim::Comfy::start(quick(Generation::V0_8)).await.unwrap(),
        ],
        |_| {},
    )
    .await;
    stage.all_take_jobs().await;
    let run = async |prompt: Value| {
        let id = stage.client.submit(&prompt).await;
        let file = stage.client.succeeded(&id).await["outputs"]["9"]["images"][0].clone();
        (stage.client.bytes(&view_of(&file)).await, file["subfolder"].as_str().unwrap().to_owned())
    };
    let (bytes, first) = run(plain(1)).await;
    let route = "/view?filename=plain_00001_.png";
    assert_eq!(stage.client.bytes(route).await, bytes);
    assert_eq!(stage.client.ask(&format!("{route}&type=temp")).await.0, 404, "of another type");
    assert_eq!(stage.client.ask(&format!("{route}&subfolder=deep")).await.0, 404, "in another folder");
    // The other backend makes its own first file of this name.
    let at = usize::from(first == "a");
    stage.comfys[1 - at].hold();
    let waiting = stage.client.submit(&picture(1)).await;
    stage.comfys[1 - at].wait_for(|state| state.waits_at_gate).await.unwrap();
    let (_, second) = run(plain(2)).await;
    assert_ne!(first, second);
    assert_eq!(stage.client.ask(route).await.0, 404, "two files have this name now");
    stage.comfys[1 - at].release();
    stage.client.succeeded(&waiting).await;
}
