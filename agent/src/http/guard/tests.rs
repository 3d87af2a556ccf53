use axum::body::Body;
use axum::http::Method;
use axum::routing::{get, post};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;

use super::*;

const TOKEN: &str = "0123456789abcdef";

const HERE: [&str; 3] = ["127.0.0.1", "::1", "::ffff:127.0.0.1"];
const ELSEWHERE: [&str; 3] = ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"];

fn routes(token: Option<&str>) -> Router {
    let routes = Router::new()
        .route("/metrics", get(|| async {}))
        .route("/-/healthy", get(|| async {}))
        .route("/-/ready", get(|| async {}))
        .route("/-/release", post(|_: MayChange| async {}));
    guarded(routes, token.map(|token| watch::channel(Arc::new(Token::new(token))).1))
}

/// The answer's status and text to a request with these headers from this address.
async fn ask(
    routes: &Router,
    method: Method,
    path: &str,
    from: Option<&str>,
    headers: &[(&str, &str)],
) -> (u16, String) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::empty()).unwrap();
    if let Some(from) = from {
        let peer = SocketAddr::new(from.parse().unwrap(), 1);
        request.extensions_mut().insert(ConnectInfo(peer));
    }
    let answer = TowerToHyperService::new(routes.clone()).call(request).await.unwrap();
    let status = answer.status().as_u16();
    let text = axum::body::to_bytes(answer.into_body(), 4096).await.unwrap();
    (status, String::from_utf8(text.to_vec()).unwrap())
}

async fn status(routes: &Router, path: &str, from: &str, headers: &[(&str, &str)]) -> u16 {
    ask(routes, Method::GET, path, Some(from), headers).await.0
}

async fn release(routes: &Router, from: Option<&str>, headers: &[(&str, &str)]) -> (u16, String) {
    ask(routes, Method::POST, "/-/release", from, headers).await
}

#[tokio::test]
async fn with_a_token_everything_but_the_probes_asks_for_it_wherever_one_asks_from() {
    let routes = routes(Some(TOKEN));
    for from in HERE.into_iter().chain(ELSEWHERE) {
        for (path, expected) in [
            ("/metrics", 401),
            ("/nowhere", 401),
            ("/-/release", 401),
            ("/-/healthy/", 401),
            ("//-/healthy", 401),
            ("/-/healthy", 200),
            ("/-/ready?x=1", 200),
        ] {
            assert_eq!(status(&routes, path, from, &[]).await, expected, "{path} from {from}");
        }
        let shown = [("authorization", "Bearer 0123456789abcdef")];
        assert_eq!(status(&routes, "/metrics", from, &shown).await, 200);
        assert_eq!(status(&routes, "/nowhere", from, &shown).await, 404);
        assert_eq!(release(&routes, Some(from), &shown).await.0, 200);
    }
}

#[tokio::test]
async fn only_the_token_itself_is_taken() {
    let routes = routes(Some(TOKEN));
    for (header, expected) in [
        ("Bearer 0123456789abcdef", 200),
        ("bearer 0123456789abcdef", 200),
        ("Bearer  0123456789abcdef", 200),
        ("Bearer 0123456789abcde", 401),
        ("Bearer 0123456789abcdef0", 401),
        ("Bearer 0123456789ABCDEF", 401),
        ("Bearer ", 401),
        ("Bearer", 401),
        ("", 401),
        ("0123456789abcdef", 401),
        ("Basic 0123456789abcdef", 401),
    ] {
        assert_eq!(
            status(&routes, "/metrics", "127.0.0.1", &[("authorization", header)]).await,
            expected,
            "{header}"
        );
    }
}

#[tokio::test]
async fn a_refusal_says_what_to_send() {
    let (_, told) = ask(&routes(Some(TOKEN)), Method::GET, "/metrics", None, &[]).await;
    assert!(told.contains("Authorization: Bearer TOKEN") && !told.contains(TOKEN), "{told}");
}

#[tokio::test]
async fn without_a_token_all_may_read_and_this_machine_may_change_something() {
    let routes = routes(None);
    for from in HERE {
        assert_eq!(status(&routes, "/metrics", from, &[]).await, 200, "{from}");
        assert_eq!(release(&routes, Some(from), &[]).await.0, 200, "{from}");
    }
    for from in ELSEWHERE {
        assert_eq!(status(&routes, "/metrics", from, &[]).await, 200, "{from}");
        let (status, told) = release(&routes, Some(from), &[]).await;
        assert!(status == 403 && told.contains("--token-file"), "{from}: {status} {told}");
    }
}

#[tokio::test]
async fn who_cannot_be_placed_may_change_nothing() {
    assert_eq!(release(&routes(None), None, &[]).await.0, 403);
}

#[tokio::test]
async fn a_page_in_a_browser_may_change_nothing() {
    let shown = ("authorization", "Bearer 0123456789abcdef");
    for (token, headers) in [
        (None, &[("origin", "http://127.0.0.1:9188")][..]),
        (None, &[("origin", "null")]),
        (Some(TOKEN), &[("origin", "http://elsewhere.test"), shown]),
    ] {
        let routes = routes(token);
        let (answered, told) = release(&routes, Some("127.0.0.1"), headers).await;
        assert!(answered == 403 && told.contains("Origin"), "{answered} {told}");
        assert_eq!(status(&routes, "/metrics", "127.0.0.1", headers).await, 200);
    }
}
