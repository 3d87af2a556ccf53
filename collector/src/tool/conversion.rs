//! Workflow → prompt, and why there is none in words for a terminal.

use comfyui::convert::{ConvertError, Interface, Options, UnknownClass, convert};
use comfyui::{Prompt, Workflow};
use serde_json::Value;

use super::ToolError;
use super::classes::Classes;
use crate::surroundings;

/// Why a workflow gives no prompt.
#[derive(Debug, thiserror::Error)]
pub enum ConversionError {
    #[error(
        "{workflow} uses {}:{}\nName a server that has them with --backend URL, or give its /object_info with \
         --object-info FILE.",
        unknown_to(.origin, .classes.len()), lines(.classes)
    )]
    UnknownClasses { workflow: String, origin: String, classes: Vec<UnknownClass> },
    #[error("{workflow}: {reason}")]
    Other { workflow: String, reason: ConvertError },
}

fn unknown_to(origin: &str, classes: usize) -> String {
    let (number, noun) = (classes, if classes == 1 { "node class" } else { "node classes" });
    format!("{number} {noun} that {origin} does not have")
}

fn lines(classes: &[UnknownClass]) -> String {
    classes.iter().map(|class| format!("\n  {class}")).collect()
}

/// Makes the prompt of a workflow that is called `name`.
pub(super) fn prompt_of(
    workflow: &Value,
    name: &str,
    classes: &Classes,
    options: &Options,
) -> Result<Prompt, ToolError> {
    let workflow = Workflow::from_value(workflow)
        .map_err(|source| ToolError::Malformed { document: name.to_owned(), source })?;
    let converted = convert(&workflow, &classes.info, options);
    Ok(converted.map_err(|error| explained(error, name, &classes.origin))?)
}

fn explained(error: ConvertError, name: &str, origin: &str) -> ConversionError {
    let workflow = name.to_owned();
    match error {
        ConvertError::UnknownClasses(classes) => {
            ConversionError::UnknownClasses { workflow, origin: origin.to_owned(), classes }
        }
        reason => ConversionError::Other { workflow, reason },
    }
}

/// Options for a prompt that is looked at and not run: which alternative is chosen matters to nobody.
pub(super) fn any_options() -> Options {
    surroundings::options(Interface::default(), Some(0))
}
