//! Copies of what jobs have made outlive the backend, are never those of another file, and have bounds.

use std::time::Duration;

use collector::config::Archive;
use sim::{Comfy, Fault, FaultKind, Generation};

use super::client::{Client, png, view_of};
use super::program::Program;
use super::prompts::{expected, picture};
use super::stage::{BOTH, Stage, comfy, takes_jobs};
use super::wait::until;

async fn archiving(comfys: Vec<Comfy>, archive: Archive) -> Stage {
    let stage = Stage::before(comfys, |config| config.archive = Some(archive)).await;
    stage.all_take_jobs().await;
    stage
}

/// How many contents there are.
fn contents(stage: &Stage) -> usize {
    std::fs::read_dir(stage.state.path().join("outputs")).unwrap().count()
}

const EVERYTHING: Archive = Archive { age: None, bytes: u64::MAX };

/// A picture was made: where it is to be seen.
async fn made(client: &Client, seed: u64) -> String {
    let id = client.submit(&picture(seed)).await;
    view_of(&client.succeeded(&id).await["outputs"]["9"]["images"][0])
}

async fn seen(client: &Client, route: &str) -> image::RgbImage {
    image::load_from_memory(&client.bytes(route).await).unwrap().into_rgb8()
}

/// What the collector tells of its archive.
async fn figure(client: &Client, name: &str) -> Option<f64> {
    let text = client.text("/metrics").await;
    let name = format!("orchestrator_collector_archive_{name} ");
    text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok())
}

async fn has(client: &Client, files: f64) {
    let is_so = async || (figure(client, "files").await == Some(files)).then_some(());
    until(&format!("{files} files are archived"), is_so).await;
    waits(client, 0.0).await;
}

async fn waits(client: &Client, files: f64) {
    let is_so = async || (figure(client, "waiting_files").await == Some(files)).then_some(());
    until(&format!("{files} files wait to be archived"), is_so).await;
}

/// So many files came to this.
async fn came(client: &Client, outcome: &str, files: u64) {
    let line = format!("archive_copies_total{{outcome=\"{outcome}\"}} {files}");
    let is_so = async || client.text("/metrics").await.contains(&line).then_some(());
    until(&line, is_so).await;
}

#[tokio::test]
async fn a_picture_is_served_when_its_backend_has_gone_and_after_a_restart() {
    for generation in BOTH {
        let (comfys, state) = ([comfy(generation).await], tempfile::tempdir().unwrap());
        let start = async || {
            let text = format!("archive = true\n{}", super::program::configuration(&comfys));
            Program::configured(&text, state.path()).await
        };
        let program = start().await;
        takes_jobs(&program.client, "a", true).await;
        let route = made(&program.client, 1).await;
        has(&program.client, 1.0).await;
        assert_eq!(program.stop().await, 0);
        comfys[0].kill().await;
        let program = start().await;
        assert_eq!(seen(&program.client, &route).await, expected(1));
        let preview = program.client.bytes(&format!("{route}&preview=webp;80")).await;
        assert!(preview.starts_with(b"RIFF"));
        // The only backend's name may be left away, as with any other file of it.
        assert_eq!(seen(&program.client, &route.replace("subfolder=a", "subfolder=")).await, expected(1));
        has(&program.client, 1.0).await;
    }
}

#[tokio::test]
async fn the_copy_of_a_name_that_comes_again_is_that_of_the_newest_file() {
    let stage = archiving(vec![comfy(Generation::V0_8).await], EVERYTHING).await;
    let route = made(&stage.client, 1).await;
    has(&stage.client, 1.0).await;
    stage.comfys[0].empty_output();
    assert_eq!(made(&stage.client, 2).await, route);
    assert_eq!(seen(&stage.client, &route).await, expected(2), "at once, and not the copy of the other");
    came(&stage.client, "copied", 2).await;
    assert_eq!(seen(&stage.client, &route).await, expected(2));
    has(&stage.client, 1.0).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_copied_now_is_copied_later_and_one_that_has_gone_is_given_up() {
    for (status, outcome, waiting) in [(500, "failed", 1.0), (404, "given_up", 0.0)] {
        let comfy = comfy(Generation::V0_8).await;
        comfy.fail(Fault::once("/view", FaultKind::Status(status)));
        let stage = archiving(vec![comfy], EVERYTHING).await;
        let route = made(&stage.client, 1).await;
        came(&stage.client, outcome, 1).await;
        waits(&stage.client, waiting).await;
        assert_eq!(seen(&stage.client, &route).await, expected(1), "from its backend");
    }
}

#[tokio::test]
async fn beyond_the_bytes_the_oldest_copies_are_forgotten_and_their_content_with_them() {
    let comfys = vec![comfy(Generation::V0_8).await];
    let direct = Client::new(&comfys[0].url(), "direct");
    let size = direct.bytes(&made(&direct, 0).await).await.len() as u64;
    let stage = archiving(comfys, Archive { age: None, bytes: 2 * size + size / 2 }).await;
    let mut routes = Vec::new();
    for seed in 1..=4 {
        routes.push(made(&stage.client, seed).await);
        came(&stage.client, "copied", seed).await;
    }
    until("two copies are left", async || (contents(&stage) == 2).then_some(())).await;
    has(&stage.client, 2.0).await;
    // What is no longer here is with its backend.
    stage.comfys[0].kill().await;
    for (route, status) in routes.iter().zip([502, 502, 200, 200]) {
        assert_eq!(stage.client.ask(route).await.0, status, "{route}");
    }
}

#[tokio::test]
async fn old_copies_are_forgotten() {
    let at_once = Archive { age: Some(Duration::ZERO), bytes: u64::MAX };
    let stage = archiving(vec![comfy(Generation::V0_8).await], at_once).await;
    made(&stage.client, 1).await;
    came(&stage.client, "copied", 1).await;
    until("its content has gone", async || (contents(&stage) == 0).then_some(())).await;
    has(&stage.client, 0.0).await;
}

#[tokio::test]
async fn a_copy_that_somebody_has_removed_is_served_by_its_backend() {
    let comfys = vec![comfy(Generation::V0_8).await];
    let stage = archiving(comfys, EVERYTHING).await;
    let route = made(&stage.client, 1).await;
    has(&stage.client, 1.0).await;
    std::fs::remove_dir_all(stage.state.path().join("outputs")).unwrap();
    assert_eq!(seen(&stage.client, &route).await, expected(1));
    // And made again.
    came(&stage.client, "copied", 2).await;
    stage.comfys[0].kill().await;
    assert_eq!(seen(&stage.client, &route).await, expected(1));
}

#[tokio::test]
async fn a_backend_that_cannot_be_reached_holds_up_no_copies_of_another() {
    let stage =
        archiving(vec![comfy(Generation::V0_8).await, comfy(Generation::V0_8).await], EVERYTHING).await;
    stage.comfys[0].fail(Fault::always("/view", FaultKind::Reset));
    stage.comfys.iter().for_each(Comfy::hold);
    let ids = [stage.client.submit(&picture(1)).await, stage.client.submit(&picture(2)).await];
    for comfy in &stage.comfys {
        comfy.wait_for(|state| state.waits_at_gate).await.unwrap();
        comfy.release();
    }
    for id in &ids {
        stage.client.succeeded(id).await;
    }
    came(&stage.client, "copied", 1).await;
    waits(&stage.client, 1.0).await;
}

#[tokio::test]
async fn the_only_copy_stays_when_the_same_prompt_comes_again_and_the_backend_has_lost_the_file() {
    let stage = archiving(vec![comfy(Generation::V0_8).await], EVERYTHING).await;
    let route = made(&stage.client, 1).await;
    has(&stage.client, 1.0).await;
    stage.comfys[0].empty_output();
    // It answers from what it remembers.
    assert_eq!(made(&stage.client, 1).await, route);
    assert_eq!(seen(&stage.client, &route).await, expected(1));
}

#[tokio::test]
async fn what_a_job_has_just_made_is_shown_while_it_runs_and_not_the_copy_of_another() {
    let stage = archiving(vec![comfy(Generation::V0_8).await], EVERYTHING).await;
    let route = made(&stage.client, 1).await;
    has(&stage.client, 1.0).await;
    stage.comfys[0].empty_output();
    stage.comfys[0].hold();
    let other = stage.client.submit(&picture(2)).await;
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    // It is not made yet: what is known is the copy.
    assert_eq!(seen(&stage.client, &route).await, expected(1));
    let direct = Client::new(&stage.comfys[0].url(), "direct");
    direct.upload("t_00001_.png", png(9), &[("type", "output")]).await;
    let shown = seen(&stage.client, &route).await;
    assert_eq!(shown, image::load_from_memory(&png(9)).unwrap().into_rgb8());
    stage.comfys[0].release();
    stage.client.succeeded(&other).await;
}

#[tokio::test]
async fn a_copy_of_a_backend_that_was_removed_is_shown_in_a_fleet_of_one() {
    let stage =
        archiving(vec![comfy(Generation::V0_8).await, comfy(Generation::V0_8).await], EVERYTHING).await;
    let route = made(&stage.client, 1).await;
    has(&stage.client, 1.0).await;
    let owner =
        super::stage::NAMES[..2].iter().find(|name| route.contains(&format!("subfolder={name}&"))).unwrap();
    let (status, said) = stage.client.delete(&format!("/orchestrator/v1/backends/{owner}")).await;
    assert!((200..300).contains(&status), "{status} {said}");
    assert_eq!(seen(&stage.client, &route).await, expected(1));
}
