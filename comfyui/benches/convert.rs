//! What it costs to make a prompt of a large workflow and to judge it: the recorded workflow whose prompt has the most
//! nodes, and the classes of the server that it was recorded with.
//!
//! `cargo bench -p comfyui --bench convert`; figures in `docs/benchmarks.md`.

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use comfyui::convert::{Interface, Options, convert};
use comfyui::needs::Needs;
use comfyui::{ObjectInfo, Prompt, Workflow, from_slice, validate};
use criterion::Criterion;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

type Failure = Box<dyn Error>;

fn main() -> Result<(), Failure> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut criterion = Criterion::default().configure_from_args();
    measure(
        &mut criterion,
        &fs::read(tests.join("object_info.json"))?,
        &largest(&tests.join("conversion"))?,
    )?;
    criterion.final_summary();
    Ok(())
}

fn measure(criterion: &mut Criterion, classes: &[u8], case: &Case) -> Result<(), Failure> {
    let text = case.workflow.get();
    let (info, workflow, options) = (from_slice(classes)?, read(text)?, Options::default());
    let prompt = convert(&workflow, &info, &options)?;
    let document = serde_json::to_value(&prompt)?;
    println!("{}: {} bytes, {} nodes in the prompt", case.name, text.len(), prompt.0.len());
    if document != case.prompt {
        return Err("the prompt is not the recorded one: times of something else are no use".into());
    }

    criterion.bench_function("read object_info", |bench| {
        bench.iter(|| from_slice::<ObjectInfo>(black_box(classes)))
    });
    criterion.bench_function("read workflow", |bench| bench.iter(|| read(black_box(text))));
    for (name, interface) in [("convert as 1.35", Interface::V1_35), ("convert as 1.58", Interface::V1_58)] {
        let options = Options { interface, ..options };
        criterion.bench_function(name, |bench| bench.iter(|| convert(black_box(&workflow), &info, &options)));
    }
    criterion.bench_function("validate", |bench| bench.iter(|| validate(black_box(&document), &info, None)));
    criterion.bench_function("needs", |bench| bench.iter(|| Needs::of(black_box(&prompt), Some(&info))));
    Ok(())
}

fn read(text: &str) -> Result<Workflow, Failure> {
    Ok(Workflow::from_slice(text.as_bytes())?)
}

#[derive(Deserialize)]
struct Case {
    #[serde(skip)]
    name: String,
    workflow: Box<RawValue>,
    prompt: Value,
}

/// By the work of the conversion, which is done for each node of the prompt, not by bytes.
fn largest(conversion: &Path) -> Result<Case, Failure> {
    let mut largest: Option<(usize, Case)> = None;
    for path in files(&conversion.join("cases"))? {
        let mut case: Case = from_slice(&fs::read(&path)?)?;
        case.name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let nodes = Prompt::deserialize(&case.prompt)?.0.len();
        if largest.as_ref().is_none_or(|(most, _)| nodes > *most) {
            largest = Some((nodes, case));
        }
    }
    largest.map(|(_, case)| case).ok_or_else(|| format!("no workflow in {}", conversion.display()).into())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        files.push(entry?.path());
    }
    files.sort();
    Ok(files)
}
