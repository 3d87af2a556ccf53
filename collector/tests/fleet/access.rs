//! Who may ask: tokens and what each may do to whose jobs, TLS, and what is refused before anything listens.

use std::path::PathBuf;

use collector::access::{Fresh, Role};
use collector::tenant::Allowance;
use reqwest::Method;
use reqwest::header::{HOST, SET_COOKIE};
use serde_json::json;
use sim::{Generation, Outcome};
use tempfile::TempDir;

use super::client::{Client, builder};
use super::program::{Program, configuration, refusal};
use super::prompts::picture;
use super::socket::Socket;
use super::stage::{Stage, comfy, outcomes_of, takes_jobs};
use super::wait::until;

/// Tokens and their file.
pub(crate) struct Tokens {
    folder: TempDir,
    pub(crate) anna: Fresh,
    bob: Fresh,
    pub(crate) otto: Fresh,
}

impl Tokens {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let anna =
            Fresh::make("anna", Role::Submit, &Allowance { max_waiting: Some(1), ..Allowance::default() })
                .unwrap();
        let bob = Fresh::make("bob", Role::Submit, &Default::default()).unwrap();
        let otto = Fresh::make("otto", Role::Operate, &Default::default()).unwrap();
        let tokens = Self { folder, anna, bob, otto };
        tokens.write(&[&tokens.anna, &tokens.bob, &tokens.otto]);
        tokens
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("tokens.toml")
    }

    fn write(&self, tokens: &[&Fresh]) {
        let entries: String = tokens.iter().map(|token| token.entry.as_str()).collect();
        std::fs::write(self.file(), entries).unwrap();
    }

    fn secrets(&self) -> Vec<&str> {
        let tokens = [&self.anna, &self.bob, &self.otto];
        let hash = |fresh: &'_ Fresh| fresh.entry.split('"').nth(5).unwrap().len();
        assert!(tokens.iter().all(|fresh| hash(fresh) == 64));
        tokens
            .iter()
            .flat_map(|fresh| [fresh.token.as_str(), fresh.entry.split('"').nth(5).unwrap()])
            .collect()
    }
}

/// A collector that asks for tokens, and clients by these.
struct Fleet {
    stage: Stage,
    anna: Client,
    bob: Client,
    otto: Client,
}

impl Fleet {
    async fn start() -> Self {
        let tokens = Tokens::new();
        let file = Some(tokens.file());
        let stage =
            Stage::before(vec![comfy(Generation::V0_8).await], |config| config.access.token_file = file)
                .await;
        let client = |fresh: &Fresh, id: &str| Client::showing(&stage.client.url, id, &fresh.token);
        let clients =
            [client(&tokens.anna, "anna"), client(&tokens.bob, "bob"), client(&tokens.otto, "otto")];
        let [anna, bob, otto] = clients;
        takes_jobs(&otto, "a", true).await;
        Self { stage, anna, bob, otto }
    }

    /// Anna's job at the gate of the only backend.
    async fn annas_job_runs(&self) -> String {
        let comfy = &self.stage.comfys[0];
        comfy.hold();
        let id = self.anna.submit(&picture(1)).await;
        comfy.wait_for(|state| state.waits_at_gate).await.unwrap();
        id
    }
}

#[tokio::test]
async fn a_job_is_stopped_by_its_owner_and_who_operates_and_by_nobody_else() {
    let fleet = Fleet::start().await;
    let running = fleet.annas_job_runs().await;
    let waiting = fleet.anna.submit(&picture(2)).await;
    let theirs = fleet.bob.submit(&picture(3)).await;
    let by_id = json!({"prompt_id": running});
    let (annas_cancel, own_cancel) =
        (format!("/api/jobs/{waiting}/cancel"), format!("/orchestrator/v1/jobs/{waiting}/cancel"));
    for (route, body) in [
        ("/interrupt", by_id.clone()),
        ("/queue", json!({"delete": [theirs, waiting]})),
        ("/api/jobs/cancel", json!({"job_ids": [theirs, waiting]})),
        (&annas_cancel, json!({})),
        (&own_cancel, json!({})),
    ] {
        let (status, refusal) = fleet.bob.post(route, &body).await;
        assert_eq!((status, refusal["error"]["type"].as_str()), (403, Some("forbidden")), "{route}");
    }
    assert_eq!(fleet.bob.post("/interrupt", &json!({})).await.0, 200);
    assert_eq!(fleet.bob.post("/queue", &json!({"clear": true})).await.0, 200);
    assert_eq!(fleet.bob.queue().await, (vec![running.clone()], vec![waiting.clone()]), "only bob's is gone");
    assert_eq!(fleet.otto.post(&own_cancel, &json!({})).await.0, 200);
    assert_eq!(fleet.anna.post("/interrupt", &json!({})).await.0, 200);
    let comfy = &fleet.stage.comfys[0];
    comfy.wait_for(|state| state.counters.interrupts == 1).await.unwrap();
    comfy.release();
    fleet.anna.ended(&running).await;
    assert_eq!(outcomes_of(comfy, &running), [Outcome::Interrupted]);
    assert_eq!(fleet.anna.post("/free", &json!({"unload_models": true})).await.0, 403);
    assert_eq!(fleet.otto.post("/free", &json!({"unload_models": true})).await.0, 200);
}

#[tokio::test]
async fn history_is_read_by_all_and_forgotten_by_its_owner_and_who_operates() {
    let fleet = Fleet::start().await;
    let annas = fleet.anna.submit(&picture(1)).await;
    fleet.anna.succeeded(&annas).await;
    let bobs = fleet.bob.submit(&picture(2)).await;
    fleet.bob.succeeded(&bobs).await;
    assert_eq!(fleet.bob.post("/history", &json!({"delete": [annas]})).await.0, 200);
    assert_eq!(fleet.bob.post("/history", &json!({"clear": true})).await.0, 200);
    assert!(fleet.bob.history_of(&bobs).await.is_none());
    assert!(fleet.bob.history_of(&annas).await.is_some());
    assert_eq!(fleet.otto.post("/history", &json!({"clear": true})).await.0, 200);
    assert!(fleet.anna.history_of(&annas).await.is_none());
}

#[tokio::test]
async fn no_more_jobs_of_a_token_wait_than_its_bound_and_others_have_theirs() {
    let fleet = Fleet::start().await;
    fleet.annas_job_runs().await;
    fleet.anna.submit(&picture(2)).await;
    let body = fleet.anna.body(&picture(3), json!({}));
    let (status, refusal) = fleet.anna.post("/prompt", &body).await;
    let message = refusal["error"]["message"].as_str().unwrap();
    assert_eq!((status, refusal["error"]["type"].as_str()), (429, Some("max_waiting")));
    assert!(message.contains("1 jobs of anna") && message.contains("max_waiting"), "{message}");
    fleet.bob.submit(&picture(4)).await;
    assert_eq!(fleet.anna.post("/queue", &json!({"clear": true})).await.0, 200);
    assert_eq!(fleet.anna.post("/prompt", &body).await.0, 200);
}

#[tokio::test]
async fn a_client_name_behind_another_token_hears_nothing_of_its_jobs_and_takes_nobodys_place() {
    let tokens = Tokens::new();
    let file = Some(tokens.file());
    let comfys = vec![comfy(Generation::V0_8).await];
    let stage = Stage::before(comfys, |config| config.access.token_file = file).await;
    let client = |fresh: &Fresh| Client::showing(&stage.client.url, "same", &fresh.token);
    let (anna, bob) = (client(&tokens.anna), client(&tokens.bob));
    takes_jobs(&anna, "a", true).await;
    let mut annas = Socket::open_showing(&anna, &tokens.anna.token).await;
    let mut bobs = Socket::open_showing(&bob, &tokens.bob.token).await;
    let (annas_job, bobs_job) = (anna.submit(&picture(1)).await, bob.submit(&picture(2)).await);
    for (socket, own, other) in [(&mut annas, &annas_job, &bobs_job), (&mut bobs, &bobs_job, &annas_job)] {
        let frames = socket.until_end_of(own).await;
        assert!(!frames.is_empty() && frames.iter().all(|frame| frame.job().as_ref() != Some(other)));
    }
}

#[tokio::test]
async fn a_websocket_is_refused_without_a_token_and_ends_with_its_token() {
    let (state, tokens) = (tempfile::tempdir().unwrap(), Tokens::new());
    let comfys = [comfy(Generation::V0_8).await];
    let text = format!("token_file = '{}'\n{}", tokens.file().display(), configuration(&comfys));
    let program = Program::configured(&text, state.path()).await;
    assert_eq!(Socket::refused(&program.client).await, 401);
    let mut annas = Socket::open_showing(&program.client, &tokens.anna.token).await;
    let mut ottos = Socket::open_showing(&program.client, &tokens.otto.token).await;

    let carla = Fresh::make("carla", Role::Submit, &Default::default()).unwrap();
    tokens.write(&[&tokens.otto, &carla]);
    program.hang_up();
    assert_eq!(annas.next().await, None);
    let client = |fresh: &Fresh| Client::showing(&program.client.url, "me", &fresh.token);
    assert_eq!(client(&tokens.anna).ask("/queue").await.0, 401);
    client(&carla).get("/queue").await;

    std::fs::write(tokens.file(), "[[token]]\nname = 'nobody'\n").unwrap();
    program.hang_up();
    let warned = async || {
        let line = program.lines().into_iter().find(|line| line.contains("stays in force"));
        line.filter(|line| line.contains("missing field"))
    };
    until("the broken file is told of", warned).await;
    takes_jobs(&client(&tokens.otto), "a", true).await;
    let ottos_client = Client::showing(&program.client.url, &program.client.id, &tokens.otto.token);
    let job = ottos_client.submit(&picture(1)).await;
    assert!(!ottos.until_end_of(&job).await.is_empty(), "the other socket lives on");
}

#[tokio::test]
async fn neither_tokens_nor_hashes_nor_cookies_reach_the_log() {
    let (state, tokens) = (tempfile::tempdir().unwrap(), Tokens::new());
    let text = format!(
        "log = 'trace,rustls=info'\ntoken_file = '{}'\n{}",
        tokens.file().display(),
        configuration(&[comfy(Generation::V0_8).await])
    );
    let program = Program::configured(&text, state.path()).await;
    let http = builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let form = format!("token={}&next=/queue", tokens.anna.token);
    let answer = http.post(format!("{}/login", program.client.url)).body(form).send().await.unwrap();
    let cookie = answer.headers()[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    let queue = http.get(format!("{}/queue", program.client.url)).header("cookie", &cookie).send().await;
    assert_eq!(queue.unwrap().status(), 200);
    let wrong = Client::showing(&program.client.url, "me", "a-wrong-token-that-is-long");
    assert_eq!(wrong.ask("/queue").await.0, 401);
    Client::showing(&program.client.url, "me", &tokens.bob.token).get("/queue").await;
    let told = async || program.lines().iter().any(|line| line.contains("a wrong token")).then_some(());
    until("the wrong token is told of", told).await;
    let lines = program.lines().join("\n");
    let id = cookie.split_once('=').unwrap().1;
    for secret in tokens.secrets().into_iter().chain([id, "a-wrong-token-that-is-long"]) {
        assert!(!lines.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn over_tls_the_cookie_is_for_tls_alone_and_plain_requests_get_no_answer() {
    let (state, tokens) = (tempfile::tempdir().unwrap(), Tokens::new());
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| tokens.folder.path().join(name));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let text = format!(
        "token_file = '{}'\ntls_certificate = '{}'\ntls_key = '{}'\n{}",
        tokens.file().display(),
        certificate.display(),
        key.display(),
        configuration(&[])
    );
    let program = Program::configured(&text, state.path()).await;
    let url = &program.client.url;
    assert!(url.starts_with("https://"), "{url}");
    let authority = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let http = builder().add_root_certificate(authority).redirect(reqwest::redirect::Policy::none());
    let http = http.build().unwrap();
    let form = format!("token={}", tokens.anna.token);
    let answer = http.post(format!("{url}/login")).body(form).send().await.unwrap();
    let cookie = answer.headers()[SET_COOKIE].to_str().unwrap();
    assert!(cookie.ends_with("; HttpOnly; SameSite=Strict; Path=/; Secure"), "{cookie}");
    let plain = Client::new(&url.replace("https:", "http:"), "me");
    assert!(plain.request(Method::GET, "/-/healthy").send().await.is_err());
}

#[tokio::test]
async fn beyond_this_machine_it_listens_with_tokens_or_when_told_that_none_is_meant() {
    let (state, tokens) = (tempfile::tempdir().unwrap(), Tokens::new());
    for address in ["0.0.0.0:0", "[::]:0"] {
        let refusal =
            refusal(&["--listen", address, "--state-directory", state.path().to_str().unwrap()]).await;
        for part in [address, "--token-file", "--insecure"] {
            assert!(refusal.said.contains(part), "{part}: {}", refusal.said);
        }
        assert_eq!((refusal.code, std::fs::read_dir(state.path()).unwrap().count()), (1, 0));
    }
    let file = format!("token_file = '{}'", tokens.file().display());
    for more in [file.as_str(), "insecure = true"] {
        let text = configuration(&[]).replace("127.0.0.1:0", "0.0.0.0:0");
        let program = Program::configured(&format!("{more}\n{text}"), state.path()).await;
        let here = Client::new(&program.client.url.replace("0.0.0.0", "127.0.0.1"), "me");
        assert_eq!(here.ask("/-/healthy").await.0, 200);
        assert_eq!(program.stop().await, 0);
    }
}

#[tokio::test]
async fn a_file_of_tokens_or_a_certificate_that_cannot_be_used_is_told_at_the_start() {
    let (state, tokens) = (tempfile::tempdir().unwrap(), Tokens::new());
    let state = state.path().to_str().unwrap();
    let file = tokens.file();
    let file = file.to_str().unwrap();
    std::fs::write(file, "[[token]]\nname = 'anna'\nrole = 'king'\nsha256 = ''\n").unwrap();
    for (arguments, wanted) in [
        (&["--token-file", "/no/such/file"][..], &["/no/such/file", "--token-file"][..]),
        (&["--token-file", file], &[file, "line 3", "king", "submit", "orchestrator-collector token"]),
        (&["--tls-key", file], &["tls_certificate", "tls_key", "together"]),
        (&["--tls-certificate", file, "--tls-key", file], &[file, "no certificate", "PEM"]),
    ] {
        let arguments = [&["--listen", "127.0.0.1:0", "--state-directory", state][..], arguments].concat();
        let refusal = refusal(&arguments).await;
        assert!(wanted.iter().all(|part| refusal.said.contains(part)), "{wanted:?} in\n{}", refusal.said);
    }
}

#[tokio::test]
async fn without_tokens_a_request_by_a_strangers_name_is_refused() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    for (host, expected) in [("evil.example", 403), ("localhost:8288", 200)] {
        for (method, route) in [(Method::GET, "/queue"), (Method::POST, "/interrupt")] {
            let answer = stage.client.request(method, route).header(HOST, host).send().await.unwrap();
            assert_eq!(answer.status(), expected, "{host} {route}");
        }
    }
}
