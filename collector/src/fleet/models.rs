//! The model files that backends list: their `/models` and `/embeddings`, and the union over all of them, which is what
//! clients see. A server of 2024 has no `/models`; what its loaders let choose stands for those folders of which that is
//! the exact list. Pure.

use std::collections::BTreeSet;

use comfyui::ObjectInfo;
use comfyui::object_info::InputSpec;
use indexmap::{IndexMap, IndexSet};

use super::Backend;

/// Folder → the files in it, sorted.
pub type Folders = IndexMap<String, Vec<String>>;

/// What one backend lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Models {
    /// `None`: it has no `/models`.
    pub folders: Option<Folders>,
    /// Names without endings.
    pub embeddings: Vec<String>,
}

/// The loaders whose choice is exactly what today's server lists of a folder, under the name that the folder has today.
const LOADERS: [(&str, &str, &str); 11] = [
    ("CheckpointLoaderSimple", "ckpt_name", "checkpoints"),
    ("CheckpointLoader", "config_name", "configs"),
    ("LoraLoader", "lora_name", "loras"),
    ("CLIPLoader", "clip_name", "text_encoders"),
    ("UNETLoader", "unet_name", "diffusion_models"),
    ("CLIPVisionLoader", "clip_name", "clip_vision"),
    ("StyleModelLoader", "style_model_name", "style_models"),
    ("ControlNetLoader", "control_net_name", "controlnet"),
    ("GLIGENLoader", "gligen_name", "gligen"),
    ("UpscaleModelLoader", "model_name", "upscale_models"),
    ("HypernetworkLoader", "hypernetwork_name", "hypernetworks"),
];

/// The folders that any backend has, in the order in which they are first seen.
pub fn folder_names<'a>(backends: impl IntoIterator<Item = &'a Backend>) -> IndexSet<String> {
    backends.into_iter().flat_map(|backend| folders_of(backend).into_keys()).collect()
}

/// The files of a folder on all backends, sorted as Python sorts texts; `None` where none has such a folder.
pub fn files_in<'a>(
    backends: impl IntoIterator<Item = &'a Backend>,
    folder: &str,
) -> Option<BTreeSet<String>> {
    let of_each = backends.into_iter().filter_map(|backend| folders_of(backend).swap_remove(folder));
    of_each.fold(None, |all: Option<BTreeSet<String>>, files| {
        let mut all = all.unwrap_or_default();
        all.extend(files);
        Some(all)
    })
}

/// The embeddings of all backends, sorted.
pub fn embeddings<'a>(backends: impl IntoIterator<Item = &'a Backend>) -> BTreeSet<String> {
    let listed = backends.into_iter().filter_map(|backend| backend.models.as_deref());
    listed.flat_map(|models| models.embeddings.iter().cloned()).collect()
}

/// Whether a backend lists this file.
pub fn has(backend: &Backend, folder: &str, file: &str) -> bool {
    folders_of(backend).get(folder).is_some_and(|files| files.iter().any(|known| known == file))
}

fn folders_of(backend: &Backend) -> Folders {
    let told = backend.models.as_ref().and_then(|models| models.folders.clone());
    let derived = || backend.catalog.as_ref().map(|catalog| chosen_from(&catalog.document));
    told.or_else(derived).unwrap_or_default()
}

fn chosen_from(classes: &ObjectInfo) -> Folders {
    let choice = |class: &str, input: &str| {
        let options = classes.0.get(class)?.input.get(input).and_then(InputSpec::combo)?;
        Some(options.iter().filter_map(|option| option.as_str().map(str::to_owned)).collect())
    };
    let listed = LOADERS
        .iter()
        .filter_map(|(class, input, folder)| Some(((*folder).to_owned(), choice(class, input)?)));
    listed.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::fleet::Catalog;

    fn backend(name: &str) -> Backend {
        let url: url::Url = "http://127.0.0.1:1".parse().unwrap();
        Backend::new(name.parse().unwrap(), url.clone(), url)
    }

    fn listing(folders: &[(&str, &[&str])]) -> Backend {
        let folder = |(name, files): &(&str, &[&str])| {
            ((*name).to_owned(), files.iter().map(|file| (*file).to_owned()).collect())
        };
        let folders = Some(folders.iter().map(folder).collect());
        let models = Models { folders, embeddings: vec!["style".to_owned()] };
        Backend { models: Some(Arc::new(models)), ..backend("a") }
    }

    fn of_2024() -> Backend {
        let classes = json!({
            "CheckpointLoaderSimple": {"input": {"required": {"ckpt_name": [["old.ckpt", "b.ckpt"]]}}},
            "VAELoader": {"input": {"required": {"vae_name": [["v.pt", "taesd"]]}}},
        });
        let catalog = Catalog::new(serde_json::from_value(classes).unwrap(), [0; 32]);
        let models = Models { folders: None, embeddings: vec!["alt".to_owned(), "style".to_owned()] };
        Backend { models: Some(Arc::new(models)), catalog: Some(Arc::new(catalog)), ..backend("b") }
    }

    fn texts<'a>(texts: impl IntoIterator<Item = &'a String>) -> Vec<&'a str> {
        texts.into_iter().map(String::as_str).collect()
    }

    #[test]
    fn a_folder_holds_the_files_of_all_backends_sorted_and_each_once() {
        let fleet = [listing(&[("loras", &[]), ("checkpoints", &["b.ckpt", "é.ckpt", "Z.ckpt"])]), of_2024()];
        assert_eq!(texts(&folder_names(&fleet)), ["loras", "checkpoints"]);
        let files = files_in(&fleet, "checkpoints").unwrap();
        assert_eq!(texts(&files), ["Z.ckpt", "b.ckpt", "old.ckpt", "é.ckpt"]);
        assert_eq!(texts(&embeddings(&fleet)), ["alt", "style"]);
        assert!(files_in(&fleet, "loras").unwrap().is_empty());
        assert_eq!(files_in(&fleet, "nope"), None);
        assert!(has(&fleet[0], "checkpoints", "b.ckpt") && !has(&fleet[0], "loras", "b.ckpt"));
    }

    #[test]
    fn a_server_without_models_is_read_only_where_a_loader_tells_a_folder_exactly() {
        assert_eq!(
            texts(&folder_names(&[of_2024()])),
            ["checkpoints"],
            "a VAE can be none of the folder's files"
        );
        assert!(folder_names(&[backend("c")]).is_empty());
    }
}
