//! What changes in the fleet and the queue, written into a journal for dashboards: states and counts, no prompts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::super::App;
use super::backends::{Drain, drain, jobs_by_backend, state};
use crate::address::without_password;
use crate::clock::UnixMillis;
use crate::fleet::{Backend, Fleet};
use crate::id::{BackendId, Tag};
use crate::queue::{JobChanged, Ledger};

/// A backend as a dashboard's row; two that are equal are not told twice.
#[derive(Clone, PartialEq, Serialize)]
struct Row {
    id: BackendId,
    url: String,
    agent_url: String,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    tags: BTreeSet<Tag>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<UnixMillis>,
    /// Why it is down, or why what it offers cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    agent_state: &'static str,
    takes_jobs: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    drain: Option<Drain>,
    jobs: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    backlog: Option<u64>,
}

type Rows = BTreeMap<BackendId, Row>;

/// What was told last.
#[derive(PartialEq)]
struct Sight {
    rows: Rows,
    counts: Counts,
}

#[derive(Clone, Copy, PartialEq, Serialize)]
struct Counts {
    waiting: usize,
    dispatched: usize,
}

/// Everything at once, for whoever begins anew.
pub(super) fn whole(app: &App) -> Value {
    let (fleet, ledger) = (app.fleet(), app.queue.snapshot());
    json!({ "backends": rows(&fleet, &ledger), "counts": counts(&ledger) })
}

/// Writes until told to stop.
pub(crate) async fn write(app: Arc<App>, stop: CancellationToken) {
    let (mut fleet, mut ledger, mut changes) = (app.fleet.clone(), app.queue.ledger(), app.queue.changes());
    let mut told = see(&fleet.borrow_and_update(), &ledger.borrow_and_update());
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            change = changes.recv() => match change {
                Ok(change) => app.journal.write("job", job(&change, app.clock.now())),
                Err(RecvError::Lagged(_)) => app.journal.tear(),
                Err(RecvError::Closed) => return,
            },
            changed = fleet.changed() => if changed.is_err() { return },
            changed = ledger.changed() => if changed.is_err() { return },
        }
        let now = see(&fleet.borrow_and_update(), &ledger.borrow_and_update());
        for (kind, text) in news(&told, &now) {
            app.journal.write(kind, text);
        }
        told = now;
    }
}

fn see(fleet: &Fleet, ledger: &Ledger) -> Sight {
    let rows = rows(fleet, ledger).into_iter().map(|row| (row.id.clone(), row)).collect();
    Sight { rows, counts: counts(ledger) }
}

/// From one sight to the next.
fn news(before: &Sight, now: &Sight) -> Vec<(&'static str, String)> {
    let gone = before.rows.keys().filter(|id| !now.rows.contains_key(*id));
    let gone = gone.map(|id| ("backend_removed", json!({ "id": id }).to_string()));
    let changed = now.rows.iter().filter(|(id, row)| before.rows.get(*id) != Some(*row));
    let changed = changed.map(|(_, row)| ("backend", json!(row).to_string()));
    let counts = (before.counts != now.counts).then(|| ("counts", json!(now.counts).to_string()));
    gone.chain(changed).chain(counts).collect()
}

fn rows(fleet: &Fleet, ledger: &Ledger) -> Vec<Row> {
    let jobs = jobs_by_backend(ledger);
    let of = |backend: &BackendId| jobs.get(backend).copied().unwrap_or_default();
    fleet.backends.iter().map(|backend| row(backend, of(&backend.id))).collect()
}

fn row(backend: &Backend, jobs: usize) -> Row {
    let (state, since) = state(&backend.health);
    Row {
        id: backend.id.clone(),
        url: without_password(&backend.url).into(),
        agent_url: without_password(&backend.agent_url).into(),
        tags: backend.tags.clone(),
        state,
        since,
        reason: backend.health.reason.clone().or_else(|| backend.catalog_problem.clone()),
        agent_state: self::state(&backend.agent_health).0,
        takes_jobs: backend.takes_jobs(),
        drain: drain(backend, jobs),
        jobs,
        backlog: backend.backlog.as_ref().map(|read| read.value.total),
    }
}

fn counts(ledger: &Ledger) -> Counts {
    let waiting = ledger.waiting_len();
    Counts { waiting, dispatched: ledger.len() - waiting }
}

fn job(change: &JobChanged, at: UnixMillis) -> String {
    let mut told = json!({ "id": change.job, "state": change.state, "at": at });
    if let (Some((backend, attempt)), Some(fields)) = (&change.attempt, told.as_object_mut()) {
        fields.insert("backend".to_owned(), json!(backend));
        fields.insert("attempt".to_owned(), json!(attempt));
    }
    told.to_string()
}
