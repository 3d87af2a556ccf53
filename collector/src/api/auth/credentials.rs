//! What a request shows: a token in its header, or the cookie of a session.

use axum::http::{HeaderMap, header};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown<'a> {
    Token(&'a [u8]),
    /// What cookies of the session's name say; more than one where somebody else has set one, too.
    Sessions(Vec<&'a str>),
    /// A header that is no bearer's, or two of them.
    Other,
    Nothing,
}

/// The header goes before the cookie.
pub(super) fn shown<'a>(headers: &'a HeaderMap, cookie: &str) -> Shown<'a> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    match (given.next(), given.next()) {
        (Some(given), None) => bearer(given.as_bytes()).map_or(Shown::Other, Shown::Token),
        (Some(_), Some(_)) => Shown::Other,
        (None, _) => {
            let values: Vec<&str> = cookies(headers, cookie).collect();
            if values.is_empty() { Shown::Nothing } else { Shown::Sessions(values) }
        }
    }
}

fn bearer(given: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = given.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// The values of a cookie, which a page of the same host may have set besides.
pub(super) fn cookies<'a>(headers: &'a HeaderMap, wanted: &str) -> impl Iterator<Item = &'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(name, _)| *name == wanted).map(|(_, value)| value)
}

/// A page of another origin had the browser ask, as far as the browser says so: a script's request, a picture, a frame.
/// That somebody opens a page from there, in a window of its own, is no such thing.
pub(super) fn is_embedded_elsewhere(headers: &HeaderMap) -> bool {
    let said = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let elsewhere = matches!(said("sec-fetch-site"), Some("same-site" | "cross-site"));
    let opens_a_page =
        said("sec-fetch-mode") == Some("navigate") && said("sec-fetch-dest") == Some("document");
    elsewhere && !opens_a_page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_goes_before_the_cookie_and_what_is_neither_is_nothing() {
        let cookie = ("cookie", "a=b; orchestrator_session=id; c=d");
        for (given, expected) in [
            (&[][..], Shown::Nothing),
            (&[("cookie", "a=b; not_orchestrator_session=id")], Shown::Nothing),
            (&[cookie], Shown::Sessions(vec!["id"])),
            (&[("cookie", "orchestrator_session=other"), cookie], Shown::Sessions(vec!["other", "id"])),
            (&[("authorization", "Bearer t"), cookie], Shown::Token(b"t")),
            (&[("authorization", "bearer  t ")], Shown::Token(b"t")),
            (&[("authorization", "Basic t"), cookie], Shown::Other),
            (&[("authorization", "Bearer"), cookie], Shown::Other),
            (&[("authorization", "Bearer t"), ("authorization", "Bearer u"), cookie], Shown::Other),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in given {
                headers.append(*name, value.parse().unwrap());
            }
            assert_eq!(shown(&headers, "orchestrator_session"), expected, "{given:?}");
        }
    }

    #[test]
    fn what_another_origins_page_embeds_is_told_from_a_page_that_is_opened() {
        for (site, mode, dest, expected) in [
            ("none", "navigate", "document", false),
            ("same-origin", "cors", "empty", false),
            ("same-site", "navigate", "document", false),
            ("same-site", "no-cors", "image", true),
            ("same-site", "navigate", "iframe", true),
            ("same-site", "websocket", "empty", true),
            ("cross-site", "cors", "empty", true),
        ] {
            let fields = [("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)];
            let headers = fields.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            assert_eq!(
                is_embedded_elsewhere(&HeaderMap::from_iter(headers)),
                expected,
                "{site} {mode} {dest}"
            );
        }
        assert!(!is_embedded_elsewhere(&HeaderMap::new()), "a program that is no browser says nothing");
    }
}
