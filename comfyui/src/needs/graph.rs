//! The graph with what is known of its classes: which nodes are executed, what feeds an input, what a value comes to.

use std::cell::Cell;
use std::collections::HashSet;

use serde_json::Value;

use crate::object_info::{InputSpec, NodeClass, ObjectInfo};
use crate::prompt::{Link, Node, Prompt, link};

/// How many links a value is followed through. Real graphs need a dozen; a loop of links ends here.
pub(super) const HOPS_MAX: usize = 64;

/// How many links are followed in one graph, over all values. A real one needs hundreds.
pub(super) const LINKS_MAX: usize = 100_000;

#[derive(Clone, Copy)]
pub(super) struct Graph<'a> {
    pub(super) prompt: &'a Prompt,
    pub(super) info: Option<&'a ObjectInfo>,
    /// How many links may still be followed.
    pub(super) links_left: &'a Cell<usize>,
}

impl<'a> Graph<'a> {
    pub(super) fn class(self, node: &Node) -> Option<&'a NodeClass> {
        self.info?.0.get(&node.class_type)
    }

    pub(super) fn spec(self, node: &Node, input: &str) -> Option<&'a InputSpec> {
        self.class(node)?.input.get(input)
    }

    /// The nodes that lead to an output; all, in a graph of which no output node is known.
    pub(super) fn executed(self) -> Vec<(&'a str, &'a Node)> {
        let nodes = || self.prompt.0.iter().map(|(id, node)| (id.as_str(), node));
        let is_output = |node| self.class(node).is_some_and(|class| class.output_node);
        let mut open: Vec<_> = nodes().filter(|(_, node)| is_output(node)).collect();
        if open.is_empty() {
            return nodes().collect();
        }
        let mut executed: HashSet<&str> = open.iter().map(|(id, _)| *id).collect();
        while let Some((_, node)) = open.pop() {
            let sources = node.links().filter_map(|(_, link)| self.prompt.0.get_key_value(&link.node));
            open.extend(sources.map(|(id, node)| (id.as_str(), node)).filter(|(id, _)| executed.insert(id)));
        }
        nodes().filter(|(id, _)| executed.contains(id)).collect()
    }

    pub(super) fn node(self, link: &Link) -> Option<&'a Node> {
        self.links_left.set(self.links_left.get().checked_sub(1)?);
        self.prompt.0.get(&link.node)
    }

    /// The node that feeds an input.
    pub(super) fn source(self, node: &Node, input: &str) -> Option<&'a Node> {
        self.node(&link(node.inputs.get(input)?)?)
    }

    /// What an input comes to: its own constant, or the one at the other end of its link. A node on the way passes on its
    /// input of the same name, what a switch or reroute passes on, or its only value (a primitive's).
    pub(super) fn constant(self, node: &'a Node, input: &str) -> Option<&'a Value> {
        let mut value = node.inputs.get(input)?;
        for _ in 0..HOPS_MAX {
            let Some(link) = link(value) else { return Some(value) };
            let node = self.node(&link)?;
            let only = || (node.inputs.len() == 1).then(|| node.inputs.values().next()).flatten();
            value = node.inputs.get(input).or_else(|| self.passed_on(node)).or_else(only)?;
        }
        None
    }

    /// The link that a node hands through: the chosen one of a switch, or the only one of a node without values.
    pub(super) fn passed_on(self, node: &'a Node) -> Option<&'a Value> {
        if let (Some(on_true), Some(on_false)) = (node.inputs.get("on_true"), node.inputs.get("on_false")) {
            return Some(if self.flag(node, "switch")? { on_true } else { on_false });
        }
        let mut inputs = node.inputs.values();
        let only = inputs.next()?;
        (inputs.next().is_none() && link(only).is_some()).then_some(only)
    }

    /// A boolean of the node, or of the primitive that is linked to it. Not through switches: those could branch without
    /// end.
    fn flag(self, node: &Node, input: &str) -> Option<bool> {
        let given = node.inputs.get(input)?;
        let primitive = || self.source(node, input)?.inputs.get("value")?.as_bool();
        given.as_bool().or_else(primitive)
    }

    /// A number of at least 0. Texts count: ComfyUI converts them.
    pub(super) fn number(self, node: &'a Node, input: &str) -> Option<f64> {
        let value = self.constant(node, input)?;
        let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
        (number.is_finite() && number >= 0.0).then_some(number)
    }

    /// A whole number of at least 0 that a float holds exactly; more is no size of anything.
    pub(super) fn count(self, node: &'a Node, input: &str) -> Option<u64> {
        self.number(node, input).and_then(whole)
    }

    /// The same, of at least 1: where 0 says "as it comes".
    pub(super) fn size(self, node: &'a Node, input: &str) -> Option<u64> {
        self.count(node, input).filter(|number| *number > 0)
    }
}

/// Rounds what is small enough to be exact.
pub(super) fn whole(number: f64) -> Option<u64> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    (0.0..=EXACT_MAX).contains(&number).then(|| number.round() as u64)
}
