//! A server's address: the URLs of its routes, and its credentials apart from them.

use reqwest::header::{AUTHORIZATION, HeaderValue};
use url::Url;

use crate::{Cause, Error};

/// Where a server is.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// Without credentials, query and fragment; its path has no slash at the end.
    base: Url,
    /// `Authorization` of the credentials; debug output hides it.
    authorization: Option<HeaderValue>,
}

impl Address {
    pub(super) fn of(http: &reqwest::Client, given: &Url) -> Result<Self, Error> {
        let base = bare(given).map_err(|why| unsendable(given.scheme(), why))?;
        let authorization = authorization(http, given).map_err(|why| unsendable(base.as_str(), &why))?;
        Ok(Self { base, authorization })
    }

    /// The address as messages show it.
    pub(crate) fn shown(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// Shows this token instead of the credentials that the address was given with.
    pub(super) fn bear(&mut self, token: &str) -> Result<(), Error> {
        let why = "a token is one word of letters, digits and signs";
        let is_one_word = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        let header = HeaderValue::try_from(format!("Bearer {token}")).ok().filter(|_| is_one_word);
        let mut header = header.ok_or_else(|| unsendable(self.shown(), why))?;
        header.set_sensitive(true);
        self.authorization = Some(header);
        Ok(())
    }

    /// The URL of a route whose segments are plain text: what is special in them is escaped.
    pub(crate) fn route(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        // Cannot fail: only http and https are let in, and both have paths.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// The URL of a path that is already escaped, as it stands in a request that is passed on.
    ///
    /// `Err` says why not: it must not lead out of the server's own path.
    pub(super) fn path(&self, path: &str) -> Result<Url, String> {
        if path.split(['/', '\\']).any(is_dots) {
            return Err(format!("the path {path} leads out of its folder"));
        }
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{}", self.base.path().trim_end_matches('/'), path.trim_start_matches('/')));
        Ok(url)
    }

    /// The URL of the WebSocket, `ws` or `wss`.
    pub(crate) fn socket(&self, client_id: &str) -> Result<Url, Error> {
        let mut url = self.route(&["ws"]);
        let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
        url.set_scheme(scheme).map_err(|()| unsendable(self.shown(), "its scheme cannot be changed"))?;
        url.query_pairs_mut().append_pair("clientId", client_id);
        Ok(url)
    }
}

/// Escaped dots count as dots in URLs.
fn is_dots(segment: &str) -> bool {
    matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

fn bare(given: &Url) -> Result<Url, &'static str> {
    if !matches!(given.scheme(), "http" | "https") {
        return Err("a server's address begins with http:// or https://");
    }
    let mut base = given.clone();
    base.set_query(None);
    base.set_fragment(None);
    let cleared = base.set_username("").and_then(|()| base.set_password(None));
    cleared.map_err(|()| "a server's address has a host")?;
    Ok(base)
}

/// Reqwest turns a URL's user and password into the header; the WebSocket needs the same one.
fn authorization(http: &reqwest::Client, given: &Url) -> Result<Option<HeaderValue>, String> {
    let request = http.get(given.clone()).build().map_err(|error| error.without_url().to_string())?;
    let mut header = request.headers().get(AUTHORIZATION).cloned();
    if let Some(header) = &mut header {
        header.set_sensitive(true);
    }
    Ok(header)
}

fn unsendable(shown: &str, why: &str) -> Error {
    Error {
        operation: "use the address",
        backend: shown.to_owned(),
        cause: Cause::Unsendable(why.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(base: &str) -> Address {
        Address::of(&crate::client::http().unwrap(), &base.parse().unwrap()).unwrap()
    }

    #[test]
    fn routes_stand_under_the_bases_path() {
        for (base, expected) in [
            ("http://h:8188", "http://h:8188/api/jobs"),
            ("http://h:8188/", "http://h:8188/api/jobs"),
            ("http://h/comfy", "http://h/comfy/api/jobs"),
            ("http://h/comfy/?x=1#y", "http://h/comfy/api/jobs"),
            ("http://[::1]:8188", "http://[::1]:8188/api/jobs"),
            ("https://u:p@h", "https://h/api/jobs"),
        ] {
            assert_eq!(address(base).route(&["api", "jobs"]).as_str(), expected);
        }
    }

    #[test]
    fn what_is_special_in_a_segment_is_escaped() {
        assert_eq!(
            address("http://h").route(&["history", "a/b?c#d e"]).as_str(),
            "http://h/history/a%2Fb%3Fc%23d%20e"
        );
    }

    #[test]
    fn an_escaped_path_is_passed_on_as_it_is() {
        let url = address("http://h/comfy").path("/userdata/workflows%2Fa.json").unwrap();
        assert_eq!(url.as_str(), "http://h/comfy/userdata/workflows%2Fa.json");
        assert_eq!(address("http://h").path("/").unwrap().as_str(), "http://h/");
    }

    #[test]
    fn no_path_leads_out_of_the_base() {
        for path in ["/../x", "/a/../../x", "/%2e%2E/x", "/.%2e", "/a/.", "..\\x"] {
            assert!(address("http://h/comfy").path(path).is_err(), "{path}");
        }
    }

    #[test]
    fn the_socket_has_the_schemes_counterpart_and_the_client_id() {
        assert_eq!(
            address("http://h:1/c").socket("a b&c").unwrap().as_str(),
            "ws://h:1/c/ws?clientId=a+b%26c"
        );
        assert_eq!(address("https://[::1]/").socket("x").unwrap().as_str(), "wss://[::1]/ws?clientId=x");
    }

    #[test]
    fn credentials_become_a_header_and_are_shown_nowhere() {
        let address = address("http://user:p%40ss@h:8188/comfy/");
        assert_eq!(address.shown(), "http://h:8188/comfy");
        assert_eq!(address.authorization().unwrap(), "Basic dXNlcjpwQHNz");
        let debug = format!("{address:?}");
        assert!(!debug.contains("dXNlc") && !debug.contains("p%40ss"), "{debug}");
    }

    #[test]
    fn a_token_takes_the_place_of_credentials_and_is_shown_nowhere() {
        let mut address = address("http://user:pass@h:8188");
        address.bear("s3cret~").unwrap();
        assert_eq!(address.authorization().unwrap(), "Bearer s3cret~");
        assert!(!format!("{address:?}").contains("s3cret"));
        for bad in ["", "two words", "a\nb", "ä"] {
            let error = address.bear(bad).unwrap_err();
            assert!(error.never_sent() && error.to_string().contains("one word"), "{error}");
        }
    }

    #[test]
    fn an_address_that_is_not_http_is_refused_with_the_reason() {
        for base in ["ftp://h", "unix:/x", "data:x", "ws://h"] {
            let error = Address::of(&crate::client::http().unwrap(), &base.parse().unwrap()).unwrap_err();
            assert!(error.never_sent() && error.to_string().contains("http://"), "{error}");
        }
    }
}
