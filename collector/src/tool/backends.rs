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
    table(["ID", "STATE", "GPU", "VRAM", "BACKLOG", "DRAINING", "MODELS", "ADDRESS", "REMARK"], &rows)
}

fn row(backend: &Backend) -> [Cell; 9] {
    let metrics = backend.metrics.as_ref();
    let models = (!backend.models.is_empty()).then(|| backend.models.join(", "));
    [
        Cell::of(&backend.id),
        Cell::state(&backend.state),
        Cell::known(metrics.and_then(|metrics| metrics.gpu_name.as_ref())),
        Cell::known(metrics.and_then(vram)),
        Cell::known(backend.backlog.map(|backlog| backlog.to_string())),
        Cell::known(backend.draining.map(|draining| if draining { "yes" } else { "no" })),
        Cell::known(models),
        Cell::of(&backend.url),
        Cell::of(remark(backend)),
    ]
}

fn vram(metrics: &NodeMetrics) -> Option<String> {
    let (used, total) = metrics.gpu_memory_used.zip(metrics.gpu_memory_total)?;
    Some(format!("{} of {}", size(used), size(total)))
}

fn remark(backend: &Backend) -> &str {
    match &backend.reason {
        Some(reason) => reason,
        None if backend.state == "up" && !backend.takes_jobs => "takes no jobs now",
        None => "",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_backend_shows_its_figures_and_a_silent_one_dashes() {
        let list: BackendList = serde_json::from_value(json!({"backends": [
            {"id": "a", "url": "http://a:8188/", "state": "up", "takes_jobs": true, "backlog": 1, "draining": false,
             "models": ["x.safetensors", "y"], "metrics": {"gpu_name": "H200", "gpu_memory_used": 912,
             "gpu_memory_total": 143_771}},
            {"id": "long", "url": "http://b/", "state": "down", "reason": "nothing listens there", "models": []},
        ]}))
        .unwrap();
        let text = anstream::adapter::strip_str(&shown(&list.backends)).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].starts_with("ID    STATE  GPU   VRAM                  BACKLOG  DRAINING  MODELS"),
            "{text}"
        );
        assert!(
            lines[1]
                .starts_with("a     up     H200  912 MiB of 140.4 GiB  1        no        x.safetensors, y"),
            "{text}"
        );
        assert!(
            lines[2].starts_with("long  down   -     -                     -        -         -"),
            "{text}"
        );
        assert!(lines[2].ends_with("http://b/       nothing listens there"), "{text}");
    }
}
