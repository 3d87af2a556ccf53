//! What is done on the page is done, after it was said what will happen; and only what a token may do is offered.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use collector::access::{Fresh, Role};
use serde_json::json;
use sim::{Comfy, ComfyConfig};

use super::fleet::{Fleet, MODELS, prompt};
use super::look::Look;

pub(super) async fn backends_are_drained_resumed_freed_added_and_removed(browser: &Path) -> Result<()> {
    let fleet = Fleet::of(2).await?;
    let job = fleet.submit(&prompt(MODELS[0], 1)).await?;
    fleet.ended(&job).await?;
    let mut look = Look::at(browser, &fleet).await?;
    look.click(".card a", "gpu-1").await?;
    look.sees(".sheet .facts", "Power limit 320 W").await?;
    look.keep("backend").await?;
    look.click("dialog button", "Drain …").await?;
    look.sees("dialog", "It stays so, over restarts too").await?;
    look.keep("drain").await?;
    look.click("dialog button[type=submit]", "Drain").await?;
    look.sees(".sheet .state", "Drained").await?;
    ensure!(fleet.get("backends/gpu-1").await?["drain"]["state"] == "drained");
    look.click("dialog button", "Resume …").await?;
    look.click("dialog button[type=submit]", "Resume").await?;
    look.sees(".sheet .state", "Idle").await?;

    look.click("dialog button", "Free memory …").await?;
    look.sees("dialog", "Believed loaded there: sd15").await?;
    look.click("dialog button[type=submit]", "Free").await?;
    look.sees(".toast", "GiB were freed").await?;
    look.keep("freed").await?;

    look.click("dialog button", "Remove …").await?;
    look.sees("dialog", "gets no job").await?;
    look.click("dialog button[type=submit]", "Remove").await?;
    look.sees(".toast", "It stands in the configuration").await?;
    look.page.until("one left", "document.querySelectorAll('.card').length === 1").await?;

    let another = Comfy::start(ComfyConfig { speed: 0.0, ..ComfyConfig::default() }).await?;
    look.click(".toolbar button", "Add backend").await?;
    look.fill("dialog input[name=url]", &another.url()).await?;
    look.fill("dialog input[name=name]", "gpu-2").await?;
    look.click("dialog button[type=submit]", "Add").await?;
    look.sees("dialog [role=alert]", "gpu-2").await?;
    look.fill("dialog input[name=name]", "newcomer").await?;
    look.click("dialog button[type=submit]", "Add").await?;
    look.sees(".card.is-idle", "newcomer").await?;
    look.nothing_went_wrong(&["409 /orchestrator/v1/backends", "404 /orchestrator/v1/backends/gpu-1"]).await
}

pub(super) async fn jobs_are_moved_cancelled_and_submitted_once_more(browser: &Path) -> Result<()> {
    let fleet = Fleet::of(1).await?;
    fleet.hold();
    let running = fleet.submit(&prompt(MODELS[0], 1)).await?;
    fleet.comfys[0].wait_for(|state| state.waits_at_gate).await?;
    let mut waiting = Vec::new();
    for seed in 2..=4 {
        waiting.push(fleet.submit(&prompt(MODELS[0], seed)).await?);
    }
    let [second, third, last] = waiting.as_slice() else { anyhow::bail!("three") };
    let mut look = Look::at(browser, &fleet).await?;
    look.click("nav a", "Queue").await?;
    let first =
        |id: &str| format!("document.querySelector('.job-row.waiting .mono')?.innerText === '{}'", short(id));
    look.page.until("the first to wait", &first(second)).await?;
    look.click(".job-row.waiting button", &format!("Move job {} to the front", short(third))).await?;
    look.page.until("another first", &first(third)).await?;

    let drag = format!(
        "(() => {{ const row = [...document.querySelectorAll('.job-row.waiting')].find(row => row.innerText.includes('{}'));
           const carried = new DataTransfer();
           row.dispatchEvent(new DragEvent('dragstart', {{ dataTransfer: carried, bubbles: true }}));
           const front = document.querySelector('.drop-front');
           const shown = front.checkVisibility();
           front.dispatchEvent(new DragEvent('drop', {{ dataTransfer: carried, bubbles: true, cancelable: true }}));
           row.dispatchEvent(new DragEvent('dragend', {{ bubbles: true }}));
           return shown; }})()",
        short(last)
    );
    ensure!(look.value(&drag).await? == json!(true), "where to drop it is shown");
    look.page.until("the dragged one first", &first(last)).await?;

    for (words, told) in [("Raise", "priority 2"), ("Lower", ""), ("Lower", "priority 0.5")] {
        look.click(".job-row.waiting button", &format!("{words} the priority of job {}", short(second)))
            .await?;
        let wishes = format!(
            "[...document.querySelectorAll('.job-row.waiting')].find(row => row.innerText.includes('{}'))
                 .querySelector('.wishes').innerText === '{told}'",
            short(second)
        );
        look.page.until(&format!("{told:?} after {words}"), &wishes).await?;
    }
    look.click(".job-row.waiting button", &format!("Cancel job {}", short(second))).await?;
    look.sees("dialog", "taken out of the queue").await?;
    look.click("dialog button", "Leave it").await?;
    ensure!(fleet.get(&format!("jobs/{second}")).await?["state"] == "waiting");
    look.click(".job-row.waiting button", &format!("Cancel job {}", short(second))).await?;
    look.click("dialog button[type=submit]", "Cancel the job").await?;
    look.sees(".job-row.ended .outcome", "Cancelled").await?;
    look.click(".job-row.running button", &format!("Cancel job {}", short(&running))).await?;
    look.sees("dialog", "gpu-1 is told to stop it").await?;
    look.click("dialog button[type=submit]", "Cancel the job").await?;
    fleet.comfys[0].wait_for(|state| state.counters.interrupts > 0).await?;
    fleet.release();
    look.sees(".job-row.ended .outcome", "Interrupted").await?;
    look.click(".job-row.ended button", &format!("Submit job {} once more", short(second))).await?;
    look.sees(".page-head .outcome", "Succeeded").await?;
    let id = look.value("location.hash.split('/').at(-1)").await?;
    ensure!(id != json!(second), "a new job");
    let again = fleet.get(&format!("jobs/{}", id.as_str().context("an id")?)).await?;
    ensure!(again["state"] == "succeeded", "{again}");
    look.nothing_went_wrong(&[]).await
}

async fn log_in(look: &mut Look, token: &Fresh) -> Result<()> {
    look.fill("#token", &token.token).await?;
    look.page.run("document.querySelector('form').requestSubmit()").await?;
    look.page
        .until("the page behind the login", "document.querySelector('main')?.id === 'main'")
        .await
        .map(drop)
}

pub(super) async fn a_token_sees_only_what_it_may_do(browser: &Path) -> Result<()> {
    let (admin, anna) = (
        Fresh::make("otto", Role::Admin, &Default::default())?,
        Fresh::make("anna", Role::Submit, &Default::default())?,
    );
    let fleet = Fleet::with(1, ComfyConfig::default(), &[&admin, &anna]).await?;
    fleet.hold();
    let running = fleet.submit(&prompt(MODELS[0], 1)).await?;
    fleet.comfys[0].wait_for(|state| state.waits_at_gate).await?;
    let ottos = fleet.submit(&prompt(MODELS[0], 2)).await?;

    let mut look = Look::at(browser, &fleet).await?;
    log_in(&mut look, &anna).await?;
    look.sees("#who", "anna").await?;
    look.sees(".card h3", "gpu-1").await?;
    ensure!(look.value("[...document.querySelectorAll('.toolbar button')].some(one => one.checkVisibility() && one.innerText.includes('Add'))").await? == json!(false));
    look.click(".card a", "gpu-1").await?;
    look.sees("dialog h2", "gpu-1").await?;
    ensure!(look.count("dialog .actions button").await? == 0, "neither drain nor free nor remove");
    look.press("Escape").await?;
    let submitted = look.value("fetch('v1/jobs', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ prompt: PROMPT }) }).then(answer => answer.json())".replace("PROMPT", &prompt(MODELS[0], 3).to_string()).as_str()).await?;
    let annas = submitted["id"].as_str().context("an id")?.to_owned();
    look.click("nav a", "Queue").await?;
    look.sees(".job-row.waiting", short(&annas)).await?;
    let buttons = |id: &str| {
        format!(
            "[...document.querySelectorAll('.job-row')].find(row => row.innerText.includes('{}')).querySelectorAll('.row-actions button').length",
            short(id)
        )
    };
    ensure!(look.value(&buttons(&annas)).await? == json!(4), "her own");
    ensure!(look.value(&buttons(&ottos)).await? == json!(0), "somebody else's");
    ensure!(look.value(&buttons(&running)).await? == json!(0));
    look.keep("without-rights").await?;
    fleet.release();
    look.nothing_went_wrong(&[]).await
}

pub(super) async fn a_session_that_ended_leads_to_the_login(browser: &Path) -> Result<()> {
    let admin = Fresh::make("otto", Role::Admin, &Default::default())?;
    let fleet = Fleet::with(1, ComfyConfig::default(), &[&admin]).await?;
    let mut look = Look::at(browser, &fleet).await?;
    log_in(&mut look, &admin).await?;
    look.sees("#connection", "live").await?;
    look.sees(".toolbar button", "Add backend").await?;
    let mut fleet = fleet;
    fleet.stop().await;
    fleet.start().await?;
    look.sees("#banner", "You are logged out").await?;
    look.click("#banner a", "Log in again").await?;
    log_in(&mut look, &admin).await?;
    look.sees("#connection", "live").await?;
    look.click("#who button", "Log out").await?;
    look.page.until("the login", "document.querySelector('#token') !== null").await.map(drop)
}

/// As lists show a job's id.
pub(super) fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}
