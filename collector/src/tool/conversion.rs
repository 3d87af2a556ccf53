//! Workflow → prompt with the surroundings of this process: its clock and chance.

use comfyui::convert::{ConvertError, LocalTime, Options, UnknownClass, convert};
use comfyui::{Prompt, Workflow};
use jiff::Zoned;
use serde_json::Value;
use uuid::Uuid;

use super::ToolError;
use super::classes::Classes;

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
    Options { now: Some(now()), ..Options::default() }
}

/// A number that nobody foresees.
pub(super) fn chance() -> u64 {
    let (high, low) = Uuid::new_v4().as_u64_pair();
    high ^ low
}

/// The time on this machine's wall.
pub(super) fn now() -> LocalTime {
    let now = Zoned::now();
    LocalTime {
        year: now.year().into(),
        month: now.month().unsigned_abs(),
        day: now.day().unsigned_abs(),
        hour: now.hour().unsigned_abs(),
        minute: now.minute().unsigned_abs(),
        second: now.second().unsigned_abs(),
    }
}
