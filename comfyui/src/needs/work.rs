//! The numbers that predict how long a prompt runs.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::graph::Graph;
use super::size::Size;
use crate::prompt::Node;

/// How much a prompt has to do, as far as the document tells: what depends on an uploaded picture's size or on a node's
/// arithmetic is absent, and so is all in a graph of absurdly many links. Nodes that call a paid service (`api_node`) count nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Work {
    /// Of what is sampled, in pixels; of the largest (width × height × frames) where several sizes are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u64>,
    /// As `width`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u64>,
    /// The area of one frame in pixels: width × height, or what a scaling to megapixels aims at whatever the shape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pixels: Option<u64>,
    /// The length of a film in frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<u64>,
    /// How many are sampled at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<u64>,
    /// Of all samplers together. Absent if that of one is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// The highest guidance scale; at 1 each step costs half.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cfg: Option<f64>,
    /// The names of the sampling methods, such as `euler`: some evaluate the model twice a step.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub samplers: BTreeSet<String>,
}

impl Work {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn of<'a>(graph: Graph<'a>, executed: impl Iterator<Item = &'a Node>) -> Self {
        let local: Vec<_> = executed.filter(|node| !graph.is_remote(node)).collect();
        let samplers: Vec<_> = local.iter().copied().filter(|node| graph.is_sampler(node)).collect();
        let steps = samplers.iter().try_fold(0_u64, |sum, node| sum.checked_add(graph.steps(node)?));
        let Size { width, height, pixels, frames, batch } = graph.largest(&samplers, &local);
        let work = Self {
            width,
            height,
            pixels,
            frames,
            batch,
            steps: steps.filter(|steps| *steps > 0),
            cfg: local.iter().filter_map(|node| graph.number(node, "cfg")).max_by(f64::total_cmp),
            samplers: samplers
                .iter()
                .filter_map(|node| graph.sampler_name(node))
                .map(str::to_owned)
                .collect(),
        };
        // What was found before the bound was met would be a guess at the rest.
        if graph.links_left.get() == 0 { Self::default() } else { work }
    }
}

impl Graph<'_> {
    fn is_remote(self, node: &Node) -> bool {
        let flag = self.class(node).and_then(|class| class.extra.get("api_node"));
        flag.and_then(serde_json::Value::as_bool) == Some(true)
    }
}
