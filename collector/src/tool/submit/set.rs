//! `--set`: other values for inputs of a prompt. `edit` finds what is meant and reads what is given; this file brings
//! what is in files.

use std::path::Path;

use comfyui::{ObjectInfo, Prompt};
use serde_json::Value;

use super::super::ending::ClientError;
use super::super::server::Server;
use super::draft::Draft;
use super::upload;
use crate::config::Pair;
use crate::edit::{Place, PlaceError, ValueError, find, typed};
use crate::limits;

/// Why a `--set` cannot be done.
#[derive(Debug, thiserror::Error)]
pub(in crate::tool) enum SetError {
    #[error("--set {target}: {reason}")]
    Place { target: String, reason: PlaceError },
    #[error("--set {target}: {reason}")]
    Value { target: String, reason: ValueError },
    #[error("--set {target}: {path} holds no text of up to {} MiB", limits::COMMAND_INPUT_BYTES >> 20)]
    NoText { target: String, path: String },
}

/// Changes a draft as told, in that order.
pub(super) async fn apply(
    draft: &mut Draft,
    sets: &[Pair],
    info: &ObjectInfo,
    server: &Server,
) -> Result<(), ClientError> {
    if sets.is_empty() {
        return Ok(());
    }
    let mut prompt = draft.prompt()?;
    for set in sets {
        let place = find(&set.name, &prompt, info);
        let place = place.map_err(|reason| SetError::Place { target: set.name.clone(), reason })?;
        let value = given(set, &place, &prompt, info, server).await?;
        if let Some(node) = prompt.0.get_mut(&place.node) {
            node.inputs.insert(place.input, value);
        }
    }
    draft.change(&prompt);
    Ok(())
}

async fn given(
    set: &Pair,
    place: &Place,
    prompt: &Prompt,
    info: &ObjectInfo,
    server: &Server,
) -> Result<Value, ClientError> {
    let spec = place.spec(prompt, info);
    let text = match (set.value.strip_prefix('@'), spec) {
        (Some(path), _) if path.starts_with('@') => path.to_owned(),
        (Some(path), Some(spec)) if spec.takes_uploads() => {
            let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy();
            return Ok(upload::one(server, &name, Path::new(path)).await?.into());
        }
        (Some(path), _) => text_of(set, path)?,
        (None, _) => set.value.clone(),
    };
    let typed = typed(&text, spec, place.now(prompt));
    Ok(typed.map_err(|reason| SetError::Value { target: set.name.clone(), reason })?)
}

/// Editors end a file with a line break that is no part of what was written.
fn text_of(set: &Pair, path: &str) -> Result<String, ClientError> {
    let document = super::super::document::Document::read(Path::new(path))?;
    let no_text = || SetError::NoText { target: set.name.clone(), path: path.to_owned() };
    let text = String::from_utf8(document.bytes).map_err(|_| no_text())?;
    let whole = text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text).to_owned());
    Ok(whole.unwrap_or(text))
}
