//! Where a link comes from in the end: through reroutes, bypassed nodes, and into and out of subgraphs.

use std::rc::Rc;

use serde_json::Value;

use super::model::{Graph, Model, Node, Role};
use super::{ConvertError, Interface};
use crate::workflow::{Link, Mode, SUBGRAPH_INPUT};

/// A node in the workflow as a whole: the instances of subgraphs that lead to it, and the node itself.
#[derive(Clone)]
pub(super) struct Place<'m> {
    /// Outermost first: the graph that the instance is in, and the instance.
    pub(super) path: Vec<(&'m Graph<'m>, &'m Node<'m>)>,
    pub(super) graph: &'m Graph<'m>,
    pub(super) node: &'m Node<'m>,
}

impl Place<'_> {
    /// The node's id in a prompt, such as `76:8`.
    pub(super) fn id(&self) -> String {
        let outer = self.path.iter().map(|(_, instance)| instance.saved.id.as_str());
        outer.chain([self.node.saved.id.as_str()]).collect::<Vec<_>>().join(":")
    }
}

/// What an input gets.
pub(super) enum Source {
    /// The output of a node.
    Output { node: String, slot: i64 },
    /// The value of a widget on an instance of a subgraph.
    Value(Option<Rc<Value>>),
}

enum Step<'m> {
    /// What ends at this input of the node? A type is named where the question comes through a reroute.
    Input(usize, Option<&'m str>),
    /// What comes out of this output of the node, for an input of this type?
    Output(i64, &'m str),
    Found(Source),
    Nothing,
}

/// Links that may be followed for one input: more of them run in a circle.
const MAX_STEPS: usize = 20_000;

/// Links that may be followed for all inputs.
pub(super) const MAX_STEPS_IN_ALL: usize = 10_000_000;
const ALL_STEPS: ConvertError = ConvertError::TooLarge { what: "links to follow", limit: MAX_STEPS_IN_ALL };

/// What the input at this place of a node's slots gets; `None` where nothing comes in.
pub(super) fn input<'m>(
    model: &'m Model<'m>,
    mut place: Place<'m>,
    slot: usize,
    steps_left: &mut usize,
) -> Result<Option<Source>, ConvertError> {
    let start = place.clone();
    let mut step = Step::Input(slot, None);
    for _ in 0..MAX_STEPS {
        *steps_left = steps_left.checked_sub(1).ok_or(ALL_STEPS)?;
        step = match step {
            Step::Input(slot, kind) => place.follow_input(model, slot, kind)?,
            Step::Output(slot, kind) => place.follow_output(model, slot, kind),
            Step::Found(source) => return Ok(Some(source)),
            Step::Nothing => return Ok(None),
        };
    }
    Err(ConvertError::Broken {
        path: format!("node {}, input {slot}", start.id()),
        what: format!("its links run in a circle, or through more than {MAX_STEPS} nodes"),
    })
}

impl<'m> Place<'m> {
    fn follow_input(
        &mut self,
        model: &'m Model<'m>,
        slot: usize,
        kind: Option<&'m str>,
    ) -> Result<Step<'m>, ConvertError> {
        let Some(input) = self.node.inputs.get(slot) else { return Ok(Step::Nothing) };
        let Some(id) = input.link else { return Ok(Step::Nothing) };
        let link = *self
            .graph
            .links
            .get(&id)
            .ok_or_else(|| self.broken(slot, &format!("link {id} does not exist")))?;
        if link.origin == SUBGRAPH_INPUT && !self.path.is_empty() {
            return Ok(self.leave(model, link));
        }
        if self.graph.is_group && model.interface == Interface::V1_35 {
            return Ok(Step::Found(self.beside(link)));
        }
        let what = || format!("link {id} comes from node {}, which does not exist", link.origin);
        self.node = self.graph.nodes.get(link.origin.as_str()).ok_or_else(|| self.broken(slot, &what()))?;
        Ok(Step::Output(link.origin_slot, kind.unwrap_or(&input.kind)))
    }

    /// Out of the subgraph: to the input of the instance, or the value of its widget.
    fn leave(&mut self, model: &'m Model<'m>, link: &Link) -> Step<'m> {
        let Some((graph, instance)) = self.path.pop() else { return Step::Nothing };
        let outer =
            usize::try_from(link.origin_slot).ok().and_then(|at| Some((at, instance.inputs.get(at)?)));
        let Some((at, slot)) = outer else { return Step::Nothing };
        if slot.link.is_none() {
            let widget = instance.widget_of(slot);
            return widget.map_or(Step::Nothing, |widget| {
                Step::Found(Source::Value(model.values.shared(widget.cell)))
            });
        }
        let is_group = self.graph.is_group && model.interface == Interface::V1_35;
        (self.graph, self.node) = (graph, instance);
        match slot.link.and_then(|id| self.graph.links.get(&id)) {
            Some(link) if is_group => Step::Found(self.beside(link)),
            _ => Step::Input(at, None),
        }
    }

    /// Where a link begins, without a look at what is there: so does 1.35 for the nodes of a group.
    fn beside(&self, link: &Link) -> Source {
        let outer = self.path.iter().map(|(_, instance)| instance.saved.id.as_str());
        let id = outer.chain([link.origin.as_str()]).collect::<Vec<_>>().join(":");
        Source::Output { node: id, slot: link.origin_slot }
    }

    fn follow_output(&mut self, model: &'m Model<'m>, slot: i64, kind: &'m str) -> Step<'m> {
        match (self.node.mode(), &self.node.role) {
            (Mode::Muted, _) if model.interface == Interface::V1_58 => Step::Nothing,
            (Mode::Bypassed, _) => match self.passed_on(slot, kind) {
                Some(input) => Step::Input(input, None),
                None => Step::Nothing,
            },
            (_, Role::Instance { place, .. }) => self.enter(model, *place, slot, kind),
            (_, Role::Reroute) => {
                match usize::try_from(slot).ok().filter(|at| *at < self.node.inputs.len()) {
                    Some(at) => Step::Input(at, Some(kind)),
                    None => Step::Nothing,
                }
            }
            (_, role) if role.is_virtual() => Step::Nothing,
            _ => Step::Found(Source::Output { node: self.id(), slot }),
        }
    }

    /// Into the subgraph: to the node whose output it gives out.
    fn enter(&mut self, model: &'m Model<'m>, inside: usize, slot: i64, kind: &'m str) -> Step<'m> {
        let Some(graph) = model.graphs.get(inside) else { return Step::Nothing };
        let output = usize::try_from(slot).ok().and_then(|at| graph.outputs.get(at));
        let Some(link) = output.and_then(|output| graph.links.get(output.links.first()?)) else {
            return Step::Nothing;
        };
        self.path.push((self.graph, self.node));
        self.graph = graph;
        if link.origin == SUBGRAPH_INPUT {
            return self.leave(model, link);
        }
        let Some(node) = graph.nodes.get(link.origin.as_str()) else { return Step::Nothing };
        self.node = node;
        Step::Output(link.origin_slot, kind)
    }

    /// Which input a bypassed node passes on to this output: the one beside it if its type fits, else the first that does.
    fn passed_on(&self, slot: i64, kind: &str) -> Option<usize> {
        let inputs = &self.node.inputs;
        let at = usize::try_from(slot).ok()?;
        if kind.is_empty() || kind == "*" {
            return Some(if inputs.len() > at { at } else { 0 });
        }
        let output = self.node.outputs.get(at)?;
        let fits = |input: &str| connects(input, output) && connects(input, kind);
        if inputs.get(at).is_some_and(|input| fits(&input.kind)) {
            return Some(at);
        }
        let same = inputs.iter().position(|input| input.kind == kind);
        same.or_else(|| inputs.iter().position(|input| fits(&input.kind)))
    }

    fn broken(&self, slot: usize, what: &str) -> ConvertError {
        let name = self.node.inputs.get(slot).map_or("", |input| input.name.as_str());
        ConvertError::Broken {
            path: format!("node {}, input {slot} ({name})", self.id()),
            what: what.to_owned(),
        }
    }
}

/// Whether slots of these types may be linked: anything with a wildcard, else any of each one's alternatives.
fn connects(one: &str, other: &str) -> bool {
    let is_any = |kind: &str| kind.is_empty() || kind == "*";
    if is_any(one) || is_any(other) || one == other {
        return true;
    }
    one.split(',').any(|a| other.split(',').any(|b| is_any(a) || is_any(b) || a.eq_ignore_ascii_case(b)))
}
