//! What is known of copies of backends' files: which are to be made, which are there, and where. The queue writes that one is
//! wanted with the end of the job that made the file; `archive` makes it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use comfyui::api::FileRef;
use serde_json::Value;

use super::columns::Columns;
use super::error::{Outcomes, damaged};
use super::row::time;
use super::{Postgres, Sqlite};
use crate::clock::UnixMillis;
use crate::id::{BackendId, BadBackendId};
use crate::job::{Change, owner_of};
use crate::limits;

/// Of which files copies are wanted when jobs end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    All,
    /// Nobody copies now: of what was copied before it is written that it may be another file.
    Known,
    None,
}

/// Files that an ended job has made, as clients name them.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    pub files: Vec<FileRef>,
    /// Files of an earlier job that the backend has found to be its result: good copies stay good.
    pub found: Vec<FileRef>,
    pub at: UnixMillis,
    pub wanted: Wanted,
}

/// A file of which there is no good copy.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedCopy {
    /// As clients name it.
    pub file: FileRef,
    pub backend: BackendId,
    /// Which of the files of this name, one after the other.
    pub wants: u64,
    pub wanted_at: UnixMillis,
    /// Of the file that had this name before, which may be the same.
    pub earlier: Option<FileCopy>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FileCopy {
    /// Its name among the contents.
    pub content: String,
    /// Hexadecimal.
    pub sha256: String,
    pub size_bytes: u64,
    /// As the backend called it.
    pub etag: Option<String>,
    pub copied_at: UnixMillis,
}

/// All together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeldCopies {
    pub files: u64,
    pub bytes: u64,
}

/// Those that are still to be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaitingCopies {
    pub files: u64,
    /// Since when the first of them has been wanted.
    pub since: Option<UnixMillis>,
}

#[async_trait]
pub trait Copies: Send + Sync {
    /// Some that are to be tried by now, those that are due longest first.
    async fn wanted_copies(&self, now: UnixMillis) -> Outcomes<Vec<WantedCopy>>;

    /// False where the file was made anew meanwhile: then this is a copy of nothing.
    async fn keep_copy(&self, wanted: &WantedCopy, copy: &FileCopy) -> Outcomes<bool>;

    async fn postpone_copy(&self, wanted: &WantedCopy, due_at: UnixMillis) -> Outcomes<()>;

    /// Of all files of a backend.
    async fn postpone_copies(&self, backend: &BackendId, due_at: UnixMillis) -> Outcomes<()>;

    /// There will be none, and there is none any more. False where the file was made anew meanwhile.
    async fn give_up_copy(&self, wanted: &WantedCopy) -> Outcomes<bool>;

    /// Its content is no longer there.
    async fn want_copy_again(&self, file: &FileRef, copy: &FileCopy, now: UnixMillis) -> Outcomes<()>;

    /// By the name that clients have for it. None while another is wanted.
    async fn copy_of(&self, file: &FileRef) -> Outcomes<Option<FileCopy>>;

    /// A few that were made first.
    async fn oldest_copies(&self) -> Outcomes<Vec<(FileRef, FileCopy)>>;

    /// False where another was wanted meanwhile: then it stays.
    async fn forget_copy(&self, file: &FileRef, copy: &FileCopy) -> Outcomes<bool>;

    async fn held_copies(&self) -> Outcomes<HeldCopies>;

    async fn waiting_copies(&self) -> Outcomes<WaitingCopies>;
}

impl Made {
    /// `None` where nothing is to be written, or it is no end, or one of a job that has made nothing that stays.
    pub(super) fn by(change: &Change, wanted: Wanted) -> Option<Self> {
        let Change::End { at, results, .. } = change else { return None };
        if wanted == Wanted::None {
            return None;
        }
        let cached = cached_nodes(&results.status);
        let (mut files, mut found) = (BTreeMap::new(), BTreeMap::new());
        for (node, output) in results.outputs.iter().take(limits::COPIES_OF_A_JOB) {
            let of_node = comfyui::api::files_of(output).filter(stays).take(limits::COPIES_OF_A_JOB);
            let of_node = of_node.map(|file| ((file.subfolder.clone(), file.filename.clone()), file));
            if cached.contains(&node.as_str()) { found.extend(of_node) } else { files.extend(of_node) }
        }
        let is_empty = files.is_empty() && found.is_empty();
        let (files, found) = (files.into_values().collect(), found.into_values().collect());
        (!is_empty).then_some(Self { files, found, at: *at, wanted })
    }
}

/// The nodes that did not run, since their results were there.
fn cached_nodes(status: &Value) -> Vec<&str> {
    let messages = status.get("messages").and_then(Value::as_array).into_iter().flatten();
    let cached =
        messages.filter(|message| message.get(0).and_then(Value::as_str) == Some("execution_cached"));
    let nodes = cached.filter_map(|message| message.get(1)?.get("nodes")?.as_array()).flatten();
    nodes.filter_map(Value::as_str).collect()
}

/// Only of names that `/view` takes as they are; a database's index has a bound as well.
fn stays(file: &FileRef) -> bool {
    let is_part = |part: &str| {
        let is_way =
            matches!(part, "" | "." | "..") || part.contains('\\') || part.chars().any(char::is_control);
        !is_way && part.len() <= limits::FILE_NAME_BYTES
    };
    let bytes = file.subfolder.len() + file.filename.len();
    file.kind == OUTPUT
        && !file.filename.contains('/')
        && is_part(&file.filename)
        && file.subfolder.split('/').all(is_part)
        && bytes <= limits::UPLOAD_PATH_BYTES
        && owner_of(file).is_some()
}

/// The folder of ComfyUI whose files are copied.
pub const OUTPUT: &str = "output";

const WANTED: &str =
    "SELECT * FROM copy WHERE due_at IS NOT NULL AND due_at <= $1 ORDER BY due_at, subfolder, name LIMIT $2";
const KEEP: &str = "UPDATE copy SET content = $1, sha256 = $2, size_bytes = $3, etag = $4, copied_at = $5, due_at = NULL \
     WHERE subfolder = $6 AND name = $7 AND wants = $8 AND due_at IS NOT NULL RETURNING wants";
const POSTPONE: &str =
    "UPDATE copy SET due_at = $1 WHERE subfolder = $2 AND name = $3 AND wants = $4 AND due_at IS NOT NULL";
const POSTPONE_ALL: &str =
    "UPDATE copy SET due_at = $1 WHERE backend = $2 AND due_at IS NOT NULL AND due_at < $1";
const WANT_AGAIN: &str = "UPDATE copy SET wants = wants + 1, wanted_at = $1, due_at = $1 \
     WHERE subfolder = $2 AND name = $3 AND content = $4 AND due_at IS NULL";
const GIVE_UP: &str = "DELETE FROM copy WHERE subfolder = $1 AND name = $2 AND wants = $3 AND due_at IS NOT NULL RETURNING name";
const COPY: &str =
    "SELECT * FROM copy WHERE subfolder = $1 AND name = $2 AND content IS NOT NULL AND due_at IS NULL";
const OLDEST: &str =
    "SELECT * FROM copy WHERE content IS NOT NULL AND due_at IS NULL ORDER BY copied_at LIMIT $1";
const FORGET: &str =
    "DELETE FROM copy WHERE subfolder = $1 AND name = $2 AND content = $3 AND due_at IS NULL RETURNING name";
const HELD: &str = "SELECT count(*) AS files, CAST(coalesce(sum(size_bytes), 0) AS bigint) AS bytes \
     FROM copy WHERE content IS NOT NULL";
const WAITING: &str = "SELECT count(*) AS files, min(wanted_at) AS since FROM copy WHERE due_at IS NOT NULL";

/// The statements are the same in both databases, and only the types of what carries them differ: `read` and `write` of the
/// store give rows.
macro_rules! copies_in {
    ($store:ty) => {
        #[async_trait]
        impl Copies for $store {
            async fn wanted_copies(&self, now: UnixMillis) -> Outcomes<Vec<WantedCopy>> {
                let query = sqlx::query(WANTED).bind(now.0.cast_signed()).bind(limits::COPIES_A_LOOK);
                self.read("look for files to copy", query).await?.iter().map(wanted_of).collect()
            }

            async fn keep_copy(&self, wanted: &WantedCopy, copy: &FileCopy) -> Outcomes<bool> {
                let query = sqlx::query(KEEP)
                    .bind(&copy.content)
                    .bind(&copy.sha256)
                    .bind(copy.size_bytes.cast_signed())
                    .bind(copy.etag.as_deref())
                    .bind(copy.copied_at.0.cast_signed())
                    .bind(&wanted.file.subfolder)
                    .bind(&wanted.file.filename)
                    .bind(wanted.wants.cast_signed());
                Ok(!self.write("keep a copy", query).await?.is_empty())
            }

            async fn postpone_copy(&self, wanted: &WantedCopy, due_at: UnixMillis) -> Outcomes<()> {
                let query = sqlx::query(POSTPONE)
                    .bind(due_at.0.cast_signed())
                    .bind(&wanted.file.subfolder)
                    .bind(&wanted.file.filename)
                    .bind(wanted.wants.cast_signed());
                self.write("postpone a copy", query).await.map(drop)
            }

            async fn postpone_copies(&self, backend: &BackendId, due_at: UnixMillis) -> Outcomes<()> {
                let query = sqlx::query(POSTPONE_ALL).bind(due_at.0.cast_signed()).bind(backend.as_str());
                self.write("postpone copies", query).await.map(drop)
            }

            async fn give_up_copy(&self, wanted: &WantedCopy) -> Outcomes<bool> {
                let query = sqlx::query(GIVE_UP)
                    .bind(&wanted.file.subfolder)
                    .bind(&wanted.file.filename)
                    .bind(wanted.wants.cast_signed());
                Ok(!self.write("give a copy up", query).await?.is_empty())
            }

            async fn want_copy_again(
                &self,
                file: &FileRef,
                copy: &FileCopy,
                now: UnixMillis,
            ) -> Outcomes<()> {
                let query = sqlx::query(WANT_AGAIN).bind(now.0.cast_signed());
                let query = query.bind(&file.subfolder).bind(&file.filename).bind(&copy.content);
                self.write("want a copy again", query).await.map(drop)
            }

            async fn copy_of(&self, file: &FileRef) -> Outcomes<Option<FileCopy>> {
                let query = sqlx::query(COPY).bind(&file.subfolder).bind(&file.filename);
                let rows = self.read("look for a copy", query).await?;
                Ok(rows.first().map(copy_of).transpose()?.flatten())
            }

            async fn oldest_copies(&self) -> Outcomes<Vec<(FileRef, FileCopy)>> {
                let query = sqlx::query(OLDEST).bind(limits::COPIES_A_LOOK);
                self.read("look for old copies", query).await?.iter().map(kept_of).collect()
            }

            async fn forget_copy(&self, file: &FileRef, copy: &FileCopy) -> Outcomes<bool> {
                let query =
                    sqlx::query(FORGET).bind(&file.subfolder).bind(&file.filename).bind(&copy.content);
                Ok(!self.write("forget a copy", query).await?.is_empty())
            }

            async fn held_copies(&self) -> Outcomes<HeldCopies> {
                let rows = self.read("count copies", sqlx::query(HELD)).await?;
                rows.first().map_or(Ok(HeldCopies::default()), held_of)
            }

            async fn waiting_copies(&self) -> Outcomes<WaitingCopies> {
                let rows = self.read("count copies to be made", sqlx::query(WAITING)).await?;
                rows.first().map_or(Ok(WaitingCopies::default()), waiting_of)
            }
        }
    };
}

copies_in!(Sqlite);
copies_in!(Postgres);

fn wanted_of(row: &impl Columns) -> Outcomes<WantedCopy> {
    let backend = row.text("backend")?;
    Ok(WantedCopy {
        file: file_of(row)?,
        backend: backend.parse().map_err(|e: BadBackendId| damaged("a backend's name")(e.to_string()))?,
        wants: row.count("wants")?,
        wanted_at: UnixMillis(row.count("wanted_at")?),
        earlier: copy_of(row)?,
    })
}

fn kept_of(row: &impl Columns) -> Outcomes<(FileRef, FileCopy)> {
    let copy = copy_of(row)?.ok_or_else(|| damaged("a copy")("it has no content".to_owned()))?;
    Ok((file_of(row)?, copy))
}

fn copy_of(row: &impl Columns) -> Outcomes<Option<FileCopy>> {
    let Some(content) = row.text_if_any("content")? else { return Ok(None) };
    Ok(Some(FileCopy {
        content,
        sha256: row.text("sha256")?,
        size_bytes: row.count("size_bytes")?,
        etag: row.text_if_any("etag")?,
        copied_at: time(row, "copied_at")?.unwrap_or_default(),
    }))
}

fn held_of(row: &impl Columns) -> Outcomes<HeldCopies> {
    Ok(HeldCopies { files: row.count("files")?, bytes: row.count("bytes")? })
}

fn waiting_of(row: &impl Columns) -> Outcomes<WaitingCopies> {
    Ok(WaitingCopies { files: row.count("files")?, since: time(row, "since")? })
}

fn file_of(row: &impl Columns) -> Outcomes<FileRef> {
    Ok(FileRef { filename: row.text("name")?, subfolder: row.text("subfolder")?, kind: OUTPUT.to_owned() })
}
