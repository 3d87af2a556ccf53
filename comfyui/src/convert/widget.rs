//! A widget: what it starts with, what becomes of a value that is set, and what of it reaches a prompt.

use std::borrow::Cow;
use std::rc::Rc;

use serde_json::{Map, Value, json};

use crate::object_info::InputSpec;

/// An input of a class as the interface reads it.
#[derive(Debug, Clone)]
pub(super) struct Spec<'w> {
    pub(super) name: String,
    /// Its type; `COMBO` for both forms of a combo.
    pub(super) kind: Cow<'w, str>,
    pub(super) settings: Option<&'w Map<String, Value>>,
    pub(super) options: &'w [Value],
    /// Whether another widget follows that changes the value after each run.
    pub(super) is_controlled: bool,
}

impl<'w> Spec<'w> {
    pub(super) fn read(name: &str, spec: &'w InputSpec) -> Self {
        Self::read_value(name, &spec.0)
    }

    /// Reads `[type]` or `[type, settings]`, where it stands inside of another spec.
    pub(super) fn read_value(name: &str, spec: &'w Value) -> Self {
        let settings = spec.get(1).and_then(Value::as_object);
        let (kind, options) = match spec.get(0) {
            Some(Value::String(kind)) => {
                (kind.as_str(), settings.and_then(|settings| settings.get("options")))
            }
            Some(Value::Array(_)) => ("COMBO", spec.get(0)),
            _ => ("UNKNOWN", None),
        };
        let options = options.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut spec = Self {
            name: name.to_owned(),
            kind: Cow::Borrowed(kind),
            settings,
            options,
            is_controlled: false,
        };
        spec.is_controlled = match (spec.setting("control_after_generate"), spec.widget_kind()) {
            (Some(control), "INT" | "FLOAT" | "COMBO") => truthy(control),
            (None, "INT") => matches!(name, "seed" | "noise_seed"),
            _ => false,
        };
        spec
    }

    /// An input that the interface adds to a class on its own.
    pub(super) fn added(name: &str, kind: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            kind: Cow::Borrowed(kind),
            settings: None,
            options: &[],
            is_controlled: false,
        }
    }

    pub(super) fn setting(&self, key: &str) -> Option<&'w Value> {
        self.settings?.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn is_set(&self, key: &str) -> bool {
        self.setting(key).is_some_and(truthy)
    }

    fn number(&self, key: &str) -> Option<f64> {
        self.setting(key)?.as_f64()
    }

    /// What kind of widget stands for it: its type, unless the spec names another.
    pub(super) fn widget_kind(&self) -> &str {
        self.setting("widgetType").and_then(Value::as_str).unwrap_or(&self.kind)
    }

    /// Whether the web interface gives it a widget.
    pub(super) fn has_widget(&self) -> bool {
        WIDGET_KINDS.contains(&self.widget_kind()) && !self.is_set("forceInput")
    }

    /// What a new widget holds. `None` where the interface has nothing either, as in a combo without options.
    pub(super) fn default(&self) -> Option<Value> {
        let given = self.setting("default");
        let or = |value: Value| Some(given.cloned().unwrap_or(value));
        match self.widget_kind() {
            "INT" | "FLOAT" => or(json!(0)),
            "BOOLEAN" => or(json!(false)),
            "STRING" | "MARKDOWN" | "TEXTAREA" => or(json!("")),
            "COMBO" if self.setting("multi_select").is_some() => Some(json!([])),
            "COMBO" => given
                .filter(|value| truthy(value))
                .or_else(|| self.options.first())
                .cloned()
                .or_else(|| self.setting("remote").map(|_| json!("Loading..."))),
            "COLOR" => or(json!("#000000")),
            "IMAGECOMPARE" => Some(json!(["", ""])),
            "CHART" => or(json!({})),
            "GALLERIA" | "COLORS" | "BOUNDING_BOXES" => or(json!([])),
            "BOUNDING_BOX" => or(json!({"x": 0, "y": 0, "width": 512, "height": 512})),
            "CURVE" => or(json!({"points": [[0, 0], [1, 1]], "interpolation": "monotone_cubic"})),
            "RANGE" => or(json!({"min": 0, "max": 1})),
            "AUDIO_UI" | "AUDIO_RECORD" | "LOAD_3D" | "PREVIEW_3D" => Some(json!("")),
            _ => given.cloned(),
        }
    }

    pub(super) fn rounding(&self) -> Rounding {
        match self.widget_kind() {
            "INT" => {
                let step = self.number("step").filter(|step| *step != 0.0).unwrap_or(1.0);
                Rounding::Int { step, min: self.number("min").unwrap_or(0.0) }
            }
            "FLOAT" => Rounding::float(
                self.number("step").unwrap_or(0.5),
                self.setting("round"),
                self.number("min").unwrap_or(0.0),
                self.number("max").unwrap_or(2048.0),
            ),
            _ => Rounding::None,
        }
    }
}

/// Types that the web interface has a widget for.
const WIDGET_KINDS: [&str; 29] = [
    "INT",
    "FLOAT",
    "BOOLEAN",
    "STRING",
    "MARKDOWN",
    "COMBO",
    "IMAGEUPLOAD",
    "COLOR",
    "IMAGECOMPARE",
    "CHART",
    "GALLERIA",
    "TEXTAREA",
    "COMFY_DYNAMICCOMBO_V3",
    "AUDIO_UI",
    "AUDIOUPLOAD",
    "AUDIO_RECORD",
    "LOAD_3D",
    "PREVIEW_3D",
    "WEBCAM",
    "BOUNDING_BOX",
    "BOUNDING_BOXES",
    "CURVE",
    "RANGE",
    "COLORS",
    "PAINTER",
    "COMPOSITOR",
    "VIDEO_EDIT",
    "LIGHT_INFO_PREVIEW",
    "RESOLUTION_PREVIEW",
];

/// A widget of a node. Its value lies in the model, at `cell`: the interface lets some widgets share one.
#[derive(Debug, Clone)]
pub(super) struct Widget<'w> {
    pub(super) name: String,
    pub(super) cell: usize,
    pub(super) kind: Kind<'w>,
    pub(super) sent: Sent,
    /// Whether it has a place among a node's saved values.
    pub(super) is_saved: bool,
    pub(super) rounding: Rounding,
    /// What it holds when nothing is set, where the interface does not keep nothing.
    pub(super) instead_of_nothing: Option<Value>,
}

impl Widget<'_> {
    /// What it holds after this was set.
    pub(super) fn hold(&self, value: Option<Rc<Value>>) -> Option<Rc<Value>> {
        match (&self.instead_of_nothing, value.as_deref()) {
            (Some(instead), None | Some(Value::Null)) => Some(Rc::new(instead.clone())),
            (_, held) if self.kind.keeps(held) => value,
            _ => self.kind.hold(value.map(Rc::unwrap_or_clone)).map(Rc::new),
        }
    }
}

/// What a widget does with a value that is set.
#[derive(Debug, Clone)]
pub(super) enum Kind<'w> {
    /// Keeps it.
    Plain,
    /// A field of several lines: everything becomes text.
    Text,
    /// Chooses an uploaded file: nothing means the first one, and files of other folders are marked as such.
    File { first: String, folder: &'w str, is_batch: bool },
    /// Brings other inputs along, by option.
    Dynamic(&'w [Value]),
    /// An option of the user's own; once it is filled in, another one follows.
    Option,
    /// Which of the user's own options is chosen.
    Index,
}

/// What of a widget reaches a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    Never,
    AsIs,
    /// With comments removed and one of the alternatives chosen.
    Chosen,
    /// With `%date:...%` and `%node.widget%` filled in.
    FileName,
    /// A curve, marked as one.
    Curve,
    /// The place of the chosen option, -1 for none.
    Index,
    /// Only a browser can make it.
    ByBrowser,
}

/// How a number is rounded when another node sets it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rounding {
    None,
    Int { step: f64, min: f64 },
    Float { round: f64, digits: f64, min: f64, max: f64 },
}

impl Rounding {
    /// To as many digits as a step has, unless the spec says what to round to.
    pub(super) fn float(step: f64, round: Option<&Value>, min: f64, max: f64) -> Self {
        let digits = (-step.log10().floor()).max(0.0);
        let given = round.filter(|round| truthy(round)).and_then(Value::as_f64);
        match given.or((digits > 0.0).then(|| 10_f64.powf(-digits))) {
            None => Self::None,
            Some(round) => Self::Float { round, digits, min, max },
        }
    }

    pub(super) fn apply(self, value: Option<Value>) -> Option<Value> {
        if matches!(self, Self::None) {
            return value;
        }
        let Some(number) = value.as_ref().and_then(as_number) else { return Some(Value::Null) };
        match self {
            Self::None => value,
            Self::Int { step: 1.0, .. } => {
                if value.as_ref().is_some_and(|value| !value.is_f64()) {
                    value
                } else {
                    to_number(round_half_up(number))
                }
            }
            Self::Int { step, min } => {
                let offset = min % step;
                to_number(round_half_up((number - offset) / step) * step + offset)
            }
            Self::Float { round, digits, min, max } => {
                let scale = 10_f64.powf(digits);
                let rounded = round_half_up(number / round) * round;
                to_number(((rounded * scale).round() / scale).max(min).min(max))
            }
        }
    }
}

/// A value as JavaScript reads it where it needs a number.
fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Null => Some(0.0),
        Value::Bool(value) => Some(f64::from(u8::from(*value))),
        Value::String(text) if text.trim().is_empty() => Some(0.0),
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    }
}

/// Halves go up, also below zero.
fn round_half_up(number: f64) -> f64 {
    (number + 0.5).floor()
}

/// A number as JavaScript writes it: whole ones without a fraction.
pub(super) fn to_number(number: f64) -> Option<Value> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() < EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within 53 bits")]
        return Some(Value::from(number as i64));
    }
    serde_json::Number::from_f64(number).map(Value::Number)
}

impl Kind<'_> {
    /// Whether the widget holds the value as it is.
    fn keeps(&self, value: Option<&Value>) -> bool {
        match self {
            Self::Text => matches!(value, Some(Value::String(text)) if !text.contains('\r')),
            Self::File { .. } => false,
            _ => true,
        }
    }

    /// What the widget holds after this was set.
    pub(super) fn hold(&self, value: Option<Value>) -> Option<Value> {
        match self {
            Self::Plain | Self::Dynamic(_) | Self::Option | Self::Index => value,
            Self::Text => Some(Value::String(as_text(value))),
            Self::File { folder, is_batch: true, .. } if value.as_ref().is_some_and(Value::is_array) => {
                let Some(Value::Array(files)) = value else { return None };
                Some(files.into_iter().map(|file| file_path(file, folder)).collect())
            }
            Self::File { first, folder, .. } => match value {
                Some(value) if truthy(&value) => Some(file_path(value, folder)),
                _ => Some(Value::String(first.clone())),
            },
        }
    }
}

fn as_text(value: Option<Value>) -> String {
    match value {
        None => "undefined".to_owned(),
        Some(Value::Null) => String::new(),
        Some(Value::String(text)) if !text.contains('\r') => text,
        Some(Value::String(text)) => text.replace("\r\n", "\n").replace('\r', "\n"),
        Some(other) => script_text(&other),
    }
}

/// A value as JavaScript turns it into text.
pub(super) fn script_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(_) => "[object Object]".to_owned(),
        Value::Array(items) => items.iter().map(array_item).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn array_item(item: &Value) -> String {
    if item.is_null() { String::new() } else { script_text(item) }
}

/// `name.png`, `folder/name.png`, `name.png [output]`.
fn file_path(value: Value, folder: &str) -> Value {
    match value {
        Value::Array(items) => items.into_iter().next().map_or(Value::Null, |first| file_path(first, folder)),
        Value::Object(file) => {
            let part = |key: &str| file.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
            let name = part("filename").unwrap_or_default();
            Value::String(part("subfolder").map_or_else(|| name.to_owned(), |sub| format!("{sub}/{name}")))
        }
        Value::String(name) if folder != "input" && !is_marked(&name) => {
            Value::String(format!("{name} [{folder}]"))
        }
        other => other,
    }
}

fn is_marked(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["[input]", "[output]", "[temp]"].iter().any(|mark| name.contains(mark))
}

/// Whether JavaScript takes the value for true.
pub(super) fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}
