//! Rows, from one database into another: all, or none.

use futures_util::TryStreamExt;

use super::super::error::Outcomes;
use super::Copied;
use super::side::Side;
use super::table::{TABLES, Table, Value};

/// Rows of one statement, and about how many bytes.
const ROWS: usize = 256;
const BYTES: usize = 8 * 1024 * 1024;

/// `target` has the tables, and nothing in them but settings.
pub(super) async fn copy(source: &mut Side, target: &mut Side) -> Outcomes<Copied> {
    source.begin_to_read().await?;
    target.execute("BEGIN").await?;
    target.execute("DELETE FROM setting").await?;
    let mut rows = Vec::new();
    for table in &TABLES {
        rows.push((table.name, copy_table(source, target, table).await?));
    }
    target
        .execute(
            "UPDATE held SET (jobs, bytes) = (SELECT count(*), coalesce(sum(bytes), 0) FROM job WHERE state = 'ended')",
        )
        .await?;
    if matches!(target, Side::Postgres(_)) {
        // What counts on its own goes on from there.
        target.execute("SELECT setval('arrival', max(arrival)) FROM job HAVING max(arrival) > 0").await?;
        target
            .execute(
                "SELECT setval(pg_get_serial_sequence('webhook', 'sequence'), max(sequence)) FROM webhook \
                 HAVING max(sequence) > 0",
            )
            .await?;
    }
    target.execute("COMMIT").await?;
    Ok(Copied { rows })
}

/// How many rows.
async fn copy_table(source: &mut Side, target: &mut Side, table: &Table) -> Outcomes<u64> {
    let (mut rows, mut count) = (source.rows(table), 0);
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.try_next().await? {
        bytes += row.iter().map(Value::bytes).sum::<usize>();
        chunk.push(row);
        count += 1;
        if chunk.len() >= ROWS || bytes >= BYTES {
            target.insert(table, std::mem::take(&mut chunk)).await?;
            bytes = 0;
        }
    }
    target.insert(table, chunk).await?;
    Ok(count)
}
