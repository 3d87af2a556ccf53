//! `jobs`: a list of jobs.

use super::ending::ClientError;
use super::output::{self, pretty};
use super::quantity::{ago, took};
use super::record::{JobList, Record};
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
    Ok(0)
}

fn shown(jobs: &[Record], now: UnixMillis) -> String {
    let rows: Vec<_> = jobs.iter().map(|job| row(job, now)).collect();
    table(["ID", "STATE", "BACKEND", "SUBMITTED", "TOOK"], &rows)
}

fn row(job: &Record, now: UnixMillis) -> [Cell; 5] {
    let span = job.submitted_at.zip(job.ended_at).map(|(from, to)| took(to - from));
    [
        Cell::of(&job.id),
        Cell::state(&job.state),
        Cell::known(job.place()),
        Cell::known(job.submitted_at.map(|at| ago(now - at))),
        Cell::known(span),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_known_of_a_job_is_a_dash() {
        let list: JobList = serde_json::from_value(json!({"jobs": [
            {"id": "a", "state": "succeeded", "backend": "gpu-1", "submitted_at": 1_000, "ended_at": 4_500},
            {"id": "b", "state": "waiting", "submitted_at": 60_000},
        ]}))
        .unwrap();
        let text = shown(&list.jobs, UnixMillis(63_000));
        let expected = "\
ID  STATE      BACKEND  SUBMITTED  TOOK
a   succeeded  gpu-1    1 min ago  3.5 s
b   waiting    -        3 s ago    -
";
        assert_eq!(anstream::adapter::strip_str(&text).to_string(), expected);
    }
}
