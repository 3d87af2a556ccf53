//! The page to log in by: one field, no script, nothing from elsewhere.

use axum::http::{HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

/// `same-origin`: with no referrer at all a browser would send no origin with the form either.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
];

const PAGE: &str = include_str!("login.html");

/// `next` is where a login leads to; `told` what went wrong before. `onward` is another origin that a login may lead to by way
/// of this one, which a browser asks to be told before the form is sent.
pub(super) fn page(status: StatusCode, next: &str, told: &str, onward: Option<&str>) -> Response {
    let text = PAGE.replace("{told}", &escaped(told)).replace("{next}", &escaped(next));
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self' {}; base-uri 'none'; frame-ancestors 'none'",
        onward.unwrap_or_default()
    );
    (status, HEADERS, [(header::CONTENT_SECURITY_POLICY, policy)], Html(text)).into_response()
}

pub(super) fn escaped(text: &str) -> String {
    let escape = |letter: char| match letter {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#39;".to_owned(),
        letter => letter.to_string(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_into_the_page_stays_text() {
        assert_eq!(escaped("\"><script>'&"), "&quot;&gt;&lt;script&gt;&#39;&amp;");
        assert!(!PAGE.contains("<script") && !PAGE.contains("http"));
    }
}
