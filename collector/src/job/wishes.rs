//! What a submission asks of routing and of its end. Pure: from what came to what is meant, or which of it is wrong and
//! what is allowed. A job's row keeps it as JSON, so every form that was ever written has to load.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use crate::clock::UnixMillis;
use crate::id::{BackendId, Tag};
use crate::limits;

/// What is absent was not asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wishes {
    /// A factor of the job's weight among those that wait, see [`Wishes::weight`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<f64>,
    /// When it should have ended; past it the job is late, and runs all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<UnixMillis>,
    /// It runs there or nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<BackendId>,
    /// It runs where all of them are carried, or nowhere.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<Tag>,
    /// Attempts that may reach a backend, see [`Wishes::attempts`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// Who is told of its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Url>,
}

/// What cannot be meant.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {given}; allowed is {allowed}")]
pub struct BadWish {
    pub field: String,
    given: String,
    allowed: String,
}

/// Why a backend is none of those that a job asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    Backend(BackendId),
    Tag(Tag),
}

impl Wishes {
    pub const FIELDS: [&str; 6] = ["priority", "deadline", "backend", "tags", "max_attempts", "webhook"];

    /// Values may be texts, as headers carry them: `"2"` for 2, `"a, b"` for `["a", "b"]`. A null asks for nothing.
    pub fn read(asked: &Map<String, Value>, now: UnixMillis) -> Result<Self, BadWish> {
        let mut wishes = Self::default();
        for (field, value) in asked.iter().filter(|(_, value)| !value.is_null()) {
            let read = match field.as_str() {
                "priority" => priority(value).map(|priority| wishes.priority = Some(priority)),
                "deadline" => deadline(value, now).map(|deadline| wishes.deadline = Some(deadline)),
                "backend" => backend(value).map(|backend| wishes.backend = Some(backend)),
                "tags" => tags(value).map(|tags| wishes.tags = tags),
                "max_attempts" => max_attempts(value).map(|most| wishes.max_attempts = Some(most)),
                "webhook" => webhook(value).map(|url| wishes.webhook = Some(url)),
                _ => Err(format!("one of {}", Self::FIELDS.join(", "))),
            };
            read.map_err(|allowed| BadWish::of(field, value, allowed))?;
        }
        Ok(wishes)
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What the job's weight among those that wait is multiplied by.
    pub fn weight(&self) -> f64 {
        self.priority.unwrap_or(1.0)
    }

    /// How many attempts may reach a backend.
    pub fn attempts(&self) -> u32 {
        self.max_attempts.unwrap_or(limits::ATTEMPTS)
    }

    /// Whether, and why, this is none of the backends that are asked for.
    pub fn elsewhere(&self, id: &BackendId, carried: &BTreeSet<Tag>) -> Option<Elsewhere> {
        let other = self.backend.as_ref().filter(|wanted| *wanted != id).cloned().map(Elsewhere::Backend);
        other.or_else(|| self.tags.difference(carried).next().cloned().map(Elsewhere::Tag))
    }

    /// For the same job submitted once more: its deadline was for the first time.
    pub fn again(self) -> Self {
        Self { deadline: None, ..self }
    }
}

impl BadWish {
    pub fn of(field: &str, given: &Value, allowed: impl Into<String>) -> Self {
        const SHOWN_CHARS: usize = 100;
        let given = given.to_string().chars().take(SHOWN_CHARS).collect();
        Self { field: field.to_owned(), given, allowed: allowed.into() }
    }
}

fn priority(value: &Value) -> Result<f64, String> {
    let given = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
    let allowed = &limits::PRIORITY;
    given
        .filter(|priority| allowed.contains(priority))
        .ok_or_else(|| format!("a number from {} to {}", allowed.start(), allowed.end()))
}

/// A time that has passed is taken too: the same body may come again, and is the same job then.
fn deadline(value: &Value, now: UnixMillis) -> Result<UnixMillis, String> {
    let text = value.as_str().map(str::trim).unwrap_or_default();
    let span = text.strip_prefix("in ").unwrap_or(text);
    let ahead = humantime::parse_duration(span).ok().map(|span| now.after(span));
    let at = ahead.or_else(|| point(text)).filter(|at| *at - now <= limits::DEADLINE_AHEAD);
    let days = limits::DEADLINE_AHEAD.as_secs() / Duration::from_hours(24).as_secs();
    at.ok_or_else(|| {
        format!(
            "a time span such as \"in 30m\" or a time with its zone such as \"2030-01-31T18:00:00Z\", at most {days} days \
             ahead"
        )
    })
}

fn point(text: &str) -> Option<UnixMillis> {
    let at: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(at.as_millisecond()).ok().map(UnixMillis)
}

fn backend(value: &Value) -> Result<BackendId, String> {
    let named = value.as_str().and_then(|text| text.trim().parse().ok());
    named.ok_or_else(|| "the name of a backend".to_owned())
}

fn tags(value: &Value) -> Result<BTreeSet<Tag>, String> {
    let texts: Option<Vec<&str>> = match value {
        Value::String(text) => Some(text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).collect()),
        Value::Array(values) => values.iter().map(Value::as_str).collect(),
        _ => None,
    };
    let tags = texts.and_then(|texts| texts.into_iter().map(|text| text.parse().ok()).collect());
    let tags = tags.filter(|tags: &BTreeSet<Tag>| tags.len() <= limits::TAGS);
    tags.ok_or_else(|| {
        format!("a list of at most {} tags, each of 1 to 64 letters, digits, '.', '_' and '-'", limits::TAGS)
    })
}

fn max_attempts(value: &Value) -> Result<u32, String> {
    let given = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
    let given = given.and_then(|most| u32::try_from(most).ok());
    given
        .filter(|most| (1..=limits::ATTEMPTS_MOST).contains(most))
        .ok_or_else(|| format!("a whole number from 1 to {}", limits::ATTEMPTS_MOST))
}

/// Whether it may be sent to is for others to say.
fn webhook(value: &Value) -> Result<Url, String> {
    let url = value.as_str().and_then(|text| Url::parse(text.trim()).ok());
    let url = url.filter(|url| {
        let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
        let has_credentials = !url.username().is_empty() || url.password().is_some();
        is_http
            && !has_credentials
            && url.fragment().is_none()
            && url.as_str().len() <= limits::WEBHOOK_URL_BYTES
    });
    url.ok_or_else(|| {
        format!(
            "an address as https://HOST/PATH of at most {} bytes, without a user, a password and a fragment",
            limits::WEBHOOK_URL_BYTES
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn read(asked: Value) -> Result<Wishes, BadWish> {
        let Value::Object(asked) = asked else { panic!("{asked}") };
        Wishes::read(&asked, NOW)
    }

    fn tags(names: &[&str]) -> BTreeSet<Tag> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn a_wish_means_the_same_as_a_value_and_as_a_headers_text() {
        let minute = UnixMillis(NOW.0 + 60_000);
        let wished = |change: fn(&mut Wishes)| {
            let mut wishes = Wishes::default();
            change(&mut wishes);
            wishes
        };
        let by = |at| Wishes { deadline: Some(at), ..Wishes::default() };
        for (asked, wanted) in [
            (json!({}), Wishes::default()),
            (json!({"priority": null, "tags": null}), Wishes::default()),
            (json!({"priority": 2}), wished(|w| w.priority = Some(2.0))),
            (json!({"priority": " 0.5"}), wished(|w| w.priority = Some(0.5))),
            (json!({"deadline": "in 1m"}), by(minute)),
            (json!({"deadline": "60s"}), by(minute)),
            (json!({"deadline": "2023-11-14T22:14:20Z"}), by(minute)),
            (json!({"deadline": "2023-11-14T23:14:20+01:00"}), by(minute)),
            (json!({"deadline": "1970-01-01T00:00:01Z"}), by(UnixMillis(1000))),
            (json!({"backend": "gpu-1"}), wished(|w| w.backend = Some("gpu-1".parse().unwrap()))),
            (json!({"tags": ["b", "a", "b"]}), wished(|w| w.tags = tags(&["a", "b"]))),
            (json!({"tags": "b, a,"}), wished(|w| w.tags = tags(&["a", "b"]))),
            (json!({"max_attempts": 1}), wished(|w| w.max_attempts = Some(1))),
            (json!({"max_attempts": "10"}), wished(|w| w.max_attempts = Some(10))),
            (
                json!({"webhook": "https://h:1/p?q"}),
                wished(|w| w.webhook = Some("https://h:1/p?q".parse().unwrap())),
            ),
        ] {
            assert_eq!(read(asked.clone()).unwrap(), wanted, "{asked}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_named_with_what_is_allowed() {
        let many: Vec<String> = (0..=limits::TAGS).map(|n| format!("t{n}")).collect();
        for (asked, wanted) in [
            (json!({"priority": 0}), "priority is 0; allowed is a number from 0.01 to 100"),
            (json!({"priority": 101}), "priority is 101; "),
            (json!({"priority": "high"}), "priority is \"high\"; "),
            (json!({"priority": "NaN"}), "priority is \"NaN\"; "),
            (json!({"deadline": "soon"}), "deadline is \"soon\"; allowed is a time span such as \"in 30m\""),
            (json!({"deadline": 5}), "deadline is 5; "),
            (json!({"deadline": "2023-11-14T22:14:20"}), "a time with its zone"),
            (json!({"deadline": "in 367d"}), "at most 366 days ahead"),
            (json!({"deadline": "9999-01-01T00:00:00Z"}), "at most 366 days ahead"),
            (json!({"backend": "a b"}), "backend is \"a b\"; allowed is the name of a backend"),
            (json!({"tags": [1]}), "tags is [1]; allowed is a list of at most 16 tags"),
            (json!({"tags": ["a b"]}), "tags is [\"a b\"]; "),
            (json!({"tags": {}}), "tags is {}; "),
            (json!({"tags": many}), "at most 16 tags"),
            (json!({"max_attempts": 0}), "max_attempts is 0; allowed is a whole number from 1 to 10"),
            (json!({"max_attempts": 11}), "max_attempts is 11; "),
            (json!({"max_attempts": 1.5}), "max_attempts is 1.5; "),
            (json!({"webhook": "h/p"}), "webhook is \"h/p\"; allowed is an address as https://HOST/PATH"),
            (json!({"webhook": "ftp://h/p"}), "an address as https://HOST/PATH"),
            (json!({"webhook": "https://u:p@h/"}), "without a user, a password"),
            (json!({"webhook": "https://h/#f"}), "and a fragment"),
            (json!({"webhook": format!("https://h/{}", "x".repeat(2048))}), "of at most 2048 bytes"),
            (
                json!({"prio": 1}),
                "prio is 1; allowed is one of priority, deadline, backend, tags, max_attempts, webhook",
            ),
        ] {
            let told = read(asked.clone()).unwrap_err().to_string();
            assert!(told.contains(wanted), "{asked}: {told}");
        }
        let long = read(json!({ "backend": "x".repeat(5000) })).unwrap_err().to_string();
        assert!(long.len() < 300, "{long}");
    }

    #[test]
    fn a_backend_is_meant_only_if_it_is_the_one_and_carries_all_tags() {
        let wishes = read(json!({"backend": "a", "tags": ["x", "y"]})).unwrap();
        let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
        assert_eq!(wishes.elsewhere(&a, &tags(&["w", "x", "y"])), None);
        assert_eq!(wishes.elsewhere(&a, &tags(&["x"])), Some(Elsewhere::Tag("y".parse().unwrap())));
        assert_eq!(wishes.elsewhere(&b, &tags(&["x", "y"])), Some(Elsewhere::Backend(a.clone())));
        assert_eq!(Wishes::default().elsewhere(&a, &tags(&[])), None);
    }

    #[test]
    fn wishes_come_out_of_a_row_as_they_went_in_and_may_be_asked_for_again() {
        let wishes = read(
            json!({"priority": 2, "deadline": "in 1h", "backend": "a", "tags": "t", "max_attempts": 1, "webhook": "http://h/"}),
        );
        let wishes = wishes.unwrap();
        let row = serde_json::to_string(&wishes).unwrap();
        assert_eq!(serde_json::from_str::<Wishes>(&row).unwrap(), wishes);
        assert_eq!(serde_json::from_str::<Wishes>("{}").unwrap(), Wishes::default());
        let again = wishes.again();
        assert_eq!(read(json!(again)).unwrap(), again);
    }
}
