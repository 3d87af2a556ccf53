//! `jobs`, `cancel`, `drain`, `resume` and `free`: what changes at the collector.

use serde_json::json;
use sim::Generation;

use super::prompts::{failing, picture};
use super::shell::run;
use super::stage::Stage;
use super::stub::Stub;
use super::wait::until;

#[tokio::test]
async fn jobs_are_listed_newest_first_and_by_state() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let good = stage.client.submit(&picture(1)).await;
    stage.client.succeeded(&good).await;
    let bad = stage.client.submit(&failing("value")).await;
    stage.client.ended(&bad).await;
    let told = run(&stage.client.url, &["jobs"]).await.succeeds().out;
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 3, "{told}");
    assert!(
        lines[0].starts_with("ID ") && lines[1].starts_with(&bad) && lines[2].starts_with(&good),
        "{told}"
    );
    assert!(lines[1].contains("  failed     a ") && lines[2].contains("  succeeded  a "), "{told}");
    let failed = run(&stage.client.url, &["jobs", "--state", "failed", "--json"]).await.succeeds().document();
    assert_eq!(failed["jobs"].as_array().unwrap().len(), 1);
    assert_eq!(failed["jobs"][0]["id"], json!(bad));
    let first = run(&stage.client.url, &["jobs", "--limit", "1"]).await.succeeds();
    assert_eq!(first.out.lines().count(), 2);
    first.says(&["there are more"]);
    run(&stage.client.url, &["jobs", "--state", "asleep"]).await.fails(3, &["asleep"]);
}

#[tokio::test]
async fn jobs_are_cancelled_waiting_or_running_and_one_that_is_unknown_does_not_save_them() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    stage.comfys[0].hold();
    let running = stage.client.submit(&picture(1)).await;
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    let waiting = stage.client.submit(&picture(2)).await;
    let ended = run(&stage.client.url, &["cancel", "x", &waiting, &running]).await;
    assert_eq!((ended.code, ended.out), (3, format!("{waiting}: cancelled\n{running}: cancelled\n")));
    assert!(ended.said.contains("no job has the id x"), "{}", ended.said);
    stage.comfys[0].wait_for(|state| state.counters.interrupts == 1).await.unwrap();
    stage.comfys[0].release();
    for (id, state) in [(&waiting, "cancelled"), (&running, "interrupted")] {
        let ended = async || (stage.client.job(id).await["state"] == state).then_some(());
        until("it has ended", ended).await;
    }
    let again = run(&stage.client.url, &["cancel", &running]).await.succeeds();
    assert_eq!(again.out, format!("{running}: had ended already\n"));
}

#[tokio::test]
async fn freeing_without_a_name_asks_every_backend() {
    let stage = Stage::of(Generation::V0_8, 2).await;
    run(&stage.client.url, &["free"]).await.succeeds();
    let asked = async || stage.comfys.iter().all(|comfy| comfy.counters().frees > 0).then_some(());
    until("both are asked", asked).await;
}

#[tokio::test]
async fn each_command_asks_its_route_and_shows_its_token() {
    let stub = Stub::answering(200, json!({"jobs": [], "backends": [], "state": "waiting"})).await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "s3cret\nnot this\n").unwrap();
    let (all, v1) = (json!({"unload_models": true, "free_memory": true}), "/orchestrator/v1");
    for (arguments, asked, body) in [
        (&["jobs"][..], format!("GET {v1}/jobs?limit=20"), json!(null)),
        (
            &["jobs", "--state", "failed,waiting", "--limit", "5"],
            format!("GET {v1}/jobs?limit=5&state=failed%2Cwaiting"),
            json!(null),
        ),
        (&["job", "a/b"], format!("GET {v1}/jobs/a%2Fb"), json!(null)),
        (&["cancel", "x"], format!("POST {v1}/jobs/x/cancel"), json!({})),
        (&["backends"], format!("GET {v1}/backends"), json!(null)),
        (&["drain", "gpu-1"], format!("POST {v1}/backends/gpu-1/drain"), json!({})),
        (&["resume", "gpu-1"], format!("POST {v1}/backends/gpu-1/resume"), json!({})),
        (&["free", "gpu-1"], format!("POST {v1}/backends/gpu-1/free"), all.clone()),
        (
            &["free", "gpu-1", "--unload-models"],
            format!("POST {v1}/backends/gpu-1/free"),
            json!({"unload_models": true, "free_memory": false}),
        ),
        (&["free"], "POST /free".to_owned(), all),
    ] {
        let token = ["--token-file", token.to_str().unwrap()];
        run(&stub.url, &[arguments, &token].concat()).await.succeeds();
        assert_eq!(stub.heard(), [(asked, Some("Bearer s3cret".to_owned()), body)]);
    }
}

#[tokio::test]
async fn a_collector_that_does_not_know_a_route_is_too_old_and_one_that_wants_a_token_says_so() {
    let no_route = json!({"error": {"type": "not_found", "message": "the collector has no route /x"}});
    let only_looks = json!({"error": {"type": "forbidden", "message": "it may only look"}});
    for (status, document, code, wanted) in [
        (404, no_route, 3, "is too old"),
        (405, json!({}), 3, "is too old"),
        (401, json!({}), 4, "asks for a token that it knows: name the file that holds one with --token-file"),
        (403, only_looks, 4, "it may only look"),
        (503, json!({}), 4, "503"),
    ] {
        let stub = Stub::answering(status, document).await;
        for arguments in [&["jobs"][..], &["cancel", "x"], &["drain", "a"], &["backends"]] {
            run(&stub.url, arguments).await.fails(code, &[wanted]);
        }
    }
}
