//! What a host has of model files.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The model files below the folders that the agent was asked to list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Models {
    /// Ordered by folder and name. Shared: there may be many, and every report has them.
    #[serde(default)]
    pub files: Arc<[ModelFile]>,
    /// Whether files were left out because there are more than the agent lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated: Option<bool>,
    /// How long ago this was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<f64>,
}

/// One model file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFile {
    /// ComfyUI's kind of model: the first folder below the listed one, e.g. `checkpoints`.
    pub folder: String,
    /// The name that a prompt uses: the path below that folder, e.g. `sdxl/base.safetensors`.
    pub name: String,
    /// Size of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}
