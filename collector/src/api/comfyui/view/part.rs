//! What part of a kept file a request asks for: all of it, a range, or nothing because its copy is good. Pure.
//! A file's tag is its content's hash. There is no date: a name may come to stand for older content again.

use std::ops::Range;

use axum::http::{HeaderMap, HeaderName, header};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    NotModified,
    All,
    Range(Range<u64>),
    Unsatisfiable,
}

impl Part {
    pub(super) fn asked(headers: &HeaderMap, tag: &str, length: u64) -> Self {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        if text(header::IF_NONE_MATCH).is_some_and(|tags| names(tags, tag)) {
            return Self::NotModified;
        }
        let is_current = text(header::IF_RANGE).is_none_or(|wanted| wanted == tag);
        match text(header::RANGE).filter(|_| is_current).and_then(|range| range.strip_prefix("bytes=")) {
            Some(range) => within(range, length),
            None => Self::All,
        }
    }
}

fn names(tags: &str, tag: &str) -> bool {
    tags.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

/// `first-last`, `first-`, `-last_bytes`. Several ranges, and what is no range, get the whole.
fn within(range: &str, length: u64) -> Part {
    let number = |text: &str| text.parse::<u64>().ok();
    let Some((first, last)) = range.trim().split_once('-') else { return Part::All };
    let (start, end) = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => (first, last.saturating_add(1).min(length)),
        (Some(first), None) if last.is_empty() => (first, length),
        (None, Some(last)) if first.is_empty() => (length.saturating_sub(last), length),
        _ => return Part::All,
    };
    if start < end { Part::Range(start..end) } else { Part::Unsatisfiable }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "\"abc\"";

    fn part(headers: &[(HeaderName, &str)]) -> Part {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
        Part::asked(&headers.collect(), TAG, 10)
    }

    #[test]
    fn a_range_is_read_as_http_means_it() {
        for (range, expected) in [
            ("bytes=0-3", Part::Range(0..4)),
            ("bytes=4-", Part::Range(4..10)),
            ("bytes=-3", Part::Range(7..10)),
            ("bytes=-99", Part::Range(0..10)),
            ("bytes=5-99", Part::Range(5..10)),
            ("bytes=10-", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=3-1", Part::All),
            ("bytes=0-1,4-5", Part::All),
            ("lines=0-1", Part::All),
            ("bytes=x", Part::All),
        ] {
            assert_eq!(part(&[(header::RANGE, range)]), expected, "{range}");
        }
    }

    #[test]
    fn a_good_copy_is_not_sent_again_and_a_range_of_an_older_one_is_not_continued() {
        for (tags, expected) in [
            (TAG, Part::NotModified),
            ("\"x\", W/\"abc\"", Part::NotModified),
            ("*", Part::NotModified),
            ("\"x\"", Part::All),
        ] {
            assert_eq!(part(&[(header::IF_NONE_MATCH, tags)]), expected, "{tags}");
        }
        let range = (header::RANGE, "bytes=0-0");
        assert_eq!(part(&[range.clone(), (header::IF_RANGE, TAG)]), Part::Range(0..1));
        assert_eq!(part(&[range, (header::IF_RANGE, "\"old\"")]), Part::All);
    }
}
