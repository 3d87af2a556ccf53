//! Asks a host's agent for its figures. A host that still runs the Python node answers the same document on
//! ComfyUI's own port, so that is asked where no agent answers.

use std::time::Duration;

use comfyui::{Cause, Client};
use report::NodeMetrics;
use reqwest::header::{AUTHORIZATION, HeaderMap};

use super::Poller;
use crate::fleet::{Failure, Seen};

/// An agent's document has eight keys; whatever is longer is something else.
const ANSWER_BYTES: usize = 64 * 1024;
const TIMEOUT: Duration = Duration::from_secs(3);

pub(super) async fn poll(poller: Poller) {
    let mut failures = 0;
    loop {
        let seen = match read(&poller).await {
            Ok(metrics) => {
                failures = 0;
                Seen::Agent(Box::new(metrics))
            }
            Err(failure) => {
                failures += 1;
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

/// The agent's failure is the one to report: the old node is only where else it could have been.
async fn read(poller: &Poller) -> Result<NodeMetrics, Failure> {
    let shown = poller.agent_authorization.clone().map(|shown| (AUTHORIZATION, shown));
    let has_token = shown.is_some();
    match metrics(&poller.agent, HeaderMap::from_iter(shown)).await {
        Ok(metrics) => Ok(metrics),
        Err(cause) => metrics(&poller.client, HeaderMap::new())
            .await
            .map_err(|_| failure(poller.agent.backend(), &cause, has_token)),
    }
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

async fn metrics(server: &Client, headers: HeaderMap) -> Result<NodeMetrics, Cause> {
    let body = tokio::time::timeout(TIMEOUT, body(server, headers)).await.unwrap_or(Err(Cause::Timeout))?;
    serde_json::from_slice(&body).map_err(|e| Cause::Document(e.to_string()))
}

async fn body(server: &Client, headers: HeaderMap) -> Result<Vec<u8>, Cause> {
    let answer = server.get_stream("/orchestrator/metrics", &[], headers).await;
    let mut answer = answer.map_err(|error| error.cause)?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|e| Cause::Broken(e.to_string()))? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES {
            return Err(Cause::TooLarge { limit_bytes: ANSWER_BYTES as u64 });
        }
    }
    match answer.status() {
        status if status.is_success() => Ok(body),
        // A page that explains the status is no help in a log line.
        status => Err(Cause::Status { status: status.as_u16(), body: String::new() }),
    }
}
