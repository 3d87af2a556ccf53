//! What real prompts need, read by hand (`needs/prompts.json`: templates of ComfyUI; `needs/object_info.json`: their
//! classes on a server without any model file), and what hostile ones cost.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: whatever goes wrong in the functions beside them fails the test"
)]

use comfyui::needs::{InputFile, Needs};
use comfyui::prompt::Node;
use comfyui::{ObjectInfo, Prompt};
use proptest::prelude::*;
use serde_json::{Value, json};

const PROMPTS: &str = include_str!("needs/prompts.json");
const INFO: &str = include_str!("needs/object_info.json");

fn template(name: &str) -> Prompt {
    let all: Value = serde_json::from_str(PROMPTS).unwrap();
    prompt(&all[name])
}

fn prompt(document: &Value) -> Prompt {
    serde_json::from_value(document.clone()).unwrap()
}

fn info() -> ObjectInfo {
    serde_json::from_str(INFO).unwrap()
}

fn models(needs: &Needs) -> Vec<String> {
    needs.models().0.into_iter().collect()
}

fn files(needs: &Needs) -> Vec<String> {
    needs.files.iter().map(ToString::to_string).collect()
}

fn work(needs: &Needs) -> Value {
    serde_json::to_value(&needs.work).unwrap()
}

/// The numbers of a graph whose classes nobody knows.
fn work_of(document: &Value) -> Value {
    work(&Needs::of(&prompt(document), None))
}

fn sampler(latent: &str) -> Value {
    json!({"class_type": "KSampler", "inputs": {"seed": 1, "steps": 10, "cfg": 2.0, "sampler_name": "euler",
                                                "latent_image": [latent, 0]}})
}

#[test]
fn the_numbers_of_real_prompts_are_those_that_a_reader_finds() {
    for (name, expected) in [
        (
            "default",
            json!({"width": 512, "height": 512, "pixels": 262_144, "batch": 1, "steps": 20, "cfg": 8.0,
                           "samplers": ["euler"]}),
        ),
        // Base up to step 20 of 25, then the refiner from 20 to the end.
        (
            "sdxl_refiner_prompt_example",
            json!({"width": 1024, "height": 1024, "pixels": 1_048_576, "batch": 1,
                           "steps": 25, "cfg": 8.0, "samplers": ["euler"]}),
        ),
        // A picture in 15 steps, then a film of it in 20; the film is the larger.
        (
            "txt_to_image_to_video",
            json!({"width": 1024, "height": 576, "pixels": 589_824, "frames": 25, "steps": 35,
                           "cfg": 8.0, "samplers": ["euler", "uni_pc_bh2"]}),
        ),
        (
            "video_wan2_2_14B_flf2v",
            json!({"width": 640, "height": 640, "pixels": 409_600, "frames": 81, "batch": 1,
                           "steps": 20, "cfg": 4.0, "samplers": ["euler"]}),
        ),
        // Width, height and length linked from the node that describes the camera.
        (
            "video_wan2.1_fun_camera_v1.1_14B",
            json!({"width": 512, "height": 512, "pixels": 262_144, "frames": 81,
                           "batch": 1, "steps": 20, "cfg": 6.0, "samplers": ["uni_pc"]}),
        ),
        // The size measured of a picture that was scaled to it.
        (
            "video_wanmove_480p",
            json!({"width": 720, "height": 480, "pixels": 345_600, "frames": 81, "batch": 1,
                           "steps": 6, "cfg": 1.0, "samplers": ["er_sde"]}),
        ),
        (
            "ltxv_image_to_video",
            json!({"width": 768, "height": 512, "pixels": 393_216, "frames": 97, "batch": 1,
                           "steps": 30, "cfg": 3.0, "samplers": ["euler"]}),
        ),
        // A scaled upload; the guider has two scales, neither of them called `cfg`.
        (
            "hidream_e1_full",
            json!({"width": 768, "height": 768, "pixels": 589_824, "steps": 28,
                           "samplers": ["euler"]}),
        ),
        // An upload scaled to one megapixel; steps chosen by a switch.
        ("image_flux2", json!({"pixels": 1_048_576, "batch": 1, "steps": 20, "samplers": ["euler"]})),
        // A class scales the upload without saying to what.
        ("flux_kontext_dev_basic", json!({"steps": 20, "cfg": 1.0, "samplers": ["euler"]})),
        ("3d_hunyuan3d_image_to_model", json!({"batch": 1, "steps": 20, "cfg": 8.0, "samplers": ["euler"]})),
        // Steps taken at a paid service, and an output that nothing leads to.
        ("api_moonvalley_image_to_video", json!({})),
        ("gsc_starter_1", json!({})),
    ] {
        assert_eq!(work(&Needs::of(&template(name), Some(&info()))), expected, "{name}");
    }
}

#[test]
fn the_numbers_are_found_by_names_alone_where_classes_are_not_known() {
    for name in ["default", "txt_to_image_to_video", "video_wanmove_480p", "image_flux2", "hidream_e1_full"] {
        let needs = |info| work(&Needs::of(&template(name), info));
        assert_eq!(needs(None), needs(Some(&info())), "{name}");
    }
}

#[test]
fn model_files_that_the_server_lacks_are_found_with_and_without_its_classes() {
    let expected = [
        "umt5_xxl_fp8_e4m3fn_scaled.safetensors",
        "wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors",
        "wan2.2_i2v_low_noise_14B_fp8_scaled.safetensors",
        "wan_2.1_vae.safetensors",
    ];
    for info in [None, Some(&info())] {
        let needs = Needs::of(&template("video_wan2_2_14B_flf2v"), info);
        assert_eq!(models(&needs), expected);
        assert_eq!(
            files(&needs),
            ["video_wan2_2_14B_flf2v_start_image.png", "video_wan2_2_14B_flf2v_end_image.png"]
        );
        let asset = needs.assets.iter().find(|asset| asset.node == "76").unwrap();
        assert_eq!((asset.class.as_str(), asset.input.as_str()), ("UNETLoader", "unet_name"));
        assert!(needs.classes.contains("WanFirstLastFrameToVideo") && needs.classes.len() == 11);
    }
}

#[test]
fn what_leads_to_no_output_is_not_needed_but_its_class_is() {
    let unconnected = Needs::of(&template("gsc_starter_1"), Some(&info()));
    assert!(unconnected.assets.is_empty() && unconnected.classes.contains("UNETLoader"));
    let second_picture = template("image_flux2_klein_image_edit_4b_distilled");
    assert_eq!(files(&Needs::of(&second_picture, Some(&info()))), ["handbag_white.png"]);
}

#[test]
fn with_classes_only_a_choice_names_a_model_and_only_a_choice_or_an_upload_a_file() {
    let info: ObjectInfo = serde_json::from_value(json!({"C": {"output_node": true, "input": {"required": {
        "old": [["a.ckpt", "none"]], "new": ["COMBO", {"options": ["b.gguf"]}], "remote": ["COMBO", {"remote": {}}],
        "typed": ["STRING", {}], "film": ["COMBO", {"options": [], "video_upload": true}],
        "sound": ["STRING", {"audio_upload": true}], "off": ["STRING", {"image_upload": false}],
        "kept": ["COMBO", {"options": [], "image_folder": "output"}], "shape": [["3d/x.glb"]],
    }}}}))
    .unwrap();
    let named = prompt(&json!({"1": {"class_type": "C", "inputs": {
        "old": "missing.CKPT", "new": "b.gguf", "remote": "c.sft", "typed": "d.safetensors",
        "film": "any name", "sound": "e.pt", "off": "f.png", "kept": "g.png [output]", "shape": "3d/x.glb",
        "undeclared": {"on": true, "lora": "h.safetensors"},
    }}}));
    let needs = Needs::of(&named, Some(&info));
    assert_eq!(models(&needs), ["b.gguf", "c.sft", "h.safetensors", "missing.CKPT"]);
    assert_eq!(files(&needs), ["any name", "e.pt", "3d/x.glb"]);
    assert_eq!(needs.outputs.len(), 1);

    let none =
        prompt(&json!({"1": {"class_type": "C", "inputs": {"old": "none", "typed": "a.png [output]"}}}));
    let needs = Needs::of(&none, Some(&info));
    assert!(needs.assets.is_empty() && needs.files.is_empty() && needs.outputs.is_empty());
}

#[test]
fn an_annotation_names_the_folder_of_a_file() {
    let needs = Needs::of(
        &prompt(&json!({
            "1": {"class_type": "LoadImage", "inputs": {"image": "clipspace/mask.png [input]"}},
            "2": {"class_type": "LoadImage", "inputs": {"image": "a/b/ComfyUI_1_.png [output]"}},
            "3": {"class_type": "Load3D", "inputs": {"image": {"image": "threed/1.png [temp]", "mask": "threed/1.png [temp]"}}},
            "4": {"class_type": "SaveImage", "inputs": {"filename_prefix": "Flux.2[pro]"}},
            "5": {"class_type": "LoadImage", "inputs": {"image": "clipspace/mask.png"}},
            "6": {"class_type": "Download", "inputs": {"address": "https://example.org/a.png", "note": "see\n.pt"}},
        })),
        None,
    );
    assert_eq!(files(&needs), ["clipspace/mask.png"]);
    let outputs: Vec<_> =
        needs.outputs.iter().map(|file| (&*file.kind, &*file.subfolder, &*file.filename)).collect();
    assert_eq!(outputs, [("output", "a/b", "ComfyUI_1_.png"), ("temp", "threed", "1.png")]);
    assert!(needs.assets.is_empty());
}

#[test]
fn who_keeps_the_uploads_tells_which_files_are_uploaded() {
    let named = prompt(&json!({
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "SDXL/base.safetensors"}},
        "2": {"class_type": "LoraLoader", "inputs": {"lora_name": "a.Safetensors", "model": ["1", 0]}},
        "3": {"class_type": "LoadImage", "inputs": {"image": "orchestrator/dog.png [input]"}},
        "4": {"class_type": "Custom", "inputs": {"anything": "cat"}},
        "5": {"class_type": "LoadImage", "inputs": {"image": "elsewhere.png"}},
    }));
    let uploaded = [InputFile::named_by("cat"), InputFile::named_by("orchestrator/dog.png")];
    let needs = Needs::with_uploads(&named, None, |file| uploaded.contains(file));
    assert_eq!(needs.models().to_string(), "SDXL/base.safetensors + a.Safetensors");
    assert_eq!(files(&needs), ["orchestrator/dog.png", "cat"]);
    assert_eq!(needs.classes.len(), 4);
}

#[test]
fn sides_come_through_primitives_reroutes_and_switches() {
    let expected = json!({"width": 640, "height": 384, "pixels": 245_760, "batch": 3, "steps": 10, "cfg": 2.0,
                          "samplers": ["euler"]});
    assert_eq!(
        work_of(&json!({
            "w": {"class_type": "PrimitiveInt", "inputs": {"value": 640}},
            "r": {"class_type": "Reroute", "inputs": {"": ["w", 0]}},
            "yes": {"class_type": "PrimitiveBoolean", "inputs": {"value": true}},
            "s": {"class_type": "Switch", "inputs": {"switch": ["yes", 0], "on_false": 7, "on_true": "384"}},
            "e": {"class_type": "EmptyLatentImage", "inputs": {"width": ["r", 0], "height": ["s", 0], "batch_size": 3}},
            "k": sampler("e"),
        })),
        expected
    );
}

#[test]
fn the_last_of_several_scalings_counts_and_factors_multiply() {
    let graph = |scaled: Value| {
        json!({
            "e": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 256, "batch_size": 2}},
            "k": sampler("e"), "u": scaled, "l": sampler("u"),
        })
    };
    let by = work_of(&graph(
        json!({"class_type": "LatentUpscaleBy", "inputs": {"samples": ["k", 0], "scale_by": 1.5}}),
    ));
    assert_eq!(
        (&by["width"], &by["height"], &by["pixels"], &by["batch"], &by["steps"]),
        (&json!(768), &json!(384), &json!(294_912), &json!(2), &json!(20))
    );
    let to = work_of(&graph(json!({"class_type": "LatentUpscale",
                                   "inputs": {"samples": ["k", 0], "width": 1024, "height": 1024}})));
    assert_eq!((&to["pixels"], &to["batch"]), (&json!(1_048_576), &json!(2)));
}

#[test]
fn sigmas_count_what_is_left_of_them() {
    let steps = |cut: Value, slot: u64| {
        let work = work_of(&json!({
            "s": {"class_type": "BasicScheduler", "inputs": {"scheduler": "normal", "steps": 20, "denoise": 1.0}},
            "c": cut, "n": {"class_type": "SamplerEulerAncestral", "inputs": {"eta": 1.0}},
            "k": {"class_type": "SamplerCustomAdvanced", "inputs": {"sampler": ["n", 0], "sigmas": ["c", slot]}},
        }));
        assert_eq!(work["samplers"], json!(["SamplerEulerAncestral"]));
        work["steps"].clone()
    };
    let split = json!({"class_type": "SplitSigmas", "inputs": {"sigmas": ["s", 0], "step": 14}});
    assert_eq!((steps(split.clone(), 0), steps(split, 1)), (json!(14), json!(6)));
    let share = json!({"class_type": "SplitSigmasDenoise", "inputs": {"sigmas": ["s", 0], "denoise": 0.4}});
    assert_eq!((steps(share.clone(), 0), steps(share, 1)), (json!(12), json!(8)));
    assert_eq!(steps(json!({"class_type": "FlipSigmas", "inputs": {"sigmas": ["s", 0]}}), 0), json!(20));
    assert_eq!(
        steps(json!({"class_type": "ManualSigmas", "inputs": {"sigmas": "14.6, 7.1,1.0, 0.0"}}), 0),
        json!(3)
    );
    let extended =
        json!({"class_type": "ExtendIntermediateSigmas", "inputs": {"sigmas": ["s", 0], "steps": 2}});
    assert_eq!(steps(extended, 0), Value::Null);
}

#[test]
fn what_is_not_told_is_absent_and_never_a_guess() {
    let lost = json!({"class_type": "KSampler", "inputs": {"seed": 1, "steps": ["gone", 0], "latent_image": ["v", 0]}});
    let encoded = json!({"class_type": "VAEEncode", "inputs": {"pixels": ["i", 0], "vae": ["i", 1]}});
    let loaded = json!({"class_type": "LoadImage", "inputs": {"image": "640.png"}});
    // One sampler's steps are known, the other's are not: their sum is not.
    let graph = json!({"k": lost, "l": sampler("v"), "v": encoded, "i": loaded});
    assert_eq!(work_of(&graph), json!({"cfg": 2.0, "samplers": ["euler"]}));
    let zero =
        json!({"class_type": "LatentUpscale", "inputs": {"samples": ["x", 0], "width": 512, "height": 0}});
    assert_eq!(work_of(&json!({"k": sampler("z"), "z": zero}))["pixels"], Value::Null);
    assert_eq!(work_of(&json!({})), json!({}));
}

#[test]
fn huge_and_absurd_numbers_are_not_known() {
    for side in
        [json!(1e300), json!(-5), json!(u64::MAX), json!(null), json!([]), json!("NaN"), json!({"a": 1})]
    {
        let empty = json!({"class_type": "E", "inputs": {"width": side, "height": side, "batch_size": side,
                                                        "length": side}});
        let node = json!({"k": {"class_type": "K", "inputs": {"seed": side, "steps": side, "latent": ["e", 0]}},
                          "e": empty});
        assert_eq!(work_of(&node), json!({}), "{side}");
    }
    let largest = 1_u64 << 53;
    let area = json!({"class_type": "E", "inputs": {"width": largest, "height": largest, "batch_size": 1}});
    assert_eq!(work_of(&json!({"k": sampler("e"), "e": area}))["pixels"], Value::Null);
    let many = |id: &str| json!({"class_type": id, "inputs": {"seed": 1, "steps": largest}});
    let sum: serde_json::Map<_, _> = (0..3_000).map(|id| (id.to_string(), many("K"))).collect();
    assert_eq!(work_of(&Value::Object(sum)), json!({}));
}

#[test]
fn loops_of_links_end() {
    let graph = json!({
        "k": sampler("r"), "r": {"class_type": "Reroute", "inputs": {"": ["r", 0]}},
        "a": {"class_type": "KSampler", "inputs": {"seed": ["a", 0], "steps": ["b", 0], "cfg": ["a", 0],
                                                   "latent_image": ["a", 0]}},
        "b": {"class_type": "S", "inputs": {"switch": ["b", 0], "on_true": ["a", 0], "on_false": ["b", 0]}},
        "c": {"class_type": "SamplerCustom", "inputs": {"sampler": ["c", 0], "sigmas": ["f", 0]}},
        "f": {"class_type": "FlipSigmas", "inputs": {"sigmas": ["f", 0]}},
        "o": {"class_type": "SaveImage", "inputs": {"images": ["o", 0], "more": ["k", 0], "all": ["a", 0], "s": ["c", 0]}},
    });
    for info in [None, Some(&info())] {
        assert_eq!(Needs::of(&prompt(&graph), info).work.steps, None);
    }
}

/// Every node a sampler that takes its latent and its numbers from the one before.
fn chain(nodes: usize) -> Prompt {
    let node = |id: usize| {
        let before = json!([id.saturating_sub(1).to_string(), 0]);
        let inputs = json!({"latent_image": before, "seed": 1, "steps": before, "cfg": before, "width": before,
                            "height": before, "scale_by": 1.1, "image": format!("{id}.png"), "vae": format!("{id}.pt")});
        serde_json::from_value::<Node>(json!({"class_type": "K", "inputs": inputs})).unwrap()
    };
    Prompt((0..nodes).map(|id| (id.to_string(), node(id))).collect())
}

#[test]
fn a_chain_of_100000_nodes_is_read_to_its_end() {
    let needs = Needs::of(&chain(100_000), None);
    assert_eq!((needs.assets.len(), needs.files.len()), (100_000, 100_000));
    assert!(needs.work.is_unknown());
}

fn value() -> impl Strategy<Value = Value> {
    let link = (0..8_u8, 0..3_u8).prop_map(|(id, slot)| json!([id.to_string(), slot]));
    let text =
        prop::sample::select(vec!["a.png", "b.safetensors [output]", " [temp]", "[input]", "🦀.pt", "7", ""]);
    prop_oneof![
        4 => link,
        1 => text.prop_map(Value::from),
        1 => (0..9_000_u32).prop_map(|eighths| json!(f64::from(eighths) / 8.0)),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
    ]
}

fn node() -> impl Strategy<Value = Value> {
    let classes = ["KSampler", "SaveImage", "SplitSigmas", "VAEEncode", "ComfySwitchNode", "?"];
    let inputs = [
        "steps",
        "seed",
        "sigmas",
        "sampler",
        "step",
        "denoise",
        "latent_image",
        "width",
        "height",
        "length",
        "batch_size",
        "scale_by",
        "megapixels",
        "switch",
        "on_true",
        "on_false",
        "images",
        "start_at_step",
    ];
    let inputs = prop::collection::hash_map(prop::sample::select(inputs.to_vec()), value(), 0..8);
    (prop::sample::select(classes.to_vec()), inputs)
        .prop_map(|(class, inputs)| json!({"class_type": class, "inputs": inputs}))
}

proptest! {
    #[test]
    fn no_graph_is_too_odd_and_what_was_read_comes_back_from_json(
        nodes in prop::collection::vec(node(), 0..8), with_info in any::<bool>(),
    ) {
        let graph: serde_json::Map<_, _> =
            nodes.into_iter().enumerate().map(|(id, node)| (id.to_string(), node)).collect();
        let info = info();
        let needs = Needs::of(&prompt(&Value::Object(graph)), with_info.then_some(&info));
        prop_assert_ne!(needs.work.pixels, Some(0));
        prop_assert_ne!(needs.work.steps, Some(0));
        let written = serde_json::to_string(&needs).unwrap();
        prop_assert_eq!(serde_json::from_str::<Needs>(&written).unwrap(), needs);
    }
}
