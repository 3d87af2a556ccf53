//! One row of either database, read by its columns' names. What cannot be read is named, never guessed.

use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::error::{Outcomes, damaged};
use crate::id::JobId;

pub(super) trait Columns {
    fn text(&self, column: &'static str) -> Outcomes<String>;
    fn text_if_any(&self, column: &'static str) -> Outcomes<Option<String>>;
    fn integer(&self, column: &'static str) -> Outcomes<i64>;
    fn integer_if_any(&self, column: &'static str) -> Outcomes<Option<i64>>;
    fn real(&self, column: &'static str) -> Outcomes<f64>;
    fn flag(&self, column: &'static str) -> Outcomes<bool>;
    fn bytes(&self, column: &'static str) -> Outcomes<Vec<u8>>;
    /// A job's: text in SQLite, a UUID in PostgreSQL.
    fn job(&self, column: &'static str) -> Outcomes<JobId>;

    fn count(&self, column: &'static str) -> Outcomes<u64> {
        u64::try_from(self.integer(column)?).map_err(|e| damaged(column)(e.to_string()))
    }
}

macro_rules! reads {
    ($($method:ident: $type:ty),+) => {
        $(fn $method(&self, column: &'static str) -> Outcomes<$type> {
            self.try_get(column).map_err(|e| damaged(column)(e.to_string()))
        })+
    };
    ($row:ty, $job:item) => {
        impl Columns for $row {
            reads!(text: String, text_if_any: Option<String>, integer: i64, integer_if_any: Option<i64>);
            reads!(real: f64, flag: bool, bytes: Vec<u8>);
            $job
        }
    };
}

reads!(
    SqliteRow,
    fn job(&self, column: &'static str) -> Outcomes<JobId> {
        let text = self.text(column)?;
        JobId::canonical(&text).ok_or_else(|| damaged("a job's id")(text))
    }
);

reads!(
    PgRow,
    fn job(&self, column: &'static str) -> Outcomes<JobId> {
        let id: Uuid = self.try_get(column).map_err(|e| damaged(column)(e.to_string()))?;
        Ok(id.into())
    }
);
