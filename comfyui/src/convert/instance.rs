//! An instance of a subgraph: its slots are the subgraph's inputs and outputs, its widgets those inside that its user
//! brought to the outside.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use serde_json::{Map, Value};

use super::Interface;
use super::model::{Graph, Model, Node, Role, own_title};
use super::shape::{Shape, Slot};
use super::values::Values;
use super::widget::{Kind, Widget};
use crate::workflow::{self, Boundary, WidgetValues};

/// `ignores_saved_values`: 1.35 comes to some instances before the subgraph has its nodes, and then makes nothing of what
/// they saved.
pub(super) fn build<'w>(
    saved: &'w workflow::Node,
    place: usize,
    ignores_saved_values: bool,
    model: &mut Model<'w>,
) -> Node<'w> {
    let Model { graphs, values, interface } = model;
    let empty = Graph::default();
    let inside = graphs.get(place).unwrap_or(&empty);
    let shape = shape(saved, inside, values, *interface);
    let mut node = Node {
        saved,
        class: &saved.class,
        role: Role::Instance { place, is_group: inside.is_group },
        title: own_title(saved, &saved.class),
        inputs: shape.inputs,
        widgets: shape.widgets,
        outputs: inside.outputs.iter().map(|output| output.kind.clone()).collect(),
        given: HashMap::new(),
    };
    match &saved.widgets_values {
        _ if ignores_saved_values => {}
        WidgetValues::Listed(listed) => {
            set_in_order(&node, listed, values);
            set_promoted(&mut node, inside, listed, values, *interface);
        }
        WidgetValues::Named(named) => set_by_name(&node, named, values),
    }
    if *interface == Interface::V1_35 {
        hide_promoted(&mut node);
    }
    node
}

fn shape<'w>(
    saved: &'w workflow::Node,
    inside: &Graph<'w>,
    values: &mut Values,
    interface: Interface,
) -> Shape<'w> {
    let slot =
        |input: &Boundary| Slot { name: input.name.clone(), kind: input.kind.clone(), ..Slot::default() };
    let inputs = inside.inputs.iter().map(slot).collect();
    let mut shape = Shape { inputs, widgets: Vec::new(), interface };
    shape.restore_slots(&saved.inputs);
    if interface == Interface::V1_58 {
        shape.inputs.truncate(inside.inputs.len());
    }
    for slot in &mut shape.inputs {
        let input = inside.inputs.iter().position(|input| input.name == slot.name);
        if let Some(widget) = input.and_then(|input| inside.shown(input)) {
            slot.widget = Some(slot.name.clone());
            shape.widgets.push(copy(widget, &slot.name, values, interface));
        }
    }
    shape
}

/// The widget as the instance shows it. In 1.35, a field of several lines is the same field wherever it is shown; in 1.58,
/// an instance keeps what was saved as it is.
fn copy<'w>(widget: &Widget<'w>, name: &str, values: &mut Values, interface: Interface) -> Widget<'w> {
    let is_shared = interface == Interface::V1_35 && matches!(widget.kind, Kind::Text);
    let cell = if is_shared { widget.cell } else { values.add_copy(widget.cell) };
    let kind =
        if matches!(widget.kind, Kind::Text) && !is_shared { Kind::Plain } else { widget.kind.clone() };
    Widget { name: name.to_owned(), cell, kind, ..widget.clone() }
}

/// The values of the widgets in the order of the inputs.
fn set_in_order(node: &Node<'_>, listed: &[Value], values: &mut Values) {
    let saved = node.widgets.iter().filter(|widget| widget.is_saved);
    for (widget, value) in saved.zip(listed) {
        set(widget, value, values);
    }
}

fn set_by_name(node: &Node<'_>, named: &Map<String, Value>, values: &mut Values) {
    for widget in &node.widgets {
        if let Some(value) = named.get(&widget.name) {
            set(widget, value, values);
        }
    }
}

/// 1.35 shows one widget of a name: where `proxyWidgets` has one inside by the name of an input's, the input's is gone, and
/// the value inside counts.
fn hide_promoted(node: &mut Node<'_>) {
    let promoted = promoted(node.saved);
    let entries =
        || promoted.iter().filter_map(|entry| Some((entry.get(0)?.as_str()?, entry.get(1)?.as_str()?)));
    let own: HashSet<&str> = entries().filter(|(inner, _)| *inner == "-1").map(|(_, name)| name).collect();
    let hidden: HashSet<&str> = entries().map(|(_, name)| name).filter(|name| !own.contains(name)).collect();
    node.widgets.retain(|widget| !hidden.contains(widget.name.as_str()));
}

/// The values in the order of `proxyWidgets`, the list of what the user brought outside: (node inside, widget), where
/// node -1 is the instance itself.
fn set_promoted(
    node: &mut Node<'_>,
    inside: &Graph<'_>,
    listed: &[Value],
    values: &mut Values,
    interface: Interface,
) {
    let promoted = promoted(node.saved);
    let keeps_null = interface == Interface::V1_58;
    for (entry, value) in promoted.iter().zip(listed) {
        let Some((inner, name)) = entry_of(entry).filter(|_| keeps_null || !value.is_null()) else {
            continue;
        };
        if inner == "-1" {
            if let Some(widget) = node.widget(name) {
                set(widget, value, values);
            }
        } else if interface == Interface::V1_58 {
            give(node, inside, (inner, name), value, values);
        }
    }
}

/// The list of what was brought outside; some documents have it as text.
fn promoted(saved: &workflow::Node) -> Cow<'_, [Value]> {
    match saved.properties.get("proxyWidgets") {
        Some(Value::Array(entries)) => Cow::Borrowed(entries),
        Some(Value::String(text)) => serde_json::from_str(text).map_or(Cow::Borrowed(&[]), Cow::Owned),
        _ => Cow::Borrowed(&[]),
    }
}

/// The node inside and its widget, without the ids of inner nodes that older documents have before the widget's name.
fn entry_of(entry: &Value) -> Option<(&str, &str)> {
    let mut name = entry.get(1)?.as_str()?;
    while let Some((prefix, rest)) = name.split_once(':') {
        if prefix.trim().parse::<u64>().is_err() {
            break;
        }
        name = rest.trim_start();
    }
    Some((entry.get(0)?.as_str()?, name))
}

/// Gives a value to a widget inside, for this instance alone.
fn give(node: &mut Node<'_>, inside: &Graph<'_>, of: (&str, &str), value: &Value, values: &mut Values) {
    match inside.input_of(of.0, of.1).and_then(|input| node.widget(input)) {
        Some(widget) => set(widget, value, values),
        None => {
            node.given.insert((of.0.to_owned(), of.1.to_owned()), value.clone());
        }
    }
}

fn set(widget: &Widget<'_>, value: &Value, values: &mut Values) {
    values.set(widget.cell, widget.hold(Some(Rc::new(value.clone()))));
}

/// The values of instances' widgets into the widgets inside that they stand for, as 1.35 does before it reads the prompt
/// off. It shows where an input of an instance is linked to something that has no output, such as a primitive. Of several
/// instances in a graph, the last one's values stay.
pub(super) fn write_through(model: &mut Model<'_>) {
    for at in 0..model.graphs.len() {
        let mut last: HashMap<usize, &Node<'_>> = HashMap::new();
        for node in model.graphs.get(at).into_iter().flat_map(|graph| graph.nodes.values()) {
            if let Role::Instance { place, .. } = node.role {
                last.insert(place, node);
            }
        }
        let writes: Vec<_> = last.into_iter().flat_map(|(place, node)| writes(model, node, place)).collect();
        for (cell, value) in writes {
            model.values.set(cell, value);
        }
    }
}

fn writes(model: &Model<'_>, node: &Node<'_>, place: usize) -> Vec<(usize, Option<Rc<Value>>)> {
    let Some(inside) = model.graphs.get(place) else { return Vec::new() };
    let mut writes = Vec::new();
    for widget in &node.widgets {
        let value = model.values.shared(widget.cell);
        let inputs = inside.inputs.iter().filter(|input| input.name == widget.name);
        let behind = inputs.flat_map(|input| inside.widgets_behind(input));
        writes.extend(behind.map(|inner| (inner.cell, inner.hold(value.clone()))));
    }
    writes
}
