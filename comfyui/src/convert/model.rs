//! The graphs of a workflow with every node as the interface would have it on its canvas. Each subgraph is there once,
//! however many instances it has.

use std::collections::HashMap;
use std::rc::Rc;

use indexmap::IndexMap;
use serde_json::Value;

use super::shape::{self, Shape, Slot, Specs};
use super::values::Values;
use super::widget::Widget;
use super::{ConvertError, Interface, MAX_NODES, MAX_PARTS, MAX_SLOTS, instance, title};
use crate::object_info::{NodeClass, ObjectInfo};
use crate::workflow::{self, Boundary, Link, Mode, Subgraph, Workflow};

#[derive(Debug)]
pub(super) struct Model<'w> {
    /// The first is the workflow itself.
    pub(super) graphs: Vec<Graph<'w>>,
    pub(super) values: Values,
    pub(super) interface: Interface,
}

#[derive(Debug, Default)]
pub(super) struct Graph<'w> {
    pub(super) nodes: IndexMap<&'w str, Node<'w>>,
    pub(super) links: IndexMap<i64, &'w Link>,
    pub(super) inputs: &'w [Boundary],
    pub(super) outputs: &'w [Boundary],
    /// Whether it stands for a group node.
    pub(super) is_group: bool,
    /// Of each input: the first widget that it leads to, by its node's place and its own.
    shown: Vec<Option<(usize, usize)>>,
    /// Node and widget → the first input that leads there, in 1.58.
    leading: HashMap<(&'w str, String), &'w str>,
}

#[derive(Debug)]
pub(super) struct Node<'w> {
    pub(super) saved: &'w workflow::Node,
    pub(super) class: &'w str,
    pub(super) role: Role<'w>,
    pub(super) title: String,
    pub(super) inputs: Vec<Slot>,
    pub(super) widgets: Vec<Widget<'w>>,
    /// The types of its outputs.
    pub(super) outputs: Vec<String>,
    /// Values that this instance of a subgraph gives to widgets inside: (node, widget) → value.
    pub(super) given: HashMap<(String, String), Value>,
}

/// What a node is to a prompt.
#[derive(Debug)]
pub(super) enum Role<'w> {
    /// A node of the server.
    Class(Rc<Specs<'w>>),
    /// An instance of the graph at this place, which may stand for a group node.
    Instance { place: usize, is_group: bool },
    /// Passes on what is linked to it.
    Reroute,
    /// Sets the widgets that it is linked to.
    Primitive,
    /// Only for reading.
    Note,
    /// The server does not know it.
    Unknown,
}

impl Role<'_> {
    /// Whether the node is the interface's own and no server hears of it.
    pub(super) fn is_virtual(&self) -> bool {
        matches!(self, Self::Reroute | Self::Primitive | Self::Note | Self::Instance { .. })
    }
}

impl<'w> Model<'w> {
    pub(super) fn build(
        workflow: &'w Workflow,
        info: &'w ObjectInfo,
        interface: Interface,
    ) -> Result<Self, ConvertError> {
        let subgraphs: Vec<&Subgraph> = workflow.subgraphs().collect();
        let inside = subgraphs.iter().map(|subgraph| subgraph.nodes.len()).sum::<usize>();
        within(workflow.nodes.len() + inside, "nodes", MAX_NODES)?;
        let places =
            subgraphs.iter().enumerate().map(|(at, subgraph)| (subgraph.id.as_str(), at + 1)).collect();
        let order = innermost_first(&subgraphs, &places)?;
        let mut builder = Builder {
            info,
            places,
            specs: HashMap::new(),
            parts: 0,
            model: Self {
                graphs: std::iter::repeat_with(Graph::default).take(subgraphs.len() + 1).collect(),
                values: Values::default(),
                interface,
            },
        };
        for place in order {
            if let Some(subgraph) = place.checked_sub(1).and_then(|at| subgraphs.get(at)) {
                builder.fill(place, &subgraph.nodes, &subgraph.links, Some(subgraph))?;
            }
        }
        builder.fill(0, &workflow.nodes, &workflow.links, None)?;
        Ok(builder.model)
    }
}

/// Places of subgraphs by their ids.
type Places<'w> = HashMap<&'w str, usize>;

/// Subgraphs before those that have instances of them, since an instance shows the widgets of the nodes inside.
fn innermost_first(subgraphs: &[&Subgraph], places: &Places<'_>) -> Result<Vec<usize>, ConvertError> {
    #[derive(Clone, Copy, PartialEq)]
    enum Visit {
        Not,
        Open,
        Done,
    }
    let mut visits = vec![Visit::Not; subgraphs.len() + 1];
    let mut order = Vec::with_capacity(subgraphs.len());
    for start in 1..=subgraphs.len() {
        let mut waiting = vec![start];
        while let Some(place) = waiting.last().copied() {
            let (Some(visit), Some(subgraph)) = (visits.get_mut(place), subgraphs.get(place - 1)) else {
                break;
            };
            if *visit == Visit::Not {
                *visit = Visit::Open;
                let inside =
                    subgraph.nodes.iter().filter_map(|node| places.get(node.class.as_str()).copied());
                let inside: Vec<usize> = inside.collect();
                let is_open = |place: &usize| visits.get(*place) == Some(&Visit::Open);
                if inside.iter().any(is_open) {
                    return Err(contains_itself(subgraph));
                }
                waiting.extend(inside.into_iter().filter(|place| visits.get(*place) == Some(&Visit::Not)));
            } else {
                waiting.pop();
                if *visit == Visit::Open {
                    *visit = Visit::Done;
                    order.push(place);
                }
            }
        }
    }
    Ok(order)
}

fn contains_itself(subgraph: &Subgraph) -> ConvertError {
    ConvertError::Broken {
        path: format!("subgraph {} ({})", subgraph.id, subgraph.name),
        what: "it contains itself".to_owned(),
    }
}

struct Builder<'w> {
    info: &'w ObjectInfo,
    places: Places<'w>,
    specs: HashMap<&'w str, Rc<Specs<'w>>>,
    /// Slots and widgets so far.
    parts: usize,
    model: Model<'w>,
}

impl<'w> Builder<'w> {
    fn fill(
        &mut self,
        place: usize,
        nodes: &'w [workflow::Node],
        links: &'w [Link],
        subgraph: Option<&'w Subgraph>,
    ) -> Result<(), ConvertError> {
        let mut graph = Graph {
            nodes: IndexMap::with_capacity(nodes.len()),
            links: links.iter().map(|link| (link.id, link)).collect(),
            inputs: subgraph.map(|subgraph| subgraph.inputs.as_slice()).unwrap_or_default(),
            outputs: subgraph.map(|subgraph| subgraph.outputs.as_slice()).unwrap_or_default(),
            is_group: subgraph.is_some_and(|subgraph| subgraph.is_group),
            shown: Vec::new(),
            leading: HashMap::new(),
        };
        for saved in nodes {
            within(saved.inputs.len(), "inputs of a node", MAX_SLOTS)?;
            let node = self.node(saved, place);
            self.parts += 1 + node.inputs.len() + node.widgets.len();
            within(self.parts, "slots and widgets", MAX_PARTS)?;
            if graph.nodes.insert(&saved.id, node).is_some() {
                let path = format!("node {}", saved.id);
                return Err(ConvertError::Broken { path, what: "another node has the same id".to_owned() });
            }
        }
        if self.model.interface == Interface::V1_58 {
            graph.take_links_as_listed();
            graph.note_leading();
        }
        within(graph.inputs.len(), "inputs of a subgraph", MAX_SLOTS)?;
        graph.note_shown();
        if let Some(empty) = self.model.graphs.get_mut(place) {
            *empty = graph;
        }
        Ok(())
    }

    fn node(&mut self, saved: &'w workflow::Node, graph: usize) -> Node<'w> {
        let class = current_name(&saved.class);
        if let Some(place) = self.places.get(class).copied() {
            let ignores_saved_values =
                self.model.interface == Interface::V1_35 && graph != 0 && place > graph;
            return instance::build(saved, place, ignores_saved_values, &mut self.model);
        }
        match (class, self.info.0.get(class)) {
            ("Reroute", _) => bare(saved, class, Role::Reroute),
            ("PrimitiveNode", _) => bare(saved, class, Role::Primitive),
            ("Note" | "MarkdownNote", _) => bare(saved, class, Role::Note),
            (_, None) => bare(saved, class, Role::Unknown),
            (_, Some(known)) => self.class_node(saved, class, known),
        }
    }

    fn class_node(&mut self, saved: &'w workflow::Node, class: &'w str, known: &'w NodeClass) -> Node<'w> {
        let specs = self.specs.entry(class).or_insert_with(|| Rc::new(shape::specs(class, known)));
        let specs = Rc::clone(specs);
        let values = &mut self.model.values;
        let mut shape = shape::build(class, known, &specs, self.model.interface, values);
        shape.restore(saved, &specs, values);
        correct_sampler(class, &shape, values);
        Node {
            saved,
            class,
            role: Role::Class(specs),
            title: own_title(
                saved,
                title::of_class(class, known.display_name.as_deref(), self.model.interface),
            ),
            inputs: shape.inputs,
            widgets: shape.widgets,
            outputs: output_types(saved, known),
            given: HashMap::new(),
        }
    }
}

pub(super) fn within(count: usize, what: &'static str, limit: usize) -> Result<(), ConvertError> {
    if count > limit { Err(ConvertError::TooLarge { what, limit }) } else { Ok(()) }
}

/// A node whose slots are those that were saved.
fn bare<'w>(saved: &'w workflow::Node, class: &'w str, role: Role<'w>) -> Node<'w> {
    Node {
        saved,
        class,
        role,
        title: own_title(saved, class),
        inputs: saved.inputs.iter().map(Slot::saved).collect(),
        widgets: Vec::new(),
        outputs: saved.outputs.iter().map(|output| output.kind.clone()).collect(),
        given: HashMap::new(),
    }
}

pub(super) fn own_title(saved: &workflow::Node, otherwise: &str) -> String {
    saved.title.as_deref().filter(|title| !title.is_empty()).unwrap_or(otherwise).to_owned()
}

/// Classes that ComfyUI renamed, by the names that old workflows have.
fn current_name(class: &str) -> &str {
    match class {
        "T2IAdapterLoader" => "ControlNetLoader",
        "ConditioningAverage " => "ConditioningAverage",
        "SDV_img2vid_Conditioning" => "SVD_img2vid_Conditioning",
        "Load3DAnimation" => "Load3D",
        "Preview3DAnimation" => "Preview3D",
        current => current,
    }
}

/// Samplers were once saved as `sample_euler`.
fn correct_sampler(class: &str, shape: &Shape<'_>, values: &mut Values) {
    if !matches!(class, "KSampler" | "KSamplerAdvanced") {
        return;
    }
    let cell = shape.widgets.iter().find(|widget| widget.name == "sampler_name").map(|widget| widget.cell);
    let current = cell.and_then(|cell| values.get(cell)?.as_str()?.strip_prefix("sample_"));
    if let (Some(cell), Some(current)) = (cell, current.map(Value::from)) {
        values.set(cell, Some(Rc::new(current)));
    }
}

fn output_types(saved: &workflow::Node, known: &NodeClass) -> Vec<String> {
    let defined = known.output.as_array().map(Vec::as_slice).unwrap_or_default();
    let of = |kind: &Value| match kind.as_str() {
        Some("COMFY_MATCHTYPE_V3") => "*".to_owned(),
        Some(kind) => kind.to_owned(),
        None => "COMBO".to_owned(),
    };
    let extra = saved.outputs.iter().skip(defined.len()).map(|output| output.kind.clone());
    defined.iter().map(of).chain(extra).collect()
}

impl<'w> Node<'w> {
    pub(super) fn mode(&self) -> Mode {
        self.saved.mode
    }

    pub(super) fn widget(&self, name: &str) -> Option<&Widget<'w>> {
        self.widgets.iter().find(|widget| widget.name == name)
    }

    fn is_subgraph(&self) -> bool {
        matches!(self.role, Role::Instance { is_group: false, .. })
    }

    /// The widget behind an input slot.
    pub(super) fn widget_of(&self, slot: &Slot) -> Option<&Widget<'w>> {
        self.widget(slot.widget.as_deref()?)
    }
}

impl<'w> Graph<'w> {
    /// The node and its slot that a link ends at. That a link ends there is for the node to say.
    pub(super) fn target(&self, link: &Link) -> Option<(&Node<'w>, &Slot)> {
        let node = self.nodes.get(link.target.as_str())?;
        Some((node, node.inputs.iter().find(|slot| slot.link == Some(link.id))?))
    }

    /// The links that end at a widget of the instance's input of this place, by that widget.
    pub(super) fn widgets_behind(&self, input: &'w Boundary) -> impl Iterator<Item = &Widget<'w>> {
        let ends = input.links.iter().filter_map(|id| self.target(self.links.get(id)?));
        ends.filter_map(|(node, slot)| node.widget_of(slot))
    }

    /// The widget that an instance shows for its input of this place.
    pub(super) fn shown(&self, input: usize) -> Option<&Widget<'w>> {
        let (node, widget) = (*self.shown.get(input)?)?;
        self.nodes.get_index(node)?.1.widgets.get(widget)
    }

    /// The input that leads to a widget of a node inside.
    pub(super) fn input_of(&self, node: &'w str, widget: &str) -> Option<&'w str> {
        self.leading.get(&(node, widget.to_owned())).copied()
    }

    fn note_leading(&mut self) {
        let mut leading = HashMap::new();
        for input in self.inputs {
            for (node, slot) in input.links.iter().filter_map(|id| self.target(self.links.get(id)?)) {
                if let Some(widget) = &slot.widget {
                    leading.entry((node.saved.id.as_str(), widget.clone())).or_insert(input.name.as_str());
                }
            }
        }
        self.leading = leading;
    }

    fn note_shown(&mut self) {
        let place = |id: &i64| {
            let (node, slot) = self.target(self.links.get(id)?)?;
            let name = slot.widget.as_deref()?;
            let widget = node.widgets.iter().position(|widget| widget.name == name)?;
            Some((self.nodes.get_index_of(node.saved.id.as_str())?, widget))
        };
        self.shown = self.inputs.iter().map(|input| input.links.iter().find_map(place)).collect();
    }

    /// Makes the list of links count where a node says something else of its own links, as 1.58 does: a slot that names a
    /// link which is not in the list has none, and one that a link ends at has it.
    fn take_links_as_listed(&mut self) {
        let links = &self.links;
        for slot in self.nodes.values_mut().flat_map(|node| &mut node.inputs) {
            slot.link = slot.link.filter(|id| links.contains_key(id));
        }
        for link in links.values() {
            let Some(node) = self.nodes.get_mut(link.target.as_str()) else { continue };
            if node.inputs.iter().any(|slot| slot.link == Some(link.id)) {
                continue;
            }
            let Ok(at) = usize::try_from(link.target_slot) else { continue };
            let named = node.saved.inputs.get(at).map(|input| input.name.as_str());
            let by_name = node.inputs.iter().position(|slot| Some(slot.name.as_str()) == named);
            let slot = by_name.or((named.is_none() || node.is_subgraph()).then_some(at));
            if let Some(slot) =
                slot.and_then(|slot| node.inputs.get_mut(slot)).filter(|slot| slot.link.is_none())
            {
                slot.link = Some(link.id);
            }
        }
    }
}
