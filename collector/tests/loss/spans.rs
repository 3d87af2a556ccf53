//! How long something took that was done again and again.

use std::fmt;
use std::time::Duration;

#[derive(Default)]
pub(crate) struct Spans(pub(crate) Vec<Duration>);

impl fmt::Display for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut spans = self.0.clone();
        spans.sort();
        let longest = spans.last().copied().unwrap_or_default();
        let median = spans.get(spans.len() / 2).copied().unwrap_or_default();
        write!(f, "median {median:.2?}, longest {longest:.2?}")
    }
}
