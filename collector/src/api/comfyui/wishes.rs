//! What a submission asks of the collector, beside the prompt: in `extra_data.orchestrator` of its body, or in headers
//! `X-Orchestrator-*`. The body goes before the header. No backend is told any of it.

use axum::http::HeaderMap;
use serde_json::{Map, Value, json};
use url::Url;

use super::Refusal;
use crate::clock::UnixMillis;
use crate::fleet::{Backend, Fleet};
use crate::id::Tag;
use crate::job::{BadWish, Wishes};
use crate::webhook::Rules;

/// The key in `extra_data` under which what is ours stands.
pub(in crate::api) const OURS: &str = "orchestrator";
/// Of which job this one is a retry: what else stands there.
pub(in crate::api) const RETRY_OF: &str = "retry_of";
const HEADERS: &str = "x-orchestrator-";
/// Backends or tags that a refusal names.
const NAMED: usize = 20;

type Fields = Map<String, Value>;

/// `X-Orchestrator-Max-Attempts: 2` is `max_attempts`.
pub(in crate::api) fn of_headers(headers: &HeaderMap) -> Fields {
    let ours = headers.iter().filter_map(|(name, value)| {
        let field = name.as_str().strip_prefix(HEADERS)?.replace('-', "_");
        Some((field, json!(String::from_utf8_lossy(value.as_bytes()))))
    });
    ours.collect()
}

/// Puts among what is ours in `extra_data` what does not stand there yet. What is no object is left to be refused.
pub(in crate::api) fn add(extra_data: &mut Fields, more: Fields) {
    if more.is_empty() {
        return;
    }
    let ours = extra_data.entry(OURS).or_insert(Value::Null);
    if ours.is_null() {
        *ours = json!({});
    }
    if let Some(ours) = ours.as_object_mut() {
        for (field, value) in more {
            ours.entry(field).or_insert(value);
        }
    }
}

/// Takes the wishes out of `extra_data`, where others could read them.
pub(super) fn take(extra_data: &mut Fields, now: UnixMillis) -> Result<Wishes, Refusal> {
    let mut asked = match extra_data.shift_remove(OURS) {
        None | Some(Value::Null) => return Ok(Wishes::default()),
        Some(Value::Object(asked)) => asked,
        Some(other) => return Err(refusal(&BadWish::of(OURS, &other, "an object"))),
    };
    // Where a document of a backend is submitted: the mark that dispatch put there.
    asked.shift_remove("job");
    if let Some(retry_of) = asked.shift_remove(RETRY_OF) {
        extra_data.insert(OURS.to_owned(), json!({ RETRY_OF: retry_of }));
    }
    Wishes::read(&asked, now).map_err(|bad| refusal(&bad))
}

/// Whether what is asked for can be: one of the fleet's backends is meant, up or down, and who is to be told may be told.
pub(super) fn check(wishes: &Wishes, fleet: &Fleet, webhooks: Option<&Rules>) -> Result<(), Refusal> {
    let placed = check_place(wishes, fleet);
    placed
        .and_then(|()| wishes.webhook.as_ref().map_or(Ok(()), |url| check_webhook(url, webhooks)))
        .map_err(|bad| refusal(&bad))
}

fn check_webhook(url: &Url, webhooks: Option<&Rules>) -> Result<(), BadWish> {
    let bad = |allowed: String| BadWish::of("webhook", &json!(url), allowed);
    let rules =
        webhooks.ok_or_else(|| bad("none, as the collector has no webhook_secret_file".to_owned()))?;
    rules.check_visible(url).map_err(|no| bad(format!("a public address: {no}")))
}

fn check_place(wishes: &Wishes, fleet: &Fleet) -> Result<(), BadWish> {
    if fleet.backends.iter().any(|backend| wishes.elsewhere(&backend.id, &backend.tags).is_none()) {
        return Ok(());
    }
    let named = |show: fn(&Backend) -> String| {
        let asked_for =
            |id| wishes.backend.as_ref().is_none_or(|wanted| wanted == id || fleet.get(wanted).is_none());
        let backends = fleet.backends.iter().filter(|backend| asked_for(&backend.id));
        backends.map(|backend| show(backend)).take(NAMED).collect::<Vec<_>>().join(", ")
    };
    let unknown = wishes.backend.as_ref().filter(|wanted| fleet.get(wanted).is_none());
    Err(match unknown {
        Some(wanted) => BadWish::of(
            "backend",
            &json!(wanted),
            format!("one of {}", named(|backend| backend.id.to_string())),
        ),
        None => {
            let allowed = format!("what a backend carries: {}", named(tags_of));
            BadWish::of("tags", &json!(wishes.tags), allowed)
        }
    })
}

fn tags_of(backend: &Backend) -> String {
    let tags: Vec<String> = backend.tags.iter().map(Tag::to_string).collect();
    format!("{} ({})", backend.id, if tags.is_empty() { "none".to_owned() } else { tags.join(" ") })
}

fn refusal(bad: &BadWish) -> Refusal {
    let extra_info = json!({ "orchestrator": { "field": bad.field } });
    Refusal {
        extra_info: Some(Box::new(extra_info)),
        ..Refusal::bad_request("invalid_wish", bad.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(value: Value) -> Fields {
        let Value::Object(fields) = value else { panic!("{value}") };
        fields
    }

    #[test]
    fn what_the_body_says_goes_before_the_header() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("x-orchestrator-max-attempts", "2"), ("X-Orchestrator-Tags", "a, b"), ("x-other", "c")]
        {
            headers
                .insert(axum::http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let more = of_headers(&headers);
        let mut extra_data = fields(json!({"client_id": "me", "orchestrator": {"max_attempts": 5}}));
        add(&mut extra_data, more.clone());
        assert_eq!(json!(extra_data)["orchestrator"], json!({"max_attempts": 5, "tags": "a, b"}));
        for mut extra_data in [fields(json!({})), fields(json!({"orchestrator": null}))] {
            add(&mut extra_data, more.clone());
            assert_eq!(json!(extra_data), json!({"orchestrator": {"max_attempts": "2", "tags": "a, b"}}));
        }
        let mut untouched = fields(json!({}));
        add(&mut untouched, of_headers(&HeaderMap::new()));
        assert_eq!(json!(untouched), json!({}));
    }

    #[test]
    fn wishes_are_taken_out_and_what_is_said_of_a_retry_stays() {
        let mut extra_data =
            fields(json!({"orchestrator": {"priority": 2, "retry_of": "x", "job": "y"}, "client_id": "me"}));
        assert_eq!(take(&mut extra_data, UnixMillis(0)).unwrap().priority, Some(2.0));
        assert_eq!(json!(extra_data), json!({"orchestrator": {"retry_of": "x"}, "client_id": "me"}));
        for (given, wanted) in [
            (json!(7), "orchestrator is 7; allowed is an object"),
            (json!({"priority": "x"}), "priority is \"x\"; "),
            (json!({"x": 1}), "x is 1; allowed is one of priority,"),
        ] {
            let refused = take(&mut fields(json!({ "orchestrator": given })), UnixMillis(0)).unwrap_err();
            assert!(refused.message.contains(wanted), "{}", refused.message);
        }
    }

    #[test]
    fn a_backend_or_tags_that_the_fleet_does_not_have_are_refused_with_what_it_has() {
        let url: url::Url = "http://127.0.0.1:1".parse().unwrap();
        let backend = |name: &str, tags: &[&str]| {
            let tags = tags.iter().map(|tag| tag.parse().unwrap()).collect();
            Backend { tags, ..Backend::new(name.parse().unwrap(), url.clone(), url.clone()) }
        };
        let fleet = Fleet::of([backend("a", &["x", "y"]), backend("b", &[])]);
        for (asked, wanted) in [
            (json!({}), None),
            (json!({"backend": "b"}), None),
            (json!({"backend": "a", "tags": "x, y"}), None),
            (json!({"backend": "c"}), Some("backend is \"c\"; allowed is one of a, b")),
            (
                json!({"tags": "x, z"}),
                Some("tags is [\"x\",\"z\"]; allowed is what a backend carries: a (x y), b (none)"),
            ),
            (json!({"backend": "b", "tags": "x"}), Some("allowed is what a backend carries: b (none)")),
        ] {
            let wishes = Wishes::read(&fields(asked), UnixMillis(0)).unwrap();
            let told = check(&wishes, &fleet, None).err().map(|refusal| refusal.message);
            assert_eq!(told.is_some(), wanted.is_some(), "{told:?}");
            assert!(told.unwrap_or_default().contains(wanted.unwrap_or_default()));
        }
    }
    #[test]
    fn a_webhook_may_be_asked_for_where_they_are_signed_and_only_to_public_addresses() {
        let rules = Rules::default();
        for (url, rules, wanted) in [
            ("https://example.org/x", Some(&rules), None),
            (
                "https://example.org/x",
                None,
                Some("webhook is \"https://example.org/x\"; allowed is none, as the collector"),
            ),
            (
                "http://127.0.0.1/",
                Some(&rules),
                Some("allowed is a public address: the receiver is 127.0.0.1, a loopback"),
            ),
        ] {
            let told = check_webhook(&url.parse().unwrap(), rules).err().map(|bad| bad.to_string());
            assert_eq!(told.is_some(), wanted.is_some(), "{told:?}");
            assert!(told.unwrap_or_default().contains(wanted.unwrap_or_default()));
        }
    }
}
