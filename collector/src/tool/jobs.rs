//! `jobs`: a list of jobs.

use super::ending::ClientError;
use super::output::{self, pretty, say};
use super::quantity::{ago, took};
use super::record::{JobList, Listed};
use super::server::Server;
use super::table::{Cell, table};
use crate::clock::{Clock, UnixMillis};
use crate::config::JobsFlags;

pub(super) async fn jobs(flags: JobsFlags) -> Result<u8, ClientError> {
    let server = Server::of(&flags.server)?;
    let document = server.jobs(&flags).await?;
    if flags.json {
        output::print(&pretty(&document)?)?;
        return Ok(0);
    }
    let list: JobList = server.read("list jobs", &document)?;
    output::print_styled(&shown(&list.jobs, Clock::start().now()))?;
    if list.next.is_some() {
        say("there are more: see them with a greater --limit");
    }
    Ok(0)
}

fn shown(jobs: &[Listed], now: UnixMillis) -> String {
    let rows: Vec<_> = jobs.iter().map(|job| row(job, now)).collect();
    table(["ID", "STATE", "BACKEND", "SUBMITTED", "TOOK", "MODELS", "FAILURE"], &rows)
}

fn row(job: &Listed, now: UnixMillis) -> [Cell; 7] {
    let span = job.submitted_at.zip(job.ended_at).map(|(from, to)| took(to - from));
    [
        Cell::of(&job.id),
        Cell::state(&job.state),
        Cell::known(job.backend.as_ref()),
        Cell::known(job.submitted_at.map(|at| ago(now - at))),
        Cell::known(span),
        Cell::known((!job.models.is_empty()).then(|| job.models.join(", "))),
        Cell::of(job.error.as_deref().unwrap_or_default()),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_known_of_a_job_is_a_dash() {
        let list: JobList = serde_json::from_value(json!({"jobs": [
            {"id": "a", "state": "failed", "backend": "gpu-1", "submitted_at": 1_000, "ended_at": 4_500,
             "attempts": 1, "models": ["m", "n"], "error": "out of memory"},
            {"id": "b", "state": "waiting", "submitted_at": 60_000},
        ]}))
        .unwrap();
        let text = anstream::adapter::strip_str(&shown(&list.jobs, UnixMillis(63_000))).to_string();
        let expected = "\
ID  STATE    BACKEND  SUBMITTED  TOOK   MODELS  FAILURE
a   failed   gpu-1    1 min ago  3.5 s  m, n    out of memory
b   waiting  -        3 s ago    -      -
";
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert_eq!(lines, expected.lines().collect::<Vec<_>>());
    }
}
