//! What a backend offers: the node classes of its `object_info` and the values their inputs choose from; and the
//! union of all backends', which is what clients see. Pure.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use comfyui::object_info::{InputSpec, NodeClass, ObjectInfo};

use crate::job::{Asset, Needs};

/// One backend's `object_info`, indexed for the questions that routing asks.
pub struct Catalog {
    /// Of the document as it was sent: ComfyUI gives no ETag, so equal bytes are how "unchanged" is seen.
    pub sha256: [u8; 32],
    pub document: ObjectInfo,
    choices: HashMap<String, HashMap<String, HashSet<String>>>,
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Catalog of {} classes", self.document.0.len())
    }
}

/// What a backend lacks for a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    Class(String),
    Asset(Asset),
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Class(class) => write!(f, "node class {class}"),
            Self::Asset(asset) => {
                write!(f, "model file {} ({} of node {})", asset.name, asset.input, asset.node)
            }
        }
    }
}

impl Catalog {
    pub fn new(document: ObjectInfo, sha256: [u8; 32]) -> Self {
        let choices = document.0.iter().map(|(name, class)| (name.clone(), choices_of(class))).collect();
        Self { sha256, document, choices }
    }

    /// The first thing that a prompt needs and this backend lacks.
    pub fn lacks(&self, needs: &Needs) -> Option<Missing> {
        let class = needs.classes.iter().find(|class| !self.document.0.contains_key(*class));
        let class = class.map(|class| Missing::Class(class.clone()));
        class.or_else(|| needs.assets.iter().find(|a| !self.offers(a)).map(|a| Missing::Asset(a.clone())))
    }

    /// An input that is no choice takes any text, so it lacks nothing.
    fn offers(&self, asset: &Asset) -> bool {
        let choices = self.choices.get(&asset.class).and_then(|inputs| inputs.get(&asset.input));
        choices.is_none_or(|choices| choices.contains(&asset.name))
    }
}

fn choices_of(class: &NodeClass) -> HashMap<String, HashSet<String>> {
    let inputs = class.input.required.iter().chain(&class.input.optional);
    inputs.filter_map(|(name, spec)| Some((name.clone(), texts(spec)?))).collect()
}

fn texts(spec: &InputSpec) -> Option<HashSet<String>> {
    Some(spec.combo()?.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect())
}

/// The union of all backends' documents; merged only when a client first asks for it after a change.
#[derive(Default)]
pub struct Union {
    sources: Vec<Arc<Catalog>>,
    merged: OnceLock<ObjectInfo>,
    text: OnceLock<Bytes>,
}

impl std::fmt::Debug for Union {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Union of {} catalogs", self.sources.len())
    }
}

impl Union {
    /// Backends with the same document count once.
    pub fn of(catalogs: impl IntoIterator<Item = Arc<Catalog>>) -> Self {
        let mut seen = HashSet::new();
        let sources = catalogs.into_iter().filter(|catalog| seen.insert(catalog.sha256)).collect();
        Self { sources, ..Self::default() }
    }

    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    pub fn document(&self) -> &ObjectInfo {
        self.merged.get_or_init(|| ObjectInfo::union(self.sources.iter().map(|catalog| &catalog.document)))
    }

    /// The document as JSON.
    pub fn text(&self) -> Bytes {
        let text = || serde_json::to_vec(self.document()).unwrap_or_default().into();
        self.text.get_or_init(text).clone()
    }

    pub fn has_class(&self, class: &str) -> bool {
        self.sources.iter().any(|catalog| catalog.document.0.contains_key(class))
    }

    pub fn is_output(&self, class: &str) -> bool {
        self.sources
            .iter()
            .any(|catalog| catalog.document.0.get(class).is_some_and(|class| class.output_node))
    }
}
