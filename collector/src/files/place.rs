//! Where contents lie: in a directory, or in a bucket of a store that speaks S3. A content is there as a whole or not at all,
//! also after a power cut. Knows nothing of what the contents are for.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpService,
};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, GetOptions, ObjectStore, ObjectStoreExt, RetryConfig, WriteMultipart};
use tokio::time::timeout;
use uuid::Uuid;

use crate::config::{Bucket, FilesPlace};
use crate::limits;

pub use object_store::Error as ContentError;

/// Contents by their keys, `folder/name`.
#[derive(Clone)]
pub struct Place {
    contents: Arc<dyn ObjectStore>,
    /// Where it is one.
    directory: Option<PathBuf>,
    shown: String,
    advice: &'static str,
}

pub struct Content {
    pub size_bytes: u64,
    /// How long it has been there.
    pub age: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    #[error("cannot keep files in {place}: {source}; {advice}")]
    Unfit { place: String, source: Box<ContentError>, advice: &'static str },
    #[error("cannot keep files in {place}: {source}; {OF_DIRECTORY}")]
    Directory { place: String, source: std::io::Error },
    #[error("cannot keep files in {place}: {source}")]
    Client { place: String, source: comfyui::Error },
}

const OF_DIRECTORY: &str =
    "see that it is mounted and that this user may write there, or name another with --files-directory";
const OF_BUCKET: &str = "the key to it is given in $AWS_ACCESS_KEY_ID and $AWS_SECRET_ACCESS_KEY, its region in $AWS_REGION, \
                         the address of a store that is not Amazon's in $AWS_ENDPOINT_URL";

impl Place {
    /// Makes the directory where there is none yet.
    pub fn make(place: &FilesPlace) -> Result<Self, PlaceError> {
        if let FilesPlace::Directory(directory) = place {
            let failed = |source| PlaceError::Directory { place: directory.display().to_string(), source };
            std::fs::create_dir_all(directory).map_err(failed)?;
        }
        Self::of(place)
    }

    pub fn of(place: &FilesPlace) -> Result<Self, PlaceError> {
        match place {
            FilesPlace::Directory(directory) => {
                let shown = directory.display().to_string();
                let contents = LocalFileSystem::new_with_prefix(directory);
                let contents = contents.map_err(unfit(&shown, OF_DIRECTORY))?.with_fsync(true);
                let directory = Some(directory.clone());
                Ok(Self { contents: Arc::new(contents), directory, shown, advice: OF_DIRECTORY })
            }
            FilesPlace::Bucket(bucket) => Self::in_bucket(bucket),
        }
    }

    fn in_bucket(bucket: &Bucket) -> Result<Self, PlaceError> {
        let shown = bucket.to_string();
        let http = comfyui::client::http_noticing(limits::BUCKET_ANSWERS_WITHIN, None)
            .map_err(|source| PlaceError::Client { place: shown.clone(), source })?;
        let retry = RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: limits::BUCKET_RETRIES,
            retry_timeout: limits::BUCKET_WITHIN,
        };
        // The variables that Amazon's own programs read.
        let built = AmazonS3Builder::from_env()
            .with_bucket_name(&bucket.name)
            .with_retry(retry)
            .with_http_connector(Ours(http))
            .build();
        let contents = built.map_err(unfit(&shown, OF_BUCKET))?;
        let contents = Arc::new(PrefixStore::new(contents, bucket.prefix.as_str()));
        Ok(Self { contents, directory: None, shown, advice: OF_BUCKET })
    }

    /// Whether contents can be kept here, by one that is written and removed.
    pub async fn can_be_used(&self, folder: &str) -> Result<(), PlaceError> {
        let tried = key(folder, &Uuid::new_v4().to_string());
        let unfit = |source| unfit(&self.shown, self.advice)(source);
        self.contents.put(&tried, Bytes::new().into()).await.map_err(unfit)?;
        self.contents.delete(&tried).await.map_err(unfit)
    }

    pub async fn write(&self, folder: &str, name: &str, content: Bytes) -> Result<(), ContentError> {
        self.write_all(folder, name, stream::iter([Ok(content)])).await
    }

    /// Into another place, under the same key.
    pub async fn copy_to(&self, other: &Self, folder: &str, name: &str) -> Result<(), ContentError> {
        let content = self.contents.get(&key(folder, name)).await?;
        other.write_all(folder, name, content.into_stream()).await
    }

    /// Piece by piece, whatever its length. Where that fails nothing is there that was not before.
    pub async fn write_all<E: From<ContentError>>(
        &self,
        folder: &str,
        name: &str,
        mut pieces: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<(), E> {
        let (key, mut first, mut bytes) = (key(folder, name), Vec::new(), 0);
        while bytes < limits::CONTENT_PART_BYTES {
            let Some(piece) = pieces.try_next().await? else {
                return Ok(self.contents.put(&key, first.into_iter().collect()).await.map(drop)?);
            };
            bytes += piece.len();
            first.push(piece);
        }
        let upload = self.contents.put_multipart(&key).await?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, limits::CONTENT_PART_BYTES);
        first.into_iter().for_each(|piece| upload.put(piece));
        match write_rest(&mut upload, pieces).await {
            Ok(()) => Ok(upload.finish().await.map(drop)?),
            Err(error) => {
                // Parts that stay for all that only take room.
                let _ = upload.abort().await;
                Err(error)
            }
        }
    }

    pub async fn read(&self, folder: &str, name: &str) -> Result<Bytes, ContentError> {
        self.contents.get(&key(folder, name)).await?.bytes().await
    }

    /// A part of it, piece by piece.
    pub async fn stream(
        &self,
        folder: &str,
        name: &str,
        part: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, ContentError>>, ContentError> {
        // An empty one cannot be asked for.
        let range = (!part.is_empty()).then(|| part.into());
        let options = GetOptions { range, ..GetOptions::default() };
        Ok(self.contents.get_opts(&key(folder, name), options).await?.into_stream())
    }

    pub async fn size_bytes(&self, folder: &str, name: &str) -> Result<u64, ContentError> {
        Ok(self.contents.head(&key(folder, name)).await?.size)
    }

    pub async fn remove(&self, folder: &str, name: &str) -> Result<(), ContentError> {
        match self.contents.delete(&key(folder, name)).await {
            Err(ContentError::NotFound { .. }) => Ok(()),
            removed => removed,
        }
    }

    /// All contents of a folder, by name.
    pub async fn list(&self, folder: &str) -> Result<HashMap<String, Content>, PlaceError> {
        let listed = self.contents.list(Some(&Path::from(folder)));
        let content = |found: object_store::ObjectMeta| {
            let age = SystemTime::from(found.last_modified).elapsed().unwrap_or_default();
            let name = found.location.filename().unwrap_or_default().to_owned();
            (name, Content { size_bytes: found.size, age })
        };
        listed.map_ok(content).try_collect().await.map_err(unfit(&self.shown, self.advice))
    }

    /// What writes that were cut off have left in a directory. A bucket forgets it by a rule of its own.
    pub async fn remove_cut_off(&self, folder: &str, older_than: Duration) {
        let Some(directory) = &self.directory else { return };
        let Ok(mut entries) = tokio::fs::read_dir(directory.join(folder)).await else { return };
        while let Ok(Some(entry)) = entries.next_entry().await {
            let is_part = entry.file_name().to_string_lossy().contains('#');
            if is_part && is_older(&entry, older_than).await {
                let _ = tokio::fs::remove_file(entry.path()).await;
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

async fn is_older(entry: &tokio::fs::DirEntry, than: Duration) -> bool {
    let changed = entry.metadata().await.and_then(|metadata| metadata.modified());
    changed.is_ok_and(|changed| changed.elapsed().is_ok_and(|age| age >= than))
}

async fn write_rest<E: From<ContentError>>(
    upload: &mut WriteMultipart,
    mut pieces: impl Stream<Item = Result<Bytes, E>> + Unpin,
) -> Result<(), E> {
    while let Some(piece) = pieces.try_next().await? {
        upload.wait_for_capacity(limits::CONTENT_PARTS).await?;
        upload.put(piece);
    }
    Ok(())
}

fn unfit(place: &str, advice: &'static str) -> impl FnOnce(ContentError) -> PlaceError {
    move |source| PlaceError::Unfit { place: place.to_owned(), source: Box::new(source), advice }
}

fn key(folder: &str, name: &str) -> Path {
    Path::from_iter([folder, name])
}

/// Trusts the same certificates as everything else here, and waits for no answer for long.
#[derive(Clone, Debug)]
struct Ours(reqwest::Client);

impl HttpConnector for Ours {
    fn connect(&self, _: &ClientOptions) -> Result<HttpClient, ContentError> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Ours {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = timeout(limits::BUCKET_ANSWERS_WITHIN, self.0.call(request)).await;
        answer.unwrap_or_else(|late| Err(HttpError::new(HttpErrorKind::Timeout, late)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_content_is_written_listed_read_in_parts_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::make(&FilesPlace::Directory(directory.path().join("new"))).unwrap();
        place.can_be_used("x").await.unwrap();
        assert!(place.list("x").await.unwrap().is_empty());
        place.write("x", "a", "0123456789".into()).await.unwrap();
        place.write("x", "empty", Bytes::new()).await.unwrap();
        let listed = place.list("x").await.unwrap();
        assert_eq!((listed["a"].size_bytes, listed["empty"].size_bytes, listed.len()), (10, 0, 2));
        assert_eq!(place.read("x", "a").await.unwrap(), "0123456789");
        for (name, part, expected) in [("a", 0..10, "0123456789"), ("a", 3..5, "34"), ("empty", 0..0, "")] {
            let stream = place.stream("x", name, part.clone()).await.unwrap();
            let pieces: Vec<Bytes> = stream.try_collect().await.unwrap();
            assert_eq!(pieces.concat(), expected.as_bytes(), "{name} {part:?}");
        }
        // More than is written at once.
        let piece = Bytes::from(vec![7; limits::CONTENT_PART_BYTES - 1]);
        let pieces =
            stream::iter([Ok::<_, ContentError>(piece.clone()), Ok(piece.clone()), Ok("end".into())]);
        place.write_all("x", "large", pieces).await.unwrap();
        let large = place.read("x", "large").await.unwrap();
        assert!(
            large.len() == 2 * piece.len() + 3 && large.starts_with(&piece) && large.ends_with(b"\x07end")
        );
        let cut_off = stream::iter([
            Ok(large),
            Err(ContentError::NotImplemented { operation: String::new(), implementer: String::new() }),
        ]);
        assert!(place.write_all("x", "cut off", cut_off).await.is_err());
        assert!(!place.list("x").await.unwrap().contains_key("cut off"));
        std::fs::write(directory.path().join("new/x/a#1"), "cut o").unwrap();
        place.remove_cut_off("x", Duration::from_secs(60)).await;
        assert!(directory.path().join("new/x/a#1").exists());
        place.remove_cut_off("x", Duration::ZERO).await;
        assert!(!directory.path().join("new/x/a#1").exists());
        place.remove("x", "a").await.unwrap();
        place.remove("x", "a").await.unwrap();
        assert!(matches!(place.read("x", "a").await, Err(ContentError::NotFound { .. })));
    }

    #[test]
    fn where_no_file_can_be_kept_is_told_with_what_to_do() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Place::make(&FilesPlace::Directory(file.path().join("x"))).err().unwrap().to_string();
        assert!(
            error.contains(file.path().to_str().unwrap()) && error.contains("--files-directory"),
            "{error}"
        );
    }
}
