//! PostgreSQL's own `pgbench` with the same insert, each a transaction, and what its log tells of each.

use std::fs::{read_dir, read_to_string, write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sim::postgres::Cluster;

use crate::submit::Run;

/// Threads of its own, as it advises: no more than it has cores.
const THREADS: usize = 2;

pub(super) fn run(
    cluster: &Cluster,
    url: &str,
    folder: &Path,
    clients: usize,
    each: usize,
    payload: &str,
) -> Result<Run> {
    let place = tempfile::tempdir_in(folder).context("make a directory for pgbench")?;
    let script = place.path().join("insert.sql");
    let literal = payload.replace('\'', "''");
    // A colon would begin a variable of its own.
    let insert =
        format!("INSERT INTO plain VALUES (gen_random_uuid()::text, '{}');\n", literal.replace(':', ";"));
    write(&script, insert).context("write pgbench's script")?;
    let mut command = Command::new(cluster.programs().join("pgbench"));
    command.args(["--no-vacuum", "--protocol=prepared", "--log", "--log-prefix=each", "--file"]).arg(&script);
    command.args(["--client", &clients.to_string(), "--jobs", &clients.min(THREADS).to_string()]);
    command.args(["--transactions", &each.to_string(), url]).current_dir(place.path()).stdin(Stdio::null());
    let began = Instant::now();
    let done = command.output().context("run pgbench")?;
    let whole = began.elapsed();
    let said = String::from_utf8_lossy(&done.stdout);
    ensure!(done.status.success(), "pgbench failed: {said}{}", String::from_utf8_lossy(&done.stderr));
    let took = logged(place.path())?;
    let rate = rate(&said).unwrap_or(took.len() as f64 / whole.as_secs_f64());
    Ok(Run { took, rate })
}

/// Without the time to connect.
fn rate(said: &str) -> Option<f64> {
    let line = said.lines().find_map(|line| line.strip_prefix("tps = "))?;
    line.split(' ').next()?.parse().ok()
}

/// What each transaction took: the third word of its line, in microseconds.
fn logged(folder: &Path) -> Result<Vec<Duration>> {
    let mut took = Vec::new();
    for entry in read_dir(folder).context("look for pgbench's log")?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("each.") {
            let text = read_to_string(entry.path()).context("read pgbench's log")?;
            took.extend(text.lines().filter_map(micros));
        }
    }
    Ok(took)
}

fn micros(line: &str) -> Option<Duration> {
    line.split(' ').nth(2)?.parse().ok().map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pgbench_prints_is_read() {
        let said = "latency average = 0.3 ms\ntps = 3142.471211 (without initial connection time)\n";
        assert_eq!(rate(said), Some(3_142.471_211));
        assert_eq!(micros("0 199 2241 0 1175850568 995598"), Some(Duration::from_micros(2241)));
    }
}
