//! Statements that both databases understand.

use super::store::{EndedJob, Page};
use crate::limits;

/// What is a job's own comes as one text: to hand over each value by itself took most of a start. Attempts are looked for by the
/// jobs that have one under way: to look up each job of a long queue among the attempts of a long history took as long again.
/// The databases have other names for what makes an array.
macro_rules! live {
    ($array:literal) => {
        concat!(
            "SELECT number, needs, wishes, CAST(",
            $array,
            "(id, arrival, CAST(number_given AS INTEGER), client_id, peer, owner, submitted_at, state, attempts, spent_attempts, \
             backend, prompt_id, dispatched_at) AS TEXT) AS particulars FROM job LEFT JOIN ( \
                 SELECT job_id, backend, prompt_id, dispatched_at FROM job JOIN attempt ON job_id = id AND attempt.number = attempts \
                 WHERE standing = 'dispatched' \
             ) AS running ON job_id = id WHERE state <> 'ended' ORDER BY arrival"
        )
    };
}

pub(super) const LIVE_IN_SQLITE: &str = live!("json_array");
pub(super) const LIVE_IN_POSTGRES: &str = live!("json_build_array");
/// Every end and every forgetting counts itself.
pub(super) const HELD: &str = "SELECT jobs, bytes FROM held";
pub(super) const SUBMITTED: &str = "SELECT fingerprint, number, number_given, arrival FROM job WHERE id = $1";
pub(super) const DOCUMENTS: &str = "SELECT * FROM document WHERE job_id = $1";
pub(super) const ENDED: &str = "SELECT * FROM job JOIN document ON document.job_id = job.id JOIN result ON result.job_id = job.id \
     WHERE job.id = $1 AND state = 'ended'";
pub(super) const ATTEMPTS: &str = "SELECT * FROM attempt WHERE job_id = $1 ORDER BY number";
pub(super) const UPLOADS: &str = "SELECT * FROM upload ORDER BY kind, subfolder, name";
pub(super) const MAKE_SETTING: &str =
    "INSERT INTO setting (key, value) VALUES ($1, $2) ON CONFLICT DO NOTHING";
pub(super) const SETTING: &str = "SELECT value FROM setting WHERE key = $1";
pub(super) const KEEP_SETTING: &str = "INSERT INTO setting (key, value) VALUES ($1, $2) \
                                       ON CONFLICT (key) DO UPDATE SET value = excluded.value";
pub(super) const KEEP_UPLOAD: &str = "INSERT INTO upload (kind, subfolder, name, sha256, size_bytes) VALUES ($1, $2, $3, $4, $5) \
     ON CONFLICT (kind, subfolder, name) DO UPDATE SET sha256 = excluded.sha256, size_bytes = excluded.size_bytes";

/// Of jobs that ended with a backend since: whose they were, and from when to when they had it.
pub(super) const USES: &str = "SELECT owner, attempt.dispatched_at, job.ended_at FROM job \
     JOIN attempt ON attempt.job_id = job.id AND attempt.number = job.attempts \
     WHERE state = 'ended' AND job.ended_at > $1 AND owner IS NOT NULL AND attempt.ending = outcome";
pub(super) const WAITING_NOTICES: &str =
    "SELECT * FROM webhook WHERE state = 'waiting' AND sequence > $1 ORDER BY sequence LIMIT $2";
pub(super) const NOTICE_BODY: &str = "SELECT body FROM webhook WHERE sequence = $1 AND state = 'waiting'";
pub(super) const DELIVERY: &str = "SELECT * FROM webhook WHERE job_id = $1";
pub(super) const NOTE_TRIED: &str = "UPDATE webhook SET state = $1, due_at = $2, error = $3, tried_at = $4, \
     attempts = attempts + 1, body = CASE WHEN $1 = 'waiting' THEN body END WHERE sequence = $5 AND state = 'waiting'";
/// One that need not be sent any more of a job that was forgotten meanwhile.
pub(super) const DROP_NOTICE: &str = "DELETE FROM webhook WHERE sequence = $1 AND NOT EXISTS (SELECT 1 FROM job WHERE job.id = webhook.job_id)";

/// Of a page of history: `$1` limits, `$2` is the offset.
pub(super) struct HistoryPage {
    pub sql: &'static str,
    pub limit: i64,
    pub offset: i64,
    newest_first: bool,
}

impl HistoryPage {
    /// Without an offset the newest are meant, and still shown oldest first.
    pub(super) fn of(page: Page) -> Self {
        let limit = page.max_items.unwrap_or(limits::HISTORY_PAGE).min(limits::HISTORY_PAGE).cast_signed();
        let offset = page.offset.unwrap_or_default().min(i64::MAX as u64).cast_signed();
        let newest_first = page.offset.is_none();
        Self { sql: if newest_first { NEWEST_FIRST } else { OLDEST_FIRST }, limit, offset, newest_first }
    }

    /// As it is shown.
    pub(super) fn in_order(&self, mut jobs: Vec<EndedJob>) -> Vec<EndedJob> {
        if self.newest_first {
            jobs.reverse();
        }
        jobs
    }
}

const OLDEST_FIRST: &str = "SELECT * FROM job JOIN document ON document.job_id = job.id JOIN result ON result.job_id = job.id \
     WHERE state = 'ended' AND outcome <> 'cancelled' ORDER BY ended_at, arrival LIMIT $1 OFFSET $2";
const NEWEST_FIRST: &str = "SELECT * FROM job JOIN document ON document.job_id = job.id JOIN result ON result.job_id = job.id \
     WHERE state = 'ended' AND outcome <> 'cancelled' ORDER BY ended_at DESC, arrival DESC LIMIT $1 OFFSET $2";
