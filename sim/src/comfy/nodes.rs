//! What each simulated node class does, given its inputs.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use image::{DynamicImage, RgbImage};
use serde_json::{Map, Value, json};

use super::cache::Made;
use super::execute::Execution;
use super::files::{Folder, Place};
use super::plan::link;
use crate::lock::locked;
use crate::picture;

/// The longest side of a picture that a simulated node makes.
const MAX_SIDE: u64 = 8192;
const MAX_BATCH: usize = 64;
const LATENT_SCALE: u32 = 8;

/// What goes along a link.
#[derive(Clone, Debug)]
pub(crate) enum Product {
    Model {
        name: String,
        size_mb: u64,
    },
    Pictures(Arc<Vec<RgbImage>>),
    Latent {
        width: u32,
        height: u32,
        batch: usize,
        seed: u64,
    },
    /// Something that other nodes only pass on: a CLIP, a VAE, a conditioning, a mask.
    Token(&'static str),
}

/// Why a node did not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Raised { kind: &'static str, message: String },
    OutOfMemory,
    Interrupted,
}

impl Stop {
    pub(crate) fn raised(kind: &'static str, message: impl ToString) -> Self {
        Self::Raised { kind, message: message.to_string() }
    }
}

/// The inputs of a node: what is written in the prompt, and what came along its links.
pub(crate) struct Inputs<'a> {
    pub(crate) written: &'a Map<String, Value>,
    pub(crate) products: Vec<(String, Product)>,
}

impl<'a> Inputs<'a> {
    /// Takes what the nodes before made out of the execution.
    pub(crate) fn of(execution: &Execution<'_>, written: &'a Map<String, Value>) -> Self {
        let products = written.iter().filter_map(|(name, value)| {
            let (from, slot) = link(value)?;
            Some((name.clone(), execution.made(from)?.products.get(slot)?.clone()))
        });
        Self { written, products: products.collect() }
    }

    /// How an error document prints them.
    pub(crate) fn printed(&self) -> Value {
        let shown = self.written.iter().map(|(name, value)| {
            let product = self.products.iter().find(|(linked, _)| linked == name);
            (name.clone(), json!([product.map_or_else(|| value.clone(), |(_, product)| printed(product))]))
        });
        Value::Object(shown.collect())
    }

    fn whole(&self, name: &str) -> u64 {
        self.written.get(name).and_then(Value::as_u64).unwrap_or_default()
    }

    fn number(&self, name: &str) -> f64 {
        self.written.get(name).and_then(Value::as_f64).unwrap_or_default()
    }

    fn text(&self, name: &str) -> &str {
        self.written.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn side(&self, name: &str) -> u32 {
        u32::try_from(self.whole(name).clamp(1, MAX_SIDE)).unwrap_or(1)
    }

    fn batch(&self) -> usize {
        usize::try_from(self.whole("batch_size")).unwrap_or(MAX_BATCH).clamp(1, MAX_BATCH)
    }

    fn product(&self, name: &str) -> Option<&Product> {
        self.products.iter().find(|(linked, _)| linked == name).map(|(_, product)| product)
    }

    fn pictures(&self, name: &str) -> Result<Arc<Vec<RgbImage>>, Stop> {
        match self.product(name) {
            Some(Product::Pictures(pictures)) => Ok(Arc::clone(pictures)),
            _ => Err(Stop::raised("AttributeError", format!("'{name}' has no attribute 'shape'"))),
        }
    }
}

/// How an error document prints what went along a link.
pub(crate) fn printed(product: &Product) -> Value {
    match product {
        Product::Model { name, size_mb } => json!(format!("('{name}', {size_mb})")),
        Product::Pictures(pictures) => json!(pictures.first().map(picture::tensor)),
        Product::Latent { .. } => json!("{'samples': tensor(...)}"),
        Product::Token(kind) => json!(format!("<{kind} object>")),
    }
}

/// Runs one node.
pub(crate) async fn perform(
    execution: &mut Execution<'_>,
    id: &str,
    class: &str,
    inputs: &Inputs<'_>,
) -> Result<Made, Stop> {
    match class {
        "SimLoader" => sim_loader(execution, inputs).await,
        "CheckpointLoaderSimple" => checkpoint_loader(execution, inputs).await,
        "SimSampler" => sim_sampler(execution, id, inputs).await,
        "KSampler" => k_sampler(execution, id, inputs).await,
        "SimFail" => Err(sim_fail(inputs)),
        "EmptyImage" => Ok(empty_image(inputs)),
        "LoadImage" => load_image(execution, inputs),
        "SaveImage" => save(execution, inputs, Folder::Output, inputs.text("filename_prefix")),
        "PreviewImage" => {
            let prefix = format!("ComfyUI_temp_{}", execution.process.temp_letters);
            save(execution, inputs, Folder::Temp, &prefix)
        }
        "EmptyLatentImage" => Ok(empty_latent(inputs)),
        "VAEEncode" => encode(inputs),
        "VAEDecode" => decode(inputs),
        "ImageInvert" => invert(inputs),
        "CLIPTextEncode" => Ok(products([Product::Token("CONDITIONING")])),
        "LoraLoader" => Ok(pass_on(inputs, &["model", "clip"])),
        // The configured extra classes.
        _ => Ok(pass_on(inputs, &["image"])),
    }
}

fn products(products: impl IntoIterator<Item = Product>) -> Made {
    Made { products: products.into_iter().collect(), shown: None }
}

fn pictures(pictures: Vec<RgbImage>) -> Made {
    products([Product::Pictures(Arc::new(pictures))])
}

fn pass_on(inputs: &Inputs<'_>, names: &[&str]) -> Made {
    products(names.iter().filter_map(|name| inputs.product(name).cloned()))
}

async fn sim_loader(execution: &mut Execution<'_>, inputs: &Inputs<'_>) -> Result<Made, Stop> {
    let (name, size_mb) = (inputs.text("ckpt_name"), inputs.whole("size_mb"));
    load_model(execution, name, size_mb, inputs.number("load_seconds")).await?;
    Ok(products([Product::Model { name: name.to_owned(), size_mb }]))
}

async fn checkpoint_loader(execution: &mut Execution<'_>, inputs: &Inputs<'_>) -> Result<Made, Stop> {
    let config = &execution.process.rig.config;
    let (size_mb, seconds) = (config.size_mb, config.load_seconds);
    let name = inputs.text("ckpt_name");
    load_model(execution, name, size_mb, seconds).await?;
    let model = Product::Model { name: name.to_owned(), size_mb };
    Ok(products([model, Product::Token("CLIP"), Product::Token("VAE")]))
}

/// Takes its time only where the device does not hold the model.
async fn load_model(execution: &Execution<'_>, name: &str, size_mb: u64, seconds: f64) -> Result<(), Stop> {
    let process = execution.process;
    let is_loaded = locked(&process.models).touch(name);
    let fits = is_loaded || {
        let config = &process.rig.config;
        let is_warm = locked(&process.models).read(name, size_mb);
        let seconds = seconds * if is_warm { config.warm_share } else { 1.0 };
        tokio::time::sleep(config.sleep(seconds)).await;
        let others_mb = process.rig.board.0.borrow().others_mb;
        let keeps = process.rig.quirks.keeps_models.load(Ordering::Relaxed);
        locked(&process.models).load(name, size_mb, others_mb, keeps)
    };
    if fits && !is_loaded {
        process.rig.board.count(|counters| *counters.loads.entry(name.to_owned()).or_default() += 1);
    }
    process.models_changed();
    if fits { Ok(()) } else { Err(Stop::OutOfMemory) }
}

async fn sim_sampler(execution: &mut Execution<'_>, id: &str, inputs: &Inputs<'_>) -> Result<Made, Stop> {
    let (seed, width, height) = (inputs.whole("seed"), inputs.side("width"), inputs.side("height"));
    let shows = inputs.written.get("preview") == Some(&Value::Bool(true));
    let preview = if shows { picture::preview(seed, width, height).ok() } else { None };
    let seconds = inputs.number("step_seconds");
    execution.steps(id, inputs.whole("steps"), seconds, preview.as_deref()).await?;
    Ok(pictures(vec![picture::sampled(seed, width, height)]))
}

async fn k_sampler(execution: &mut Execution<'_>, id: &str, inputs: &Inputs<'_>) -> Result<Made, Stop> {
    let Some(Product::Latent { width, height, batch, .. }) = inputs.product("latent_image") else {
        return Err(Stop::raised("KeyError", "'samples'"));
    };
    let (seed, seconds) = (inputs.whole("seed"), execution.process.rig.config.step_seconds);
    let preview = picture::preview(seed, *width, *height).ok();
    execution.steps(id, inputs.whole("steps"), seconds, preview.as_deref()).await?;
    Ok(products([Product::Latent { width: *width, height: *height, batch: *batch, seed }]))
}

fn sim_fail(inputs: &Inputs<'_>) -> Stop {
    match inputs.text("kind") {
        "oom" => Stop::OutOfMemory,
        _ => Stop::raised("ValueError", "this node always fails"),
    }
}

fn empty_image(inputs: &Inputs<'_>) -> Made {
    let color = u32::try_from(inputs.whole("color")).unwrap_or(u32::MAX);
    let one = picture::plain(inputs.side("width"), inputs.side("height"), color);
    pictures(vec![one; inputs.batch()])
}

fn load_image(execution: &Execution<'_>, inputs: &Inputs<'_>) -> Result<Made, Stop> {
    let name = inputs.text("image");
    let bytes = Place::annotated(name).and_then(|place| execution.process.rig.disk.read(&place));
    let missing =
        || Stop::raised("FileNotFoundError", format!("[Errno 2] No such file or directory: '{name}'"));
    let decoded = image::load_from_memory(&bytes.ok_or_else(missing)?).map_err(|_| {
        Stop::raised("PIL.UnidentifiedImageError", format!("cannot identify image file '{name}'"))
    })?;
    Ok(products([Product::Pictures(Arc::new(vec![decoded.to_rgb8()])), Product::Token("MASK")]))
}

fn empty_latent(inputs: &Inputs<'_>) -> Made {
    let whole = |name: &str| inputs.side(name) / LATENT_SCALE * LATENT_SCALE;
    let (width, height, batch) = (whole("width"), whole("height"), inputs.batch());
    products([Product::Latent { width, height, batch, seed: 0 }])
}

fn encode(inputs: &Inputs<'_>) -> Result<Made, Stop> {
    let pictures = inputs.pictures("pixels")?;
    let (width, height) = pictures.first().map_or((1, 1), RgbImage::dimensions);
    Ok(products([Product::Latent { width, height, batch: pictures.len(), seed: 0 }]))
}

fn decode(inputs: &Inputs<'_>) -> Result<Made, Stop> {
    let Some(Product::Latent { width, height, batch, seed }) = inputs.product("samples") else {
        return Err(Stop::raised("KeyError", "'samples'"));
    };
    Ok(pictures(vec![picture::sampled(*seed, *width, *height); *batch]))
}

fn invert(inputs: &Inputs<'_>) -> Result<Made, Stop> {
    let given = inputs.pictures("image")?;
    Ok(pictures(given.iter().map(inverted).collect()))
}

fn inverted(picture: &RgbImage) -> RgbImage {
    let mut picture = DynamicImage::ImageRgb8(picture.clone());
    picture.invert();
    picture.to_rgb8()
}

fn save(execution: &Execution<'_>, inputs: &Inputs<'_>, folder: Folder, prefix: &str) -> Result<Made, Stop> {
    let mut images = Vec::new();
    for picture in inputs.pictures("images")?.iter() {
        let prefix = prefix
            .replace("%width%", &picture.width().to_string())
            .replace("%height%", &picture.height().to_string());
        let bytes =
            picture::png(picture, &execution.png_texts()).map_err(|error| Stop::raised("OSError", error))?;
        let place = execution.process.rig.disk.save_numbered(folder, &prefix, bytes.into());
        let place = place.ok_or_else(|| {
            Stop::raised("Exception", "**** ERROR: Saving image outside the output folder is not allowed.")
        })?;
        images.push(json!({"filename": place.filename, "subfolder": place.subfolder, "type": folder.name()}));
    }
    Ok(Made { products: Vec::new(), shown: Some(json!({"images": images})) })
}
