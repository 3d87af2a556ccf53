//! `convert`: a workflow in, the prompt out.

use comfyui::saved::{self, Saved, SavedError};
use serde::Serialize;
use serde_json::Value;

use super::ToolError;
use super::classes::Classes;
use super::conversion::prompt_of;
use super::document::Document;
use super::output::{self, pretty, say};
use crate::config::ConvertFlags;
use crate::surroundings;

pub(super) async fn convert(flags: ConvertFlags) -> Result<(), ToolError> {
    let document = Document::read(&flags.workflow)?;
    match read(&document)? {
        Saved { workflow: Some(workflow), .. } => {
            let classes = Classes::find(&flags.classes).await?;
            let prompt = prompt_of(
                &workflow,
                &document.name,
                &classes,
                &surroundings::options(flags.interface, flags.seed),
            )?;
            deliver(&flags, &prompt)
        }
        Saved { prompt, .. } => {
            say(&format!("{} holds a prompt already and no workflow: passed on as it is", document.name));
            deliver(&flags, &prompt)
        }
    }
}

/// As the library reads it, except that a workflow with a faulty list of nodes is still meant as one.
fn read(document: &Document) -> Result<Saved, ToolError> {
    let name = || document.name.clone();
    match saved::read(&document.bytes) {
        Err(SavedError::Unrecognized) => match document.json::<Value>() {
            Ok(workflow) if workflow.get("nodes").is_some() => {
                Ok(Saved { workflow: Some(workflow), prompt: None })
            }
            _ => Err(ToolError::Unreadable { document: name(), source: SavedError::Unrecognized }),
        },
        read => read.map_err(|source| ToolError::Unreadable { document: name(), source }),
    }
}

fn deliver(flags: &ConvertFlags, prompt: &impl Serialize) -> Result<(), ToolError> {
    let text = pretty(prompt)?;
    match &flags.output {
        Some(path) => output::write(path, &text)?,
        None => output::print(&text)?,
    }
    Ok(())
}
