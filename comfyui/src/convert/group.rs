//! Group nodes, which interfaces had before subgraphs: each becomes an instance of a subgraph of its own.
//!
//! The widgets of a group are those of its nodes, one node after the other; an input that no node inside feeds is an input
//! of the group, and an output that none uses an output.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use serde_json::{Map, Value};

use super::model::within;
use super::renumber::Ids;
use super::shape::{self, Shape, Specs};
use super::values::Values;
use super::widget::{Spec, Widget};
use super::{ConvertError, Interface, MAX_NODES, MAX_PARTS, MAX_SLOTS};
use crate::object_info::ObjectInfo;
use crate::workflow::{
    Boundary, GroupNode, Input, Link, Mode, Node, SUBGRAPH_INPUT, SUBGRAPH_OUTPUT, Subgraph, WidgetName,
    WidgetValues, Workflow,
};

pub(super) fn expand<'w>(
    workflow: &'w Workflow,
    info: &ObjectInfo,
    interface: Interface,
) -> Result<Cow<'w, Workflow>, ConvertError> {
    let groups = &workflow.extra.group_nodes;
    if !workflow.nodes.iter().any(|node| group_of(node, groups).is_some()) {
        return Ok(Cow::Borrowed(workflow));
    }
    let mut expanded = workflow.clone();
    let Workflow { nodes, links, definitions, .. } = &mut expanded;
    let mut ids = (interface == Interface::V1_58).then(|| Ids::of(workflow));
    let mut renamed = HashMap::new();
    let (mut count, mut parts) = (0, 0);
    for node in nodes {
        if let Some(group) = group_of(node, groups) {
            count += group.nodes.len();
            within(count, "nodes", MAX_NODES)?;
            parts += group.nodes.iter().map(|node| node.inputs.len() + node.outputs.len()).sum::<usize>();
            within(parts, "slots and widgets", MAX_PARTS)?;
            let widest = group.nodes.iter().map(|node| node.inputs.len()).max().unwrap_or(0);
            within(widest, "inputs of a node", MAX_SLOTS)?;
            let mut subgraph = Expansion::new(group, info).run(node);
            node.class.clone_from(&subgraph.id);
            node.widgets_values = WidgetValues::default();
            if let Some(ids) = &mut ids {
                let old = replace(node, &mut subgraph, ids);
                renamed.insert(old, node.id.clone());
            }
            definitions.subgraphs.push(subgraph);
        }
    }
    for end in links.iter_mut().flat_map(|link| [&mut link.origin, &mut link.target]) {
        if let Some(new) = renamed.get(end) {
            end.clone_from(new);
        }
    }
    Ok(Cow::Owned(expanded))
}

/// 1.58 puts a subgraph of its own making in the place of a group: it runs, and has new ids. The group's id comes back.
fn replace(node: &mut Node, subgraph: &mut Subgraph, ids: &mut Ids) -> String {
    ids.renew(subgraph);
    node.mode = Mode::Active;
    std::mem::replace(&mut node.id, ids.next())
}

/// `workflow>name`, and `workflow/name` in older documents.
fn group_of<'w>(node: &Node, groups: &'w indexmap::IndexMap<String, GroupNode>) -> Option<&'w GroupNode> {
    let name = node.class.strip_prefix("workflow>").or_else(|| node.class.strip_prefix("workflow/"))?;
    groups.get(name)
}

/// An input of a node inside: with its place in the node's list of slots, links say which one they mean.
struct MemberSlot {
    name: String,
    kind: String,
    has_widget: bool,
}

struct Expansion<'g> {
    group: &'g GroupNode,
    /// Of each node: the inputs of its class.
    specs: Vec<Specs<'g>>,
    /// Of each node: its slots, those without a widget first.
    slots: Vec<Vec<MemberSlot>>,
    /// Node and slot of what is linked inside.
    linked: HashSet<(usize, usize)>,
    names: HashMap<String, usize>,
}

impl<'g> Expansion<'g> {
    fn new(group: &'g GroupNode, info: &'g ObjectInfo) -> Self {
        let mut specs: Vec<Specs<'g>> = group.nodes.iter().map(|node| specs_of(node, info)).collect();
        let mut first_links = HashMap::new();
        for link in &group.links {
            if let Some((origin, _)) = link.origin {
                first_links.entry(origin).or_insert(link);
            }
        }
        for place in (0..group.nodes.len()).filter(|place| is_primitive(group, *place)) {
            let target = first_links.get(&place).map(|link| link.target);
            let value = target.and_then(|target| primitive_spec(group, target, &specs));
            let value = value.map(|spec| (spec.name.clone(), spec));
            if let Some(own) = specs.get_mut(place) {
                own.extend(value);
            }
        }
        let slots = group.nodes.iter().zip(&specs).map(|(node, specs)| slots_of(node, specs)).collect();
        let inside = group.links.iter().filter(|link| link.origin.is_some());
        Self { group, specs, slots, linked: inside.map(|link| link.target).collect(), names: HashMap::new() }
    }

    fn run(mut self, instance: &Node) -> Subgraph {
        let mut subgraph = Subgraph {
            id: format!("group node {}", instance.id),
            name: instance.class.clone(),
            is_group: true,
            nodes: self.nodes(instance),
            ..Subgraph::default()
        };
        self.link_inside(&mut subgraph);
        self.add_inputs(&mut subgraph);
        self.add_outputs(&mut subgraph);
        subgraph
    }

    /// The nodes inside, their widgets set to what the group's are.
    fn nodes(&self, instance: &Node) -> Vec<Node> {
        let outer = self.outer_values(instance);
        let nodes = self.group.nodes.iter().zip(&self.specs).zip(outer).enumerate();
        nodes
            .map(|(place, ((node, specs), outer))| Node {
                inputs: self.slots.get(place).into_iter().flatten().map(MemberSlot::empty).collect(),
                widgets_values: own_values(node, specs, outer),
                ..node.clone()
            })
            .collect()
    }

    /// What the group's widgets hold, by node inside and name. Those that were turned into slots come last: interfaces that
    /// show a slot beside every widget save all of them so.
    fn outer_values(&self, instance: &Node) -> Vec<Map<String, Value>> {
        let mut values = Values::default();
        let places = 0..self.group.nodes.len();
        let fields: Vec<_> =
            places.clone().map(|place| widgets_of(self.fields(place), &mut values)).collect();
        let turned: Vec<_> = places.map(|place| widgets_of(self.turned(place), &mut values)).collect();
        if let WidgetValues::Listed(listed) = &instance.widgets_values {
            let saved = fields.iter().chain(&turned).flatten().filter(|widget| widget.is_saved);
            for (widget, value) in saved.zip(listed) {
                values.set(widget.cell, Some(Rc::new(value.clone())));
            }
        }
        let held = |widget: Widget<'_>| Some((widget.name, values.get(widget.cell)?.clone()));
        let of_nodes = fields.into_iter().zip(turned);
        of_nodes.map(|(fields, turned)| fields.into_iter().chain(turned).filter_map(held).collect()).collect()
    }

    /// Inputs of a node that are widgets on the group.
    fn fields(&self, place: usize) -> impl Iterator<Item = &Spec<'g>> {
        let specs = self.specs.get(place).into_iter().flat_map(|specs| specs.values());
        specs.filter(move |spec| spec.has_widget() && !self.is_slot(place, &spec.name))
    }

    /// Inputs of a node that were turned into slots, and that nothing inside feeds.
    fn turned(&self, place: usize) -> impl Iterator<Item = &Spec<'g>> {
        let slots = self.slots.get(place).into_iter().flatten().enumerate();
        let open = slots.filter(move |(at, slot)| slot.has_widget && !self.is_linked(place, *at));
        open.filter_map(move |(_, slot)| self.specs.get(place)?.get(&slot.name))
    }

    /// Whether an input that could have a widget was turned into a slot.
    fn is_slot(&self, place: usize, name: &str) -> bool {
        self.slots.get(place).into_iter().flatten().any(|slot| slot.name == name)
    }

    fn link_inside(&self, subgraph: &mut Subgraph) {
        for link in &self.group.links {
            let Some((origin, origin_slot)) = link.origin else { continue };
            let ends = (origin.to_string(), slot_number(origin_slot));
            connect(subgraph, ends, link.target, &link.kind);
        }
    }

    /// What is not linked inside is an input of the group: plain slots of all nodes first, then those that have widgets.
    fn add_inputs(&mut self, subgraph: &mut Subgraph) {
        for with_widget in [false, true] {
            for place in 0..self.group.nodes.len() {
                if !with_widget {
                    self.name_widgets(place);
                }
                let slots = self.slots.get(place).map(Vec::as_slice).unwrap_or_default();
                let open: Vec<(usize, String, String)> = slots
                    .iter()
                    .enumerate()
                    .filter(|(at, slot)| slot.has_widget == with_widget && !self.is_linked(place, *at))
                    .map(|(at, slot)| (at, slot.name.clone(), slot.kind.clone()))
                    .collect();
                for (at, name, kind) in open {
                    let outer = self.outer_name(place, &name);
                    if with_widget || self.is_visible(place, &name) {
                        let ends = (SUBGRAPH_INPUT.to_owned(), slot_number(subgraph.inputs.len()));
                        subgraph.inputs.push(Boundary { name: outer, kind: kind.clone(), links: Vec::new() });
                        let link = connect(subgraph, ends, (place, at), &kind);
                        if let (Some(link), Some(input)) = (link, subgraph.inputs.last_mut()) {
                            input.links.push(link);
                        }
                    }
                }
            }
        }
    }

    /// Widgets take names first.
    fn name_widgets(&mut self, place: usize) {
        let named: Vec<String> = self.fields(place).map(|spec| spec.name.clone()).collect();
        for name in named {
            self.outer_name(place, &name);
        }
    }

    fn is_linked(&self, place: usize, slot: usize) -> bool {
        self.linked.contains(&(place, slot))
    }

    fn is_visible(&self, place: usize, name: &str) -> bool {
        let config = self.group.config.get(&place.to_string());
        config.and_then(|config| config.input.get(name)?.visible).unwrap_or(true)
    }

    /// The name of an input on the group: its own, with the node's in front where another has it already.
    fn outer_name(&mut self, place: usize, name: &str) -> String {
        let Some(node) = self.group.nodes.get(place) else { return name.to_owned() };
        let config = self.group.config.get(&place.to_string());
        let given = config.and_then(|config| config.input.get(name)?.name.clone());
        let label = || node.inputs.iter().find(|input| input.name == name)?.label.clone();
        let mut outer = given.or_else(label).unwrap_or_else(|| name.to_owned());
        let mut key = outer.clone();
        if (node.class == "PrimitiveNode" && node.title.is_some()) || self.names.contains_key(&outer) {
            let prefix = node.title.as_deref().unwrap_or(&node.class);
            outer = format!("{prefix} {name}");
            key.clone_from(&outer);
            if let Some(count) = self.names.get(&outer) {
                outer = format!("{prefix} {count} {name}");
            }
        }
        *self.names.entry(key).or_insert(1) += 1;
        outer
    }

    /// Outputs that no node inside uses, or that were used outside too.
    fn add_outputs(&self, subgraph: &mut Subgraph) {
        let used: HashSet<(usize, usize)> = self.group.links.iter().filter_map(|link| link.origin).collect();
        let number = |entry: &Value, at: usize| entry.get(at)?.as_u64()?.try_into().ok();
        let outside =
            self.group.external.iter().filter_map(|entry| Some((number(entry, 0)?, number(entry, 1)?)));
        let outside: HashSet<(usize, usize)> = outside.collect();
        for (place, node) in self.group.nodes.iter().enumerate() {
            let config = self.group.config.get(&place.to_string());
            for (slot, output) in node.outputs.iter().enumerate() {
                let given = config.and_then(|config| config.output.get(&slot.to_string())?.visible);
                let is_hidden = used.contains(&(place, slot)) && !outside.contains(&(place, slot));
                if given.unwrap_or(!is_hidden) {
                    let id = next_id(subgraph);
                    subgraph.links.push(Link {
                        id,
                        origin: place.to_string(),
                        origin_slot: slot_number(slot),
                        target: SUBGRAPH_OUTPUT.to_owned(),
                        target_slot: slot_number(subgraph.outputs.len()),
                        kind: output.kind.clone(),
                    });
                    let (name, kind) = (output.name.clone(), output.kind.clone());
                    subgraph.outputs.push(Boundary { name, kind, links: vec![id] });
                }
            }
        }
    }
}

impl MemberSlot {
    fn empty(&self) -> Input {
        let widget = self.has_widget.then(|| WidgetName { name: self.name.clone() });
        Input { name: self.name.clone(), kind: self.kind.clone(), widget, ..Input::default() }
    }
}

fn specs_of<'g>(node: &Node, info: &'g ObjectInfo) -> Specs<'g> {
    info.0.get(&node.class).map(|class| shape::specs(&node.class, class)).unwrap_or_default()
}

fn is_primitive(group: &GroupNode, place: usize) -> bool {
    group.nodes.get(place).is_some_and(|node| node.class == "PrimitiveNode")
}

/// A primitive has the widget that it sets.
fn primitive_spec<'g>(group: &GroupNode, target: (usize, usize), specs: &[Specs<'g>]) -> Option<Spec<'g>> {
    let (node, specs) = (group.nodes.get(target.0)?, specs.get(target.0)?);
    let slots = slots_of(node, specs);
    let spec = specs.get(&slots.get(target.1)?.name)?;
    Some(Spec { name: "value".to_owned(), is_controlled: true, ..spec.clone() })
}

fn widgets_of<'s, 'g: 's>(specs: impl Iterator<Item = &'s Spec<'g>>, values: &mut Values) -> Vec<Widget<'g>> {
    let mut shape = Shape::new(Interface::V1_35);
    for spec in specs {
        shape.add_widget_alone(spec, values);
    }
    shape.widgets
}

/// Inputs without a widget in the class's order, then those that were turned into slots in the order of the document.
fn slots_of(node: &Node, specs: &Specs<'_>) -> Vec<MemberSlot> {
    let plain = specs.values().filter(|spec| !spec.has_widget());
    let plain = plain.map(|spec| MemberSlot {
        name: spec.name.clone(),
        kind: spec.kind.to_string(),
        has_widget: false,
    });
    let is_turned = |input: &&Input| {
        let same = input.widget.as_ref().is_some_and(|widget| widget.name == input.name);
        same && specs.get(&input.name).is_some_and(Spec::has_widget)
    };
    let turned = node.inputs.iter().filter(is_turned);
    let turned = turned.map(|input| MemberSlot {
        name: input.name.clone(),
        kind: input.kind.clone(),
        has_widget: true,
    });
    let unknown = node.inputs.iter().filter(|_| specs.is_empty());
    let unknown = unknown.map(|input| MemberSlot {
        name: input.name.clone(),
        kind: input.kind.clone(),
        has_widget: false,
    });
    plain.chain(turned).chain(unknown).collect()
}

/// A node's own values, those that the group has widgets for taken from there.
fn own_values(node: &Node, specs: &Specs<'_>, outer: Map<String, Value>) -> WidgetValues {
    if specs.is_empty() {
        return node.widgets_values.clone();
    }
    if node.class == "PrimitiveNode" {
        return WidgetValues::Listed(outer.get("value").cloned().into_iter().collect());
    }
    let mut values = Values::default();
    let mut shape = Shape::new(Interface::V1_35);
    shape.widgets = widgets_of(specs.values().filter(|spec| spec.has_widget()), &mut values);
    shape.restore(node, specs, &mut values);
    let held = |widget: &Widget<'_>| Some((widget.name.clone(), values.get(widget.cell)?.clone()));
    let mut named: Map<String, Value> = shape.widgets.iter().filter_map(held).collect();
    named.extend(outer);
    WidgetValues::Named(named)
}

fn connect(
    subgraph: &mut Subgraph,
    origin: (String, i64),
    target: (usize, usize),
    kind: &str,
) -> Option<i64> {
    let id = next_id(subgraph);
    let input = subgraph.nodes.get_mut(target.0)?.inputs.get_mut(target.1)?;
    input.link = Some(id);
    subgraph.links.push(Link {
        id,
        origin: origin.0,
        origin_slot: origin.1,
        target: target.0.to_string(),
        target_slot: slot_number(target.1),
        kind: kind.to_owned(),
    });
    Some(id)
}

fn next_id(subgraph: &Subgraph) -> i64 {
    slot_number(subgraph.links.len())
}

fn slot_number(slot: usize) -> i64 {
    i64::try_from(slot).unwrap_or(i64::MAX)
}
