//! `validate`: a prompt in, the document out that ComfyUI answers to it.

use std::process::ExitCode;

use comfyui::Verdict;
use comfyui::validate::{Accepted, validate_request};
use serde_json::{Value, json};

use super::ToolError;
use super::candidate::{self, Candidate};
use super::classes::Classes;
use super::conversion::{any_options, prompt_of};
use super::document::Document;
use super::output::{self, pretty, say};
use crate::config::ValidateFlags;

/// Success only when everything runs.
pub(super) async fn validate(flags: ValidateFlags) -> Result<ExitCode, ToolError> {
    let document = Document::read(&flags.prompt)?;
    let candidate = candidate::of(&document)?;
    let classes = Classes::find(&flags.classes).await?;
    let body = body_of(candidate, &document.name, &classes)?;
    let verdict = validate_request(&body, &classes.info);
    if let Some(answer) = verdict.answer() {
        output::print(&pretty(&answer)?)?;
    }
    if let Some(remark) = remark(&verdict) {
        say(&format!("{}: {remark}", document.name));
    }
    Ok(if all_runs(&verdict) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn body_of(candidate: Candidate, name: &str, classes: &Classes) -> Result<Value, ToolError> {
    Ok(match candidate {
        Candidate::Body(body) => body,
        Candidate::Prompt(prompt) => json!({"prompt": prompt}),
        Candidate::Workflow(workflow) => {
            say(&format!("{name} holds a workflow: judged is the prompt that it converts to"));
            json!({"prompt": prompt_of(&workflow, name, classes, &any_options())?})
        }
    })
}

fn all_runs(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Accepted(accepted) if has_no_errors(accepted))
}

fn has_no_errors(accepted: &Accepted) -> bool {
    accepted.node_errors.as_object().is_none_or(serde_json::Map::is_empty)
}

/// What the document does not say.
fn remark(verdict: &Verdict) -> Option<String> {
    match verdict {
        Verdict::Trips => {
            Some("ComfyUI trips over this: it answers with status 500 and no document".to_owned())
        }
        Verdict::Accepted(accepted) if !has_no_errors(accepted) => Some(format!(
            "ComfyUI accepts this, but of its outputs it runs only {}",
            accepted.outputs.join(", ")
        )),
        _ => None,
    }
}
