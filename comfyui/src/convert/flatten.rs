//! The graphs unfolded into the nodes that run, each with what its widgets hold and where its links come from.

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::model::{Graph, Model, Node, Role, within};
use super::resolve::{self, MAX_STEPS_IN_ALL, Place, Source};
use super::text::Texts;
use super::widget::{Kind, Sent, Widget};
use super::{ConvertError, Interface, MAX_BYTES, MAX_DEPTH, MAX_NODES, Options, UnknownClass};
use crate::prompt::{self, Prompt};
use crate::workflow::Mode;

pub(super) fn prompt(model: &Model<'_>, options: &Options) -> Result<Prompt, ConvertError> {
    let places = active(model)?;
    let unknown = unknown_classes(&places);
    if !unknown.is_empty() {
        return Err(ConvertError::UnknownClasses(unknown));
    }
    let mut writer =
        Writer { model, texts: Texts::new(model, options), steps_left: MAX_STEPS_IN_ALL, bytes: 0 };
    let mut nodes = IndexMap::with_capacity(places.len());
    for place in places {
        let id = place.id();
        let node = writer.node(&place, &id)?;
        nodes.insert(id, node);
    }
    drop_links_to_nothing(&mut nodes);
    Ok(Prompt(nodes))
}

/// All nodes that run, outer ones before those inside of subgraphs that follow them.
fn active<'m>(model: &'m Model<'m>) -> Result<Vec<Place<'m>>, ConvertError> {
    let (mut found, mut seen) = (Vec::new(), 0);
    let mut waiting: Vec<(Vec<(&Graph<'_>, &Node<'_>)>, &Graph<'_>)> = Vec::new();
    waiting.extend(model.graphs.first().map(|root| (Vec::new(), root)));
    while let Some((path, graph)) = waiting.pop() {
        seen += graph.nodes.len();
        within(seen, "nodes", MAX_NODES)?;
        for node in graph.nodes.values() {
            if let Role::Instance { place: inside, .. } = node.role {
                if let Some(graph_inside) = model.graphs.get(inside).filter(|_| opens(model, node, &path)) {
                    within(path.len() + 1, "subgraphs inside each other", MAX_DEPTH)?;
                    let deeper = path.iter().copied().chain([(graph, node)]).collect();
                    waiting.push((deeper, graph_inside));
                }
            } else if node.mode() == Mode::Active && !node.role.is_virtual() {
                found.push(Place { path: path.clone(), graph, node });
            }
        }
    }
    Ok(found)
}

/// Whether the nodes inside of an instance run although it may be muted or bypassed itself. Up to 1.35 they do: muting an
/// instance by hand mutes what is inside as well. Since then an outermost one takes them along.
fn opens(model: &Model<'_>, instance: &Node<'_>, path: &[(&Graph<'_>, &Node<'_>)]) -> bool {
    model.interface == Interface::V1_35 || instance.mode() == Mode::Active || !path.is_empty()
}

fn unknown_classes(places: &[Place<'_>]) -> Vec<UnknownClass> {
    let mut classes: IndexMap<&str, Vec<String>> = IndexMap::new();
    for place in places.iter().filter(|place| matches!(place.node.role, Role::Unknown)) {
        classes.entry(place.node.class).or_default().push(place.id());
    }
    classes.into_iter().map(|(class, nodes)| UnknownClass { class: class.to_owned(), nodes }).collect()
}

struct Writer<'m> {
    model: &'m Model<'m>,
    texts: Texts<'m>,
    steps_left: usize,
    /// Of the prompt so far.
    bytes: usize,
}

impl<'m> Writer<'m> {
    fn node(&mut self, place: &Place<'m>, id: &str) -> Result<prompt::Node, ConvertError> {
        let node = place.node;
        let mut inputs = IndexMap::with_capacity(node.inputs.len());
        self.add_widgets(place, id, &mut inputs)?;
        self.add_links(place, &mut inputs)?;
        self.spend(id.len() + node.title.len())?;
        let meta = Some(meta(node, self.model.interface));
        Ok(prompt::Node { class_type: node.class.to_owned(), inputs, meta, extra: Map::new() })
    }

    fn add_widgets(&mut self, place: &Place<'m>, id: &str, inputs: &mut Inputs) -> Result<(), ConvertError> {
        let node = place.node;
        for widget in
            node.widgets.iter().filter(|widget| !widget.name.is_empty() && widget.sent != Sent::Never)
        {
            if widget.sent == Sent::ByBrowser {
                return Err(ConvertError::NeedsBrowser { node: id.to_owned(), class: node.class.to_owned() });
            }
            let held = match given(place, &widget.name) {
                Some(Value::Null) => Some(widget.instead_of_nothing.as_ref().unwrap_or(&Value::Null)),
                Some(given) => Some(given),
                None => self.model.values.get(widget.cell),
            };
            if widget.sent == Sent::Index {
                inputs.insert(widget.name.clone(), json!(chosen_option(self.model, node)));
            } else if let Some(value) = held {
                self.spend(widget.name.len() + length(value))?;
                inputs.insert(widget.name.clone(), self.sent(widget, value)?);
            }
        }
        Ok(())
    }

    /// Links take the place of widgets' values.
    fn add_links(&mut self, place: &Place<'m>, inputs: &mut Inputs) -> Result<(), ConvertError> {
        let linked = place.node.inputs.iter().enumerate().filter(|(_, slot)| slot.link.is_some());
        for (at, slot) in linked {
            match resolve::input(self.model, place.clone(), at, &mut self.steps_left)? {
                Some(Source::Output { node, slot: output }) => {
                    self.spend(slot.name.len() + node.len())?;
                    inputs.insert(slot.name.clone(), json!([node, output]));
                }
                Some(Source::Value(Some(value))) => {
                    self.spend(slot.name.len() + length(&value))?;
                    inputs.insert(slot.name.clone(), wrapped(Value::clone(&value)));
                }
                Some(Source::Value(None)) => {
                    inputs.shift_remove(&slot.name);
                }
                None => {}
            }
        }
        Ok(())
    }

    fn sent(&mut self, widget: &Widget<'_>, value: &Value) -> Result<Value, ConvertError> {
        Ok(match (widget.sent, value) {
            (Sent::Chosen, Value::String(text)) => Value::String(self.texts.choose(text)),
            (Sent::FileName, Value::String(text)) => {
                let filled = self.texts.fill_in(text)?;
                self.spend(filled.len())?;
                Value::String(filled)
            }
            (Sent::Curve, value) if !value.is_null() => json!({"__type__": "CURVE", "__value__": value}),
            (_, value) => wrapped(value.clone()),
        })
    }

    fn spend(&mut self, bytes: usize) -> Result<(), ConvertError> {
        self.bytes += bytes;
        within(self.bytes, "bytes in a prompt", MAX_BYTES)
    }
}

type Inputs = IndexMap<String, Value>;

/// About as many bytes as a value takes in a document.
fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(length).sum::<usize>() + 2,
        Value::Object(entries) => {
            entries.iter().map(|(key, value)| key.len() + length(value)).sum::<usize>() + 2
        }
        _ => 4,
    }
}

/// What an instance gives to a widget of the node; where instances lie in each other, the outermost counts.
fn given<'p>(place: &'p Place<'_>, widget: &str) -> Option<&'p Value> {
    let mut id = &place.node.saved.id;
    let mut found = None;
    for (_, instance) in place.path.iter().rev() {
        let value =
            (!instance.given.is_empty()).then(|| instance.given.get(&(id.clone(), widget.to_owned())));
        found = Some(value.flatten()?).or(found);
        id = &instance.saved.id;
    }
    found
}

/// The place of the user's choice among the options of a node; -1 where it is none of them.
fn chosen_option(model: &Model<'_>, node: &Node<'_>) -> i64 {
    let held = |widget: &Widget<'_>| model.values.get(widget.cell);
    let choice = node.widgets.first().and_then(held);
    let mut options = node.widgets.iter().filter(|widget| matches!(widget.kind, Kind::Option));
    options.position(|option| held(option) == choice).and_then(|at| i64::try_from(at).ok()).unwrap_or(-1)
}

/// An array would be read as a link.
fn wrapped(value: Value) -> Value {
    if value.is_array() { json!({"__value__": value}) } else { value }
}

fn meta(node: &Node<'_>, interface: Interface) -> Value {
    let mut meta = Map::new();
    meta.insert("title".to_owned(), Value::String(node.title.clone()));
    if interface == Interface::V1_58 {
        meta.extend(super::pack::noted(&node.saved.properties));
    }
    Value::Object(meta)
}

/// Links to nodes that do not run leave nothing behind, not even the value of a widget.
fn drop_links_to_nothing(nodes: &mut IndexMap<String, prompt::Node>) {
    let lost: Vec<(usize, String)> = nodes
        .values()
        .enumerate()
        .flat_map(|(at, node)| node.links().map(move |(input, link)| (at, input, link)))
        .filter(|(_, _, link)| !nodes.contains_key(&link.node))
        .map(|(at, input, _)| (at, input.to_owned()))
        .collect();
    for (at, input) in lost {
        if let Some((_, node)) = nodes.get_index_mut(at) {
            node.inputs.shift_remove(&input);
        }
    }
}
