//! The workflow: the document that ComfyUI's web interface saves, as much of it as its conversion to a prompt reads.
//!
//! Both schema versions are read: links as arrays (0.4) and as objects (1, and always inside subgraphs). Positions,
//! colours, groups and whatever else only a canvas needs are skipped, so a workflow is not written back from here.

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Map, Value};

mod read;

/// A workflow.
///
/// ```
/// use comfyui::Workflow;
///
/// let workflow = Workflow::from_slice(
///     br#"{"version": 0.4, "nodes": [{"id": 1, "type": "SaveImage", "inputs": [{"name": "images", "link": 7}]}],
///          "links": [[7, 2, 0, 1, 0, "IMAGE"]]}"#,
/// )?;
/// assert_eq!(workflow.nodes[0].class, "SaveImage");
///
/// let error = Workflow::from_slice(br#"{"nodes": [{"id": 1, "type": "X", "mode": "muted"}]}"#).unwrap_err();
/// assert!(error.to_string().contains("nodes[0].mode: "), "{error}");
/// # Ok::<(), comfyui::workflow::Malformed>(())
/// ```
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Workflow {
    /// In the order of the document.
    pub nodes: Vec<Node>,
    /// In the order of the document.
    #[serde(default, deserialize_with = "read::links")]
    pub links: Vec<Link>,
    /// What its nodes may be instances of.
    #[serde(default, deserialize_with = "read::null_as_default")]
    pub definitions: Definitions,
    /// What extensions of the interface keep.
    #[serde(default, deserialize_with = "read::null_as_default")]
    pub extra: Extra,
    /// The highest number that a node had so far, in schema version 0.4.
    #[serde(default, deserialize_with = "read::whole_number")]
    pub last_node_id: Option<i64>,
    /// The same in schema version 1.
    #[serde(default, deserialize_with = "read::null_as_default")]
    pub state: State,
}

/// The counters of schema version 1.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct State {
    /// The highest number that a node had so far.
    #[serde(rename = "lastNodeId", default, deserialize_with = "read::whole_number")]
    pub last_node_id: Option<i64>,
}

/// A node of a workflow.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Node {
    /// Unique in its graph. Documents write numbers and strings.
    #[serde(deserialize_with = "read::id")]
    pub id: String,
    /// The key of its class in `object_info`, a subgraph's id, or a word of the interface's own (`Reroute`, `Note`).
    #[serde(rename = "type")]
    pub class: String,
    /// Whether it runs.
    #[serde(default, deserialize_with = "read::null_as_default")]
    pub mode: Mode,
    /// The user's own title; without one the class's display name stands above the node.
    #[serde(default)]
    pub title: Option<String>,
    /// The slots that links may end at.
    #[serde(default, deserialize_with = "read::null_as_default")]
    pub inputs: Vec<Input>,
    /// The slots that links may begin at.
    #[serde(default, deserialize_with = "read::null_as_default")]
    pub outputs: Vec<Output>,
    /// What its widgets were set to.
    #[serde(default, deserialize_with = "read::null_as_default")]
    pub widgets_values: WidgetValues,
    /// Notes of extensions, such as `proxyWidgets` and `cnr_id`.
    #[serde(default, deserialize_with = "read::null_as_default")]
    pub properties: Map<String, Value>,
}

/// Whether a node runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "i64")]
pub enum Mode {
    /// It runs.
    #[default]
    Active,
    /// 2: it does not, and nothing comes out of it.
    Muted,
    /// 4: it does not, and what goes in comes out where types match.
    Bypassed,
}

impl From<i64> for Mode {
    /// Modes that ComfyUI never used (on event, on trigger) run as 0 does.
    fn from(number: i64) -> Self {
        match number {
            2 => Self::Muted,
            4 => Self::Bypassed,
            _ => Self::Active,
        }
    }
}

/// An input slot.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Input {
    /// Its name in a prompt.
    #[serde(default, deserialize_with = "read::null_as_default")]
    pub name: String,
    /// What it takes, comma-separated; empty or `*` for anything.
    #[serde(rename = "type", default, deserialize_with = "read::slot_type")]
    pub kind: String,
    /// The link that ends here.
    #[serde(default, deserialize_with = "read::link_id")]
    pub link: Option<i64>,
    /// The widget that gives the value when there is no link.
    #[serde(default)]
    pub widget: Option<WidgetName>,
    /// How the user renamed it.
    #[serde(default)]
    pub label: Option<String>,
}

/// A widget, named by an input slot.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct WidgetName {
    /// Its name in its node.
    #[serde(default, deserialize_with = "read::null_as_default")]
    pub name: String,
}

/// An output slot.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Output {
    /// Its name on the canvas.
    #[serde(default, deserialize_with = "read::null_as_default")]
    pub name: String,
    /// What comes out of it.
    #[serde(rename = "type", default, deserialize_with = "read::slot_type")]
    pub kind: String,
    /// How the user renamed it.
    #[serde(default)]
    pub label: Option<String>,
    /// The links that begin here.
    #[serde(default, deserialize_with = "read::null_as_default")]
    pub links: Vec<i64>,
}

/// What the widgets of a node were set to.
#[derive(Debug, Clone, PartialEq)]
pub enum WidgetValues {
    /// In the order of the node's widgets, those included that never reach a prompt.
    Listed(Vec<Value>),
    /// By the widget's name, as some node packs save them.
    Named(Map<String, Value>),
}

impl Default for WidgetValues {
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

/// A link from an output slot to an input slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Unique in its graph.
    pub id: i64,
    /// The node it begins at; [`SUBGRAPH_INPUT`] inside of a subgraph for the subgraph's own inputs.
    pub origin: String,
    /// Which output of that node, counted from 0.
    pub origin_slot: i64,
    /// The node it ends at; [`SUBGRAPH_OUTPUT`] inside of a subgraph for the subgraph's own outputs.
    pub target: String,
    /// Which input of that node, counted from 0. What the node itself says of its links counts more.
    pub target_slot: i64,
    /// What flows along it.
    pub kind: String,
}

/// The origin of links that come from outside a subgraph.
pub const SUBGRAPH_INPUT: &str = "-10";
/// The target of links that lead out of a subgraph.
pub const SUBGRAPH_OUTPUT: &str = "-20";

/// What nodes may be instances of.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Definitions {
    /// Subgraphs, each with an id that nodes give as their class.
    #[serde(default, deserialize_with = "read::null_as_default")]
    pub subgraphs: Vec<Subgraph>,
}

/// A graph that stands for a node.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Subgraph {
    /// A UUID.
    pub id: String,
    /// What its instances are called when they have no title of their own.
    #[serde(default, deserialize_with = "read::null_as_default")]
    pub name: String,
    /// In the order of the document.
    #[serde(default, deserialize_with = "read::null_as_default")]
    pub nodes: Vec<Node>,
    /// In the order of the document.
    #[serde(default, deserialize_with = "read::links")]
    pub links: Vec<Link>,
    /// Its inputs, one an input slot of an instance.
    #[serde(default, deserialize_with = "read::null_as_default")]
    pub inputs: Vec<Boundary>,
    /// Its outputs, one an output slot of an instance.
    #[serde(default, deserialize_with = "read::null_as_default")]
    pub outputs: Vec<Boundary>,
    /// Subgraphs defined inside of this one; they can be used everywhere.
    #[serde(default, deserialize_with = "read::null_as_default")]
    pub definitions: Definitions,
    /// Whether it stands for a group node.
    #[serde(skip)]
    pub(crate) is_group: bool,
}

/// An input or output of a subgraph.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Boundary {
    /// The name of the slot on an instance.
    #[serde(default, deserialize_with = "read::null_as_default")]
    pub name: String,
    /// What it takes or gives.
    #[serde(rename = "type", default, deserialize_with = "read::slot_type")]
    pub kind: String,
    /// The links inside that begin or end at it.
    #[serde(rename = "linkIds", default, deserialize_with = "read::null_as_default")]
    pub links: Vec<i64>,
}

/// What extensions of the interface keep in a workflow.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Extra {
    /// What interfaces had before subgraphs: name → group.
    #[serde(rename = "groupNodes", default, deserialize_with = "read::null_as_default")]
    pub group_nodes: IndexMap<String, GroupNode>,
}

/// A group of nodes that stood for one node, in the interfaces before subgraphs. Its nodes are known by their place.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct GroupNode {
    /// Their ids are their places.
    #[serde(default, deserialize_with = "read::members")]
    pub nodes: Vec<Node>,
    /// Between its nodes, by their places.
    #[serde(default, deserialize_with = "read::null_as_default")]
    pub links: Vec<GroupLink>,
    /// Outputs that were used outside when the group was made: node, slot, type. Some documents write objects.
    #[serde(default, deserialize_with = "read::null_as_default")]
    pub external: Vec<Value>,
    /// How the user arranged its slots: place of the node → inputs by name and outputs by slot.
    #[serde(default, deserialize_with = "read::null_as_default")]
    pub config: IndexMap<String, GroupConfig>,
}

/// A link inside of a group; without an origin it came from outside when the group was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupLink {
    /// Place of the node and its output slot.
    pub origin: Option<(usize, usize)>,
    /// Place of the node and its input slot.
    pub target: (usize, usize),
    /// What flows along it.
    pub kind: String,
}

/// How the user arranged the slots of one node of a group.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct GroupConfig {
    /// By the input's name.
    #[serde(default, deserialize_with = "read::null_as_default")]
    pub input: IndexMap<String, GroupSlot>,
    /// By the output's slot.
    #[serde(default, deserialize_with = "read::null_as_default")]
    pub output: IndexMap<String, GroupSlot>,
}

/// How the user arranged one slot of a group.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct GroupSlot {
    /// Its name on the group.
    #[serde(default)]
    pub name: Option<String>,
    /// Whether the group shows it.
    #[serde(default)]
    pub visible: Option<bool>,
}

/// A document that is no workflow: where, and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a workflow, at {path}: {what}")]
pub struct Malformed {
    /// The path to the fault, such as `nodes[3].inputs[0].link`; `.` for the document itself.
    pub path: String,
    /// What is wrong there.
    pub what: String,
}

impl Workflow {
    /// Reads a document; the words of Python's JSON (`NaN`) are read as null, as [`crate::from_slice`] does.
    ///
    /// # Errors
    /// When it is no JSON, or no workflow: with the path to the fault.
    pub fn from_slice(document: &[u8]) -> Result<Self, Malformed> {
        let mended = crate::lenient::without_python(document);
        let mut json = serde_json::Deserializer::from_slice(&mended);
        let workflow = serde_path_to_error::deserialize(&mut json).map_err(Malformed::from)?;
        json.end().map_err(|error| Malformed { path: ".".to_owned(), what: error.to_string() })?;
        Ok(workflow)
    }

    /// Reads a document that was parsed already.
    ///
    /// # Errors
    /// When it is no workflow: with the path to the fault.
    pub fn from_value(document: &Value) -> Result<Self, Malformed> {
        serde_path_to_error::deserialize(document).map_err(Malformed::from)
    }

    /// All subgraphs, those inside of others included.
    pub fn subgraphs(&self) -> impl Iterator<Item = &Subgraph> {
        let mut waiting: Vec<&Subgraph> = self.definitions.subgraphs.iter().rev().collect();
        std::iter::from_fn(move || {
            let subgraph = waiting.pop()?;
            waiting.extend(subgraph.definitions.subgraphs.iter().rev());
            Some(subgraph)
        })
    }
}

impl From<serde_path_to_error::Error<serde_json::Error>> for Malformed {
    fn from(error: serde_path_to_error::Error<serde_json::Error>) -> Self {
        Self { path: error.path().to_string(), what: error.inner().to_string() }
    }
}

#[cfg(test)]
mod tests;
