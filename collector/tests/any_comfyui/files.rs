//! Files: uploaded, masked, made, loaded again, and looked at.

use anyhow::{Context, Result, ensure};
use image::{Rgb, Rgba, RgbaImage};
use reqwest::header::RANGE;

use crate::client::File;
use crate::place::Place;
use crate::prompts::{copy_of, ensure_plain, ensure_same, gradient, plain_pictures, png, rgba_png};

/// WebP and JPEG are not exact.
const LOSSY_TOLERANCE: u8 = 6;

pub(crate) async fn an_uploaded_picture_comes_back_with_its_pixels(place: &Place) -> Result<()> {
    let (first, second) = (gradient(10), gradient(200));
    let first_name = place.client.upload("uploaded.png", png(&first)?).await?;
    let second_name = place.client.upload("uploaded.png", png(&second)?).await?;
    ensure!(first_name != second_name, "the second upload took the place of the first: {second_name}");
    for (name, picture) in [(first_name, first), (second_name, second)] {
        let file = File { filename: name.clone(), subfolder: String::new(), kind: "input".to_owned() };
        ensure_same(&place.client.picture(&file).await?, &picture, 0)?;
        let record = place.run("upload", &copy_of(&name, "uploaded")).await?;
        ensure_same(&place.only_picture(&record).await?, &picture, 1)?;
    }
    Ok(())
}

pub(crate) async fn a_mask_becomes_the_alpha_of_the_picture_that_it_is_drawn_on(place: &Place) -> Result<()> {
    let record = place.run("masked", &plain_pictures(Rgb([200, 30, 90]), 1, "masked")).await?;
    let original = record.only_file()?;
    let colours = place.client.picture(&original).await?;
    let (width, height) = colours.dimensions();
    let mask = RgbaImage::from_fn(width, height, |x, y| {
        Rgba([1, 2, 3, u8::try_from((x * 7 + y) % 256).unwrap_or_default()])
    });
    let masked = place.client.upload_mask("mask.png", rgba_png(&mask)?, &original).await?;
    let bytes = place.client.file(&masked).await?;
    let made = image::load_from_memory(&bytes)?.into_rgba8();
    for (x, y, Rgba([red, green, blue, alpha])) in made.enumerate_pixels() {
        ensure!(Rgb([*red, *green, *blue]) == *colours.get_pixel(x, y), "the colour at {x}, {y}");
        ensure!(*alpha == mask.get_pixel(x, y).0[3], "the alpha at {x}, {y}");
    }
    let text = String::from_utf8_lossy(&bytes);
    ensure!(text.contains("tEXtprompt"), "the prompt of the original is lost");
    Ok(())
}

pub(crate) async fn a_job_can_load_what_another_has_made(place: &Place) -> Result<()> {
    for round in 0..3 {
        let colour = Rgb([10 + round, 200, 30]);
        let made = place.run("made", &plain_pictures(colour, 1, "made")).await?.only_file()?;
        let prompt = copy_of(&made.as_input(), "loaded");
        let record = place.run("loads", &prompt).await?;
        ensure_plain(&place.only_picture(&record).await?, colour, 1)?;
    }
    Ok(())
}

pub(crate) async fn a_batch_of_pictures_needs_no_model(place: &Place) -> Result<()> {
    let colour = Rgb([200, 30, 90]);
    let record = place.run("plain", &plain_pictures(colour, 3, "plain")).await?;
    let files = record.files()?;
    ensure!(files.len() == 3, "{files:?}");
    for file in &files {
        ensure_plain(&place.client.picture(file).await?, colour, 1)?;
    }
    Ok(())
}

pub(crate) async fn a_part_of_a_picture_can_be_asked_for(place: &Place) -> Result<()> {
    let made = place.run("part", &plain_pictures(Rgb([1, 2, 3]), 1, "part")).await?.only_file()?;
    let whole = place.client.file(&made).await?;
    let answer = place.client.view(&made).header(RANGE, "bytes=8-31").send().await?;
    ensure!(answer.status() == 206, "{}", answer.status());
    let range = answer.headers().get("content-range").context("no Content-Range")?.to_str()?.to_owned();
    ensure!(range == format!("bytes 8-31/{}", whole.len()), "{range}");
    ensure!(Some(&*answer.bytes().await?) == whole.get(8..32), "other bytes");
    Ok(())
}

pub(crate) async fn a_picture_can_be_had_smaller_and_by_its_channels(place: &Place) -> Result<()> {
    let colour = Rgb([200, 30, 90]);
    let made = place.run("channel", &plain_pictures(colour, 1, "channel")).await?.only_file()?;
    for (key, value, kind) in [
        ("preview", "webp;90", "image/webp"),
        ("preview", "jpeg;90", "image/jpeg"),
        ("channel", "rgb", "image/png"),
    ] {
        let answer = place.client.view(&made).query(&[(key, value)]).send().await?;
        let told = answer.headers().get("content-type").context("no type")?.to_str()?.to_owned();
        ensure!(told == kind, "{key}={value}: {told}");
        let picture = image::load_from_memory(&answer.bytes().await?)?.into_rgb8();
        ensure_plain(&picture, colour, LOSSY_TOLERANCE).with_context(|| format!("{key}={value}"))?;
    }
    Ok(())
}
