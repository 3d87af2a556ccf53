//! What a prompt needs, as text for people. Pure.

use std::fmt::Display;

use comfyui::api::FileRef;
use comfyui::needs::{Asset, Needs, Work};

/// One section a kind of need; what is unknown is left out.
pub(super) fn of(needs: &Needs) -> String {
    let classes: Vec<String> = needs.classes.iter().map(ToString::to_string).collect();
    let files: Vec<String> = needs.files.iter().map(ToString::to_string).collect();
    let outputs: Vec<String> = needs.outputs.iter().map(output).collect();
    [
        section("Node classes", &classes),
        section("Model files", &models(&needs.assets)),
        section("Uploaded files", &files),
        section("Files of earlier jobs", &outputs),
        work(&needs.work),
    ]
    .join("\n")
}

fn section(title: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return format!("{title}: none\n");
    }
    let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    format!("{title}:\n{lines}")
}

fn models(assets: &[Asset]) -> Vec<String> {
    let longest = assets.iter().map(|asset| asset.name.chars().count()).max().unwrap_or_default();
    let line = |asset: &Asset| {
        let Asset { node, class, input, name } = asset;
        format!("{name:longest$}  {input} of node {node} ({class})")
    };
    assets.iter().map(line).collect()
}

fn output(file: &FileRef) -> String {
    let FileRef { filename, subfolder, kind } = file;
    let slash = if subfolder.is_empty() { "" } else { "/" };
    format!("{subfolder}{slash}{filename} [{kind}]")
}

fn work(work: &Work) -> String {
    let samplers: Vec<&str> = work.samplers.iter().map(String::as_str).collect();
    let rows = [
        ("size", size(work)),
        ("frames", text(work.frames)),
        ("batch", text(work.batch)),
        ("steps", text(work.steps)),
        ("cfg", text(work.cfg)),
        ("samplers", (!samplers.is_empty()).then(|| samplers.join(", "))),
    ];
    let known = rows.into_iter().filter_map(|(name, value)| Some(format!("{name:8}  {}", value?)));
    match known.collect::<Vec<_>>().as_slice() {
        [] => "Work: unknown\n".to_owned(),
        known => section("Work", known),
    }
}

fn text(value: Option<impl Display>) -> Option<String> {
    value.map(|value| value.to_string())
}

fn size(work: &Work) -> Option<String> {
    match (work.width, work.height, work.pixels) {
        (Some(width), Some(height), _) => Some(format!("{width} × {height} pixels")),
        (Some(width), None, _) => Some(format!("{width} pixels wide")),
        (None, Some(height), _) => Some(format!("{height} pixels high")),
        (None, None, pixels) => pixels.map(|pixels| format!("{pixels} pixels in all")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn report(needs: Value) -> String {
        of(&serde_json::from_value(needs).unwrap())
    }

    #[test]
    fn every_need_has_its_line() {
        let asset = |node: &str, name: &str| json!({"node": node, "class": "VAELoader", "input": "vae_name", "name": name});
        let needs = json!({
            "classes": ["KSampler", "VAELoader"],
            "assets": [asset("3", "wan/long.safetensors"), asset("76:8", "b.pt")],
            "files": [{"subfolder": "cats", "name": "tom.png"}, {"subfolder": "", "name": "dog.png"}],
            "outputs": [{"filename": "a.png", "subfolder": "", "type": "output"},
                        {"filename": "b.png", "subfolder": "x", "type": "temp"}],
            "work": {"width": 1280, "height": 704, "frames": 81, "batch": 2, "steps": 20, "cfg": 4.5,
                     "samplers": ["euler", "uni_pc"]},
        });
        let expected = "\
Node classes:
  KSampler
  VAELoader

Model files:
  wan/long.safetensors  vae_name of node 3 (VAELoader)
  b.pt                  vae_name of node 76:8 (VAELoader)

Uploaded files:
  cats/tom.png
  dog.png

Files of earlier jobs:
  a.png [output]
  x/b.png [temp]

Work:
  size      1280 × 704 pixels
  frames    81
  batch     2
  steps     20
  cfg       4.5
  samplers  euler, uni_pc
";
        assert_eq!(report(needs), expected);
    }

    #[test]
    fn what_is_unknown_is_left_out_and_never_a_zero() {
        let expected = "Node classes: none\n\nModel files: none\n\nUploaded files: none\n\nFiles of earlier jobs: none\n\nWork: unknown\n";
        assert_eq!(report(json!({})), expected);
        let scaled = report(json!({"work": {"pixels": 1_048_576}}));
        assert!(scaled.ends_with("Work:\n  size      1048576 pixels in all\n"), "{scaled}");
    }
}
