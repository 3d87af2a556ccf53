//! What the recordings do not show of a simulated server, and what tests of others rely on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its own functions too"
)]

mod client;

use client::{Socket, ends_run, get, http, kinds, picture_prompt, submit};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use sim::{Comfy, ComfyConfig, Generation, Outcome, picture};

const MODEL: &str = "sd15.safetensors";
const BOTH: [Generation; 2] = [Generation::V0_8, Generation::V2024];

async fn server(generation: Generation) -> Comfy {
    Comfy::start(ComfyConfig { generation, speed: 0.0, ..ComfyConfig::default() }).await.unwrap()
}

/// Submits, waits for the end, gives the server's id.
async fn run(comfy: &Comfy, body: &Value) -> String {
    let executed = comfy.counters().executed;
    let answer = submit(&comfy.url(), body).await;
    comfy.wait_for(|state| state.counters.executed > executed).await.unwrap();
    answer["prompt_id"].as_str().unwrap().to_owned()
}

async fn post(comfy: &Comfy, route: &str, body: &Value) -> u16 {
    http().post(format!("{}{route}", comfy.url())).json(body).send().await.unwrap().status().as_u16()
}

async fn upload(comfy: &Comfy, bytes: Vec<u8>, filename: &str) -> Value {
    let form = Form::new().part("image", Part::bytes(bytes).file_name(filename.to_owned()));
    let url = format!("{}/upload/image", comfy.url());
    http().post(url).multipart(form).send().await.unwrap().json().await.unwrap()
}

fn png(seed: u64) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture::sampled(seed, 6, 5).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn copy_of(name: &str) -> Value {
    json!({"prompt": {
        "1": {"class_type": "LoadImage", "inputs": {"image": name}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "copy"}},
    }})
}

fn pixels(bytes: &[u8]) -> image::RgbImage {
    image::load_from_memory(bytes).unwrap().to_rgb8()
}

#[tokio::test]
async fn an_uploaded_picture_comes_back_through_a_prompt_pixel_by_pixel() {
    for generation in BOTH {
        let comfy = server(generation).await;
        assert_eq!(upload(&comfy, png(3), "in.png").await["name"], "in.png");
        run(&comfy, &copy_of("in.png")).await;
        run(&comfy, &copy_of("copy_00001_.png [output]")).await;
        for name in ["copy_00001_.png", "copy_00002_.png"] {
            let bytes = client::bytes(&format!("{}/view?filename={name}", comfy.url())).await;
            assert_eq!(pixels(&bytes), picture::sampled(3, 6, 5));
        }
    }
}

#[tokio::test]
async fn another_picture_under_the_same_name_is_loaded_anew() {
    let comfy = server(Generation::V0_8).await;
    upload(&comfy, png(1), "in.png").await;
    let same = run(&comfy, &copy_of("in.png")).await;
    let again = run(&comfy, &copy_of("in.png")).await;
    let cached = |id: &str| comfy.history_of(id).unwrap()["status"]["messages"][1][1]["nodes"].clone();
    assert_eq!((cached(&same), cached(&again)), (json!([]), json!(["1", "2"])));
    let form = Form::new().part("image", Part::bytes(png(2)).file_name("in.png")).text("overwrite", "1");
    http().post(format!("{}/upload/image", comfy.url())).multipart(form).send().await.unwrap();
    assert_eq!(cached(&run(&comfy, &copy_of("in.png")).await), json!([]));
}

#[tokio::test]
async fn a_picture_that_is_not_there_is_refused() {
    let comfy = server(Generation::V0_8).await;
    let answer =
        http().post(format!("{}/prompt", comfy.url())).json(&copy_of("no.png")).send().await.unwrap();
    let errors = answer.json::<Value>().await.unwrap()["node_errors"]["1"]["errors"].clone();
    assert_eq!(errors[0]["type"], "custom_validation_failed");
    assert_eq!(errors[0]["details"], "image - Invalid image file: no.png");
    assert_eq!(comfy.counters().refused, 1);
}

#[tokio::test]
async fn a_sampler_makes_the_picture_of_its_seed_and_the_file_carries_the_workflow() {
    let comfy = server(Generation::V0_8).await;
    let extra_data = json!({"extra_pnginfo": {"workflow": {"id": "w-1"}}});
    let id = run(&comfy, &json!({"prompt": picture_prompt(MODEL, 77), "extra_data": extra_data})).await;
    let bytes = client::bytes(&format!("{}/view?filename=t_00001_.png", comfy.url())).await;
    assert_eq!(pixels(&bytes), picture::sampled(77, 16, 8));
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("tEXtworkflow\0{\"id\":\"w-1\"}") && text.contains("tEXtprompt\0{\"1\""));
    let job = get(&format!("{}/api/jobs/{id}", comfy.url())).await;
    assert_eq!((&job["workflow_id"], &job["status"]), (&json!("w-1"), &json!("completed")));
    assert_eq!(job["outputs"]["9"]["images"][0]["filename"], "t_00001_.png");
}

#[tokio::test]
async fn a_preview_shows_the_pixels_of_the_file() {
    let comfy = server(Generation::V0_8).await;
    upload(&comfy, png(9), "in.png").await;
    let url = format!("{}/api/view?filename=in.png&type=input&preview=webp;90", comfy.url());
    assert_eq!(pixels(&client::bytes(&url).await), picture::sampled(9, 6, 5));
}

#[tokio::test]
async fn a_mask_becomes_the_alpha_of_its_picture() {
    let comfy = server(Generation::V0_8).await;
    upload(&comfy, png(9), "in.png").await;
    let mut mask = std::io::Cursor::new(Vec::new());
    let alpha = image::RgbaImage::from_pixel(6, 5, image::Rgba([0, 0, 0, 77]));
    alpha.write_to(&mut mask, image::ImageFormat::Png).unwrap();
    let original = json!({"filename": "in.png", "type": "input"}).to_string();
    let part = Part::bytes(mask.into_inner()).file_name("mask.png");
    let form = Form::new().part("image", part).text("original_ref", original);
    let url = format!("{}/upload/mask", comfy.url());
    let stored: Value = http().post(url).multipart(form).send().await.unwrap().json().await.unwrap();
    assert_eq!(stored["name"], "mask.png");
    let view = format!("{}/view?filename=mask.png&type=input", comfy.url());
    assert_eq!(pixels(&client::bytes(&view).await), picture::sampled(9, 6, 5));
    let alpha = client::bytes(&format!("{view}&channel=a")).await;
    let alpha = image::load_from_memory(&alpha).unwrap().to_rgba8();
    assert_eq!(alpha.get_pixel(2, 2).0, [0, 0, 0, 77]);
}

#[tokio::test]
async fn a_model_is_loaded_once_until_another_needs_its_place() {
    let vram_bytes = 9000 << 20;
    let config = ComfyConfig { speed: 0.0, vram_bytes, ..ComfyConfig::default() };
    let comfy = Comfy::start(config).await.unwrap();
    for (model, seed) in [("sd15", 1), ("sd15", 2), ("sdxl", 3), ("sd15", 4), ("flux", 5), ("sdxl", 6)] {
        run(&comfy, &json!({"prompt": picture_prompt(&format!("{model}.safetensors"), seed)})).await;
    }
    let counters = comfy.counters();
    let loads = |model: &str| counters.loads[model];
    assert_eq!((loads("sd15.safetensors"), loads("sdxl.safetensors"), loads("flux.safetensors")), (1, 2, 1));
    assert_eq!((comfy.state().loaded_mb, counters.all_loads()), (8000, 4));
    let device = get(&format!("{}/system_stats", comfy.url())).await["devices"][0].clone();
    assert_eq!(device["vram_free"], 1000 << 20);
}

#[tokio::test]
async fn freeing_drops_models_and_results_and_only_what_was_asked() {
    for generation in BOTH {
        let comfy = server(generation).await;
        upload(&comfy, png(1), "in.png").await;
        run(&comfy, &json!({"prompt": picture_prompt(MODEL, 1)})).await;
        run(&comfy, &copy_of("in.png")).await;
        assert_eq!(post(&comfy, "/free", &json!({"unload_models": true})).await, 200);
        comfy.wait_for(|state| state.loaded.is_empty()).await.unwrap();
        let cached = |id: &str| comfy.history_of(id).unwrap()["status"]["messages"][1][1]["nodes"].clone();
        assert_eq!(cached(&run(&comfy, &copy_of("in.png")).await), json!(["1", "2"]));
        // Applied before the next prompt at the latest.
        assert_eq!(post(&comfy, "/free", &json!({"free_memory": true})).await, 200);
        comfy.hold();
        let held = submit(&comfy.url(), &copy_of("in.png")).await;
        comfy.release();
        comfy.wait_for(|state| state.counters.executed == 4).await.unwrap();
        let second = run(&comfy, &json!({"prompt": picture_prompt(MODEL, 2)})).await;
        assert!(comfy.history_of(held["prompt_id"].as_str().unwrap()).is_some());
        assert_eq!(comfy.state().outcome(&second), Some(Outcome::Succeeded));
        assert_eq!((comfy.counters().loads[MODEL], comfy.counters().frees), (2, 2));
    }
}

#[tokio::test]
async fn an_interrupt_by_id_spares_another_prompt_in_the_newer_generation_only() {
    for (generation, expected) in
        [(Generation::V0_8, Outcome::Succeeded), (Generation::V2024, Outcome::Interrupted)]
    {
        let comfy = server(generation).await;
        comfy.hold();
        comfy.let_pass(3);
        let answer = submit(&comfy.url(), &json!({"prompt": picture_prompt(MODEL, 1)})).await;
        comfy.wait_for(|state| state.steps_done == 1 && state.waits_at_gate).await.unwrap();
        post(&comfy, "/interrupt", &json!({"prompt_id": "another"})).await;
        comfy.release();
        let state = comfy.wait_for(|state| state.counters.executed == 1).await.unwrap();
        assert_eq!(state.outcome(answer["prompt_id"].as_str().unwrap()), Some(expected));
    }
}

#[tokio::test]
async fn an_interrupt_while_idle_does_not_hit_the_next_prompt() {
    for generation in BOTH {
        let comfy = server(generation).await;
        post(&comfy, "/interrupt", &json!({})).await;
        let id = run(&comfy, &json!({"prompt": picture_prompt(MODEL, 1)})).await;
        assert_eq!(comfy.state().outcome(&id), Some(Outcome::Succeeded));
    }
}

#[tokio::test]
async fn a_client_that_comes_back_hears_which_node_runs_and_the_rest() {
    for generation in BOTH {
        let comfy = server(generation).await;
        let mut first = Socket::open(&comfy.url(), "c").await;
        comfy.hold();
        comfy.let_pass(3);
        submit(&comfy.url(), &json!({"prompt": picture_prompt(MODEL, 1), "client_id": "c"})).await;
        comfy.wait_for(|state| state.steps_done == 1 && state.waits_at_gate).await.unwrap();
        comfy.drop_sockets();
        while first.next().await.is_some() {}
        let mut second = Socket::open(&comfy.url(), "c").await;
        let frames = [second.next().await.unwrap(), second.next().await.unwrap()];
        assert_eq!(frames[1]["text"], json!({"type": "executing", "data": {"node": "2"}}));
        comfy.release();
        assert!(kinds(&second.until(ends_run).await).contains(&"executed".to_owned()));
    }
}

#[tokio::test]
async fn a_second_socket_takes_the_place_of_the_first_silently() {
    let comfy = server(Generation::V0_8).await;
    let mut first = Socket::open(&comfy.url(), "c").await;
    let greeting = first.next().await.unwrap();
    assert_eq!(greeting["text"]["data"]["sid"], "c");
    let mut second = Socket::open(&comfy.url(), "c").await;
    submit(&comfy.url(), &json!({"prompt": picture_prompt(MODEL, 1), "client_id": "c"})).await;
    assert!(kinds(&second.until(ends_run).await).contains(&"execution_success".to_owned()));
    assert_eq!(comfy.state().clients, ["c"]);
    comfy.drop_sockets();
    assert_eq!(first.next().await, None);
}

#[tokio::test]
async fn the_end_of_a_replaced_socket_silences_the_one_that_took_its_place() {
    let comfy = server(Generation::V0_8).await;
    let first = Socket::open(&comfy.url(), "c").await;
    let _second = Socket::open(&comfy.url(), "c").await;
    drop(first);
    comfy.wait_for(|state| state.clients.is_empty()).await.unwrap();
}

#[tokio::test]
async fn without_a_client_progress_goes_to_everybody_and_the_rest_to_nobody() {
    let comfy = server(Generation::V2024).await;
    let mut socket = Socket::open(&comfy.url(), "c").await;
    run(&comfy, &json!({"prompt": picture_prompt(MODEL, 1)})).await;
    let idle = |frame: &Value| {
        let status = &frame["text"]["data"]["status"]["exec_info"]["queue_remaining"];
        frame["text"]["data"]["sid"].is_null() && *status == 0
    };
    let kinds = kinds(&socket.until(idle).await);
    let told: std::collections::BTreeSet<&str> = kinds.iter().map(String::as_str).collect();
    assert_eq!(told.into_iter().collect::<Vec<_>>(), ["binary 1", "progress", "status"]);
}

#[tokio::test]
async fn prompts_run_by_number_and_the_later_front_first() {
    let comfy = server(Generation::V0_8).await;
    comfy.hold();
    let mut ids = Vec::new();
    for more in [json!({}), json!({}), json!({"front": true}), json!({"front": true}), json!({"number": 0.5})]
    {
        let mut body = json!({"prompt": picture_prompt(MODEL, ids.len() as u64)});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ids.push(submit(&comfy.url(), &body).await["prompt_id"].as_str().unwrap().to_owned());
        comfy.wait_for(|state| state.waits_at_gate).await.unwrap();
    }
    let expected = [3, 2, 4, 1].map(|at: usize| ids[at].clone());
    assert_eq!(comfy.state().pending, expected);
    comfy.release();
    let state = comfy.wait_for(|state| state.counters.executed == 5).await.unwrap();
    assert_eq!(state.runs.iter().skip(1).map(|run| run.prompt_id.clone()).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn one_id_posted_twice_runs_twice() {
    let comfy = server(Generation::V0_8).await;
    let body = json!({"prompt": picture_prompt(MODEL, 1), "prompt_id": "mine"});
    assert_eq!([run(&comfy, &body).await, run(&comfy, &body).await], ["mine", "mine"]);
    assert_eq!(comfy.counters().executed, 2);
}

#[tokio::test]
async fn only_the_wanted_outputs_run() {
    let comfy = server(Generation::V0_8).await;
    let mut prompt = picture_prompt(MODEL, 1);
    prompt["10"] = json!({"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}});
    let id = run(&comfy, &json!({"prompt": prompt, "partial_execution_targets": ["10"]})).await;
    let outputs = comfy.history_of(&id).unwrap()["outputs"].clone();
    assert_eq!(outputs.as_object().unwrap().keys().collect::<Vec<_>>(), ["10"]);
}

#[tokio::test]
async fn a_prompt_of_the_ordinary_nodes_makes_its_picture() {
    for generation in BOTH {
        let comfy = server(generation).await;
        let text =
            |text: &str| json!({"class_type": "CLIPTextEncode", "inputs": {"text": text, "clip": ["4", 1]}});
        let prompt = json!({
            "3": {"class_type": "KSampler", "inputs": {
                "seed": 5, "steps": 3, "cfg": 8, "sampler_name": "euler", "scheduler": "normal", "denoise": 1,
                "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0],
            }},
            "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": MODEL}},
            "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 32, "height": 16, "batch_size": 2}},
            "6": text("a house"),
            "7": text(""),
            "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
            "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "ComfyUI", "images": ["8", 0]}},
        });
        let id = run(&comfy, &json!({"prompt": prompt})).await;
        let images = comfy.history_of(&id).unwrap()["outputs"]["9"]["images"].clone();
        assert_eq!(images[1]["filename"], "ComfyUI_00002_.png");
        assert_eq!(pixels(&comfy.file("ComfyUI_00002_.png [output]").unwrap()), picture::sampled(5, 32, 16));
        assert_eq!(comfy.counters().loads[MODEL], 1);
    }
}

#[tokio::test]
async fn a_server_may_know_classes_that_others_do_not() {
    let extra_nodes = vec!["Rare".to_owned()];
    let rare = Comfy::start(ComfyConfig { speed: 0.0, extra_nodes, ..ComfyConfig::default() }).await.unwrap();
    let plain = server(Generation::V0_8).await;
    let mut prompt = picture_prompt(MODEL, 1);
    prompt["3"] = json!({"class_type": "Rare", "inputs": {"image": ["2", 0]}});
    prompt["9"]["inputs"]["images"] = json!(["3", 0]);
    let body = json!({"prompt": prompt});
    let id = run(&rare, &body).await;
    assert_eq!(rare.state().outcome(&id), Some(Outcome::Succeeded));
    assert_eq!(post(&plain, "/prompt", &body).await, 400);
}

#[tokio::test]
async fn jobs_are_filtered_and_paged_and_an_unknown_status_is_refused() {
    let comfy = server(Generation::V0_8).await;
    for seed in 0..3 {
        run(&comfy, &json!({"prompt": picture_prompt(MODEL, seed)})).await;
    }
    let url = format!("{}/api/jobs", comfy.url());
    let page = get(&format!("{url}?status=completed,failed&limit=2&sort_order=asc")).await;
    assert_eq!(page["pagination"], json!({"offset": 0, "limit": 2, "total": 3, "has_more": true}));
    assert_eq!((&page["jobs"][0]["priority"], &page["jobs"][1]["priority"]), (&json!(0), &json!(1)));
    assert_eq!(get(&format!("{url}?status=pending")).await["jobs"], json!([]));
    assert_eq!(http().get(format!("{url}?status=cancelled")).send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn a_foreign_page_is_refused_by_the_newer_generation_only() {
    for (generation, expected) in [(Generation::V0_8, 403), (Generation::V2024, 200)] {
        let comfy = server(generation).await;
        let request = http().get(format!("{}/queue", comfy.url())).header("Origin", "http://evil.example");
        assert_eq!(request.send().await.unwrap().status(), expected);
    }
}

#[tokio::test]
async fn a_cycle_is_refused() {
    let comfy = server(Generation::V0_8).await;
    let prompt = json!({
        "1": {"class_type": "ImageInvert", "inputs": {"image": ["2", 0]}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    });
    assert_eq!(post(&comfy, "/prompt", &json!({"prompt": prompt})).await, 400);
}

#[tokio::test]
async fn a_long_list_is_counted_in_words_and_given_whole_by_the_newer_generation() {
    let models: Vec<String> = (0..30).map(|number| format!("{number}.safetensors")).collect();
    for generation in BOTH {
        let config = ComfyConfig { generation, models: models.clone(), ..ComfyConfig::default() };
        let comfy = Comfy::start(config).await.unwrap();
        let body = json!({"prompt": picture_prompt(MODEL, 1)});
        let answer = http().post(format!("{}/prompt", comfy.url())).json(&body).send().await.unwrap();
        let error = answer.json::<Value>().await.unwrap()["node_errors"]["1"]["errors"][0].clone();
        assert_eq!(error["details"], "ckpt_name: 'sd15.safetensors' not in (list of length 30)");
        assert_eq!(error["extra_info"]["input_config"].is_null(), !generation.is_current());
    }
}

#[tokio::test]
async fn values_of_another_type_are_converted_or_refused_in_pythons_words() {
    let comfy = server(Generation::V0_8).await;
    let mut prompt = picture_prompt(MODEL, 1);
    prompt["2"]["inputs"]["seed"] = json!("7");
    let id = run(&comfy, &json!({"prompt": prompt})).await;
    assert_eq!(comfy.history_of(&id).unwrap()["prompt"][2]["2"]["inputs"]["seed"], 7);
    prompt["2"]["inputs"]["seed"] = json!("many");
    let url = format!("{}/prompt", comfy.url());
    let answer = http().post(url).json(&json!({"prompt": prompt})).send().await.unwrap();
    let error = answer.json::<Value>().await.unwrap()["node_errors"]["2"]["errors"][0].clone();
    assert_eq!(error["message"], "Failed to convert an input value to a INT value");
    assert_eq!(error["details"], "seed, many, invalid literal for int() with base 10: 'many'");
}
