use axum::body::Body;
use axum::routing::{any, get, post};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;

use super::*;
use crate::access::{Fresh, Role};
use crate::limits::WRONG_TOKENS;

const HERE: &str = "192.0.2.1";
const ELSEWHERE: &str = "192.0.2.2";

/// A few routes behind two tokens, anna's to submit and otto's to operate.
struct Behind {
    routes: Router,
    tokens: watch::Sender<Arc<Tokens>>,
    anna: Fresh,
    otto: Fresh,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

fn some_routes() -> Router<()> {
    let here = || async { "here" };
    Router::new()
        .route("/prompt", get(here).post(here))
        .route("/free", post(here))
        .route("/ws", any(here))
        .route("/metrics", get(here))
        .route("/-/healthy", get(here))
        .route("/unlisted", any(here))
        .fallback(|| async { StatusCode::NOT_FOUND })
}

fn made(entries: &[&str]) -> Arc<Tokens> {
    Arc::new(Tokens::parse(&entries.concat()).unwrap())
}

impl Behind {
    fn tokens() -> Self {
        let anna = Fresh::make("anna", Role::Submit, &Default::default()).unwrap();
        let otto = Fresh::make("otto", Role::Operate, &Default::default()).unwrap();
        let (tokens, current) = watch::channel(made(&[&anna.entry, &otto.entry]));
        let auth = Auth::new(Some(current), Vec::new(), false, None);
        Self { routes: guarded(some_routes(), Arc::new(auth)), tokens, anna, otto }
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        ask(&self.routes, HERE, method, path, headers, "").await
    }

    async fn with(&self, token: &str, method: &str, path: &str) -> u16 {
        self.ask(method, path, &[("authorization", &format!("Bearer {token}"))]).await.status
    }

    async fn log_in(&self, token: &str, next: &str) -> Answer {
        let fields = form_urlencoded([("token", token), ("next", next)]);
        ask(&self.routes, HERE, "POST", "/login", &[], &fields).await
    }

    /// The cookie as a browser sends it back.
    async fn cookie_of(&self, token: &str) -> String {
        let answer = self.log_in(token, "/").await;
        answer.header("set-cookie").split(';').next().unwrap().to_owned()
    }
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

fn form_urlencoded(fields: [(&str, &str); 2]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

async fn ask(
    routes: &Router,
    from: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::from(body.to_owned())).unwrap();
    let peer: SocketAddr = format!("{from}:1").parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    let answer = TowerToHyperService::new(routes.clone()).call(request).await.unwrap();
    let (head, body) = answer.into_parts();
    let text = axum::body::to_bytes(body, 1 << 16).await.unwrap();
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        text: String::from_utf8(text.to_vec()).unwrap(),
    }
}

#[tokio::test]
async fn whoever_shows_nothing_is_refused_in_comfyuis_shape_wherever_it_asks() {
    let behind = Behind::tokens();
    for path in ["/prompt", "/free", "/metrics", "/ws", "/unlisted", "/nowhere", "/-/healthyx"] {
        let answer = behind.ask("GET", path, &[]).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer"), "{path}");
        let document: Value = serde_json::from_str(&answer.text).unwrap();
        assert_eq!(document["error"]["type"], "unauthorized");
        assert!(document["error"]["message"].as_str().unwrap().contains("/login"), "{document}");
    }
    assert_eq!(behind.ask("GET", "/-/healthy", &[]).await.status, 200);
}

#[tokio::test]
async fn a_role_may_do_what_the_table_says_and_nobody_what_is_not_in_it() {
    let behind = Behind::tokens();
    let (anna, otto) = (&behind.anna.token, &behind.otto.token);
    for (method, path, for_anna, for_otto) in [
        ("GET", "/prompt", 200, 200),
        ("POST", "/prompt", 200, 200),
        ("POST", "/free", 403, 200),
        ("GET", "/metrics", 200, 200),
        ("GET", "/unlisted", 403, 403),
        ("POST", "/ws", 403, 403),
        ("GET", "/nowhere", 404, 404),
    ] {
        assert_eq!(behind.with(anna, method, path).await, for_anna, "{method} {path}");
        assert_eq!(behind.with(otto, method, path).await, for_otto, "{method} {path}");
    }
}

#[tokio::test]
async fn a_browser_is_led_to_the_login_and_back_to_where_it_wanted() {
    let behind = Behind::tokens();
    let html = [("accept", "text/html,application/xhtml+xml")];
    let led = behind.ask("GET", "/view?filename=a&type=input", &html).await;
    let login = "/login?next=%2Fview%3Ffilename%3Da%26type%3Dinput";
    assert_eq!((led.status, led.header("location")), (303, login));
    let page = behind.ask("GET", login, &html).await;
    assert!(page.text.contains("value=\"/view?filename=a&amp;type=input\""), "{}", page.text);
    assert_eq!(page.header("cache-control"), "no-store");
    let back = behind.log_in(&behind.anna.token, "/view?filename=a&type=input").await;
    assert_eq!((back.status, back.header("location")), (303, "/view?filename=a&type=input"));
    for (method, headers) in [("POST", &html[..]), ("GET", &[html[0], ("upgrade", "websocket")])] {
        assert_eq!(behind.ask(method, "/prompt", headers).await.status, 401, "{method}");
    }
}

#[tokio::test]
async fn a_login_leads_to_no_other_site() {
    let behind = Behind::tokens();
    for next in ["//evil.example", "https://evil.example", "/\\evil.example", ""] {
        let answer = behind.log_in(&behind.anna.token, next).await;
        assert_eq!((answer.status, answer.header("location")), (303, "/"), "{next}");
    }
    let page = behind.ask("GET", "/login?next=//evil.example", &[]).await;
    assert!(!page.text.contains("evil"), "{}", page.text);
}

#[tokio::test]
async fn a_cookie_stands_for_the_token_until_the_log_out_and_is_not_the_token() {
    let behind = Behind::tokens();
    let cookie = behind.cookie_of(&behind.anna.token).await;
    assert!(!cookie.contains(&behind.anna.token) && !behind.anna.entry.contains(&cookie));
    let with =
        async |method, path, cookie: &str| behind.ask(method, path, &[("cookie", cookie)]).await.status;
    assert_eq!(with("POST", "/prompt", &cookie).await, 200);
    assert_eq!(with("POST", "/free", &cookie).await, 403);
    for wrong in
        ["orchestrator_session=", "orchestrator_session=x", &format!("{cookie}x"), &cookie.to_uppercase()]
    {
        assert_eq!(with("GET", "/prompt", wrong).await, 401, "{wrong}");
    }
    let out = behind.ask("GET", "/logout", &[("cookie", &cookie)]).await;
    assert!(out.status == 303 && out.header("set-cookie").contains("Max-Age=0"), "{:?}", out.headers);
    assert_eq!(with("GET", "/prompt", &cookie).await, 401);
}

#[tokio::test]
async fn where_header_and_cookie_disagree_the_header_decides() {
    let behind = Behind::tokens();
    let cookie = behind.cookie_of(&behind.otto.token).await;
    let both = async |token: &str, path| {
        let headers = [("cookie", cookie.as_str()), ("authorization", &format!("Bearer {token}"))];
        behind.ask("POST", path, &headers).await.status
    };
    assert_eq!(both(&behind.anna.token, "/prompt").await, 200);
    assert_eq!(both(&behind.anna.token, "/free").await, 403);
    assert_eq!(both("wrong", "/prompt").await, 401);
}

#[tokio::test]
async fn guessing_is_slowed_by_header_and_login_and_a_neighbour_is_not_locked_out() {
    for by_login in [false, true] {
        let behind = Behind::tokens();
        assert_eq!(behind.with(&behind.otto.token, "GET", "/prompt").await, 200);
        let guess = async |token: &str| match by_login {
            true => behind.log_in(token, "/").await,
            false => behind.ask("GET", "/prompt", &[("authorization", &format!("Bearer {token}"))]).await,
        };
        for _ in 0..WRONG_TOKENS {
            assert_eq!(guess("wrong").await.status, 401);
        }
        for token in ["wrong", &behind.anna.token] {
            let slowed = guess(token).await;
            let seconds: u64 = slowed.header("retry-after").parse().unwrap();
            assert!(slowed.status == 429 && (50..=61).contains(&seconds), "{seconds}");
        }
        assert_eq!(behind.with(&behind.otto.token, "GET", "/prompt").await, 200);
        let anna = format!("Bearer {}", behind.anna.token);
        let elsewhere =
            ask(&behind.routes, ELSEWHERE, "GET", "/prompt", &[("authorization", &anna)], "").await;
        assert_eq!(elsewhere.status, 200);
    }
}

#[tokio::test]
async fn a_token_that_is_added_counts_at_once_and_one_that_is_removed_takes_its_sessions_along() {
    let behind = Behind::tokens();
    let cookie = behind.cookie_of(&behind.anna.token).await;
    let bob = Fresh::make("bob", Role::Submit, &Default::default()).unwrap();
    behind.tokens.send_replace(made(&[&behind.otto.entry, &bob.entry]));
    assert_eq!(behind.with(&bob.token, "GET", "/prompt").await, 200);
    assert_eq!(behind.with(&behind.anna.token, "GET", "/prompt").await, 401);
    assert_eq!(behind.ask("GET", "/prompt", &[("cookie", &cookie)]).await.status, 401);
}

#[tokio::test]
async fn another_sites_page_can_neither_act_nor_log_anybody_in() {
    let behind = Behind::tokens();
    let cookie = behind.cookie_of(&behind.anna.token).await;
    let foreign =
        [("cookie", cookie.as_str()), ("host", "comfy.example"), ("origin", "https://evil.example")];
    for (method, path) in
        [("POST", "/prompt"), ("POST", "/login"), ("OPTIONS", "/prompt"), ("DELETE", "/prompt")]
    {
        let answer = behind.ask(method, path, &foreign).await;
        assert!(answer.status == 403 && answer.text.contains("foreign_origin"), "{method} {path}");
    }
    let upgrade = [&foreign[..], &[("upgrade", "websocket")]].concat();
    assert_eq!(behind.ask("GET", "/ws", &upgrade).await.status, 403);
    let own = [foreign[0], foreign[1], ("origin", "https://comfy.example")];
    assert_eq!(behind.ask("POST", "/prompt", &own).await.status, 200);
    let answer = behind.ask("GET", "/prompt", &own).await;
    assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control-")));
}

#[tokio::test]
async fn a_site_that_is_configured_may_act_and_shows_a_token_itself() {
    let anna = Fresh::make("anna", Role::Submit, &Default::default()).unwrap();
    let (_tokens, current) = watch::channel(made(&[&anna.entry]));
    let site: Url = "https://app.example".parse().unwrap();
    let auth = Auth::new(Some(current), Vec::new(), false, None).with_sites(&[site]);
    let routes = guarded(some_routes(), Arc::new(auth));
    let fields = form_urlencoded([("token", &anna.token), ("next", "/")]);
    let logged_in = ask(&routes, HERE, "POST", "/login", &[], &fields).await;
    let cookie = logged_in.header("set-cookie").split(';').next().unwrap();
    for (origin, status) in [("https://app.example", 401), ("https://comfy.example", 200)] {
        for (method, path, upgrade) in [("POST", "/prompt", "x-none"), ("GET", "/ws", "upgrade")] {
            let shown =
                [("origin", origin), ("host", "comfy.example"), ("cookie", cookie), (upgrade, "websocket")];
            assert_eq!(ask(&routes, HERE, method, path, &shown, "").await.status, status, "{origin} {path}");
        }
    }
    let bearer = format!("Bearer {}", anna.token);
    for (origin, allowed) in [
        ("https://app.example", true),
        ("http://app.example", false),
        ("https://app.example:8443", false),
        ("https://app.example.evil.example", false),
        ("null", false),
    ] {
        let shown = [("origin", origin), ("host", "comfy.example"), ("authorization", &bearer)];
        for (method, path) in [("POST", "/prompt"), ("GET", "/prompt"), ("GET", "/ws")] {
            let upgrade = (path == "/ws").then_some(("upgrade", "websocket"));
            let headers: Vec<_> = shown.into_iter().chain(upgrade).collect();
            let answer = ask(&routes, HERE, method, path, &headers, "").await;
            let is_read = method == "GET" && path != "/ws";
            assert_eq!(answer.status, if allowed || is_read { 200 } else { 403 }, "{origin} {method} {path}");
            assert_eq!(answer.header("access-control-allow-origin"), if allowed { origin } else { "" });
            assert_eq!(answer.header("access-control-allow-credentials"), "");
        }
        let preflight = [
            ("origin", origin),
            ("host", "comfy.example"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,content-type"),
        ];
        let answer = ask(&routes, HERE, "OPTIONS", "/prompt", &preflight, "").await;
        assert_eq!(answer.header("access-control-allow-origin"), if allowed { origin } else { "" });
        assert!(
            !allowed
                || answer.status == 200 && answer.header("access-control-allow-methods").contains("POST")
        );
    }
    let without = [("origin", "https://app.example"), ("host", "comfy.example")];
    let answer = ask(&routes, HERE, "GET", "/prompt", &without, "").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (401, "https://app.example"));
}

#[tokio::test]
async fn without_tokens_a_name_that_anybody_could_own_leads_nowhere() {
    let auth = Auth::new(None, vec!["comfy.lan".to_owned()], false, None);
    let routes = guarded(some_routes(), Arc::new(auth));
    for (host, path, expected) in [
        ("evil.example", "/prompt", 403),
        ("evil.example", "/ws", 403),
        ("evil.example", "/metrics", 200),
        ("evil.example", "/-/healthy", 200),
        ("comfy.lan:8288", "/prompt", 200),
        ("127.0.0.1:8288", "/unlisted", 200),
    ] {
        let answer = ask(&routes, HERE, "GET", path, &[("host", host)], "").await;
        assert_eq!(answer.status, expected, "{host} {path}: {}", answer.text);
        assert!(expected == 200 || answer.text.contains("allowed_hosts"), "{}", answer.text);
    }
}
