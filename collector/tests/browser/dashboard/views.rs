//! What each view shows, of three backends and of three hundred.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sim::ComfyConfig;

use super::actions::short;
use super::fleet::{Fleet, MODELS, prompt};
use super::look::Look;

pub(super) async fn a_job_is_seen_on_every_view_from_its_submission_to_its_picture(
    browser: &Path,
) -> Result<()> {
    let fleet = Fleet::of(3).await?;
    let mut look = Look::at(browser, &fleet).await?;
    look.sees(".card h3", "gpu-3").await?;
    ensure!(look.count(".card").await? == 3);
    look.sees(".card .state", "Idle").await?;
    look.sees(".card .gpu", "Simulated GPU").await?;
    look.sees(".card .power", "24 W").await?;
    let whose = "document.querySelector('.card .memory').title";
    look.page
        .until("whose its memory is", &format!("{whose}.includes('ComfyUI 0.5 GiB, others 0.0 GiB')"))
        .await?;
    look.sees("#connection", "live").await?;

    fleet.hold();
    let mut jobs = Vec::new();
    for seed in 1..=5 {
        jobs.push(fleet.submit(&prompt(MODELS[0], seed)).await?);
    }
    let first = jobs.first().context("a job")?.clone();
    for comfy in &fleet.comfys {
        comfy.wait_for(|state| state.waits_at_gate).await?;
        // The loader, the sampler's beginning, and three of its steps.
        comfy.let_pass(5);
    }
    look.sees(".card .state", "Running").await?;
    look.sees(".card .step", "step 3 of 8").await?;
    // At the gate nothing is computed.
    look.sees(".card .figure", "42 °C").await?;
    look.sees(".card .chip", "sd15").await?;
    look.page.until("a preview", "document.querySelector('.card img.thumb')?.naturalWidth > 0").await?;
    look.sees("#waiting", "2").await?;
    look.at_all_sizes("fleet-of-3").await?;

    look.click("nav a", "Queue").await?;
    look.sees(".job-row.running", "step 3 of 8").await?;
    look.sees(".job-row.waiting .why", "which will have its models").await?;
    ensure!((look.count(".job-row.running").await?, look.count(".job-row.waiting").await?) == (3, 2));
    look.at_all_sizes("queue").await?;

    look.go(&format!("#/jobs/{first}")).await?;
    look.sees(".course li", "Sent to gpu-1").await?;
    look.sees(".course li", "worth its load most").await?;
    look.sees(".course li", "step 3 of 8").await?;
    look.sees(".course li", "The sampler").await?;
    look.page
        .until("the unfinished picture", "document.querySelector('.live-preview').naturalWidth > 0")
        .await?;
    look.at_all_sizes("job-running").await?;
    fleet.release();
    look.sees(".outcome", "Succeeded").await?;
    look.sees(".course li", "Began").await?;
    look.sees(".course li", "First step").await?;
    look.page.until("its picture", "document.querySelector('.made img')?.naturalWidth === 256").await?;
    look.sees(".made figcaption", "picture").await?;
    look.at_all_sizes("job").await?;
    for job in &jobs {
        fleet.ended(job).await?;
    }
    look.click("nav a", "Queue").await?;
    look.sees(".job-row.ended .outcome", "Succeeded").await?;
    look.page.until("thumbnails", "[...document.querySelectorAll('.job-row.ended img')].filter(one => one.naturalWidth > 0).length === 5").await?;
    look.at_all_sizes("queue-ended").await?;

    look.click("nav a", "Routing").await?;
    look.sees(".tile", "2 of 5").await?;
    look.page.until("strips", "[...document.querySelectorAll('canvas.strip')].every(one => one.getAttribute('aria-label').includes('running'))").await?;
    look.at_all_sizes("routing").await?;
    look.nothing_went_wrong(&[]).await
}

pub(super) async fn three_hundred_backends_are_found_sorted_and_grouped(browser: &Path) -> Result<()> {
    let fleet = Fleet::of(300).await?;
    let mut look = Look::at(browser, &fleet).await?;
    look.sees(".segments", "All 300").await?;
    ensure!(look.count(".rows .card").await? == 300, "so many are rows");
    look.at_all_sizes("fleet-of-300").await?;
    fleet.post("backends/gpu-42/drain", &json!({})).await?;
    look.sees(".is-drained", "Drained").await?;

    look.fill("input[type=search]", "gpu-29").await?;
    look.page.until("those that match", "document.querySelectorAll('.card').length === 11").await?;
    look.fill("input[type=search]", "nothing like it").await?;
    look.sees(".empty", "No backend matches").await?;
    look.fill("input[type=search]", "").await?;
    look.click(".segments label", "Draining").await?;
    look.page.until("the drained one alone", "document.querySelectorAll('.card').length === 1").await?;
    look.click(".segments label", "All").await?;
    let first = "document.querySelector('.card h3').innerText";
    look.fill("label select", "state").await?;
    look.page.until("the idle ones first", &format!("{first} === 'gpu-1'")).await?;
    look.page
        .until(
            "the drained one last",
            "[...document.querySelectorAll('.card h3')].at(-1).textContent === 'gpu-42'",
        )
        .await?;
    let group = "[...document.querySelectorAll('.toolbar select')].at(-1)";
    look.value(&format!("{group}.value = 'state'; {group}.dispatchEvent(new Event('change'))")).await?;
    look.sees(".group h2", "Drained").await?;
    look.sees(".group-head", "299 backends").await?;
    look.click("button", "Show as cards").await?;
    look.sees(".cards .card", "gpu-1").await?;
    look.at_all_sizes("fleet-of-300-cards").await?;

    for (view, selector) in [("Queue", ".none"), ("Routing", ".course-row"), ("Submit", ".drop")] {
        look.click("nav a", view).await?;
        look.page.until(view, &format!("document.querySelector('{selector}')?.checkVisibility()")).await?;
    }
    look.click("nav a", "Routing").await?;
    look.page.until("all courses", "document.querySelectorAll('.course-row').length === 300").await?;
    look.at_all_sizes("routing-of-300").await?;
    look.nothing_went_wrong(&[]).await
}

pub(super) async fn a_file_becomes_a_job_with_another_seed(browser: &Path) -> Result<()> {
    let fleet = Fleet::of(3).await?;
    let mut look = Look::at(browser, &fleet).await?;
    look.click("nav a", "Submit").await?;
    look.choose("notes.txt", b"no document").await?;
    look.sees("[role=alert]", "neither JSON nor a PNG").await?;
    look.choose("lighthouse.json", prompt(MODELS[1], u64::MAX).to_string().as_bytes()).await?;
    look.sees(".draft h2", "lighthouse.json").await?;
    look.sees(".facts", "flux").await?;
    look.sees(".about-draft", "3 of 3 backends can run it now").await?;
    let seed = "document.querySelector('input[name=seed]').value";
    ensure!(look.value(seed).await? == json!(u64::MAX.to_string()), "every digit of it");
    look.at_all_sizes("submit").await?;
    look.fill("input[name=seed]", "18446744073709551614").await?;
    look.fill("input[name=width]", "128").await?;
    look.click("button", "Submit").await?;
    look.sees("[role=status]", "Submitted as job").await?;
    look.click(".send a", "").await?;
    look.page.until("its picture", "document.querySelector('.made img')?.naturalWidth === 128").await?;
    let id = look.value("location.hash.split('/').at(-1)").await?;
    let sent = fleet.get(&format!("jobs/{}/prompt", id.as_str().context("an id")?)).await?;
    ensure!(sent["2"]["inputs"]["seed"] == json!(u64::MAX - 1), "{sent}");

    let picture = look.value("(async () => { const bytes = new Uint8Array(await (await fetch(document.querySelector('.made img').src)).arrayBuffer());
        return btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join('')); })()").await?;
    let picture = data_encoding::BASE64.decode(picture.as_str().context("a picture")?.as_bytes())?;
    look.go("#/submit").await?;
    look.drop("picture.png", &picture).await?;
    look.page.until("the seed in the picture", &format!("{seed} === '18446744073709551614'")).await?;
    look.choose("missing.json", prompt("none.safetensors", 1).to_string().as_bytes()).await?;
    look.sees(".draft .problem", "none.safetensors").await?;
    ensure!(look.value("document.querySelector('.draft button.primary').disabled").await? == json!(true));
    look.nothing_went_wrong(&[]).await
}

pub(super) async fn jobs_are_found_by_client_model_and_state_and_give_back_their_documents(
    browser: &Path,
) -> Result<()> {
    let fleet = Fleet::of(1).await?;
    let drawn = json!({"id": "w", "nodes": []});
    let send = async |client: &str, model: &str| -> Result<String> {
        let extra = json!({"extra_pnginfo": {"workflow": drawn}});
        let body = json!({"prompt": prompt(model, 1), "client_id": client, "extra_data": extra});
        let answer = fleet.post("jobs", &body).await?;
        Ok(answer["id"].as_str().context("an id")?.to_owned())
    };
    let (day, night) = (send("day", MODELS[0]).await?, send("night", MODELS[1]).await?);
    for job in [&day, &night] {
        fleet.ended(job).await?;
    }
    fleet.hold();
    let running = send("day", MODELS[0]).await?;
    fleet.comfys[0].wait_for(|state| state.waits_at_gate).await?;
    let waiting = send("day", MODELS[1]).await?;
    let mut look = Look::at(browser, &fleet).await?;
    look.click("nav a", "Queue").await?;
    let (client, model, state) = ("input[list=clients]", "input[list=models]", "select[aria-label=State]");
    let all = vec![&running, &waiting, &night, &day];
    for (field, wanted, found) in [
        (client, "night", vec![&night]),
        (client, "", all.clone()),
        (model, MODELS[1], vec![&waiting, &night]),
        (model, "", all.clone()),
        (state, "running", vec![&running]),
        (state, "waiting", vec![&waiting]),
        (state, "succeeded", vec![&night, &day]),
        (state, "failed", vec![]),
        (state, "", all),
    ] {
        look.fill(field, wanted).await?;
        let ids: Vec<&str> = found.into_iter().map(|id| short(id)).collect();
        let shown = format!(
            "JSON.stringify([...document.querySelectorAll('.job-row')].filter(row => row.checkVisibility())
                 .map(row => row.querySelector('.mono').innerText)) === JSON.stringify({})",
            json!(ids)
        );
        look.page.until(&format!("{ids:?} by {field} {wanted:?}"), &shown).await?;
    }
    fleet.release();
    look.go(&format!("#/jobs/{day}")).await?;
    look.sees(".downloads a", "Prompt").await?;
    for (at, document) in [(0, drawn), (1, prompt(MODELS[0], 1))] {
        let download = format!(
            "fetch(document.querySelectorAll('.downloads a')[{at}].href).then(answer => answer.text())"
        );
        let text = look.value(&download).await?;
        let told: serde_json::Value = serde_json::from_str(text.as_str().context("a text")?)?;
        ensure!(told == document, "{told}");
    }
    look.nothing_went_wrong(&[]).await
}

pub(super) async fn a_failed_job_says_why_and_shows_its_traceback_below(browser: &Path) -> Result<()> {
    let fleet = Fleet::of(1).await?;
    let prompt = json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 4, "height": 4, "batch_size": 1, "color": 255}},
        "2": {"class_type": "SimFail", "inputs": {"image": ["1", 0], "kind": "oom"}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "t"}},
    });
    let id = fleet.submit(&prompt).await?;
    fleet.ended(&id).await?;
    let mut look = Look::at(browser, &fleet).await?;
    look.go(&format!("#/jobs/{id}")).await?;
    look.sees(".outcome", "Failed").await?;
    look.sees(".wrong", "memory did not suffice for the node SimFail (2)").await?;
    look.no_longer_sees(".wrong pre").await?;
    look.click(".wrong summary", "Traceback").await?;
    look.page
        .until(
            "the traceback",
            "document.querySelector('.wrong pre').innerText.includes('traceback removed')",
        )
        .await?;
    look.at_all_sizes("job-failed").await?;
    look.go("#/jobs/0a0a0a0a-1111-4222-8333-444444444444").await?;
    look.sees("main", "There is no such job").await?;
    look.nothing_went_wrong(&["404 /orchestrator/v1/jobs/0a0a0a0a"]).await
}

pub(super) async fn a_lost_connection_is_told_and_everything_is_there_again_afterwards(
    browser: &Path,
) -> Result<()> {
    let mut fleet = Fleet::of(3).await?;
    let job = fleet.submit(&prompt(MODELS[0], 1)).await?;
    fleet.ended(&job).await?;
    let mut look = Look::at(browser, &fleet).await?;
    look.go(&format!("#/jobs/{job}")).await?;
    look.sees(".course li", "First step").await?;
    let course = "[...document.querySelectorAll('.course li')].map(step => step.innerText)";
    let told = look.value(course).await?;
    look.go("#/fleet").await?;
    look.sees(".card .state", "Idle").await?;
    let before = fleet.listens_at();
    fleet.stop().await;
    look.sees("#banner", "was lost").await?;
    look.sees("#connection", "not connected").await?;
    look.keep("lost").await?;
    fleet.comfys[0].kill().await;
    fleet.start().await?;
    ensure!(fleet.listens_at() == before, "at the same address");
    look.no_longer_sees("#banner").await?;
    look.sees("#connection", "live").await?;
    look.sees(".card.is-down", "gpu-1").await?;
    look.sees(".card.is-idle", "gpu-2").await?;
    fleet.comfys[0].restart().await?;
    look.no_longer_sees(".card.is-down").await?;
    ensure!(look.count(".card").await? == 3);
    look.page.call("Page.reload", json!({})).await?;
    look.go(&format!("#/jobs/{job}")).await?;
    look.sees(".course li", "First step").await?;
    ensure!(look.value(course).await? == told, "its course outlasts the restart: {told}");
    Ok(())
}

pub(super) async fn all_can_be_reached_by_keyboard(browser: &Path) -> Result<()> {
    let fleet = Fleet::with(2, ComfyConfig::default(), &[]).await?;
    let mut look = Look::at(browser, &fleet).await?;
    look.sees(".card h3", "gpu-2").await?;
    let mut names = Vec::new();
    for _ in 0..24 {
        look.press("Tab").await?;
        let name = "const now = document.activeElement; now.getAttribute('aria-label') ?? (now.innerText || now.name || '').trim()";
        let name = look.value(&format!("(() => {{ {} }})()", name.replace("; now", "; return now"))).await?;
        names.push(name.as_str().unwrap_or_default().to_owned());
        if names.last().is_some_and(|name| name == "gpu-2") {
            break;
        }
    }
    let wanted = [
        "Skip to the content",
        "Fleet",
        "Routing",
        "Submit",
        "ComfyUI",
        "Colours",
        "Find backends",
        "Show as rows",
        "Add backend",
        "gpu-1",
        "gpu-2",
    ];
    let mut rest = names.iter();
    for name in wanted {
        ensure!(rest.any(|told| told.starts_with(name)), "{name} in its place among {names:?}");
    }
    look.press("Enter").await?;
    look.sees("dialog h2", "gpu-2").await?;
    ensure!(look.value("document.activeElement.closest('dialog') !== null").await? == json!(true));
    look.press("Escape").await?;
    look.no_longer_sees("dialog").await?;
    look.page.until("the focus where it was", "document.activeElement.innerText === 'gpu-2'").await?;
    look.go("#/queue").await?;
    look.page.until("the focus at the new heading", "document.activeElement.id === 'queue-title'").await?;
    look.nothing_went_wrong(&[]).await
}
