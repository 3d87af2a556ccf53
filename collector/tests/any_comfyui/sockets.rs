//! The WebSocket: what it tells besides the course of a job.

use anyhow::{Result, bail, ensure};

use crate::place::{Generation, Place};
use crate::prompts::{Diffusion, ensure_preview};
use crate::socket::Frame;

pub(crate) async fn previews_come_with_what_they_belong_to_where_that_is_asked_for(
    place: &Place,
) -> Result<()> {
    let mut socket = place.socket("metadata").await?;
    socket.ask_for_metadata().await?;
    let job = Diffusion { seed: 131, prefix: "metadata", ..Diffusion::default() };
    let id = place.client.submit(&job.prompt(), "metadata").await?;
    let frames = socket.follow(&id).await?;
    let previews: Vec<_> = frames.iter().filter_map(Frame::preview).collect();
    ensure!(!previews.is_empty(), "no preview");
    for (picture, metadata) in previews {
        ensure_preview(picture, job.seed)?;
        match (place.generation, metadata) {
            (Generation::Old, None) => {}
            (Generation::Current, Some(metadata)) => {
                ensure!(metadata["prompt_id"] == *id && metadata["node_id"] == "2", "{metadata}");
                ensure!(metadata["image_type"] == "image/jpeg", "{metadata}");
            }
            (_, metadata) => bail!("a preview of a {:?} server with {metadata:?}", place.generation),
        }
    }
    Ok(())
}

pub(crate) async fn a_second_socket_of_a_name_takes_the_place_of_the_first(place: &Place) -> Result<()> {
    let first = place.socket("twice").await?;
    let mut second = place.socket("twice").await?;
    let job = Diffusion { seed: 133, prefix: "twice", ..Diffusion::default() };
    let id = place.client.submit(&job.prompt(), "twice").await?;
    second.follow(&id).await?;
    let heard = first.hang_up().await?;
    ensure!(heard.is_empty(), "{heard:?}");
    Ok(())
}
