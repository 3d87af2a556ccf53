//! Which pack of custom nodes a node came from, as the interface notes it: only what has the form of such a note.

use serde_json::{Map, Value};

/// `cnr_id`, `aux_id` and `ver` of a node's properties.
pub(super) fn noted(properties: &Map<String, Value>) -> impl Iterator<Item = (String, Value)> {
    let text = |key: &str| properties.get(key).and_then(Value::as_str);
    let notes = [
        ("cnr_id", text("cnr_id").filter(|id| is_pack_id(id))),
        ("aux_id", text("aux_id").filter(|id| is_repository(id))),
        ("ver", text("ver").and_then(version)),
    ];
    notes.into_iter().filter_map(|(key, note)| Some((key.to_owned(), Value::String(note?.to_owned()))))
}

/// A name in the registry of node packs: 1 to 100 letters, digits, `_`, `-` and `.`, the marks only inside.
fn is_pack_id(id: &str) -> bool {
    let is_mark = |c: char| matches!(c, '_' | '-' | '.');
    (1..=100).contains(&id.len())
        && id.chars().all(|c| c.is_ascii_alphanumeric() || is_mark(c))
        && !id.starts_with(is_mark)
        && !id.ends_with(is_mark)
}

/// `user/repository`.
fn is_repository(id: &str) -> bool {
    let is_user = |user: &str| {
        (1..=39).contains(&user.len())
            && user.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !user.starts_with('-')
            && !user.ends_with('-')
            && !user.contains("--")
    };
    id.split_once('/').is_some_and(|(user, repository)| is_user(user) && is_pack_id(repository))
}

/// A version such as `0.3.64` (a `v` in front is dropped), a commit, or `unknown`.
fn version(given: &str) -> Option<&str> {
    let version = given.strip_prefix('v').unwrap_or(given);
    let is_commit = (4..=40).contains(&version.len()) && version.bytes().all(|b| b.is_ascii_hexdigit());
    (is_semantic(version) || is_commit || given == "unknown").then_some(version)
}

fn is_semantic(version: &str) -> bool {
    let (rest, build) = version.split_once('+').map_or((version, None), |(rest, build)| (rest, Some(build)));
    let (core, early) = rest.split_once('-').map_or((rest, None), |(core, early)| (core, Some(early)));
    let is_number = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    let is_label = |label: Option<&str>| {
        label.is_none_or(|label| {
            label
                .split('.')
                .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
        })
    };
    core.split('.').count() == 3 && core.split('.').all(is_number) && is_label(early) && is_label(build)
}
