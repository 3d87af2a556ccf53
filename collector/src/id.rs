//! The identities that must not be mixed up: a job's, a backend's, a client's; and the words that backends are marked with.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A job: the `prompt_id` that its client sees, always a canonical lowercase UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(Uuid);

impl JobId {
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The id in `text` if it is a UUID as ComfyUI 0.38 demands it: hyphenated and in lower case.
    pub fn canonical(text: &str) -> Option<Self> {
        let uuid = Uuid::parse_str(text).ok()?;
        (uuid.hyphenated().to_string() == text).then_some(Self(uuid))
    }
}

impl From<Uuid> for JobId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl From<JobId> for Uuid {
    fn from(id: JobId) -> Self {
        id.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A backend's name: what its configuration calls it, else `host-port`. It stands as a folder in the paths of
/// pictures and as a label in metrics, so it holds only letters, digits, `.`, `_` and `-`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackendId(Arc<str>);

#[derive(Debug, thiserror::Error)]
#[error(
    "a backend's name holds 1 to 64 letters, digits, '.', '_' and '-' and starts with no '.'; this one is {0:?}"
)]
pub struct BadBackendId(String);

impl BackendId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BackendId {
    type Err = BadBackendId;

    fn from_str(text: &str) -> Result<Self, BadBackendId> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let good = (1..=64).contains(&text.len()) && !text.starts_with('.') && text.chars().all(allowed);
        good.then(|| Self(text.into())).ok_or_else(|| BadBackendId(text.to_owned()))
    }
}

impl TryFrom<String> for BackendId {
    type Error = BadBackendId;

    fn try_from(text: String) -> Result<Self, BadBackendId> {
        text.parse()
    }
}

impl From<BackendId> for String {
    fn from(id: BackendId) -> Self {
        id.as_str().to_owned()
    }
}

impl fmt::Display for BackendId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for BackendId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A word that an operator marks backends with, and by which a job asks for one of them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(Arc<str>);

#[derive(Debug, thiserror::Error)]
#[error("a tag holds 1 to 64 letters, digits, '.', '_' and '-'; this one is {0:?}")]
pub struct BadTag(String);

impl FromStr for Tag {
    type Err = BadTag;

    fn from_str(text: &str) -> Result<Self, BadTag> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let good = (1..=64).contains(&text.len()) && text.chars().all(allowed);
        good.then(|| Self(text.into())).ok_or_else(|| BadTag(text.to_owned()))
    }
}

impl TryFrom<String> for Tag {
    type Error = BadTag;

    fn try_from(text: String) -> Result<Self, BadTag> {
        text.parse()
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.to_string()
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a ComfyUI client calls itself: the `clientId` of its WebSocket and the `client_id` of its prompts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientId(Arc<str>);

impl ClientId {
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// A name for a client that gave none, in the form that ComfyUI itself makes up: 32 hexadecimal digits.
    pub fn random() -> Self {
        Self(Uuid::new_v4().simple().to_string().into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_id_is_taken_over_only_in_canonical_form() {
        let id = "11111111-2222-4333-8444-5555555555af";
        assert_eq!(JobId::canonical(id).unwrap().to_string(), id);
        for bad in ["", "nope", "11111111222243338444555555555555", &id.to_uppercase()] {
            assert!(JobId::canonical(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_backend_name_is_safe_as_a_folder() {
        for good in ["a", "gpu-1.example_2", "127.0.0.1-8188"] {
            assert!(good.parse::<BackendId>().is_ok(), "{good}");
        }
        let long = "x".repeat(65);
        for bad in ["", "..", "a/b", "a b", "ä", &long] {
            assert!(bad.parse::<BackendId>().is_err(), "{bad}");
        }
    }
}
