//! What a prompt needs of the server that runs it: node classes, model files, files of its folders, and the numbers that
//! predict its run time. Pure.
//!
//! Owns reading that out of the graph by the names and types of inputs; there is no list of node classes, so that nodes
//! of any pack are understood. Whether a server has it all is not asked here.

use std::cell::Cell;
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::hash::Hash;

use serde::{Deserialize, Serialize};

use crate::api::FileRef;
use crate::{ObjectInfo, Prompt};

mod graph;
mod named;
mod size;
mod steps;
mod work;

pub use self::work::Work;

use self::graph::{Graph, LINKS_MAX};
use self::named::Named;

/// What a prompt needs. As JSON it is additive: what earlier versions wrote loads.
///
/// Of what is in the prompt, only nodes that lead to an output are executed; where `object_info` tells which those are,
/// files and numbers are theirs alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Needs {
    /// The classes of all nodes: a server refuses a prompt with one that it lacks, executed or not.
    pub classes: BTreeSet<String>,
    /// The model files, one an input that names one.
    pub assets: Vec<Asset>,
    /// The uploaded files, each once.
    pub files: Vec<InputFile>,
    /// The files of the folders `output` and `temp` that it loads (`name.png [output]`), each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<FileRef>,
    /// How much there is to do.
    #[serde(skip_serializing_if = "Work::is_unknown")]
    pub work: Work,
}

/// A model file that a node names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset {
    /// The id of the node.
    pub node: String,
    /// Its class.
    pub class: String,
    /// The input that names the file.
    pub input: String,
    /// The file, as the input's options name it: with folders below the one for its kind of model.
    pub name: String,
}

/// A file in the folder `input`, where uploads go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InputFile {
    /// The folder below `input`; often empty.
    pub subfolder: String,
    /// Its name, without folders.
    pub name: String,
}

/// The model files of a prompt, sorted: what load and run times are learned by.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelSet(pub BTreeSet<String>);

impl Needs {
    /// Reads a prompt. A class that `info` does not know is judged as without `info`: by the endings of file names.
    ///
    /// ```
    /// use comfyui::needs::Needs;
    ///
    /// let prompt = serde_json::from_str(
    ///     r#"{"1": {"class_type": "UNETLoader", "inputs": {"unet_name": "flux1-dev.safetensors"}},
    ///         "2": {"class_type": "LoadImage", "inputs": {"image": "cats/tom.png"}},
    ///         "3": {"class_type": "LoadImage", "inputs": {"image": "ComfyUI_00001_.png [output]"}}}"#,
    /// )?;
    /// let needs = Needs::of(&prompt, None);
    /// assert_eq!(needs.assets[0].name, "flux1-dev.safetensors");
    /// assert_eq!((needs.files[0].subfolder.as_str(), needs.files[0].name.as_str()), ("cats", "tom.png"));
    /// assert_eq!((needs.outputs[0].kind.as_str(), needs.outputs.len()), ("output", 1));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn of(prompt: &Prompt, info: Option<&ObjectInfo>) -> Self {
        Self::gather(prompt, info, |_, looks_like_one| looks_like_one)
    }

    /// The same for who keeps the uploads: an uploaded file is what `is_uploaded` knows, whichever input names it.
    #[must_use]
    pub fn with_uploads(
        prompt: &Prompt,
        info: Option<&ObjectInfo>,
        is_uploaded: impl Fn(&InputFile) -> bool,
    ) -> Self {
        Self::gather(prompt, info, |file, _| is_uploaded(file))
    }

    /// The model files, each once.
    #[must_use]
    pub fn models(&self) -> ModelSet {
        ModelSet(self.assets.iter().map(|asset| asset.name.clone()).collect())
    }

    fn gather(
        prompt: &Prompt,
        info: Option<&ObjectInfo>,
        is_uploaded: impl Fn(&InputFile, bool) -> bool,
    ) -> Self {
        let links_left = Cell::new(LINKS_MAX);
        let graph = Graph { prompt, info, links_left: &links_left };
        let executed = graph.executed();
        let classes = prompt.0.values().map(|node| node.class_type.clone()).collect();
        let (mut assets, mut files, mut outputs) = (Vec::new(), Vec::new(), Vec::new());
        for &(id, node) in &executed {
            for (input, name, named) in graph.named_files(node) {
                match named {
                    Named::Model => assets.push(Asset {
                        node: id.to_owned(),
                        class: node.class_type.clone(),
                        input: input.to_owned(),
                        name: name.to_owned(),
                    }),
                    Named::Output(file) => outputs.push(file),
                    Named::Input { file, looks_like_one } if is_uploaded(&file, looks_like_one) => {
                        files.push(file);
                    }
                    Named::Input { .. } => {}
                }
            }
        }
        let work = Work::of(graph, executed.iter().map(|(_, node)| *node));
        Self { classes, assets, files: each_once(files), outputs: each_once(outputs), work }
    }
}

fn each_once<T: Clone + Eq + Hash>(files: Vec<T>) -> Vec<T> {
    let mut seen = HashSet::new();
    files.into_iter().filter(|file| seen.insert(file.clone())).collect()
}

impl InputFile {
    /// Reads a value as ComfyUI's `LoadImage` does: `name`, `sub/folder/name`, with or without ` [input]` behind it.
    #[must_use]
    pub fn named_by(text: &str) -> Self {
        let path = text.strip_suffix(" [input]").unwrap_or(text);
        let (subfolder, name) = path.rsplit_once('/').unwrap_or(("", path));
        Self { subfolder: subfolder.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for InputFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.subfolder.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.subfolder, self.name)
        }
    }
}

impl fmt::Display for ModelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no model");
        }
        f.write_str(&self.0.iter().map(String::as_str).collect::<Vec<_>>().join(" + "))
    }
}
