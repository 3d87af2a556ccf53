//! The dashboard's pure functions, tested where they run.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::extract::Path as Named;
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::page::Page;

pub(super) async fn pure_functions_do_what_their_tests_say(browser: &Path) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = format!("http://{}/", listener.local_addr()?);
    let script = |folder: &'static str| {
        move |Named(path): Named<String>| async move {
            let place = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(path);
            ([("content-type", "text/javascript")], tokio::fs::read(place).await.unwrap_or_default())
                .into_response()
        }
    };
    let routes = Router::new()
        .route("/", get(|| async { Html("<!doctype html><title>units</title>") }))
        .route("/app/{*path}", get(script("dashboard/app")))
        .route("/units/{*path}", get(script("tests/browser/dashboard/units")));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let mut page = Page::open(browser, &address).await?;
    page.until("the page", "document.title === 'units'").await?;
    let told = page.run("import('/units/all.js').then(units => units.run())").await?;
    let (passed, failed) = (told["passed"].as_u64().context("a count")?, &told["failed"]);
    ensure!(failed.as_array().is_some_and(Vec::is_empty), "{failed:#}");
    ensure!(passed > 0, "no test ran");
    println!("{passed} tests of pure functions");
    Ok(())
}
