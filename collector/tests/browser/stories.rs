//! What people do in the web interface, in any version of it, and what they must see.

use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::page::Page;
use crate::stage::Stage;

/// What a ComfyUI refuses as well to somebody who has saved nothing yet.
const NOTHING_SAVED: [&str; 5] = [
    "404 /user.css",
    "404 /favicon.ico",
    "404 /api/userdata?dir=",
    "404 /api/userdata/user.css",
    "404 /api/userdata/comfy.templates.json",
];

/// What the interface showed to beginners for years, beside its prompt.
const WORKFLOW: &str = include_str!("../tool/data/default.json");

/// The interface has come up with whatever it shows first.
const UP: &str = "window.app?.api?.clientId && app.graph?._nodes && !!document.querySelector(BUTTON)";

/// From now on the interface's own events are noted.
const HEAR: &str = "
    window.heard = [];
    for (const kind of ['execution_start', 'progress', 'b_preview', 'executed', 'execution_success',
                        'execution_interrupted'])
        app.api.addEventListener(kind, event => heard.push([kind, event.detail]));";
const BUTTON: &str = "'[data-testid=queue-button] button, button[data-testid=queue-button]'";

/// The results that nodes show, as far as they are loaded: no previews, which are blobs.
const PICTURES: &str = "app.graph._nodes.flatMap(node => node.imgs ?? [])
    .filter(img => img.src.includes('/api/view?') && img.naturalWidth > 0).map(img => img.src).join(' ')";

pub(crate) async fn a_workflow_is_queued_watched_cancelled_and_found_again(
    browser: &Path,
    interface: &Path,
) -> Result<()> {
    let stage = Stage::of(2, interface.to_owned()).await?;
    stage.settle().await?;
    let mut page = Page::open(browser, &stage.address).await?;
    ready(&mut page).await?;

    let made = a_picture_is_made(&mut page).await?;
    let cancelled = a_running_job_is_cancelled(&stage, &mut page).await?;

    page.reload().await?;
    page.until("the old page to be gone", "!window.heard").await?;
    ready(&mut page).await?;
    let history = page.run("app.api.getHistory(64).then(JSON.stringify)").await?.to_string();
    ensure!([&made, &cancelled].iter().all(|id| history.contains(id.as_str())), "{made} in {history}");
    a_picture_is_made(&mut page).await?;
    nothing_went_wrong(&mut page)
}

pub(crate) async fn the_page_loads_while_all_backends_are_down(
    browser: &Path,
    interface: &Path,
) -> Result<()> {
    let stage = Stage::of(1, interface.to_owned()).await?;
    for comfy in &stage.comfys {
        comfy.kill().await;
    }
    let mut page = Page::open(browser, &stage.address).await?;
    page.until("the button that queues", &format!("window.app?.graph && !!document.querySelector({BUTTON})"))
        .await?;
    Ok(())
}

/// The page is up and has the workflow on its canvas.
async fn ready(page: &mut Page) -> Result<()> {
    page.until("the page to be up", &UP.replace("BUTTON", BUTTON)).await?;
    page.run(HEAR).await?;
    page.run(&format!("app.loadGraphData(({WORKFLOW}).workflow)")).await?;
    let loaded = "app.graph._nodes.some(node => node.type === 'KSampler')";
    page.until("the workflow on the canvas", loaded).await.map(drop)
}

/// Presses the button, and gives the job's id once the job runs.
async fn queue(page: &mut Page) -> Result<String> {
    page.run(&format!("heard.length = 0; document.querySelector({BUTTON}).click()")).await?;
    let started = "heard.find(([kind]) => kind === 'execution_start')?.[1].prompt_id";
    Ok(page.until("the job to start", started).await?.as_str().unwrap_or_default().to_owned())
}

async fn a_picture_is_made(page: &mut Page) -> Result<String> {
    let before = page.run(PICTURES).await?;
    let id = queue(page).await?;
    hears(page, "execution_success").await?;
    let kinds = page.run("[...new Set(heard.map(([kind]) => kind))].join()").await?.to_string();
    ensure!(
        ["progress", "b_preview", "executed"].iter().all(|kind| kinds.contains(kind)),
        "heard only {kinds}"
    );
    page.until("another picture", &format!("({PICTURES}) !== {before} && ({PICTURES})")).await?;
    Ok(id)
}

async fn a_running_job_is_cancelled(stage: &Stage, page: &mut Page) -> Result<String> {
    stage.comfys.iter().for_each(sim::Comfy::hold);
    let id = queue(page).await?;
    page.run("app.extensionManager.command.execute('Comfy.Interrupt')").await?;
    stage.is_interrupted().await?;
    stage.comfys.iter().for_each(sim::Comfy::release);
    hears(page, "execution_interrupted").await?;
    Ok(id)
}

async fn hears(page: &mut Page, kind: &str) -> Result<Value> {
    page.until(kind, &format!("heard.some(([kind]) => kind === '{kind}')")).await
}

fn nothing_went_wrong(page: &mut Page) -> Result<()> {
    let faults: Vec<&String> = page
        .faults()
        .iter()
        .filter(|fault| !NOTHING_SAVED.iter().any(|known| fault.starts_with(known)))
        .collect();
    ensure!(faults.is_empty(), "{faults:#?}");
    Ok(())
}
