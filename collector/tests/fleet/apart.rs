//! The web interface at an address of its own: the way there from a login at the main one, and what is kept apart.

use reqwest::header::{ACCEPT, COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use sim::Generation;

use super::access::Tokens;
use super::client::builder;
use super::stage::{Stage, comfy};
use super::wait::until;

/// As much of a browser as the way needs: cookies by host alone, as browsers keep them, and redirections one at a time.
struct Browser {
    http: reqwest::Client,
    cookies: Vec<(String, String)>,
}

/// A page, or where to go on.
struct Page {
    status: u16,
    location: String,
    text: String,
}

impl Browser {
    fn new() -> Self {
        let http = builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { http, cookies: Vec::new() }
    }

    async fn opens(&mut self, url: &str) -> Page {
        let request = self.http.get(url).header(ACCEPT, "text/html");
        self.sends(request).await
    }

    async fn sends(&mut self, request: RequestBuilder) -> Page {
        let shown: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let answer = request.header(COOKIE, shown.join("; ")).send().await.unwrap();
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            if !cookie.contains("Max-Age=0") {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        let location = answer.headers().get(LOCATION).map(|to| to.to_str().unwrap().to_owned());
        let status = answer.status().as_u16();
        Page { status, location: location.unwrap_or_default(), text: answer.text().await.unwrap() }
    }

    fn forgets_all_but(&mut self, name: &str) {
        self.cookies.retain(|(known, _)| known == name);
    }
}

struct Apart {
    stage: Stage,
    interface: String,
    tokens: Tokens,
}

impl Apart {
    async fn start() -> Self {
        let tokens = Tokens::new();
        let file = Some(tokens.file());
        let change = |config: &mut collector::config::Config| {
            config.access.token_file = file;
            config.interface.listen = Some("127.0.0.1:0".parse().unwrap());
        };
        let stage = Stage::before(vec![comfy(Generation::V0_8).await], change).await;
        let interface = format!("http://{}", stage.interface_address().unwrap());
        let apart = Self { stage, interface, tokens };
        until("a backend answers for the interface", async || {
            let asked = apart.main("/api/settings").bearer_auth(&apart.tokens.otto.token);
            (asked.send().await.unwrap().status() == 200).then_some(())
        })
        .await;
        apart
    }

    fn main(&self, route: &str) -> RequestBuilder {
        self.stage.client.request(Method::GET, route)
    }

    /// From the interface to a login and back, by every page that lies between.
    async fn logged_in(&self) -> Browser {
        let (mut browser, main) = (Browser::new(), &self.stage.client.url);
        let page = browser.opens(&format!("{}/", self.interface)).await;
        assert!(page.location.starts_with(&format!("{main}/login/interface?state=")), "{}", page.location);
        let page = browser.opens(&page.location).await;
        assert!(page.location.starts_with("/login?next="), "{}", page.location);
        let next = url::Url::parse(&format!("{main}{}", page.location)).unwrap();
        let next = next.query_pairs().next().unwrap().1.into_owned();
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("token", self.tokens.otto.token.as_str()), ("next", &next)])
            .finish();
        let page = browser.sends(browser.http.post(format!("{main}/login")).body(form)).await;
        let page = browser.opens(&format!("{main}{}", page.location)).await;
        let enter = page.location;
        assert!(enter.starts_with(&format!("{}/login/enter?ticket=", self.interface)), "{enter}");
        let page = browser.opens(&enter).await;
        assert!(page.status == 200 && page.text.contains("url=/\""), "{}", page.text);
        let again = browser.opens(&enter).await;
        assert_eq!(again.status, 401, "a ticket is good once");
        browser
    }
}

#[tokio::test]
async fn a_login_at_the_main_address_leads_to_the_interface_at_its_own() {
    let apart = Apart::start().await;
    let mut browser = apart.logged_in().await;
    let page = browser.opens(&format!("{}/", apart.interface)).await;
    assert!(page.status == 200 && page.text.contains("A simulated server"), "{}", page.text);
    let page = browser.opens(&format!("{}/", apart.stage.client.url)).await;
    assert_eq!(page.location, format!("{}/", apart.interface));
    let page = browser.opens(&format!("{}/orchestrator/", apart.stage.client.url)).await;
    assert_eq!(page.status, 200, "the dashboard stays at the main address");
    for route in ["/orchestrator/", "/orchestrator/v1/jobs", "/metrics"] {
        assert_eq!(browser.opens(&format!("{}{route}", apart.interface)).await.status, 404, "{route}");
    }
    let page = browser.opens(&format!("{}/logout", apart.interface)).await;
    let page = browser.opens(&page.location).await;
    assert_eq!(page.location, "/login");
    let page = browser.opens(&format!("{}/", apart.interface)).await;
    assert!(page.location.contains("/login/interface?"), "it is out of both: {}", page.location);
}

#[tokio::test]
async fn at_the_interfaces_address_nobody_may_more_than_submit_and_its_session_is_worth_nothing_elsewhere() {
    let apart = Apart::start().await;
    let (mut browser, main) = (apart.logged_in().await, apart.stage.client.url.clone());
    let free = |base: &str| format!("{base}/free");
    let body = json!({"unload_models": true});
    let refused = browser.http.post(free(&apart.interface)).json(&body);
    assert_eq!(browser.sends(refused).await.status, 403);
    let allowed = browser.http.post(free(&main)).json(&body);
    assert_eq!(browser.sends(allowed).await.status, 200);
    browser.forgets_all_but("orchestrator_interface_session");
    assert_eq!(browser.sends(browser.http.get(format!("{}/queue", apart.interface))).await.status, 200);
    assert_eq!(browser.sends(browser.http.get(format!("{main}/queue"))).await.status, 401);
}

#[tokio::test]
async fn a_page_of_the_interface_is_a_stranger_at_the_main_address() {
    let apart = Apart::start().await;
    let (mut browser, main) = (apart.logged_in().await, apart.stage.client.url.clone());
    let queue = browser.http.get(format!("{main}/queue"));
    assert_eq!(browser.sends(queue).await.status, 200);
    for (site, mode, dest) in [("same-site", "no-cors", "image"), ("same-site", "cors", "empty")] {
        let queue = browser.http.get(format!("{main}/queue"));
        let fields = [("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)];
        let queue = fields.iter().fold(queue, |queue, (name, value)| queue.header(*name, *value));
        assert_eq!(browser.sends(queue).await.status, 401, "{mode}");
    }
    let drain = browser.http.post(format!("{main}/orchestrator/v1/backends/a/drain"));
    assert_eq!(browser.sends(drain.header("origin", &apart.interface)).await.status, 403);
}

#[tokio::test]
async fn a_way_in_is_only_for_the_browser_that_began_it() {
    let apart = Apart::start().await;
    let (mut began, main) = (Browser::new(), apart.stage.client.url.clone());
    let begun = began.opens(&format!("{}/", apart.interface)).await;
    let mut knows_the_token = apart.logged_in().await;
    let page = knows_the_token.opens(&begun.location).await;
    assert!(page.location.contains("/login/enter?ticket="), "{}", page.location);
    let other = Browser::new().opens(&page.location).await;
    assert_eq!(other.status, 401, "its link leads nobody else into a session");
    assert!(begun.location.starts_with(&main));
}
