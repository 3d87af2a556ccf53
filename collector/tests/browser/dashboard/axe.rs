//! axe-core on every view: what it knows that shuts people out is not there, at a phone's width and a desk's, light and
//! dark.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::fleet::{Fleet, MODELS, prompt};
use super::look::{Look, SIZES};

pub(super) async fn no_view_shuts_anybody_out(browser: Option<&Path>, axe: &Path) -> Result<()> {
    let source = std::fs::read_to_string(axe).with_context(|| format!("read {}", axe.display()))?;
    let fleet = Fleet::of(3).await?;
    let ended = fleet.submit(&prompt(MODELS[0], 1)).await?;
    fleet.ended(&ended).await?;
    fleet.hold();
    for seed in 2..=6 {
        fleet.submit(&prompt(MODELS[0], seed)).await?;
    }
    fleet.comfys[2].kill().await;
    fleet.comfys[0].wait_for(|state| state.waits_at_gate).await?;
    let mut look = Look::at(browser.context("no program")?, &fleet).await?;
    // It is ours to look with, not the page's own.
    look.page.call("Page.setBypassCSP", json!({"enabled": true})).await?;
    look.page.reload().await?;
    look.sees(".card h3", "gpu-1").await?;
    look.page.run(&source).await?;
    let job = format!("#/jobs/{ended}");
    for (hash, selector) in [
        ("#/fleet", ".card.is-down"),
        ("#/queue", ".job-row.waiting"),
        (&job, ".made img"),
        ("#/routing", ".course-row"),
        ("#/submit", ".drop"),
        ("#/fleet/gpu-1", "dialog.sheet"),
    ] {
        look.go(hash).await?;
        look.page
            .until(selector, &format!("document.querySelector('{selector}')?.checkVisibility()"))
            .await?;
        if hash == "#/submit" {
            look.choose("draft.json", prompt(MODELS[0], 9).to_string().as_bytes()).await?;
            look.sees(".draft h2", "draft.json").await?;
        }
        is_open_to_all(&mut look, hash).await?;
    }
    look.click("dialog button", "Drain …").await?;
    look.sees("dialog", "It stays so, over restarts too").await?;
    is_open_to_all(&mut look, "what is asked before draining").await?;
    look.press("Escape").await?;
    look.press("Escape").await?;
    look.no_longer_sees("dialog").await?;
    look.click("button", "Show as rows").await?;
    look.sees(".rows .card h3", "gpu-1").await?;
    is_open_to_all(&mut look, "backends as rows").await
}

async fn is_open_to_all(look: &mut Look, name: &str) -> Result<()> {
    for scheme in ["light", "dark"] {
        for size in &SIZES[..2] {
            look.size(*size, scheme).await?;
            let found = violations(look).await?;
            ensure!(found.is_empty(), "{name} at {} in {scheme}: {found:#?}", size.0);
        }
    }
    Ok(())
}

async fn violations(look: &mut Look) -> Result<Vec<Value>> {
    let run = "axe.run(document, { resultTypes: ['violations'] }).then(found => found.violations.map(one => ({
        id: one.id, help: one.help, nodes: one.nodes.slice(0, 4).map(node => node.html.slice(0, 200) + ' ' + node.failureSummary) })))";
    Ok(look.value(run).await?.as_array().cloned().unwrap_or_default())
}
