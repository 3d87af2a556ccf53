//! Prometheus service discovery over HTTP: where the agents of the fleet are. The format is that of `http_sd_config`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use url::Url;
use utoipa::ToSchema;

use super::super::App;
use crate::fleet::{Backend, Fleet};

/// One agent.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(super) struct Target {
    /// One `host:port`.
    targets: [String; 1],
    /// `backend`; `__scheme__` and `__metrics_path__` where they are not Prometheus's own.
    labels: BTreeMap<&'static str, String>,
}

/// All agents, for Prometheus's `http_sd_configs`. One that is no program of its own but the old Python node inside of
/// ComfyUI has no page for Prometheus and is left out.
#[utoipa::path(get, path = "/orchestrator/v1/sd", tag = "metrics", responses((status = 200, body = Vec<Target>)))]
pub(super) async fn agents(State(app): State<Arc<App>>) -> Json<Vec<Target>> {
    Json(targets(&app.fleet()))
}

fn targets(fleet: &Fleet) -> Vec<Target> {
    fleet.backends.iter().filter_map(|backend| target(backend)).collect()
}

fn target(backend: &Backend) -> Option<Target> {
    let agent = &backend.agent_url;
    let address = address(agent).filter(|agent| Some(agent) != address(&backend.url).as_ref())?;
    let mut labels = BTreeMap::from([("backend", backend.id.to_string())]);
    if agent.scheme() != "http" {
        labels.insert("__scheme__", agent.scheme().to_owned());
    }
    let folder = agent.path().trim_end_matches('/');
    if !folder.is_empty() {
        labels.insert("__metrics_path__", format!("{folder}/metrics"));
    }
    Some(Target { targets: [address], labels })
}

fn address(url: &Url) -> Option<String> {
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn agents_are_told_as_prometheus_reads_them() {
        let backend = |name: &str, url: &str, agent: &str| {
            Backend::new(name.parse().unwrap(), url.parse().unwrap(), agent.parse().unwrap())
        };
        let fleet = Fleet::of([
            backend("a", "http://gpu-1:8188", "http://gpu-1:9188"),
            backend("b", "http://gpu-2:8188", "https://user:secret@gpu-2/agent/"),
            backend("c", "http://[::1]:8188", "http://[::1]:9188"),
            backend("python-node", "http://gpu-3:8188", "http://gpu-3:8188"),
        ]);
        let told = serde_json::to_value(targets(&fleet)).unwrap();
        let tls = json!({"backend": "b", "__scheme__": "https", "__metrics_path__": "/agent/metrics"});
        let expected = json!([
            {"targets": ["gpu-1:9188"], "labels": {"backend": "a"}},
            {"targets": ["gpu-2:443"], "labels": tls},
            {"targets": ["[::1]:9188"], "labels": {"backend": "c"}},
        ]);
        assert_eq!(told, expected);
    }
}
