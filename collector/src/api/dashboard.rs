//! `/orchestrator/`: the dashboard's files, which are part of the program. Nothing of them comes from elsewhere, and what
//! they may do is said with each: scripts and styles of their own, pictures and requests of this collector's.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use data_encoding::HEXLOWER;
use rust_embed::{EmbeddedFile, RustEmbed};

use super::{App, Refusal};

/// In debug builds they are read from the folder whenever they are asked for.
#[derive(RustEmbed)]
#[folder = "dashboard/"]
struct Assets;

/// No text becomes markup, even by mistake: the page holds what strangers wrote.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

const HEADERS: [(HeaderName, &str); 4] = [
    // The browser asks each time whether its copy is good, so that a new version shows at once.
    (header::CACHE_CONTROL, "no-cache"),
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/orchestrator", get(|| async { Redirect::permanent("/orchestrator/") }))
        .route("/orchestrator/", get(|headers: HeaderMap| async move { file("index.html", &headers) }))
        .route("/orchestrator/assets/{*file}", get(asset))
}

async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Result<Response, Refusal> {
    file(&path, &headers)
}

fn file(path: &str, asked: &HeaderMap) -> Result<Response, Refusal> {
    let missing = || Refusal::not_found(format!("the dashboard has no file {path}"));
    let file = Assets::get(path).ok_or_else(missing)?;
    let tag = tag(&file);
    let mut told: HeaderMap =
        HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value))).into_iter().collect();
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        told.insert(header::ETAG, tag);
    }
    if is_known(asked, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, told).into_response());
    }
    told.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind(path)));
    Ok((told, file.data).into_response())
}

fn tag(file: &EmbeddedFile) -> String {
    format!("\"{}\"", HEXLOWER.encode(&file.metadata.sha256_hash()))
}

fn is_known(asked: &HeaderMap, tag: &str) -> bool {
    let tags = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    tags.flat_map(|tags| tags.split(',')).any(|known| known.trim().trim_start_matches("W/") == tag)
}

fn kind(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    /// What a phone has to load before it shows anything.
    const BYTES: usize = 150_000;

    #[test]
    fn all_files_together_are_small_and_of_known_kinds() {
        let files: Vec<_> = Assets::iter().collect();
        let bytes: usize = files.iter().map(|path| Assets::get(path).unwrap().data.len()).sum();
        assert!(bytes < BYTES, "{bytes} bytes");
        for path in &files {
            assert_ne!(kind(path), "application/octet-stream", "{path}");
        }
    }

    #[tokio::test]
    async fn a_copy_that_is_good_is_not_sent_again_and_another_is() {
        let first = file("index.html", &HeaderMap::new()).unwrap();
        let tag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
        assert!(to_bytes(first.into_body(), 1 << 20).await.unwrap().starts_with(b"<!doctype html>"));
        for (known, status) in [
            (tag.clone(), StatusCode::NOT_MODIFIED),
            (format!("\"other\", W/{tag}"), StatusCode::NOT_MODIFIED),
            ("\"other\"".to_owned(), StatusCode::OK),
        ] {
            let asked = HeaderMap::from_iter([(header::IF_NONE_MATCH, known.parse().unwrap())]);
            let answer = file("index.html", &asked).unwrap();
            assert_eq!((answer.status(), &answer.headers()[header::ETAG]), (status, &tag.parse().unwrap()));
        }
    }

    #[test]
    fn nothing_comes_from_elsewhere_and_no_markup_is_made_of_text() {
        for path in Assets::iter() {
            let data = Assets::get(&path).unwrap().data;
            let text = std::str::from_utf8(&data).unwrap();
            for forbidden in
                ["http://", "https://", "innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", " style="]
            {
                let allowed = ["http://www.w3.org/2000/svg", "http://gpu-", "http://gpu-1:8188"];
                let text = allowed.iter().fold(text.to_owned(), |text, known| text.replace(known, ""));
                assert!(!text.contains(forbidden), "{path} has {forbidden}");
            }
        }
    }

    #[test]
    fn a_path_that_is_no_file_of_it_is_refused() {
        for path in ["../Cargo.toml", "/etc/passwd", "", ".", "app", "app/../../Cargo.toml"] {
            assert_eq!(file(path, &HeaderMap::new()).unwrap_err().status, StatusCode::NOT_FOUND, "{path}");
        }
    }
}
