//! Which model files the folders of `--models` hold, as ComfyUI lists them: the first folder below is the kind
//! (`checkpoints`, `loras`, ...), what follows is the name that a prompt uses. This file owns the inventory; how a folder is
//! gone through is `models/walk.rs`, and what of an earlier walk still holds, `models/listing.rs`.

mod listing;
#[cfg(test)]
mod tests;
mod tree;
mod walk;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use report::{ModelFile, Models};

use super::{Failure, Probe, Reading};
use crate::limits::{MODEL_FILES, MODEL_WARNINGS, MODELS_DEADLINE, MODELS_PERIOD};
use crate::told::Told;
use tree::{Os, Tree};
use walk::{Unreadable, Walker};

/// Lists the model files of several folders.
pub(crate) struct ModelsProbe(Inventory<Os>);

impl ModelsProbe {
    /// A probe of these folders. Of two files with one name the earlier folder's counts, as in ComfyUI's search order.
    pub(crate) fn new(folders: &[PathBuf]) -> Self {
        Self(Inventory::new(Os, folders, MODEL_FILES))
    }
}

impl Probe for ModelsProbe {
    fn name(&self) -> &'static str {
        "models"
    }

    fn read(&mut self, _now: Instant) -> Result<Reading, Failure> {
        self.0.look(SystemTime::now()).map(Reading::Models)
    }

    fn pause(&self) -> Duration {
        MODELS_PERIOD
    }

    fn patience(&self) -> Duration {
        MODELS_DEADLINE
    }
}

/// What was listed last, and what the log was told.
struct Inventory<T> {
    walkers: Vec<Walker<T>>,
    bound: usize,
    last: Models,
    told: Told<PathBuf>,
    told_of_names: bool,
}

impl<T: Tree> Inventory<T> {
    fn new(tree: T, folders: &[PathBuf], bound: usize) -> Self {
        let walkers = folders.iter().map(|folder| Walker::new(tree.clone(), folder.clone())).collect();
        Self { walkers, bound, last: Models::default(), told: Told::default(), told_of_names: false }
    }

    /// What can be read is told; only where no folder can be, that is a failure.
    fn look(&mut self, now: SystemTime) -> Result<Models, Failure> {
        let mut found = Found::new(self.bound);
        let mut failures = Vec::new();
        for walker in &mut self.walkers {
            failures.extend(walker.walk(&mut found, now).err());
        }
        if failures.len() == self.walkers.len() {
            return Err(nothing_readable(&failures));
        }
        found.unreadable.extend(failures);
        self.tell(&found);
        let files = found.files.into_iter().map(|((folder, name), bytes)| ModelFile { folder, name, bytes });
        let files: Vec<ModelFile> = files.collect();
        // Readers hold on to the list: one that has not changed is not made a second time.
        if *self.last.files != *files {
            self.last.files = Arc::from(files);
        }
        self.last.truncated = found.truncated.then_some(true);
        Ok(self.last.clone())
    }

    fn tell(&mut self, found: &Found) {
        let begun = self.told.news(found.unreadable.iter().map(|at| at.path.clone())).begun;
        let new = || found.unreadable.iter().filter(|at| begun.contains(&at.path));
        for Unreadable { path, error } in new().take(MODEL_WARNINGS) {
            tracing::warn!(path = %path.display(), "model files are left out: {error}; may the agent's user read it?");
        }
        if new().count() > MODEL_WARNINGS {
            tracing::warn!(
                folders = new().count(),
                "model files are left out in more folders; does a link lead to /?"
            );
        }
        if found.truncated && self.last.truncated.is_none() {
            tracing::warn!(
                "there is more below --models than is listed; does a link lead out of the models folder?"
            );
        }
        if found.is_misnamed && !self.told_of_names {
            tracing::warn!("model files whose names are not UTF-8 are left out: no prompt can name them");
        }
        self.told_of_names |= found.is_misnamed;
    }
}

fn nothing_readable(failures: &[Unreadable]) -> Failure {
    let told: Vec<String> =
        failures.iter().map(|at| format!("{}: {}", at.path.display(), at.error)).collect();
    let told = told.join(", ");
    Failure::new(
        "io",
        format!("no folder of --models can be read ({told}); check the paths and who may read them"),
    )
}

/// What a look at all folders has found so far.
struct Found {
    /// Sizes by folder and name.
    files: BTreeMap<(String, String), Option<u64>>,
    bound: usize,
    /// Whether a file was refused for want of room: there is no use in looking for more.
    is_full: bool,
    truncated: bool,
    unreadable: Vec<Unreadable>,
    is_misnamed: bool,
}

impl Found {
    fn new(bound: usize) -> Self {
        Self {
            files: BTreeMap::new(),
            bound,
            is_full: false,
            truncated: false,
            unreadable: Vec::new(),
            is_misnamed: false,
        }
    }

    /// Takes a file, unless one of its name was found before or there are too many.
    fn add(&mut self, folder: &str, name: String, bytes: Option<u64>) {
        let key = (folder.to_owned(), name);
        if self.files.contains_key(&key) {
            return;
        }
        if self.files.len() < self.bound {
            self.files.insert(key, bytes);
        } else {
            (self.is_full, self.truncated) = (true, true);
        }
    }
}
