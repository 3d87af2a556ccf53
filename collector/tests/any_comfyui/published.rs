//! Clients that others have published, unchanged, and a script as most people write it. Each runs one prompt and gets its
//! pictures; they speak to a bare server first, so that what they need is known to be there.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use data_encoding::BASE64;
use serde_json::Value;
use sim::outside::{Found, Outside};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use crate::place::Place;
use crate::prompts::{Diffusion, ensure_preview, ensure_same, picture_of};

/// Python and node start slowly where the machine is busy.
const PATIENCE: Duration = Duration::from_secs(120);
const STEPS: u32 = 5;

const PYTHON_SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/any_comfyui/published/script.py");
const SDK_SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/any_comfyui/published/sdk.mjs");

/// Where a client is at home, with the prompt that it is to run.
struct Home {
    folder: TempDir,
    prompt: PathBuf,
}

impl Home {
    fn with(seed: u64) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let prompt = folder.path().join("prompt.json");
        let job = Diffusion { seed, steps: STEPS, prefix: "published", ..Diffusion::default() };
        fs::write(&prompt, job.prompt().to_string())?;
        Ok(Self { folder, prompt })
    }

    /// With nothing of the surroundings, and no way out but the loopback interface.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.folder.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        for proxy in ["http_proxy", "https_proxy"] {
            command.env(proxy, "http://127.0.0.1:9");
        }
        command.env("no_proxy", "127.0.0.1").current_dir(self.folder.path()).kill_on_drop(true);
        command
    }
}

/// The last line of its output, a JSON document.
async fn answer_of(mut command: Command) -> Result<Value> {
    let output = timeout(PATIENCE, command.output()).await.context("it does not end")??;
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{command:?}: {}\n{said}\n{complained}", output.status);
    let last = said.trim().lines().last().unwrap_or_default();
    serde_json::from_str(last).with_context(|| format!("no document: {said}\n{complained}"))
}

/// Of a virtual environment.
fn python_client(name: &str) -> Result<PathBuf> {
    match Outside::PythonClients.find() {
        Ok(Found::Folders(folders)) => Ok(folders.first().context("no folder")?.join("bin").join(name)),
        other => bail!("{other:?}"),
    }
}

pub(crate) async fn comfy_cli_runs_a_prompt_and_its_outputs_are_there(place: &Place) -> Result<()> {
    let home = Home::with(180)?;
    let (host, port) = place.client.authority()?.rsplit_once(':').context("no port")?;
    let mut command = home.command(&python_client("comfy")?);
    command.args(["--skip-prompt", "--no-enable-telemetry", "run", "--workflow"]).arg(&home.prompt);
    command.args(["--host", host, "--port", port, "--wait"]);
    let answer = answer_of(command).await?;
    ensure!(answer["ok"] == true && answer["data"]["status"] == "completed", "{answer}");
    let outputs = answer["data"]["outputs"].as_array().context("no outputs")?;
    let [output] = &**outputs else { bail!("{answer}") };
    let url = output.as_str().context("no URL")?;
    let picture = image::load_from_memory(&place.client.bytes_at(url).await?)?.into_rgb8();
    ensure_same(&picture, &picture_of(180), 1)
}

pub(crate) async fn a_script_with_websocket_client_runs_a_prompt(place: &Place) -> Result<()> {
    let home = Home::with(181)?;
    let mut command = home.command(&python_client("python")?);
    command.arg(PYTHON_SCRIPT).arg(place.client.authority()?).arg(&home.prompt);
    let answer = answer_of(command).await?;
    ensure!(answer["previews"].as_u64().is_some_and(|count| count > 0), "{answer}");
    let kinds = answer["kinds"].as_array().context("no kinds")?;
    ensure!(kinds.last().is_some_and(|kind| kind == "executing"), "{answer}");
    ensure!(kinds.iter().any(|kind| kind == "executed"), "{answer}");
    ensure_made(place, &answer, 181).await
}

pub(crate) async fn the_javascript_sdk_runs_a_prompt_with_previews(place: &Place) -> Result<()> {
    let home = Home::with(182)?;
    let Ok(Found::Folders(folders)) = Outside::NodeClients.find() else { bail!("the SDK went away") };
    // It finds its packages beside the script.
    let script = home.folder.path().join("sdk.mjs");
    fs::copy(SDK_SCRIPT, &script)?;
    let modules = folders.first().context("no folder")?.join("node_modules");
    symlink(modules, home.folder.path().join("node_modules"))?;
    let mut command = home.command(Path::new("node"));
    command.arg(script).arg(format!("http://{}", place.client.authority()?)).arg(&home.prompt);
    let answer = answer_of(command).await?;
    // It begins to listen late.
    ensure!(answer["steps"].as_u64().is_some_and(|steps| steps > 0), "{answer}");
    let previews = pictures(&answer["previews"])?;
    ensure!(!previews.is_empty(), "no preview");
    for preview in previews {
        ensure_preview(&preview, 182)?;
    }
    ensure_made(place, &answer, 182).await
}

/// One picture came, the right one, and the job is in the history.
async fn ensure_made(place: &Place, answer: &Value, seed: u64) -> Result<()> {
    let pictures = pictures(&answer["pictures"])?;
    let [picture] = &*pictures else { bail!("{} pictures", pictures.len()) };
    ensure_same(picture, &picture_of(seed), 1)?;
    place.finished(answer["prompt_id"].as_str().context("no id")?).await.map(drop)
}

fn pictures(encoded: &Value) -> Result<Vec<image::RgbImage>> {
    let encoded = encoded.as_array().context("no pictures")?.iter();
    encoded
        .map(|text| {
            let bytes = BASE64.decode(text.as_str().context("no text")?.as_bytes())?;
            Ok(image::load_from_memory(&bytes)?.into_rgb8())
        })
        .collect()
}
