//! Names that strangers give: of files, nodes, models, clients. All of them are shown, none of them runs.

use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::json;
use sim::ComfyConfig;

use super::fleet::{Fleet, prompt};
use super::look::Look;

/// Without a slash: of a model's path the name alone is shown.
const EVIL: &str = "<img src=x onerror=window.hacked=1><script>window.hacked=1";

pub(super) async fn what_strangers_wrote_stays_text(browser: &Path) -> Result<()> {
    let model = format!("{EVIL}.safetensors");
    let like = ComfyConfig { models: vec![model.clone()], ..ComfyConfig::default() };
    let fleet = Fleet::with(1, like, &[]).await?;
    let mut evil = prompt(&model, 1);
    evil["2"]["_meta"]["title"] = json!(EVIL);
    evil["9"]["inputs"]["filename_prefix"] = json!("evil <b onclick=alert(1)>");
    evil["9"]["_meta"] = json!({"title": EVIL});
    fleet.hold();
    let sent = fleet.post("jobs", &json!({"prompt": evil, "client_id": EVIL})).await?;
    let id = sent["id"].as_str().unwrap_or_default().to_owned();
    fleet.comfys[0].wait_for(|state| state.waits_at_gate).await?;
    fleet.comfys[0].let_pass(5);

    let mut look = Look::at(browser, &fleet).await?;
    look.sees(".card .chip", "<img src=x").await?;
    look.click(".card a", "gpu-1").await?;
    look.sees(".sheet .facts", "<script>").await?;
    look.press("Escape").await?;
    look.click("nav a", "Queue").await?;
    look.sees(".job-row.running", "<img src=x").await?;
    look.go(&format!("#/jobs/{id}")).await?;
    look.sees(".course", "<script>").await?;
    fleet.release();
    look.sees(".made figcaption", "evil <b onclick").await?;
    look.page.until("its picture", "document.querySelector('.made img').naturalWidth > 0").await?;
    look.keep("hostile").await?;
    look.click("nav a", "Submit").await?;
    look.choose(&format!("{EVIL}.json"), evil.to_string().as_bytes()).await?;
    look.sees(".draft h2", "<img src=x").await?;
    look.sees(".draft .field", "<script>").await?;
    look.go(&format!("#/fleet/{}", "%3Cimg src=x onerror=window.hacked=1%3E")).await?;
    look.sees("dialog h2", "<img src=x").await?;
    let made = look
        .value("document.querySelectorAll('img[src=x], main script, b[onclick], dialog script').length")
        .await?;
    ensure!(made == json!(0), "{made} elements were made of names");
    ensure!(look.value("window.hacked ?? null").await?.is_null());
    look.nothing_went_wrong(&[]).await
}
