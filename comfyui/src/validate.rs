//! What ComfyUI answers to a prompt before it runs it.
//!
//! Pure: a prompt and an `object_info` in, the documents of `POST /prompt` out. Owns the rules of ComfyUI 0.8.0 and the
//! words of its errors, which are partly Python's. Does not ask a server and does not change the prompt.

mod declared;
mod documents;
mod input;
mod kinds;
mod python;
mod report;
mod request;
mod survey;
mod validators;
mod walk;

use serde_json::{Map, Value, json};

use crate::api::PromptRejected;
use crate::object_info::{NodeClass, ObjectInfo};
use report::Report;
use survey::Wanted;
use walk::Walk;

pub use request::validate_request;
pub use validators::{Complaint, LeftToServer, Validators};

/// What a server answers to a prompt.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Something of it runs.
    Accepted(Accepted),
    /// Nothing of it runs.
    Refused(Box<PromptRejected>),
    /// The server trips over it: an answer 500 without a document.
    Trips,
}

/// What is known of an accepted prompt without a server; only that gives it a `prompt_id` and a `number`.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// The ids of the outputs that run, in the prompt's order.
    pub outputs: Vec<String>,
    /// Node id → `{errors, dependent_outputs, class_type}` for what stands in the way of the other outputs; an empty
    /// object when all run.
    pub node_errors: Value,
    /// The values that run in place of those given.
    pub conversions: Vec<Conversion>,
}

/// A value that ComfyUI converts to the type of its input: `"7"` to `7`, `1` to `1.0`, `0` to `false`.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversion {
    /// The id of the node.
    pub node: String,
    /// The name of the input.
    pub input: String,
    /// What the input becomes.
    pub value: Value,
}

impl Verdict {
    /// The HTTP status of the answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Accepted(_) => 200,
            Self::Refused(_) => 400,
            Self::Trips => 500,
        }
    }

    /// The document of the answer: the whole of a refusal; of an acceptance its `node_errors`, to which the server adds
    /// `prompt_id` and `number`. `None` where the server trips, which it says in a plain text.
    #[must_use]
    pub fn answer(&self) -> Option<Value> {
        match self {
            Self::Accepted(accepted) => Some(json!({"node_errors": accepted.node_errors})),
            Self::Refused(rejected) => {
                Some(json!({"error": rejected.error, "node_errors": rejected.node_errors}))
            }
            Self::Trips => None,
        }
    }
}

impl From<PromptRejected> for Verdict {
    fn from(rejected: PromptRejected) -> Self {
        Self::Refused(Box::new(rejected))
    }
}

impl Accepted {
    /// Makes of the prompt that was validated the one that runs.
    pub fn convert(&self, prompt: &mut Value) {
        for Conversion { node, input, value } in &self.conversions {
            let inputs = prompt.get_mut(node).and_then(|node| node.get_mut("inputs"));
            if let Some(place) = inputs.and_then(|inputs| inputs.get_mut(input)) {
                *place = value.clone();
            }
        }
    }
}

/// What a server that has the classes of `info` answers to a prompt, by the rules of ComfyUI 0.8.0. `targets` are the
/// only outputs wanted, where a client names some (`partial_execution_targets`); an empty list wants none.
///
/// The prompt is any JSON, since a client may send any: what a server has no words for is [`Verdict::Trips`]. Never
/// panics. Takes time in proportion to the prompt and to what the classes in it declare: a value is looked for in the
/// whole list that it is chosen from. Takes stack in proportion to how deep its values nest, which a JSON parser bounds.
///
/// ```
/// use comfyui::{ObjectInfo, Verdict, validate};
/// use serde_json::json;
///
/// let info: ObjectInfo = serde_json::from_value(json!({
///     "EmptyImage": {"input": {"required": {"width": ["INT", {"min": 1}]}}, "output": ["IMAGE"]},
///     "SaveImage": {"input": {"required": {"images": ["IMAGE"]}}, "output": [], "output_node": true},
/// }))?;
/// let prompt = json!({
///     "1": {"class_type": "EmptyImage", "inputs": {"width": 0}},
///     "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
/// });
/// let Verdict::Refused(refusal) = validate(&prompt, &info, None) else { return Err("accepted".into()) };
/// assert_eq!(refusal.kind(), Some("prompt_outputs_failed_validation"));
/// assert_eq!(refusal.node_errors["1"]["errors"][0]["message"], "Value 0 smaller than min of 1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What is left to the server
/// - Checks that a class makes itself (`VALIDATE_INPUTS`), such as whether an uploaded file is there. Which values and
///   link types ComfyUI's own classes check is known ([`LeftToServer`]) and not judged here; of other classes the range,
///   the list and the types are judged, although the class may have taken that upon itself. [`validate_with`] lets a
///   caller that knows more say so.
/// - Files that appeared or went since `info` was asked: combos list files.
/// - Python types that say they equal any other, unless they are called `*`.
///
/// # Where it differs from a server
/// - A server goes through inputs and outputs as its hash tables have them: the order of `errors`, `dependent_outputs`
///   and the lines of `details`, which of two exceptions ends the look at a node, and whether a failing output is said
///   to depend on what another failed for, are of chance there. Here the order is that of the class and of the prompt.
/// - `traceback` is empty.
/// - Of a class whose document was cut down (it names no `python_module`, as every server's own does), the error about a
///   value that is in no list holds the input's configuration as the document has it: a server leaves out lists of more
///   than 20, and adds empty settings where there are none.
/// - A chain of nodes too long for Python is refused as a server with Python 3.11 refuses it, from the 984th node on;
///   other versions and servers behind other software have slightly other limits. A node of a cycle is not valid and
///   has no error for that, as there; a server may also blame a node beside the cycle, at which it ran out of calls.
/// - A class that gives its options or its outputs as a tuple or as a list shows that in messages, but not in JSON:
///   options are written as a list, outputs by whether the class seems to be of ComfyUI's newer kind.
/// - After a thousand errors nothing more is looked at, and what was not is taken as not valid; after a hundred thousand
///   `dependent_outputs` no more are listed. A server has no such bounds, and can be made to write gigabytes.
/// - A text in place of the list of targets wants the outputs whose ids are somewhere in it; one of more than 1024 bytes
///   wants none.
/// - Whole numbers beyond 64 bits, which JSON brings as floats, are shown as such where their input is no `INT`.
#[must_use]
pub fn validate(prompt: &Value, info: &ObjectInfo, targets: Option<&[String]>) -> Verdict {
    validate_with(prompt, info, targets, &LeftToServer)
}

/// As [`validate`], by somebody who knows what the classes check themselves.
#[must_use]
pub fn validate_with(
    prompt: &Value,
    info: &ObjectInfo,
    targets: Option<&[String]>,
    validators: &dyn Validators,
) -> Verdict {
    judge(prompt, targets.map_or(Wanted::All, Wanted::These), Grounds { info, validators })
}

/// What validation looks at besides the prompt.
#[derive(Clone, Copy)]
struct Grounds<'a> {
    info: &'a ObjectInfo,
    validators: &'a dyn Validators,
}

/// The class of a node and its name; `None` if it names none that the server has.
fn class_of<'a>(node: &'a Value, info: &'a ObjectInfo) -> Option<(&'a str, &'a NodeClass)> {
    let name = node.get("class_type")?.as_str()?;
    Some((name, info.0.get(name)?))
}

fn judge(prompt: &Value, wanted: Wanted<'_>, grounds: Grounds<'_>) -> Verdict {
    match survey::outputs(prompt, wanted, grounds) {
        Ok((nodes, outputs)) => judge_outputs(nodes, &outputs, grounds),
        Err(verdict) => verdict,
    }
}

fn judge_outputs(nodes: &Map<String, Value>, outputs: &[&str], grounds: Grounds<'_>) -> Verdict {
    let mut walk = Walk::new(nodes, grounds);
    let mut report = Report::new(nodes);
    let mut good = Vec::new();
    for output in outputs {
        walk.judge(output);
        match walk.judged.get(output) {
            Some(judgement) if judgement.is_valid => good.push((*output).to_owned()),
            _ => report.add(output, &walk.judged),
        }
    }
    if good.is_empty() {
        return documents::all_failed(&report.complaints, Value::Object(report.node_errors)).into();
    }
    let node_errors = Value::Object(report.node_errors);
    Verdict::Accepted(Accepted { outputs: good, node_errors, conversions: walk.conversions })
}
