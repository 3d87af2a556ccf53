//! The web interface's routes: from a folder or from one backend, and nothing that is not on the list.

use reqwest::Method;
use reqwest::header::{self, HeaderMap};
use serde_json::{Value, json};
use sim::{Comfy, Generation};
use tempfile::TempDir;

use super::client::{Client, http};
use super::stage::{BOTH, NAMES, Stage, comfy, takes_jobs};
use super::wait::until;

/// Settings that tell one server from another.
async fn marked(comfys: &[Comfy]) {
    for (comfy, name) in comfys.iter().zip(NAMES) {
        let (status, _) = Client::new(&comfy.url(), "").post("/settings", &json!({"of": name})).await;
        assert_eq!(status, 200);
    }
}

async fn of(generation: Generation, servers: usize) -> Stage {
    let stage = Stage::of(generation, servers).await;
    marked(&stage.comfys).await;
    stage
}

async fn answers(client: &Client, name: &str) {
    let ask = async || (client.ask("/api/settings").await.1["of"] == name).then_some(());
    until(&format!("backend {name} answers for the interface"), ask).await;
}

async fn head_of(
    client: &Client,
    method: Method,
    route: &str,
    headers: HeaderMap,
) -> (u16, HeaderMap, String) {
    let answer = client.request(method, route).headers(headers).send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    (status, headers, answer.text().await.unwrap())
}

/// A folder as the interface's package has it.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("assets")).unwrap();
    std::fs::write(folder.path().join("index.html"), "<p>from the folder").unwrap();
    std::fs::write(folder.path().join("assets/index-5e.js"), "folder()").unwrap();
    folder
}

#[tokio::test]
async fn the_page_and_its_files_are_those_of_a_backend() {
    for generation in BOTH {
        let stage = of(generation, 1).await;
        let (status, headers, page) = head_of(&stage.client, Method::GET, "/", HeaderMap::new()).await;
        assert_eq!(status, 200);
        assert!(page.contains("A simulated server"));
        assert_eq!(headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
        assert_eq!(headers[header::CACHE_CONTROL], "no-cache");
        assert!(!headers.contains_key(header::SET_COOKIE));
        let script = stage.client.text("/extensions/sim-pack/sim.js").await;
        assert_eq!(script, "export {}\n");
        let (status, headers, body) =
            head_of(&stage.client, Method::HEAD, "/assets/index-5e.js", HeaderMap::new()).await;
        assert_eq!((status, headers[header::ETAG].to_str().unwrap(), &*body), (200, "\"5eed\"", ""));
        let known = HeaderMap::from_iter([(header::IF_NONE_MATCH, headers[header::ETAG].clone())]);
        assert_eq!(head_of(&stage.client, Method::GET, "/assets/index-5e.js", known).await.0, 304);
        assert_eq!(stage.client.ask("/assets/no-such.js").await.0, 404);
    }
}

#[tokio::test]
async fn what_is_not_on_the_list_is_not_there_although_a_backend_has_it() {
    let stage = of(Generation::V0_8, 1).await;
    for route in
        ["/manager/reboot", "/api/manager/reboot", "/internal/logs", "/api/internal/logs", "/no/such"]
    {
        assert_eq!(stage.client.ask(route).await.0, 404, "{route}");
    }
    for route in ["/assets/..%2fmanager%2freboot", "/assets/.%2e%5cmanager", "/userdata/..%2F..%2Fx"] {
        assert_eq!(stage.client.ask(route).await.0, 400, "{route}");
    }
    assert_eq!(stage.comfys[0].counters().requests.get("GET /manager/reboot"), None);
    assert_eq!(stage.client.post("/extensions", &json!({})).await.0, 405);
}

#[tokio::test]
async fn settings_and_saved_files_are_kept_by_one_backend() {
    let stage = of(Generation::V0_8, 2).await;
    let client = &stage.client;
    assert_eq!(client.post("/api/settings/Comfy.Locale", &json!("de")).await.0, 200);
    assert_eq!(client.get("/settings/Comfy.Locale").await, "de");
    let file = "/api/userdata/workflows%2Fdeep%2Fa%20b.json";
    let (status, told) =
        client.post(&format!("{file}?overwrite=false&full_info=true"), &json!({"nodes": []})).await;
    assert_eq!((status, &told["path"]), (200, &json!("workflows/deep/a b.json")));
    assert_eq!(client.post(&format!("{file}?overwrite=false"), &json!({})).await.0, 409);
    assert_eq!(client.get(file).await, json!({"nodes": []}));
    let listed = client.get("/api/userdata?dir=workflows&recurse=true&split=false&full_info=true").await;
    assert_eq!(listed[0]["path"], "deep/a b.json");
    let moved = format!("{file}/move/workflows%2Fc.json?overwrite=false");
    assert_eq!(client.post(&moved, &Value::Null).await, (200, json!("workflows/c.json")));
    let deleted = client.request(Method::DELETE, "/api/userdata/workflows%2Fc.json").send().await.unwrap();
    assert_eq!(deleted.status(), 204);
    assert_eq!(client.ask("/api/userdata/workflows%2Fc.json").await.0, 404);
    assert_eq!(client.get("/api/workflow_templates/sim-pack/first.json").await, json!({"nodes": []}));
    assert_eq!(Client::new(&stage.comfys[1].url(), "").get("/settings").await, json!({"of": "b"}));
}

#[tokio::test]
async fn a_saved_page_runs_no_script_in_the_name_of_its_reader() {
    let stage = of(Generation::V0_8, 1).await;
    stage.client.post_text("/userdata/evil.html", "<script>steal()</script>").await;
    let (status, headers, _) =
        head_of(&stage.client, Method::GET, "/api/userdata/evil.html", HeaderMap::new()).await;
    assert_eq!(status, 200);
    assert_eq!(headers[header::CONTENT_SECURITY_POLICY], "sandbox");
    assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
}

#[tokio::test]
async fn a_page_opened_under_another_name_may_save_although_a_backend_refuses_foreign_origins() {
    let stage = of(Generation::V0_8, 1).await;
    let address = stage.client.url.strip_prefix("http://").unwrap().to_owned();
    let request = http().post(format!("{}/api/settings", stage.client.url)).body("{\"x\": 1}");
    let answer = request.header(header::ORIGIN, format!("http://{address}")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(stage.client.get("/settings/x").await, 1);
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_refused_before_any_backend_hears_of_it() {
    let stage = of(Generation::V0_8, 1).await;
    let (status, refusal) =
        stage.client.post_text("/api/userdata/big.json", &"x".repeat((1 << 20) + 1)).await;
    assert_eq!((status, &refusal["error"]["type"]), (413, &json!("body_too_large")));
    assert!(!stage.comfys[0].counters().requests.keys().any(|route| route.contains("big.json")));
}

#[tokio::test]
async fn another_backend_takes_over_and_stays_unless_one_was_named() {
    for (named, afterwards) in [(None, "b"), (Some("a"), "a")] {
        let comfys = vec![comfy(Generation::V0_8).await, comfy(Generation::V0_8).await];
        marked(&comfys).await;
        let name = named.map(|name: &str| name.parse().unwrap());
        let stage = Stage::before(comfys, |config| config.interface.backend = name).await;
        stage.all_take_jobs().await;
        answers(&stage.client, "a").await;
        stage.comfys[0].kill().await;
        answers(&stage.client, "b").await;
        stage.comfys[0].restart().await.unwrap();
        takes_jobs(&stage.client, "a", true).await;
        answers(&stage.client, afterwards).await;
    }
}

#[tokio::test]
async fn what_an_old_backend_does_not_have_is_nothing() {
    let stage = of(Generation::V2024, 1).await;
    for (route, nothing) in [
        ("/api/i18n", json!({})),
        ("/api/global_subgraphs", json!({})),
        ("/api/workflow_templates", json!({})),
        ("/api/experiment/models", json!([])),
        ("/internal/folder_paths", json!({})),
        ("/templates/index.json", json!([])),
    ] {
        assert_eq!(stage.client.get(route).await, nothing, "{route}");
    }
    assert_eq!(stage.client.get("/api/users").await, json!({"storage": "server", "migrated": true}));
    assert_eq!(stage.client.get("/api/settings").await, json!({"of": "a"}));
    assert_eq!(stage.client.ask("/api/userdata?dir=workflows").await.0, 404);
}

#[tokio::test]
async fn a_named_folder_goes_before_the_backends_files_and_node_packs_bring_theirs() {
    let (folder, comfys) = (folder(), vec![comfy(Generation::V0_8).await]);
    let path = folder.path().to_owned();
    let stage = Stage::before(comfys, |config| config.interface.folder = Some(path)).await;
    stage.all_take_jobs().await;
    assert_eq!(stage.client.text("/").await, "<p>from the folder");
    assert_eq!(stage.client.text("/assets/index-5e.js").await, "folder()");
    assert_eq!(stage.client.ask("/assets/index-of-the-backend.js").await.0, 404);
    assert_eq!(stage.client.text("/extensions/sim-pack/sim.js").await, "export {}\n");
    assert_eq!(stage.client.get("/api/extensions").await, json!(["/extensions/sim-pack/sim.js"]));
}

#[tokio::test]
async fn the_page_loads_while_all_backends_are_down() {
    let (folder, comfys) = (folder(), vec![comfy(Generation::V0_8).await]);
    comfys[0].kill().await;
    let path = folder.path().to_owned();
    let stage = Stage::before(comfys, |config| config.interface.folder = Some(path)).await;
    assert_eq!(stage.client.text("/").await, "<p>from the folder");
    for (route, nothing) in [
        ("/api/users", json!({"storage": "server", "migrated": true})),
        ("/api/settings", json!({})),
        ("/api/extensions", json!([])),
        ("/api/i18n", json!({})),
        ("/templates/index.json", json!([])),
        ("/api/userdata?dir=workflows&recurse=true&split=false&full_info=true", json!([])),
    ] {
        assert_eq!(stage.client.get(route).await, nothing, "{route}");
    }
    assert_eq!(stage.client.get("/api/system_stats").await["system"]["argv"], json!([]));
    let (status, refusal) = stage.client.post("/api/settings", &json!({"x": 1})).await;
    assert_eq!((status, &refusal["error"]["type"]), (503, &json!("no_backend")));
    assert_eq!(stage.client.ask("/extensions/sim-pack/sim.js").await.0, 503);
}
