//! `job` and `backends`: tables for people, documents for machines.

use serde_json::json;
use sim::Generation;

use super::prompts::picture;
use super::shell::run;
use super::stage::{Stage, comfy, takes_jobs};
use super::wait::until;

#[tokio::test]
async fn a_job_shows_where_it_ran_and_why_and_what_it_made() {
    let stage = Stage::of(Generation::V0_8, 2).await;
    let id = stage.client.submit(&picture(1)).await;
    stage.client.succeeded(&id).await;
    let told = run(&stage.client.url, &["job", &id]).await.succeeds();
    for wanted in ["state      succeeded", "ATTEMPT  BACKEND", "output  ", "t_00001_.png", " s ago"] {
        assert!(told.out.contains(wanted), "{wanted} in\n{}", told.out);
    }
    assert!(!told.out.contains('\u{1b}'), "no colours where nobody sees them");
    let document = run(&stage.client.url, &["job", &id, "--json"]).await.succeeds().document();
    assert_eq!(document, stage.client.job(&id).await);
}

#[tokio::test]
async fn a_waiting_job_shows_what_every_backend_says_to_it() {
    let stage = Stage::of(Generation::V0_8, 2).await;
    stage.comfys.iter().for_each(sim::Comfy::hold);
    let mut ids = Vec::new();
    for seed in 0..3 {
        ids.push(stage.client.submit(&picture(seed)).await);
    }
    let waits = async || (stage.client.queue().await.1.len() == 1).then_some(());
    until("one waits", waits).await;
    let waiting = stage.client.queue().await.1.remove(0);
    let told = run(&stage.client.url, &["job", &waiting, "--why"]).await.succeeds();
    let lines: Vec<&str> = told.out.lines().collect();
    let table = lines.iter().position(|line| line.starts_with("BACKEND  SAYS")).unwrap();
    assert!(lines[table + 1].starts_with("a ") && lines[table + 2].starts_with("b "), "{}", told.out);
    stage.comfys.iter().for_each(sim::Comfy::release);
    for id in ids {
        stage.client.succeeded(&id).await;
    }
}

#[tokio::test]
async fn backends_are_a_table_that_says_why_one_is_down() {
    let (up, down) = (comfy(Generation::V0_8).await, comfy(Generation::V0_8).await);
    down.kill().await;
    let stage = Stage::before(vec![up, down], |_| {}).await;
    takes_jobs(&stage.client, "a", true).await;
    let told = until("b is down", async || {
        let told = run(&stage.client.url, &["backends"]).await.succeeds();
        told.out.contains("down").then_some(told)
    });
    let told = told.await;
    let lines: Vec<&str> = told.out.lines().collect();
    assert!(lines[0].starts_with("ID  STATE"), "{}", told.out);
    assert!(lines[1].starts_with("a   up ") && lines[2].starts_with("b   down "), "{}", told.out);
    let document = run(&stage.client.url, &["backends", "--json"]).await.succeeds().document();
    assert_eq!(
        (&document["backends"][0]["id"], &document["backends"][1]["state"]),
        (&json!("a"), &json!("down"))
    );
}
