//! SIGHUP: the configuration is read again, and is in force as a whole or not at all.

use std::path::Path;

use serde_json::Value;
use sim::{Agent, AgentConfig, Comfy, Generation, Outcome};

use super::program::{Program, configuration};
use super::prompts::picture;
use super::stage::{comfy, outcomes_of, takes_jobs};
use super::wait::until;

const SUCCESSFUL: &str = "orchestrator_collector_config_last_reload_successful";

/// Writes the file that the program reads, and tells it so.
fn reconfigure(program: &Program, state: &Path, text: &str) {
    std::fs::write(state.join("collector.toml"), text).unwrap();
    program.hang_up();
}

async fn says(program: &Program, wanted: &str) -> String {
    let said = async || program.lines().into_iter().find(|line| line.contains(wanted));
    until(&format!("it says {wanted:?}"), said).await
}

async fn names(program: &Program) -> Vec<String> {
    let fleet = program.client.get("/orchestrator/v1/backends").await;
    fleet["backends"].as_array().unwrap().iter().map(|b| b["id"].as_str().unwrap().to_owned()).collect()
}

async fn becomes(program: &Program, wanted: &[&str]) {
    until("the fleet is as it is configured", async || (names(program).await == wanted).then_some(())).await;
}

async fn three() -> [Comfy; 3] {
    [comfy(Generation::V0_8).await, comfy(Generation::V0_8).await, comfy(Generation::V0_8).await]
}

#[tokio::test]
async fn backends_come_and_go_with_the_file_and_the_job_of_one_that_went_runs_elsewhere() {
    let (state, comfys) = (tempfile::tempdir().unwrap(), three().await);
    let program = Program::start(&comfys[..1], state.path()).await;
    takes_jobs(&program.client, "a", true).await;
    comfys[0].hold();
    let id = program.client.submit(&picture(1)).await;
    comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();

    let all = configuration(&comfys);
    let without_a =
        all.replacen(&configuration(&comfys[..1]).lines().skip(2).collect::<Vec<_>>().join("\n"), "", 1);
    reconfigure(&program, state.path(), &without_a);
    becomes(&program, &["b", "c"]).await;
    program.client.succeeded(&id).await;
    let elsewhere: usize = comfys[1..].iter().map(|comfy| outcomes_of(comfy, &id).len()).sum();
    assert_eq!(elsewhere, 1);
    assert_eq!(program.client.metric(SUCCESSFUL).await, Some(1.0));
}

#[tokio::test]
async fn a_mistake_changes_nothing_and_is_told_in_the_log_and_the_metrics() {
    let (state, comfys) = (tempfile::tempdir().unwrap(), three().await);
    let program = Program::start(&comfys[..1], state.path()).await;
    takes_jobs(&program.client, "a", true).await;
    let good = configuration(&comfys);
    for (text, told) in [
        (format!("{good}\n[[backend]]\nurl = 'nonsense'"), "http://HOST:PORT"),
        (format!("token_file = '/no/such/file'\n{good}"), "/no/such/file"),
        (format!("log = 'chatty'\n{good}"), "chatty"),
        (format!("{good}\n[[backend]]\nname = 'a'\nurl = 'http://127.0.0.1:1'"), "two backends are called a"),
    ] {
        reconfigure(&program, state.path(), &text);
        let line = says(&program, told).await;
        assert!(
            line.contains("ERROR") && line.contains("stays in force") || text.contains("nonsense"),
            "{line}"
        );
        let refused = async || (program.client.metric(SUCCESSFUL).await == Some(0.0)).then_some(());
        until("the metrics say so", refused).await;
        assert_eq!(names(&program).await, ["a"]);
    }
    let id = program.client.submit(&picture(1)).await;
    program.client.succeeded(&id).await;
    assert_eq!(outcomes_of(&comfys[0], &id), [Outcome::Succeeded]);

    reconfigure(&program, state.path(), &good);
    becomes(&program, &["a", "b", "c"]).await;
    let taken = async || (program.client.metric(SUCCESSFUL).await == Some(1.0)).then_some(());
    until("the metrics say that it is in force", taken).await;
}

#[tokio::test]
async fn what_is_logged_and_how_agents_are_asked_change_without_a_restart() {
    let (state, comfys) = (tempfile::tempdir().unwrap(), [comfy(Generation::V0_8).await]);
    let token = "0123456789abcdef";
    let agent = AgentConfig { token: Some(token.to_owned()), ..AgentConfig::default() };
    let agent = Agent::start(agent).await.unwrap();
    let with_agent = configuration(&comfys)
        .replace(&format!("agent = '{}'", comfys[0].url()), &format!("agent = '{}'", agent.url()));
    let program = Program::configured(&with_agent, state.path()).await;
    says(&program, "it asks for a token").await;
    assert!(!program.lines().iter().any(|line| line.contains("DEBUG")));

    let file = state.path().join("token");
    std::fs::write(&file, token).unwrap();
    let shown = format!("log = 'debug'\nagent_token_file = '{}'\n{with_agent}", file.display());
    reconfigure(&program, state.path(), &shown);
    let figures = async || {
        let (status, figures) = program.client.ask("/orchestrator/metrics?backend=a").await;
        (status == 200).then_some(figures)
    };
    assert_ne!(until("the agent's figures are known", figures).await["ram_total"], Value::Null);
    let id = program.client.submit(&picture(1)).await;
    program.client.succeeded(&id).await;
    says(&program, "DEBUG").await;
    assert!(!program.lines().iter().any(|line| line.contains(token)));
}

#[tokio::test]
async fn what_takes_a_restart_is_named() {
    let (state, comfys) = (tempfile::tempdir().unwrap(), [comfy(Generation::V0_8).await]);
    let program = Program::start(&comfys, state.path()).await;
    let text = configuration(&comfys).replace("50ms", "60ms");
    reconfigure(&program, state.path(), &format!("history_jobs = 5\n{text}"));
    let line = says(&program, "from the next start on").await;
    assert!(line.contains("poll_interval, history_jobs") && line.contains("WARN"), "{line}");
}
