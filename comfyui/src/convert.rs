//! Workflow → prompt: what ComfyUI's web interface sends when its user presses "Run". Pure: what the interface takes
//! from the clock and from chance are arguments.
//!
//! The interface builds its canvas from the workflow and reads the prompt off it, and so does this module:
//!
//! | step | file |
//! |---|---|
//! | group nodes become subgraphs; nodes of different subgraphs get different ids | `group.rs`, `renumber.rs` |
//! | a class → the slots and widgets that a node of it has | `shape.rs`, `widget.rs`, `values.rs` |
//! | a saved node → its slots, links and widget values | `node.rs`, `instance.rs` |
//! | all of them → graphs; primitives set the widgets they are linked to | `model.rs`, `primitive.rs` |
//! | graphs → nodes that run, with ids such as `76:8`; links followed to their source | `flatten.rs`, `resolve.rs` |
//! | texts with `{a|b}` and `%date:yyyy%`; titles and notes of where nodes came from | `text.rs`, `title.rs`, `pack.rs` |

use std::fmt;

use crate::object_info::ObjectInfo;
use crate::prompt::Prompt;
use crate::workflow::Workflow;

mod flatten;
mod group;
mod instance;
mod model;
mod node;
mod pack;
mod primitive;
mod renumber;
mod resolve;
mod shape;
mod text;
mod title;
mod values;
mod widget;

/// Makes the prompt that the web interface would send for a workflow, on a server with these classes.
///
/// Muted nodes are left out and bypassed ones passed through, whether the server knows their class or not. Whole numbers
/// keep all of their digits, where a browser rounds those beyond 2⁵³: a seed stays a seed.
///
/// ```
/// use comfyui::convert::{Options, convert};
/// use comfyui::{ObjectInfo, Workflow};
///
/// let info: ObjectInfo = serde_json::from_str(
///     r#"{"EmptyImage": {"input": {"required": {"width": ["INT", {"default": 512}], "seed": ["INT", {}]}},
///                        "output": ["IMAGE"], "display_name": "Empty Image"},
///         "SaveImage": {"input": {"required": {"images": ["IMAGE"]}}, "output_node": true}}"#,
/// )?;
/// let workflow = Workflow::from_slice(
///     br#"{"nodes": [{"id": 1, "type": "EmptyImage", "widgets_values": [64, 7, "randomize"]},
///                    {"id": 2, "type": "SaveImage", "inputs": [{"name": "images", "link": 9}], "title": "Keep"}],
///          "links": [[9, 1, 0, 2, 0, "IMAGE"]]}"#,
/// )?;
/// let prompt = convert(&workflow, &info, &Options::default())?;
/// assert_eq!(
///     serde_json::to_string(&prompt.0["1"])?,
///     r#"{"class_type":"EmptyImage","inputs":{"width":64,"seed":7},"_meta":{"title":"Empty Image"}}"#
/// );
/// assert_eq!(prompt.0["2"].inputs["images"], serde_json::json!(["1", 0]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When nodes that would run are of classes that the server does not know; when the workflow contradicts itself (a link
/// from a node that does not exist, a subgraph inside itself); when only a browser can make a value (a webcam's picture);
/// when it is larger than anything that a person makes: more than 50,000 nodes, 1,000 inputs of a node, 1,000,000 slots and
/// widgets, 100 subgraphs inside each other, 10,000,000 links to follow through reroutes, or a prompt of 64 MiB.
pub fn convert(workflow: &Workflow, info: &ObjectInfo, options: &Options) -> Result<Prompt, ConvertError> {
    let workflow = group::expand(workflow, info, options.interface)?;
    let workflow = renumber::unique_ids(workflow, options.interface);
    let mut model = model::Model::build(&workflow, info, options.interface)?;
    primitive::apply(&mut model, options)?;
    flatten::prompt(&model, options)
}

/// What a conversion takes from its surroundings.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Which interface is imitated, where they differ.
    pub interface: Interface,
    /// Chooses among the alternatives of texts such as `a {red|blue} car`.
    pub seed: u64,
    /// What `%date:yyyy-MM-dd%` in names of files stands for; without it such marks stay.
    pub now: Option<LocalTime>,
}

/// A version of the web interface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Interface {
    /// 1.35, of December 2025.
    #[default]
    V1_35,
    /// 1.58, of November 2026. It notes in `_meta` also which pack a node came from (`cnr_id`, `aux_id`, `ver`); gives nodes of
    /// subgraphs new ids where another graph has the same; leaves out the nodes of an instance that is muted or bypassed; leaves a
    /// widget its value where a muted node is linked to it; keeps the values of widgets an instance; believes the list of
    /// links more than the nodes; and turns group nodes into subgraphs.
    V1_58,
}

/// A moment as a clock on the wall shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    /// Such as 2026.
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

/// Why a workflow cannot become a prompt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// Nodes that would run are of classes that are not in `object_info`.
    #[error("the server does not know {}", list(.0))]
    UnknownClasses(Vec<UnknownClass>),
    /// The workflow contradicts itself.
    #[error("the workflow is broken, at {path}: {what}")]
    Broken {
        /// The node and slot, such as `node 12, input 0 (model)`.
        path: String,
        /// What is wrong there.
        what: String,
    },
    /// The value of a node is made by a browser.
    #[error(
        "node {node} ({class}) takes its picture from a browser: mute it, or run the workflow in the web interface"
    )]
    NeedsBrowser {
        /// The id of the node, as a prompt would have it.
        node: String,
        /// Its class.
        class: String,
    },
    /// The workflow is larger than anything that a person makes.
    #[error("the workflow is too large: more than {limit} {what}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much of it is allowed.
        limit: usize,
    },
}

/// A class that a server does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownClass {
    /// Its name.
    pub class: String,
    /// The ids of the nodes of it that would run, as a prompt would have them.
    pub nodes: Vec<String>,
}

impl fmt::Display for UnknownClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.nodes.len() == 1 { "node" } else { "nodes" };
        write!(f, "{} ({word} {})", self.class, self.nodes.join(", "))
    }
}

fn list(classes: &[UnknownClass]) -> String {
    classes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Nodes of a workflow with its subgraphs unfolded: two subgraphs that hold each other twice would double without end.
const MAX_NODES: usize = 50_000;
/// Slots and widgets of all nodes.
const MAX_PARTS: usize = 1_000_000;
/// Slots of one node.
const MAX_SLOTS: usize = 1_000;
/// Subgraphs inside of each other.
const MAX_DEPTH: usize = 100;
/// Ids, names and values of the prompt: instances of a subgraph, and names of files, can repeat a text without end.
const MAX_BYTES: usize = 64 << 20;
