//! Addresses as they may be shown.

use url::Url;

/// A URL as it may stand in a log or an answer.
pub(crate) fn without_password(url: &Url) -> Url {
    let mut shown = url.clone();
    // Neither can fail: a URL that could carry no credentials was refused by the configuration.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown
}
