//! Names as numbers: a decision compares model files, kinds of jobs and tenants thousands of times, and their names never.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A map whose order depends on nothing but what was put into it.
pub type ByKey<K, V> = HashMap<K, V, FixedState>;

macro_rules! key {
    ($(#[$meaning:meta])* $name:ident) => {
        $(#[$meaning])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl $name {
            /// The same parts give the same key on every machine.
            pub fn of<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
                Self(digest(parts))
            }
        }
    };
}

key!(
    /// A model file.
    AssetId
);
key!(
    /// All that makes two jobs the same to a decision: the models that they load, how long they run, where they may.
    KindId
);
key!(
    /// Whose share of the fleet a job uses.
    TenantId
);

/// A job: the number of its arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A backend's place in the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub u32);

impl SlotId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> u64 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().take(8).fold(0, |key, byte| key << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart_by_where_they_end() {
        assert_eq!(KindId::of(["ab", "c"]), KindId::of(["ab", "c"]));
        assert_ne!(KindId::of(["ab", "c"]), KindId::of(["a", "bc"]));
        assert_ne!(KindId::of(["ab"]), KindId::of(["ab", ""]));
    }
}
