//! Ids that are unique in a whole workflow: 1.58 gives new ones to nodes of subgraphs whose id another graph has too.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::Interface;
use super::widget::script_text;
use crate::workflow::{Definitions, Node, Subgraph, Workflow};

pub(super) fn unique_ids(workflow: Cow<'_, Workflow>, interface: Interface) -> Cow<'_, Workflow> {
    if interface == Interface::V1_35 || are_unique(&workflow) {
        return workflow;
    }
    let mut workflow = workflow.into_owned();
    let mut subgraphs: Vec<Subgraph> = workflow.subgraphs().map(alone).collect();
    let mut ids = Ids::of(&workflow);
    let mut renamed: HashMap<String, Renamed> = HashMap::new();
    let mut seen = HashSet::new();
    subgraphs.retain(|subgraph| seen.insert(subgraph.id.clone()));
    for subgraph in &mut subgraphs {
        let names = ids.renumber(subgraph);
        renamed.insert(subgraph.id.clone(), names);
    }
    for node in subgraphs.iter_mut().flat_map(|subgraph| &mut subgraph.nodes).chain(&mut workflow.nodes) {
        if let Some(names) = renamed.get(&node.class) {
            rename_promoted(node, names);
        }
    }
    workflow.definitions.subgraphs = subgraphs;
    Cow::Owned(workflow)
}

/// A subgraph without those defined inside of it, which come by themselves.
fn alone(subgraph: &Subgraph) -> Subgraph {
    Subgraph {
        id: subgraph.id.clone(),
        name: subgraph.name.clone(),
        nodes: subgraph.nodes.clone(),
        links: subgraph.links.clone(),
        inputs: subgraph.inputs.clone(),
        outputs: subgraph.outputs.clone(),
        definitions: Definitions::default(),
        is_group: subgraph.is_group,
    }
}

/// Old id → new id.
type Renamed = HashMap<String, String>;

fn are_unique(workflow: &Workflow) -> bool {
    let mut seen = HashSet::new();
    let inside = workflow.subgraphs().flat_map(|subgraph| &subgraph.nodes);
    workflow.nodes.iter().chain(inside).all(|node| seen.insert(node.id.as_str()))
}

/// The ids that nodes have already, and the highest number that one had.
pub(super) struct Ids {
    used: HashSet<String>,
    last: i64,
}

impl Ids {
    pub(super) fn of(workflow: &Workflow) -> Self {
        let last = workflow.state.last_node_id.or(workflow.last_node_id).unwrap_or(0).max(0);
        Self { used: workflow.nodes.iter().map(|node| node.id.clone()).collect(), last }
    }

    fn renumber(&mut self, subgraph: &mut Subgraph) -> Renamed {
        let mut own = HashSet::new();
        subgraph.nodes.retain(|node| own.insert(node.id.clone()));
        let mut renamed = Renamed::new();
        for node in &mut subgraph.nodes {
            if self.used.insert(node.id.clone()) {
                self.last = self.last.max(node.id.parse().unwrap_or(0));
            } else {
                renamed.insert(node.id.clone(), self.next());
            }
        }
        rename(subgraph, &renamed);
        renamed
    }

    /// New ids for all nodes of a subgraph.
    pub(super) fn renew(&mut self, subgraph: &mut Subgraph) {
        let renamed = subgraph.nodes.iter().map(|node| (node.id.clone(), self.next())).collect();
        rename(subgraph, &renamed);
    }

    /// An id that no node has.
    pub(super) fn next(&mut self) -> String {
        loop {
            self.last = self.last.saturating_add(1);
            let id = self.last.to_string();
            if self.used.insert(id.clone()) || self.last == i64::MAX {
                return id;
            }
        }
    }
}

fn rename(subgraph: &mut Subgraph, names: &Renamed) {
    let ends = subgraph.links.iter_mut().flat_map(|link| [&mut link.origin, &mut link.target]);
    for id in subgraph.nodes.iter_mut().map(|node| &mut node.id).chain(ends) {
        if let Some(new) = names.get(id) {
            id.clone_from(new);
        }
    }
}

fn rename_promoted(node: &mut Node, names: &Renamed) {
    let promoted = node.properties.get_mut("proxyWidgets").and_then(Value::as_array_mut);
    for inner in promoted.into_iter().flatten().filter_map(|entry| entry.get_mut(0)) {
        if let Some(id) = names.get(&script_text(inner)) {
            *inner = Value::String(id.clone());
        }
    }
}
