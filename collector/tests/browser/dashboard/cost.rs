//! What the page costs: the time to its first paint, and the processor's while it is looked at. Both are printed and neither is
//! bounded here: a test does not know what else the machine does. What they should be stands in `docs/benchmarks.md`.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::fleet::Fleet;
use super::look::Look;
use super::replay::Replay;
use crate::page::Page;

const LOADS: usize = 5;
/// How long updates may be waited for beyond the second that each takes.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn the_page_paints_and_how_soon_is_told(browser: &Path) -> Result<()> {
    let fleet = Fleet::of(1).await?;
    let mut page = Page::open(browser, &fleet.page()).await?;
    let mut millis = Vec::new();
    for _ in 0..LOADS {
        page.until("a first paint", "performance.getEntriesByName('first-contentful-paint').length").await?;
        let after = "performance.getEntriesByName('first-contentful-paint')[0].startTime
                     - performance.getEntriesByType('navigation')[0].responseEnd";
        millis.push(page.run(after).await?.as_f64().context("a number")?.round());
        page.run("window.isOld = true").await?;
        page.reload().await?;
        page.until("the page anew", "!window.isOld").await?;
    }
    println!("first contentful paint, milliseconds after the document: {millis:?}");
    Ok(())
}

/// `ORCHESTRATOR_TEST_UPDATES` measures longer.
pub(super) async fn three_hundred_backends_are_shown_and_what_they_cost_is_told(
    browser: &Path,
) -> Result<()> {
    let replay = Replay::of(300).await?;
    let updates =
        std::env::var("ORCHESTRATOR_TEST_UPDATES").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    for layout in ["rows", "cards"] {
        let mut look = Look::open(browser, &replay.address, "/orchestrator/").await?;
        look.size((1280, 900), "light").await?;
        look.sees(".segments", "All 300").await?;
        if layout == "cards" {
            look.click("button", "Show as cards").await?;
        }
        look.page.until("all of them", "document.querySelectorAll('.card').length === 300").await?;
        // What showing them took is not what keeping them up to date takes.
        wait_for_updates(&replay, 2).await?;
        let (before, began) = (look.page.cpu_seconds()?, Instant::now());
        wait_for_updates(&replay, updates).await?;
        let share = (look.page.cpu_seconds()? - before) / began.elapsed().as_secs_f64();
        println!(
            "300 backends as {layout}, {updates} updates in {:.1} s: {:.1} % of a core in the browser",
            began.elapsed().as_secs_f64(),
            share * 100.0
        );
    }
    Ok(())
}

async fn wait_for_updates(replay: &Replay, updates: u64) -> Result<()> {
    let wanted = replay.told() + updates;
    let told = async {
        while replay.told() < wanted {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE + Duration::from_secs(updates), told).await.context("figures are no longer told")
}

/// Else a browser would find them one after the other, each only when the one before it was there.
pub(super) async fn every_module_is_asked_for_beforehand(browser: &Path) -> Result<()> {
    let fleet = Fleet::of(1).await?;
    let mut look = Look::at(browser, &fleet).await?;
    look.sees(".card h3", "gpu-1").await?;
    let loaded = look.value("performance.getEntriesByType('resource').map(one => one.name).filter(name => name.endsWith('.js')).sort()").await?;
    let listed = look
        .value("[...document.querySelectorAll('link[rel=modulepreload]')].map(one => one.href).sort()")
        .await?;
    let loaded: std::collections::BTreeSet<&str> =
        loaded.as_array().context("a list")?.iter().filter_map(|one| one.as_str()).collect();
    let listed: std::collections::BTreeSet<&str> =
        listed.as_array().context("a list")?.iter().filter_map(|one| one.as_str()).collect();
    ensure!(
        loaded == listed,
        "not listed: {:?}, not needed: {:?}",
        loaded.difference(&listed),
        listed.difference(&loaded)
    );
    ensure!(
        look.value(
            "performance.getEntriesByType('resource').every(one => new URL(one.name).host === location.host)"
        )
        .await?
            == json!(true)
    );
    look.nothing_went_wrong(&[]).await
}
