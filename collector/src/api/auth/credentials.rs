//! What a request shows: a token in its header, or the cookie of a session.

use axum::http::{HeaderMap, header};

/// The cookie's name.
pub(super) const COOKIE: &str = "orchestrator_session";

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown<'a> {
    Token(&'a [u8]),
    Session(&'a str),
    /// A header that is no bearer's, or two of them.
    Other,
    Nothing,
}

/// The header goes before the cookie.
pub(super) fn shown(headers: &HeaderMap) -> Shown<'_> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    match (given.next(), given.next()) {
        (Some(given), None) => bearer(given.as_bytes()).map_or(Shown::Other, Shown::Token),
        (Some(_), Some(_)) => Shown::Other,
        (None, _) => session(headers).map_or(Shown::Nothing, Shown::Session),
    }
}

fn bearer(given: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = given.split_at_checked(b"Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

pub(super) fn session(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == COOKIE).map(|(_, value)| value).next()
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
            (&[cookie], Shown::Session("id")),
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
            assert_eq!(shown(&headers), expected, "{given:?}");
        }
    }
}
