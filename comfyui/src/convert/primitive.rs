//! Primitive nodes: a value that the interface writes into every widget that the node is linked to, before it reads the
//! prompt off.

use std::collections::HashMap;
use std::rc::Rc;

use indexmap::IndexSet;
use serde_json::Value;

use super::model::{Graph, Model, Node, Role};
use super::text::Texts;
use super::widget::{Kind, Rounding, Spec, truthy};
use super::{ConvertError, Interface, Options, instance};
use crate::workflow::WidgetValues;

/// Every primitive's value, and then, in 1.35, every instance's values, into the widgets that they are linked to.
pub(super) fn apply(model: &mut Model<'_>, options: &Options) -> Result<(), ConvertError> {
    let writes: Vec<Write> = {
        let texts = Texts::new(model, options);
        let of_graphs: Result<Vec<_>, _> =
            model.graphs.iter().map(|graph| writes(model, graph, &texts)).collect();
        of_graphs?.into_iter().flatten().collect()
    };
    for (cell, value) in writes {
        model.values.set(cell, value);
    }
    if model.interface == Interface::V1_35 {
        instance::write_through(model);
    }
    Ok(())
}

/// The place of a value, and what it becomes.
type Write = (usize, Option<Rc<Value>>);

fn writes(model: &Model<'_>, graph: &Graph<'_>, texts: &Texts<'_>) -> Result<Vec<Write>, ConvertError> {
    let mut links: HashMap<&str, Vec<i64>> = HashMap::new();
    for link in graph.links.values() {
        links.entry(&link.origin).or_default().push(link.id);
    }
    let primitives = graph.nodes.values().filter(|node| matches!(node.role, Role::Primitive));
    let mut writes = Vec::new();
    for primitive in primitives {
        let links = links.get(primitive.saved.id.as_str()).map(Vec::as_slice).unwrap_or_default();
        let targets: Vec<Target<'_, '_>> = targets(graph, primitive, links).collect();
        let value = value_of(model, primitive, &targets, texts)?.map(Rc::new);
        writes.extend(targets.iter().map(|target| (target.widget.cell, target.taken(value.clone()))));
    }
    Ok(writes)
}

/// What a primitive writes: the value that it saved, or what its first target holds.
fn value_of(
    model: &Model<'_>,
    primitive: &Node<'_>,
    targets: &[Target<'_, '_>],
    texts: &Texts<'_>,
) -> Result<Option<Value>, ConvertError> {
    let Some(first) = targets.first() else { return Ok(None) };
    let held = || model.values.get(first.widget.cell).cloned();
    let saved = match &primitive.saved.widgets_values {
        WidgetValues::Listed(listed) => listed.first().cloned(),
        WidgetValues::Named(_) => None,
    };
    let value = first.own_kind().hold(saved.or_else(held));
    replaced(primitive, within_limits(value, targets), texts)
}

/// A widget that a primitive is linked to.
struct Target<'g, 'w> {
    widget: &'g super::widget::Widget<'w>,
    spec: Option<&'g Spec<'w>>,
}

impl Target<'_, '_> {
    /// The kind of widget that the primitive itself gets.
    fn own_kind(&self) -> Kind<'static> {
        if matches!(self.widget.kind, Kind::Text) { Kind::Text } else { Kind::Plain }
    }

    fn taken(&self, value: Option<Rc<Value>>) -> Option<Rc<Value>> {
        let rounded = match self.widget.rounding {
            Rounding::None => value,
            rounding => rounding.apply(value.map(Rc::unwrap_or_clone)).map(Rc::new),
        };
        self.widget.hold(rounded)
    }
}

/// The widgets at the ends of the primitive's links, those first that it names first.
fn targets<'g, 'w>(
    graph: &'g Graph<'w>,
    primitive: &Node<'_>,
    links: &[i64],
) -> impl Iterator<Item = Target<'g, 'w>> {
    let named = primitive.saved.outputs.first().map(|output| output.links.as_slice()).unwrap_or_default();
    let ordered: IndexSet<i64> = named.iter().chain(links).copied().collect();
    ordered.into_iter().filter_map(|link| {
        let (node, slot) = graph.target(graph.links.get(&link)?)?;
        let widget = node.widget_of(slot)?;
        let spec = match &node.role {
            Role::Class(specs) => specs.get(&widget.name),
            _ => None,
        };
        Some(Target { widget, spec })
    })
}

/// A number within the limits that all targets share, as far as they can be shared, and on their common step.
fn within_limits(value: Option<Value>, targets: &[Target<'_, '_>]) -> Option<Value> {
    let Some(mut limits) = targets.first().and_then(|target| Limits::of(target.spec?)) else { return value };
    let mut value = value;
    for target in targets {
        let Some(shared) = target.spec.and_then(Limits::of).and_then(|other| limits.shared(&other)) else {
            continue;
        };
        limits = shared;
        value = limits.apply(value);
    }
    value
}

#[derive(Clone, PartialEq)]
struct Limits {
    is_whole: bool,
    min: f64,
    max: f64,
    step: f64,
    round: Option<Value>,
}

impl Limits {
    fn of(spec: &Spec<'_>) -> Option<Self> {
        let is_whole = match spec.widget_kind() {
            "INT" => true,
            "FLOAT" => false,
            _ => return None,
        };
        let number = |key: &str| spec.setting(key).and_then(Value::as_f64);
        Some(Self {
            is_whole,
            min: number("min").unwrap_or(f64::NEG_INFINITY),
            max: number("max").unwrap_or(f64::INFINITY),
            step: number("step").unwrap_or(1.0),
            round: spec.setting("round").cloned(),
        })
    }

    /// `None` where no number would fit both.
    fn shared(&self, other: &Self) -> Option<Self> {
        let fits = self.is_whole == other.is_whole
            && self.min <= other.max
            && self.max >= other.min
            && self.round == other.round;
        fits.then(|| Self {
            is_whole: self.is_whole,
            min: self.min.max(other.min),
            max: self.max.min(other.max),
            step: common_multiple(self.step, other.step),
            round: self.round.clone(),
        })
    }

    fn apply(&self, value: Option<Value>) -> Option<Value> {
        let Some(number) = value.as_ref().and_then(Value::as_f64) else { return value };
        let value = if number < self.min {
            super::widget::to_number(self.min)
        } else if number > self.max {
            super::widget::to_number(self.max)
        } else {
            value
        };
        self.rounding().apply(value)
    }

    fn rounding(&self) -> Rounding {
        if self.is_whole {
            return Rounding::Int { step: self.step, min: self.min };
        }
        Rounding::float(self.step, self.round.as_ref(), self.min, self.max)
    }
}

/// The least common multiple of two steps, which may be fractions.
fn common_multiple(one: f64, other: f64) -> f64 {
    let (mut a, mut b) = (one.abs(), other.abs());
    if a == b || a == 0.0 || b == 0.0 {
        return a.max(b);
    }
    for _ in 0..64 {
        if b < 1e-9 {
            break;
        }
        (a, b) = (b, a % b);
    }
    (one * other).abs() / a
}

/// With the names of other nodes' widgets filled in, where the user asked for it.
fn replaced(
    primitive: &Node<'_>,
    value: Option<Value>,
    texts: &Texts<'_>,
) -> Result<Option<Value>, ConvertError> {
    let is_asked = primitive.saved.properties.get("Run widget replace on values").is_some_and(truthy);
    match value {
        Some(Value::String(text)) if is_asked => Ok(Some(Value::String(texts.fill_in(&text)?))),
        value => Ok(value),
    }
}
