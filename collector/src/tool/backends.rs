//! `backends`: the fleet as a table.

use report::NodeMetrics;

use super::ending::ClientError;
use super::output::{self, pretty};
use super::quantity::size;
use super::record::{Backend, BackendList};
use super::server::Server;
use super::table::{Cell, table};
use crate::config::BackendsFlags;

pub(super) async fn backends(flags: BackendsFlags) -> Result<u8, ClientError> {
    let server = Server::of(&flags.server)?;
    let document = server.backends().await?;
    if flags.json {
        output::print(&pretty(&document)?)?;
        return Ok(0);
    }
    let list: BackendList = server.read("list backends", &document)?;
    output::print_styled(&shown(&list.backends))?;
    Ok(0)
}

fn shown(backends: &[Backend]) -> String {
    let rows: Vec<_> = backends.iter().map(row).collect();
    table(["ID", "STATE", "GPU", "VRAM", "JOBS", "BACKLOG", "MODELS", "ADDRESS", "REMARK"], &rows)
}

fn row(backend: &Backend) -> [Cell; 9] {
    let metrics = backend.metrics.as_ref();
    let state = backend.drain.as_ref().map_or(backend.state.as_str(), |drain| drain.state.as_str());
    let models = (!backend.models.is_empty()).then(|| backend.models.join(", "));
    [
        Cell::of(&backend.id),
        Cell::state(if backend.state == "up" { state } else { &backend.state }),
        Cell::known(metrics.and_then(|metrics| metrics.gpu_name.as_ref())),
        Cell::known(metrics.and_then(vram)),
        Cell::known(backend.jobs.map(|jobs| jobs.to_string())),
        Cell::known(backend.backlog.map(|backlog| backlog.to_string())),
        Cell::known(models),
        Cell::of(&backend.url),
        Cell::of(remark(backend)),
    ]
}

fn vram(metrics: &NodeMetrics) -> Option<String> {
    let (used, total) = metrics.gpu_memory_used.zip(metrics.gpu_memory_total)?;
    Some(format!("{} of {}", size(used), size(total)))
}

/// What its state does not say.
fn remark(backend: &Backend) -> String {
    let drained = backend.drain.as_ref().filter(|_| backend.state != "up").map(|drain| drain.state.clone());
    let idle = backend.drain.is_none() && backend.state == "up" && !backend.takes_jobs;
    let rests = backend.rests.as_ref().map(|rests| rests.reason.clone());
    let not_freed = backend.not_freed.as_ref();
    let not_freed =
        not_freed.map(|not| format!("has not freed its memory {} times in a row", not.times_in_a_row));
    let idle = idle.then(|| "takes no jobs now".to_owned());
    let parts = [backend.reason.clone(), drained, idle, rests, not_freed];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_backend_shows_its_figures_and_a_silent_one_dashes() {
        let list: BackendList = serde_json::from_value(json!({"backends": [
            {"id": "a", "url": "http://a:8188/", "state": "up", "takes_jobs": true, "jobs": 1, "backlog": 2,
             "models": ["x.safetensors", "y"], "metrics": {"gpu_name": "H200", "gpu_memory_used": 912,
             "gpu_memory_total": 143_771}},
            {"id": "long", "url": "http://b/", "state": "down", "reason": "nothing listens there", "models": [],
             "drain": {"state": "drained", "since": 1}},
            {"id": "c", "url": "http://c/", "state": "up", "drain": {"state": "draining", "since": 1}},
            {"id": "d", "url": "http://d/", "state": "up", "takes_jobs": true, "rests": {"reason": "is freeing its memory"},
             "not_freed": {"times_in_a_row": 2, "next_at": 1}},
        ]}))
        .unwrap();
        let text = anstream::adapter::strip_str(&shown(&list.backends)).to_string();
        let expected = "\
ID    STATE     GPU   VRAM                  JOBS  BACKLOG  MODELS            ADDRESS         REMARK
a     up        H200  912 MiB of 140.4 GiB  1     2        x.safetensors, y  http://a:8188/
long  down      -     -                     -     -        -                 http://b/       nothing listens there; drained
c     draining  -     -                     -     -        -                 http://c/
d     up        -     -                     -     -        -                 http://d/       is freeing its memory; has not freed its memory 2 times in a row
";
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert_eq!(lines, expected.lines().collect::<Vec<_>>());
    }
}
