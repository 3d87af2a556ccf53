//! What a new node of a class has, before a saved node is put over it: its slots and widgets, as the web interface makes
//! them from `object_info`, its own additions to some classes included.

use std::collections::HashSet;

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::Interface;
use super::values::Values;
use super::widget::{Kind, Rounding, Sent, Spec, Widget, script_text};
use crate::object_info::{InputSpec, NodeClass};

/// The slots and widgets of a node.
#[derive(Debug)]
pub(super) struct Shape<'w> {
    pub(super) inputs: Vec<Slot>,
    pub(super) widgets: Vec<Widget<'w>>,
    pub(super) interface: Interface,
}

/// An input slot.
#[derive(Debug, Clone, Default)]
pub(super) struct Slot {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) link: Option<i64>,
    /// The widget that gives the value without a link.
    pub(super) widget: Option<String>,
}

/// All inputs of a class, by name: what the server asks for and what the interface adds.
pub(super) type Specs<'w> = IndexMap<String, Spec<'w>>;

pub(super) fn specs<'w>(name: &str, class: &'w NodeClass) -> Specs<'w> {
    let read = |(input, spec): (&String, &'w InputSpec)| (input.clone(), Spec::read(input, spec));
    let mut specs: Specs<'w> = class.input.required.iter().map(read).collect();
    specs.extend(additions(name, class).into_iter().map(|spec| (spec.name.clone(), spec)));
    specs.extend(class.input.optional.iter().map(read));
    specs
}

/// What the interface adds to classes that upload, play or show something.
fn additions<'w>(name: &str, class: &'w NodeClass) -> Vec<Spec<'w>> {
    let mut added = Vec::new();
    if matches!(name, "LoadAudio" | "SaveAudio" | "PreviewAudio" | "SaveAudioMP3" | "SaveAudioOpus") {
        added.push(Spec::added("audioUI", "AUDIO_UI"));
    }
    if matches!(name, "SaveGLB" | "Preview3D") {
        added.push(Spec::added("image", "PREVIEW_3D"));
    }
    if uploaded_choice(class).is_some() {
        added.push(Spec::added("upload", "IMAGEUPLOAD"));
    }
    let audio = class.input.required.get("audio").and_then(InputSpec::settings);
    if audio.and_then(|settings| settings.get("audio_upload")) == Some(&Value::Bool(true)) {
        added.push(Spec::added("upload", "AUDIOUPLOAD"));
    }
    added
}

/// The choice of files that a class lets add to.
fn uploaded_choice(class: &NodeClass) -> Option<Spec<'_>> {
    let uploads = ["image_upload", "video_upload", "animated_image_upload"];
    let mut required = class.input.required.iter().map(|(input, spec)| Spec::read(input, spec));
    required.find(|spec| {
        spec.kind == "COMBO" && uploads.iter().any(|key| spec.setting(key) == Some(&Value::Bool(true)))
    })
}

pub(super) fn build<'w>(
    name: &str,
    class: &'w NodeClass,
    specs: &Specs<'w>,
    interface: Interface,
    values: &mut Values,
) -> Shape<'w> {
    let mut shape = Shape::new(interface);
    let ordered = in_order(class, specs);
    for spec in &ordered {
        shape.add_socket(spec, values);
    }
    for spec in &ordered {
        shape.add_widget(spec, values);
    }
    shape.finish(name, class, values);
    shape
}

/// By `input_order` where the server gives one; what it does not name comes last.
fn in_order<'s, 'w>(class: &NodeClass, specs: &'s Specs<'w>) -> Vec<&'s Spec<'w>> {
    let Some(order) = class.extra.get("input_order").and_then(Value::as_object) else {
        return specs.values().collect();
    };
    let groups = [("required", &class.input.required), ("optional", &class.input.optional)];
    let named = groups.iter().flat_map(|(group, inputs)| {
        let names = order.get(*group).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        // An input in both groups is an optional one.
        let is_here = |name: &&str| {
            inputs.contains_key(*name) && (*group == "optional" || !class.input.optional.contains_key(*name))
        };
        names.iter().filter_map(Value::as_str).filter(is_here)
    });
    let mut seen = HashSet::new();
    let mut ordered: Vec<&Spec<'w>> =
        named.filter(|name| seen.insert(*name)).filter_map(|name| specs.get(name)).collect();
    ordered.extend(specs.values().filter(|spec| !seen.contains(spec.name.as_str())));
    ordered
}

impl<'w> Shape<'w> {
    /// Without slots and widgets.
    pub(super) fn new(interface: Interface) -> Self {
        Self { inputs: Vec::new(), widgets: Vec::new(), interface }
    }

    fn push(&mut self, values: &mut Values, name: &str, value: Option<Value>, kind: Kind<'w>, sent: Sent) {
        self.widgets.push(Widget {
            name: name.to_owned(),
            cell: values.add(kind.hold(value)),
            kind,
            sent,
            is_saved: true,
            rounding: Rounding::None,
            instead_of_nothing: None,
        });
    }

    /// The slot of an input that has no widget.
    fn add_socket(&mut self, spec: &Spec<'w>, values: &mut Values) {
        if spec.has_widget() {
            return;
        }
        match spec.kind.as_ref() {
            "COMFY_AUTOGROW_V3" => self.add_growing(spec, values),
            "COMFY_MATCHTYPE_V3" => self.add_matching(spec, values),
            kind => {
                self.inputs.push(Slot { name: spec.name.clone(), kind: kind.to_owned(), ..Slot::default() })
            }
        }
    }

    /// An input that grows with what is linked: as many slots as there must be.
    fn add_growing(&mut self, spec: &Spec<'w>, values: &mut Values) {
        let Some(template) = spec.setting("template") else { return };
        let count = |key: &str| template.get(key).and_then(Value::as_u64);
        let names = template.get("names").and_then(Value::as_array);
        let prefix = template.get("prefix").and_then(Value::as_str).unwrap_or_default();
        let inner: Vec<(&String, &Value)> = inputs_of(template.get("input")).collect();
        let limit = names.map_or(count("max").unwrap_or(100), |names| names.len() as u64);
        let least = count("min").unwrap_or(1);
        let shown = if self.interface == Interface::V1_58 { least.saturating_add(1) } else { least };
        for ordinal in 0..shown.min(limit).min(MAX_GROWN) {
            for (key, spec_of_one) in &inner {
                let base = if inner.len() == 1 { prefix } else { key.as_str() };
                let given = usize::try_from(ordinal).ok().and_then(|at| names?.get(at)?.as_str());
                let own = given.map_or_else(|| format!("{base}{ordinal}"), str::to_owned);
                self.add(&Spec::read_value(&format!("{}.{own}", spec.name), spec_of_one), values);
            }
        }
    }

    /// An input whose type follows from what is linked to its fellows.
    fn add_matching(&mut self, spec: &Spec<'w>, values: &mut Values) {
        let allowed = spec.setting("template").and_then(|template| template.get("allowed_types")?.as_str());
        self.add(&Spec { kind: allowed.unwrap_or("*").into(), ..spec.clone() }, values);
    }

    /// An input, with or without a widget.
    pub(super) fn add(&mut self, spec: &Spec<'w>, values: &mut Values) {
        self.add_socket(spec, values);
        self.add_widget(spec, values);
    }

    fn add_widget(&mut self, spec: &Spec<'w>, values: &mut Values) {
        if !spec.has_widget() {
            return;
        }
        self.add_widget_alone(spec, values);
        self.inputs.push(Slot {
            name: spec.name.clone(),
            kind: spec.kind.to_string(),
            link: None,
            widget: Some(spec.name.clone()),
        });
    }

    pub(super) fn add_widget_alone(&mut self, spec: &Spec<'w>, values: &mut Values) {
        let name = spec.name.as_str();
        match spec.widget_kind() {
            "IMAGEUPLOAD" => self.push(values, name, Some(json!("image")), Kind::Plain, Sent::Never),
            "AUDIOUPLOAD" => self.push(values, name, Some(json!("")), Kind::Plain, Sent::Never),
            "AUDIO_RECORD" => {
                self.push(values, name, spec.default(), Kind::Plain, Sent::AsIs);
                self.push(values, name, Some(json!("")), Kind::Plain, Sent::Never);
            }
            "PREVIEW_3D" => self.push(values, "image", Some(json!("")), Kind::Plain, Sent::AsIs),
            "LOAD_3D" => self.add_scene(values),
            "COMFY_DYNAMICCOMBO_V3" => self.add_dynamic(spec, values),
            _ => self.add_field(spec, values),
        }
    }

    /// A widget that holds a value and no more.
    fn add_field(&mut self, spec: &Spec<'w>, values: &mut Values) {
        let is_text = match spec.widget_kind() {
            "STRING" => spec.is_set("multiline"),
            kind => kind == "MARKDOWN",
        };
        let kind = if is_text { Kind::Text } else { Kind::Plain };
        self.push(values, &spec.name, spec.default(), kind, sent(spec));
        let is_58 = self.interface == Interface::V1_58;
        let is_choice = is_58 && spec.widget_kind() == "COMBO";
        self.change_last(|widget| {
            widget.instead_of_nothing = spec.options.first().filter(|_| is_choice).cloned();
            widget.rounding = spec.rounding();
            if spec.kind == "AUDIO_UI" && is_58 {
                widget.sent = Sent::Never;
            }
            widget.is_saved = !matches!(spec.kind.as_ref(), "AUDIO_UI" | "RESOLUTION_PREVIEW");
        });
        if spec.setting("remote").is_some() {
            self.push(values, "Auto-refresh after generation", Some(json!(false)), Kind::Plain, Sent::Never);
            if spec.setting("remote").and_then(|remote| remote.get("refresh_button")) == Some(&json!(true)) {
                self.push(values, "refresh", Some(json!("refresh")), Kind::Plain, Sent::AsIs);
            }
        }
        if spec.is_controlled {
            let control = spec.setting("control_after_generate").and_then(Value::as_str);
            let control = control.unwrap_or("control_after_generate");
            self.push(values, control, Some(json!("randomize")), Kind::Plain, Sent::Never);
            if spec.widget_kind() == "COMBO" {
                self.push(values, "control_filter_list", Some(json!("")), Kind::Plain, Sent::Never);
            }
        }
    }

    /// Buttons that do reach the prompt, and a scene that only a browser draws.
    fn add_scene(&mut self, values: &mut Values) {
        let buttons = [
            ("upload 3d model", "upload3dmodel"),
            ("upload extra resources", "uploadExtraResources"),
            ("clear", "clear"),
        ];
        for (name, value) in buttons {
            self.push(values, name, Some(json!(value)), Kind::Plain, Sent::AsIs);
        }
        self.push(values, "image", Some(json!("")), Kind::Plain, Sent::ByBrowser);
    }

    /// A choice that brings inputs of its own.
    fn add_dynamic(&mut self, spec: &Spec<'w>, values: &mut Values) {
        let options =
            spec.setting("options").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let first = options.first().and_then(|option| option.get("key")).cloned();
        self.push(values, &spec.name, first.clone(), Kind::Dynamic(options), Sent::AsIs);
        let is_kept = self.interface == Interface::V1_35;
        self.change_last(|choice| choice.instead_of_nothing = first.clone().filter(|_| !is_kept));
        if let Some(chosen) = first {
            self.add_chosen(&spec.name, options, &chosen, values);
        }
    }

    /// The inputs that an option of a choice brings along.
    pub(super) fn add_chosen(
        &mut self,
        choice: &str,
        options: &'w [Value],
        chosen: &Value,
        values: &mut Values,
    ) {
        let Some(option) = options.iter().find(|option| option.get("key") == Some(chosen)) else { return };
        for (key, spec) in inputs_of(option.get("inputs")) {
            self.add(&Spec::read_value(&format!("{choice}.{key}"), spec), values);
        }
    }

    /// What the interface changes on a node of some classes when it makes one.
    fn finish(&mut self, name: &str, class: &'w NodeClass, values: &mut Values) {
        if name == "PreviewAny" && self.interface == Interface::V1_35 {
            self.add_preview(values);
        }
        if name == "CustomCombo" {
            self.add_options(values);
        }
        if SAVING.contains(&name) {
            self.change("filename_prefix", |prefix| prefix.sent = Sent::FileName);
        }
        if let Some(choice) = uploaded_choice(class).filter(|_| self.interface == Interface::V1_35) {
            self.choose_files(&choice, values);
        }
    }

    /// 1.35 reads the names of uploaded files in its own way. Where there is none to choose, it chooses `undefined`.
    fn choose_files(&mut self, choice: &Spec<'w>, values: &mut Values) {
        let first = choice.default().as_ref().map_or_else(|| "undefined".to_owned(), script_text);
        let folder = choice.setting("image_folder").and_then(Value::as_str).unwrap_or("input");
        let is_batch = choice.is_set("allow_batch");
        self.change(&choice.name, |files| {
            files.kind = Kind::File { first, folder, is_batch };
            values.set(files.cell, files.hold(values.shared(files.cell)));
        });
    }

    fn change(&mut self, name: &str, how: impl FnOnce(&mut Widget<'w>)) {
        self.widgets.iter_mut().find(|widget| widget.name == name).map(how);
    }

    fn add_preview(&mut self, values: &mut Values) {
        for _ in 0..2 {
            self.push(values, "preview", Some(json!("")), Kind::Text, Sent::AsIs);
            self.change_last(|shown| shown.is_saved = false);
        }
        self.push(values, "previewMode", Some(json!(false)), Kind::Plain, Sent::AsIs);
    }

    fn change_last(&mut self, how: impl FnOnce(&mut Widget<'w>)) {
        self.widgets.last_mut().map(how);
    }

    /// The user's own options of a choice.
    fn add_options(&mut self, values: &mut Values) {
        if self.interface == Interface::V1_58 {
            self.push(values, "index", None, Kind::Index, Sent::Index);
        }
        self.add_option(values);
    }

    /// One more field for an option: there is always an empty one at the end.
    pub(super) fn add_option(&mut self, values: &mut Values) {
        let name = format!("option{}", self.widgets.len().saturating_sub(1));
        self.push(values, &name, Some(json!("")), Kind::Option, Sent::AsIs);
    }
}

fn sent(spec: &Spec<'_>) -> Sent {
    match spec.widget_kind() {
        "WEBCAM" => Sent::ByBrowser,
        "RESOLUTION_PREVIEW" => Sent::Never,
        "CURVE" => Sent::Curve,
        "STRING" if spec.setting("dynamicPrompts") == Some(&Value::Bool(true)) => Sent::Chosen,
        _ => Sent::AsIs,
    }
}

/// The inputs of a piece of a class, such as one option of a choice: required ones first.
fn inputs_of(document: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    let groups = ["required", "optional"].into_iter();
    groups.filter_map(move |group| document?.get(group)?.as_object()).flatten()
}

/// Slots that a growing input may have from the start.
const MAX_GROWN: u64 = 1_000;

/// Classes whose file names are filled in by the interface.
pub(super) const SAVING: [&str; 20] = [
    "SaveImage",
    "SaveImageAdvanced",
    "SaveSVGNode",
    "SaveVideo",
    "SaveAnimatedWEBP",
    "SaveWEBM",
    "SaveAudio",
    "SaveAudioMP3",
    "SaveAudioOpus",
    "SaveAudioAdvanced",
    "SaveGLB",
    "Save3DAdvanced",
    "SaveGaussianSplat",
    "SavePointCloud",
    "SaveAnimatedPNG",
    "CLIPSave",
    "VAESave",
    "ModelSave",
    "LoraSave",
    "SaveLatent",
];
