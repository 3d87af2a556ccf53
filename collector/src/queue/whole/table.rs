//! The tables, and their columns that are not computed from others: both databases have the same.

use self::Kind::{Bytes, Flag, Integer, Job, Real, Text};
use super::super::columns::Columns;
use super::super::error::Outcomes;
use crate::id::JobId;

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    Integer,
    Real,
    Flag,
    Bytes,
    /// A job's id.
    Job,
}

pub(super) enum Value {
    Text(Option<String>),
    Integer(Option<i64>),
    Real(f64),
    Flag(bool),
    Bytes(Vec<u8>),
    Job(JobId),
}

pub(super) struct Table {
    pub name: &'static str,
    pub columns: &'static [(&'static str, Kind)],
}

/// A table comes after those that it refers to.
pub(super) const TABLES: [Table; 8] = [
    Table {
        name: "job",
        columns: &[
            ("id", Job),
            ("arrival", Integer),
            ("number", Real),
            ("number_given", Flag),
            ("client_id", Text),
            ("peer", Text),
            ("owner", Text),
            ("needs", Text),
            ("wishes", Text),
            ("fingerprint", Bytes),
            ("submitted_at", Integer),
            ("state", Text),
            ("attempts", Integer),
            ("spent_attempts", Integer),
            ("outcome", Text),
            ("ended_at", Integer),
            ("workflow_id", Text),
            ("last_backend", Text),
            ("bytes", Integer),
            ("execution_start", Integer),
            ("execution_end", Integer),
            ("outputs_count", Integer),
            ("previewable_outputs_count", Integer),
            ("preview", Text),
        ],
    },
    Table {
        name: "document",
        columns: &[
            ("job_id", Job),
            ("prompt", Text),
            ("extra_data", Text),
            ("partial_execution_targets", Text),
            ("outputs_to_execute", Text),
        ],
    },
    Table {
        name: "attempt",
        columns: &[
            ("job_id", Job),
            ("number", Integer),
            ("backend", Text),
            ("prompt_id", Text),
            ("dispatched_at", Integer),
            ("ended_at", Integer),
            ("ending", Text),
            ("why", Text),
            ("started_at", Integer),
            ("first_step_at", Integer),
        ],
    },
    Table {
        name: "result",
        columns: &[("job_id", Job), ("outputs", Text), ("status", Text), ("meta", Text)],
    },
    Table {
        name: "upload",
        columns: &[
            ("kind", Text),
            ("subfolder", Text),
            ("name", Text),
            ("sha256", Bytes),
            ("size_bytes", Integer),
        ],
    },
    Table {
        name: "copy",
        columns: &[
            ("subfolder", Text),
            ("name", Text),
            ("backend", Text),
            ("wants", Integer),
            ("wanted_at", Integer),
            ("due_at", Integer),
            ("content", Text),
            ("sha256", Text),
            ("size_bytes", Integer),
            ("etag", Text),
            ("copied_at", Integer),
        ],
    },
    Table {
        name: "webhook",
        columns: &[
            ("sequence", Integer),
            ("job_id", Job),
            ("url", Text),
            ("body", Text),
            ("state", Text),
            ("attempts", Integer),
            ("created_at", Integer),
            ("due_at", Integer),
            ("tried_at", Integer),
            ("error", Text),
        ],
    },
    Table { name: "setting", columns: &[("key", Text), ("value", Text)] },
];

impl Table {
    /// As a list for a statement.
    pub(super) fn names(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn read(&self, row: &impl Columns) -> Outcomes<Vec<Value>> {
        self.columns.iter().map(|(name, kind)| kind.read(row, name)).collect()
    }
}

impl Kind {
    fn read(self, row: &impl Columns, column: &'static str) -> Outcomes<Value> {
        Ok(match self {
            Text => Value::Text(row.text_if_any(column)?),
            Integer => Value::Integer(row.integer_if_any(column)?),
            Real => Value::Real(row.real(column)?),
            Flag => Value::Flag(row.flag(column)?),
            Bytes => Value::Bytes(row.bytes(column)?),
            Job => Value::Job(row.job(column)?),
        })
    }
}

impl Value {
    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.as_ref().map_or(0, String::len),
            Self::Bytes(bytes) => bytes.len(),
            Self::Integer(_) | Self::Real(_) | Self::Flag(_) | Self::Job(_) => 16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Sqlite;
    use super::*;

    #[tokio::test]
    async fn every_column_that_is_not_computed_is_carried_over() {
        let directory = tempfile::tempdir().unwrap();
        drop(Sqlite::open(directory.path()).await.unwrap());
        let mut db = Sqlite::look(directory.path()).await.unwrap();
        let columns = "SELECT m.name || '.' || c.name FROM sqlite_schema AS m, pragma_table_info(m.name) AS c \
                       WHERE m.type = 'table' AND m.name NOT IN ('_sqlx_migrations', 'sqlite_sequence', 'held') ORDER BY 1";
        let there: Vec<String> = sqlx::query_scalar(columns).fetch_all(&mut db).await.unwrap();
        let named =
            |table: &Table| table.columns.iter().map(|(name, _)| format!("{}.{name}", table.name)).collect();
        let mut carried: Vec<String> =
            TABLES.iter().flat_map(|table| -> Vec<String> { named(table) }).collect();
        carried.sort();
        assert_eq!(carried, there);
    }
}
