//! Uploaded files and made ones: stored once, brought to where they are needed, never another backend's.

use serde_json::{Value, json};
use sim::{Fault, FaultKind, Generation};

use super::client::png;
use super::prompts::{copy_of, expected, picture};
use super::stage::{BOTH, Stage, outcomes_of};

fn stored(name: &str, subfolder: &str) -> Value {
    json!({"name": name, "subfolder": subfolder, "type": "input"})
}

fn pixels(seed: u64) -> image::RgbImage {
    sim::picture::sampled(seed, 6, 5)
}

#[tokio::test]
async fn uploads_are_named_as_comfyui_names_them() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let client = &stage.client;
    assert_eq!(client.upload("in.png", png(1), &[]).await, (200, stored("in.png", "")));
    assert_eq!(client.upload("in.png", png(1), &[]).await, (200, stored("in.png", "")), "the same content");
    assert_eq!(client.upload("in.png", png(2), &[]).await, (200, stored("in (1).png", "")));
    assert_eq!(client.upload("in.png", png(3), &[]).await, (200, stored("in (2).png", "")));
    assert_eq!(client.upload("in.png", png(4), &[("overwrite", "true")]).await, (200, stored("in.png", "")));
    assert_eq!(
        client.upload("in.png", png(5), &[("subfolder", "deep/er")]).await,
        (200, stored("in.png", "deep/er"))
    );
    for (query, seed) in
        [("in.png", 4), ("in%20(1).png", 2), ("in%20(2).png", 3), ("in.png&subfolder=deep/er", 5)]
    {
        assert_eq!(client.bytes(&format!("/view?filename={query}&type=input")).await, png(seed), "{query}");
    }
}

#[tokio::test]
async fn an_upload_outside_the_input_folder_is_refused() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    for more in [("subfolder", "../up"), ("subfolder", "/etc"), ("type", "secret")] {
        let (status, refusal) = stage.client.upload("in.png", png(1), &[more]).await;
        assert_eq!(status, 400, "{more:?}: {refusal}");
        assert!(refusal["error"]["message"].is_string());
    }
    let (status, _) = stage.client.ask("/view?filename=in.png&type=input").await;
    assert_eq!(status, 404);
    assert_eq!(stage.client.post_text("/upload/image", "no form").await.0, 400);
}

#[tokio::test]
async fn a_job_that_loads_an_uploaded_picture_runs_on_a_backend_that_never_got_it() {
    for generation in BOTH {
        let stage = Stage::of(generation, 2).await;
        stage.client.upload("in.png", png(3), &[]).await;
        stage.client.upload("in.png", png(4), &[("subfolder", "deep")]).await;
        assert!(
            stage.comfys.iter().all(|comfy| comfy.counters().uploads == 0),
            "kept here until it is needed"
        );
        for (name, seed) in [("in.png", 3), ("in.png [input]", 3), ("deep/in.png", 4)] {
            let id = stage.client.submit(&copy_of(name)).await;
            let history = stage.client.succeeded(&id).await;
            assert_eq!(stage.client.picture_in(&history).await, pixels(seed), "{name}");
        }
        let uploads: u64 = stage.comfys.iter().map(|comfy| comfy.counters().uploads).sum();
        assert!(uploads <= 4, "a file travels to a backend once");
    }
}

#[tokio::test]
async fn a_file_that_was_overwritten_is_brought_anew_also_when_it_is_an_old_one_again() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    for seed in [3, 4, 3] {
        stage.client.upload("in.png", png(seed), &[("overwrite", "true")]).await;
        let id = stage.client.submit(&copy_of("in.png")).await;
        let history = stage.client.succeeded(&id).await;
        assert_eq!(stage.client.picture_in(&history).await, pixels(seed));
    }
}

#[tokio::test]
async fn a_job_whose_file_could_not_be_delivered_is_tried_again() {
    for kind in [FaultKind::Reset, FaultKind::Status(500)] {
        let stage = Stage::of(Generation::V0_8, 1).await;
        stage.comfys[0].fail(Fault::once("/upload/image", kind));
        stage.client.upload("in.png", png(3), &[]).await;
        let id = stage.client.submit(&copy_of("in.png")).await;
        let history = stage.client.succeeded(&id).await;
        assert_eq!(stage.client.picture_in(&history).await, pixels(3));
        assert_eq!(stage.runs_of(&id), 1);
    }
}

#[tokio::test]
async fn a_job_that_names_a_file_that_nobody_has_fails_with_the_backends_reason() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let id = stage.client.submit(&copy_of("nowhere.png")).await;
    let status = stage.client.ended(&id).await["status"].clone();
    assert_eq!(status["status_str"], "error");
    assert!(status["messages"].to_string().contains("nowhere.png"), "{status}");
    assert_eq!(stage.runs_of(&id), 0);
}

#[tokio::test]
async fn equal_names_of_two_backends_are_two_files() {
    for generation in BOTH {
        let stage = Stage::of(generation, 2).await;
        stage.comfys.iter().for_each(sim::Comfy::hold);
        let ids = [stage.client.submit(&picture(1)).await, stage.client.submit(&picture(2)).await];
        for comfy in &stage.comfys {
            comfy.wait_for(|state| state.waits_at_gate).await.unwrap();
            comfy.release();
        }
        let mut files = Vec::new();
        for (seed, id) in (1..).zip(&ids) {
            let history = stage.client.succeeded(id).await;
            let file = history["outputs"]["9"]["images"][0].clone();
            assert_eq!(stage.client.view(&file).await, expected(seed));
            files.push(file);
        }
        assert_eq!(files[0]["filename"], files[1]["filename"]);
        assert_ne!(files[0]["subfolder"], files[1]["subfolder"]);
        assert!(
            outcomes_of(&stage.comfys[0], &ids[0]).len() + outcomes_of(&stage.comfys[0], &ids[1]).len() == 1
        );
    }
}

#[tokio::test]
async fn a_file_is_served_in_parts_and_previewed_as_its_backend_does() {
    let stage = Stage::of(Generation::V0_8, 2).await;
    let id = stage.client.submit(&picture(7)).await;
    let history = stage.client.succeeded(&id).await;
    let route = super::client::view_of(&history["outputs"]["9"]["images"][0]);
    let answer = stage.client.request(reqwest::Method::GET, &route).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "image/png");
    let preview = stage.client.bytes(&format!("{route}&preview=webp;90")).await;
    assert_eq!(image::guess_format(&preview).unwrap(), image::ImageFormat::WebP);
}

#[tokio::test]
async fn a_file_that_is_not_there_or_whose_owner_is_not_named_is_not_found() {
    let stage = Stage::of(Generation::V0_8, 2).await;
    for query in
        ["filename=t_00001_.png", "filename=t_00001_.png&subfolder=z", "filename=no.png&subfolder=a", ""]
    {
        assert_eq!(stage.client.ask(&format!("/view?{query}")).await.0, 404, "{query}");
    }
    assert_eq!(stage.client.ask("/view?filename=t.png&type=secret").await.0, 400);
    stage.comfys[0].kill().await;
    let (status, refusal) = stage.client.ask("/view?filename=t_00001_.png&subfolder=a").await;
    assert_eq!((status, &refusal["error"]["type"]), (502, &json!("backend_unreachable")));
}

#[tokio::test]
async fn files_of_each_type_are_kept_apart() {
    let stage = Stage::of(Generation::V0_8, 2).await;
    for (kind, seed) in [("input", 1), ("output", 2), ("temp", 3)] {
        let told = json!({"name": "same.png", "subfolder": "s", "type": kind});
        let more = [("type", kind), ("subfolder", "s")];
        assert_eq!(stage.client.upload("same.png", png(seed), &more).await, (200, told));
    }
    for (kind, seed) in [("input", 1), ("output", 2), ("temp", 3)] {
        let route = format!("/view?filename=same.png&subfolder=s&type={kind}");
        assert_eq!(stage.client.bytes(&route).await, png(seed), "{kind}");
    }
    let (status, refusal) =
        stage.client.upload("same.png", png(4), &[("type", "output"), ("subfolder", "./a/b")]).await;
    assert_eq!(
        (status, &refusal["error"]["type"]),
        (400, &json!("bad_subfolder")),
        "that is a backend's own"
    );
}

/// Half see-through, of the size of the pictures that are uploaded here.
fn mask(width: u32, height: u32) -> Vec<u8> {
    let mask = image::RgbaImage::from_fn(width, height, |x, y| image::Rgba([9, 9, 9, (x * 20 + y) as u8]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    mask.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn assert_masked(made: &[u8], original: &image::RgbImage) {
    let made = image::load_from_memory(made).unwrap().into_rgba8();
    for (x, y, pixel) in made.enumerate_pixels() {
        let image::Rgb([red, green, blue]) = *original.get_pixel(x, y);
        assert_eq!(pixel.0, [red, green, blue, (x * 20 + y) as u8], "at {x}, {y}");
    }
}

#[tokio::test]
async fn a_mask_goes_into_an_uploaded_picture_and_a_job_can_load_it() {
    let stage = Stage::of(Generation::V0_8, 2).await;
    stage.client.upload("in.png", png(3), &[]).await;
    let original = json!({"filename": "in.png", "subfolder": "", "type": "input"}).to_string();
    let more = [("original_ref", original.as_str()), ("type", "input"), ("subfolder", "clipspace")];
    let (status, told) = stage.client.upload_to("/upload/mask", "mask.png", mask(6, 5), &more).await;
    assert_eq!((status, &told), (200, &stored("mask.png", "clipspace")));
    let made = stage.client.bytes("/view?filename=mask.png&subfolder=clipspace&type=input").await;
    assert_masked(&made, &pixels(3));
    let id = stage.client.submit(&copy_of("clipspace/mask.png [input]")).await;
    let history = stage.client.succeeded(&id).await;
    assert_eq!(stage.client.picture_in(&history).await, pixels(3), "the copy has no alpha");
}

#[tokio::test]
async fn a_mask_goes_into_a_picture_of_the_backend_that_is_named_and_keeps_its_workflow() {
    let stage = Stage::of(Generation::V0_8, 2).await;
    let id = stage.client.submit(&picture(7)).await;
    let file = stage.client.succeeded(&id).await["outputs"]["9"]["images"][0].clone();
    let original = file.to_string();
    let (status, _) = stage
        .client
        .upload_to("/upload/mask", "m.png", mask(16, 8), &[("original_ref", original.as_str())])
        .await;
    assert_eq!(status, 200);
    let made = stage.client.bytes("/view?filename=m.png&type=input").await;
    assert_masked(&made, &expected(7));
    assert!(made.windows(10).any(|bytes| bytes == b"tEXtprompt"), "the original's prompt is in it");
}

#[tokio::test]
async fn a_mask_that_cannot_be_used_is_refused_and_nothing_is_kept() {
    let stage = Stage::of(Generation::V0_8, 2).await;
    stage.client.upload("in.png", png(3), &[]).await;
    let original = |name: &str, subfolder: &str| {
        json!({"filename": name, "subfolder": subfolder, "type": "input"}).to_string()
    };
    for (original, size, expected) in [
        (original("in.png", ""), (3, 3), 400),
        (original("no.png", ""), (6, 5), 404),
        (original("../in.png", ""), (6, 5), 400),
        (original("in.png", "../.."), (6, 5), 403),
        (String::new(), (6, 5), 400),
        ("[]".to_owned(), (6, 5), 400),
    ] {
        let more = [("original_ref", original.as_str())];
        let mask = mask(size.0, size.1);
        let (status, refusal) = stage.client.upload_to("/upload/mask", "m.png", mask, &more).await;
        assert_eq!(status, expected, "{original}: {refusal}");
        assert!(refusal["error"]["message"].is_string());
    }
    assert_eq!(stage.client.ask("/view?filename=m.png&type=input").await.0, 404);
}
