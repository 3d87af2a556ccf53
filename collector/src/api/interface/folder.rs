//! The interface's files in a folder of this machine. Nothing outside of it is served: neither by a path that climbs nor
//! through a symbolic link.

use std::fs::Metadata;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use mime_guess::mime;
use percent_encoding::percent_decode_str;
use tokio::fs::File;
use tokio_util::io::ReaderStream;

pub(super) struct Folder {
    /// Without symbolic links.
    root: PathBuf,
}

impl Folder {
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        Ok(Self { root: folder.canonicalize()? })
    }

    /// The file that an escaped path of a request names, or that the caller's copy is good; none if there is no such file.
    pub(super) async fn answer(&self, path: &str, asked: &HeaderMap) -> Option<Response> {
        let path = self.place_of(path).await?;
        let file = File::open(&path).await.ok()?;
        let metadata = file.metadata().await.ok().filter(Metadata::is_file)?;
        let tag = tag_of(&metadata)?;
        let mut told = HeaderMap::new();
        // As ComfyUI: the browser asks each time whether its copy is good, so a new version shows at once.
        told.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        told.insert(header::ETAG, HeaderValue::from_str(&tag).ok()?);
        told.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if is_known(asked, &tag) {
            return Some((StatusCode::NOT_MODIFIED, told).into_response());
        }
        told.insert(header::CONTENT_TYPE, type_of(&path));
        told.insert(header::CONTENT_LENGTH, metadata.len().into());
        Some((told, Body::from_stream(ReaderStream::new(file))).into_response())
    }

    async fn place_of(&self, path: &str) -> Option<PathBuf> {
        let below = below(path)?;
        let below = if below.as_os_str().is_empty() { PathBuf::from("index.html") } else { below };
        let place = tokio::fs::canonicalize(self.root.join(below)).await.ok()?;
        place.starts_with(&self.root).then_some(place)
    }
}

/// The path below the folder; none if it climbs or is no text.
fn below(path: &str) -> Option<PathBuf> {
    let path = percent_decode_str(path.trim_start_matches('/')).decode_utf8().ok()?;
    let path = PathBuf::from(path.as_ref());
    path.components().all(|part| matches!(part, Component::Normal(_))).then_some(path)
}

/// Another content has another length or was written at another time.
fn tag_of(metadata: &Metadata) -> Option<String> {
    let written = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("\"{:x}-{:x}\"", written.as_nanos(), metadata.len()))
}

fn is_known(asked: &HeaderMap, tag: &str) -> bool {
    let tags = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = tags.flat_map(|tags| tags.split(',')).map(|known| known.trim().trim_start_matches("W/"));
    tags.any(|known| known == tag || known == "*")
}

fn type_of(path: &Path) -> HeaderValue {
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    let charset = if kind.type_() == mime::TEXT { "; charset=utf-8" } else { "" };
    HeaderValue::from_str(&format!("{kind}{charset}"))
        .unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let around = tempfile::tempdir().unwrap();
        let root = around.path().join("static");
        std::fs::create_dir_all(root.join("assets")).unwrap();
        std::fs::write(around.path().join("secret"), "x").unwrap();
        for (name, content) in
            [("index.html", "<p>"), ("assets/index-5e.js", "1;"), ("assets/a b.woff2", "f")]
        {
            std::fs::write(root.join(name), content).unwrap();
        }
        symlink(around.path().join("secret"), root.join("assets/secret.js")).unwrap();
        symlink(root.join("index.html"), root.join("again.html")).unwrap();
        let folder = Folder::open(&root).unwrap();
        (around, folder)
    }

    async fn text(answer: Response) -> String {
        let body = axum::body::to_bytes(answer.into_body(), 1000).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn files_come_with_their_types_and_the_top_is_the_page() {
        let (_around, folder) = folder();
        for (path, kind, content) in [
            ("/", "text/html; charset=utf-8", "<p>"),
            ("/index.html", "text/html; charset=utf-8", "<p>"),
            ("/again.html", "text/html; charset=utf-8", "<p>"),
            ("/assets/index-5e.js", "text/javascript; charset=utf-8", "1;"),
            ("/assets/a%20b.woff2", "font/woff2", "f"),
        ] {
            let answer = folder.answer(path, &HeaderMap::new()).await.unwrap();
            assert_eq!(answer.headers()[header::CONTENT_TYPE], kind, "{path}");
            assert_eq!(answer.headers()[header::CONTENT_LENGTH], content.len().to_string(), "{path}");
            assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-cache");
            assert_eq!(text(answer).await, content, "{path}");
        }
    }

    #[tokio::test]
    async fn nothing_outside_of_the_folder_is_served() {
        let (_around, folder) = folder();
        for path in [
            "/../secret",
            "/%2e%2e/secret",
            "/assets/..%2f..%2fsecret",
            "/assets/../../secret",
            "/assets/secret.js",
            "/%2fetc/passwd",
            "//etc/passwd",
            "/assets/%00",
            "/assets/%ff",
            "/assets",
            "/assets/no.js",
        ] {
            assert!(folder.answer(path, &HeaderMap::new()).await.is_none(), "{path}");
        }
    }

    #[tokio::test]
    async fn a_copy_that_is_good_is_not_sent_again() {
        let (_around, folder) = folder();
        let first = folder.answer("/", &HeaderMap::new()).await.unwrap();
        let tag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
        for (known, status) in [
            (tag.clone(), StatusCode::NOT_MODIFIED),
            (format!("\"other\", W/{tag}"), StatusCode::NOT_MODIFIED),
            ("\"other\"".to_owned(), StatusCode::OK),
        ] {
            let asked = HeaderMap::from_iter([(header::IF_NONE_MATCH, known.parse().unwrap())]);
            let answer = folder.answer("/", &asked).await.unwrap();
            assert_eq!(answer.status(), status, "{known}");
            assert_eq!(answer.headers()[header::ETAG], tag, "{known}");
        }
    }
}
