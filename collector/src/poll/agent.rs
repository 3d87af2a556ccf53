//! Asks a host's agent for its report. An agent that has none is asked for the old node's document, and where no agent
//! answers, ComfyUI's own port is, since a host that still runs the Python node answers there.

use std::sync::Arc;
use std::time::Duration;

use comfyui::{Cause, Client};
use report::{NodeMetrics, Report};
use reqwest::header::{AUTHORIZATION, HeaderMap};
use serde::de::DeserializeOwned;

use super::Poller;
use crate::clock::UnixMillis;
use crate::fleet::{Failure, Figures, Seen};
use crate::limits;
use crate::metrics::Polled;

const TIMEOUT: Duration = Duration::from_secs(3);

/// What is remembered from one answer to the next.
#[derive(Default)]
struct Last {
    figures: Option<Arc<Figures>>,
    /// When the model files were listed last: they may be many, so they are left out of most reports.
    models_at: Option<UnixMillis>,
    /// It answers, but has no report.
    has_no_report: bool,
}

pub(super) async fn poll(poller: Poller) {
    let (mut last, mut failures) = (Last::default(), 0);
    loop {
        let began = poller.clock.now();
        let answer = read(&poller, &mut last).await;
        let took = poller.clock.now() - began;
        poller.metrics.polled(&poller.backend, Polled::Agent, took, answer.is_ok());
        let seen = match answer {
            Ok(figures) => {
                failures = 0;
                Seen::Agent(figures)
            }
            Err(failure) => {
                (last, failures) = (Last::default(), failures + 1);
                Seen::AgentFailed(failure)
            }
        };
        if !poller.observe(seen).await {
            return;
        }
        let pause = if failures == 0 { poller.intervals.agent } else { poller.intervals.pause(failures) };
        tokio::time::sleep(pause).await;
    }
}

async fn read(poller: &Poller, last: &mut Last) -> Result<Arc<Figures>, Failure> {
    let fresh_for = limits::FIGURES_FRESH.max(poller.intervals.agent * 3);
    let figures = match answer(poller, last).await? {
        Answer::Report(report) => {
            Figures::of(*report, poller.clock.now(), fresh_for, last.figures.as_deref())
        }
        Answer::Node(document) => Figures::of_node(document, poller.clock.now(), fresh_for),
    };
    let figures = Arc::new(figures);
    last.figures = Some(Arc::clone(&figures));
    Ok(figures)
}

enum Answer {
    Report(Box<Report>),
    Node(NodeMetrics),
}

/// The agent's failure is the one to tell: the old node is only where else it could have been.
async fn answer(poller: &Poller, last: &mut Last) -> Result<Answer, Failure> {
    match of_agent(poller, last).await {
        Ok(answer) => Ok(answer),
        Err(cause) => match node_metrics(&poller.client, HeaderMap::new()).await {
            Ok(document) => Ok(Answer::Node(document)),
            Err(_) => Err(failure(poller.agent.backend(), &cause, poller.agent_authorization.is_some())),
        },
    }
}

async fn of_agent(poller: &Poller, last: &mut Last) -> Result<Answer, Cause> {
    let shown = poller.agent_authorization.clone().map(|shown| (AUTHORIZATION, shown));
    let shown = HeaderMap::from_iter(shown);
    if !last.has_no_report {
        match report(poller, last, shown.clone()).await {
            Err(Cause::Status { status: 404, .. }) => last.has_no_report = true,
            report => return report.map(Box::new).map(Answer::Report),
        }
    }
    node_metrics(&poller.agent, shown).await.map(Answer::Node)
}

async fn report(poller: &Poller, last: &mut Last, shown: HeaderMap) -> Result<Report, Cause> {
    let now = poller.clock.now();
    let lists_models = last.models_at.is_none_or(|at| now - at >= poller.intervals.object_info);
    let query: &[(&str, &str)] = if lists_models { &[] } else { &[("models", "false")] };
    let report = document(&poller.agent, "/v1/report", query, shown).await?;
    if lists_models {
        last.models_at = Some(now);
    }
    Ok(report)
}

async fn node_metrics(server: &Client, shown: HeaderMap) -> Result<NodeMetrics, Cause> {
    document(server, "/orchestrator/metrics", &[], shown).await
}

fn failure(agent: &str, cause: &Cause, has_token: bool) -> Failure {
    let refused = matches!(cause, Cause::Refused);
    let reason = match cause {
        Cause::Refused => {
            "nothing listens there; is orchestrator-agent running on that host, and on this port?".into()
        }
        Cause::Document(why) => format!("its answer is no agent's ({why})"),
        Cause::Status { status: 401, .. } if has_token => {
            "it asks for another token than that of agent_token_file; write the one of its --token-file there"
                .into()
        }
        Cause::Status { status: 401, .. } => {
            "it asks for a token; name a file with that of its --token-file in agent_token_file".into()
        }
        other => other.to_string(),
    };
    Failure { refused, reason: format!("cannot read the agent's figures at {agent}: {reason}") }
}

async fn document<T: DeserializeOwned>(
    server: &Client,
    path: &str,
    query: &[(&str, &str)],
    headers: HeaderMap,
) -> Result<T, Cause> {
    let body = body(server, path, query, headers);
    let body = tokio::time::timeout(TIMEOUT, body).await.unwrap_or(Err(Cause::Timeout))?;
    serde_json::from_slice(&body).map_err(|e| Cause::Document(e.to_string()))
}

async fn body(
    server: &Client,
    path: &str,
    query: &[(&str, &str)],
    headers: HeaderMap,
) -> Result<Vec<u8>, Cause> {
    let answer = server.get_stream(path, query, headers).await;
    let mut answer = answer.map_err(|error| error.cause)?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|e| Cause::Broken(e.to_string()))? {
        body.extend_from_slice(&chunk);
        if body.len() > limits::AGENT_ANSWER_BYTES {
            return Err(Cause::TooLarge { limit_bytes: limits::AGENT_ANSWER_BYTES as u64 });
        }
    }
    match answer.status() {
        status if status.is_success() => Ok(body),
        // A page that explains the status is no help in a log line.
        status => Err(Cause::Status { status: status.as_u16(), body: String::new() }),
    }
}
