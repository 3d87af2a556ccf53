//! What dispatch has learned of jobs' memory, times and silences, as it is kept over restarts.

use serde::{Deserialize, Serialize};

use super::pace::Pace;
use crate::queue::{Store, StoreError};
use crate::route::{Fits, Learned};

/// The store's key.
pub(super) const SETTING: &str = "learned_of_memory";

/// Additive: what any version wrote loads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    pub(super) fits: Fits,
    pub(super) pace: Pace,
    pub(super) learned: Learned,
}

/// What is there of it. Something that cannot be read is learned anew: it is no reason not to start.
pub async fn load(store: &dyn Store) -> Result<Kept, StoreError> {
    let row = store.setting(SETTING, "{}".to_owned()).await?;
    Ok(serde_json::from_str(&row).unwrap_or_else(|error| {
        tracing::warn!(%error, "what was learned of jobs cannot be read, so it is learned anew");
        Kept::default()
    }))
}
