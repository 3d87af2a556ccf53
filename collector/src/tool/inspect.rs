//! `inspect`: a document in, what its prompt needs out.

use comfyui::needs::Needs;
use comfyui::prompt::{Node, Prompt};
use comfyui::saved::{self, Saved};
use serde::Deserialize;
use serde_json::Value;

use super::classes::Classes;
use super::conversion::{any_options, prompt_of};
use super::document::Document;
use super::output::{self, pretty, say};
use super::{ToolError, report};
use crate::config::InspectFlags;

pub(super) async fn inspect(flags: InspectFlags) -> Result<(), ToolError> {
    let document = Document::read(&flags.file)?;
    let saved = saved::read(&document.bytes)
        .map_err(|source| ToolError::Unreadable { document: document.name.clone(), source })?;
    let classes = Classes::named(&flags.classes).await?;
    let prompt = prompt_in(&saved, &document.name, classes.as_ref())?;
    if classes.is_none() {
        say("without --backend or --object-info: files are told by the endings of their names alone");
    }
    let needs = Needs::of(&prompt, classes.as_ref().map(|classes| &classes.info));
    match flags.json {
        true => output::print(&pretty(&needs)?)?,
        false => output::print_text(&report::of(&needs))?,
    }
    Ok(())
}

/// The prompt, since that is what ran, before the workflow.
fn prompt_in(saved: &Saved, name: &str, classes: Option<&Classes>) -> Result<Prompt, ToolError> {
    match (saved, classes) {
        (Saved { prompt: Some(prompt), .. }, _) => read(prompt, name),
        (Saved { workflow: Some(workflow), .. }, Some(classes)) => {
            prompt_of(workflow, name, classes, &any_options())
        }
        _ => Err(ToolError::NeedsClasses { document: name.to_owned() }),
    }
}

/// Node by node, so that the fault has an address.
pub(super) fn read(prompt: &Value, name: &str) -> Result<Prompt, ToolError> {
    let nodes = prompt.as_object().into_iter().flatten().map(|(id, node)| {
        let bad = |reason| ToolError::BadNode { document: name.to_owned(), node: id.clone(), reason };
        Node::deserialize(node).map(|node| (id.clone(), node)).map_err(bad)
    });
    nodes.collect::<Result<_, _>>().map(Prompt)
}
