//! What the page costs: the time to its first paint, and the processor's while it is looked at.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::time::sleep;

use super::fleet::Fleet;
use super::look::Look;
use super::replay::Replay;
use crate::page::Page;

const FIRST_PAINT_MILLIS: f64 = 200.0;
/// The machine may be busy with other things: the best load is the page's own, and so many are tried for one that is good.
const LOADS: usize = 100;
const SHARE_OF_A_CORE: f64 = 0.30;

pub(super) async fn the_first_paint_comes_at_once(browser: &Path) -> Result<()> {
    let fleet = Fleet::of(1).await?;
    let mut page = Page::open(browser, &fleet.page()).await?;
    let mut best = f64::INFINITY;
    for _ in 0..LOADS {
        page.until("a first paint", "performance.getEntriesByName('first-contentful-paint').length").await?;
        let after = "performance.getEntriesByName('first-contentful-paint')[0].startTime
                     - performance.getEntriesByType('navigation')[0].responseEnd";
        best = best.min(page.run(after).await?.as_f64().context("a number")?);
        if best < FIRST_PAINT_MILLIS {
            break;
        }
        page.run("window.isOld = true").await?;
        page.reload().await?;
        page.until("the page anew", "!window.isOld").await?;
    }
    println!("first contentful paint {best:.0} ms after the document");
    ensure!(best < FIRST_PAINT_MILLIS, "{best} ms");
    Ok(())
}

/// `ORCHESTRATOR_TEST_COST_SECONDS` measures longer.
pub(super) async fn three_hundred_backends_cost_less_than_a_third_of_a_core(browser: &Path) -> Result<()> {
    let replay = Replay::of(300).await?;
    let seconds =
        std::env::var("ORCHESTRATOR_TEST_COST_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    for layout in ["rows", "cards"] {
        let mut look = Look::open(browser, &replay.address, "/orchestrator/").await?;
        look.size((1280, 900), "light").await?;
        look.sees(".segments", "All 300").await?;
        if layout == "cards" {
            look.click("button", "Show as cards").await?;
        }
        look.page.until("all of them", "document.querySelectorAll('.card').length === 300").await?;
        sleep(Duration::from_secs(2)).await;
        let (before, told) = (look.page.cpu_seconds()?, replay.told());
        sleep(Duration::from_secs(seconds)).await;
        let (spent, told) = (look.page.cpu_seconds()? - before, replay.told() - told);
        let share = spent / seconds as f64;
        println!(
            "300 backends as {layout}, {told} updates in {seconds} s: {:.1} % of a core in the browser",
            share * 100.0
        );
        ensure!(told + 2 >= seconds, "it was told {told} times in {seconds} s");
        ensure!(share < SHARE_OF_A_CORE, "{layout}: {:.1} % of a core", share * 100.0);
    }
    Ok(())
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
