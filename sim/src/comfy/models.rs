//! Models in the memory of a simulated device: those used longest ago make room.

/// Loaded models, the one used longest ago first.
#[derive(Debug, Default)]
pub(crate) struct Models {
    loaded: Vec<(String, u64)>,
    capacity_mb: u64,
}

impl Models {
    pub(crate) fn new(vram_bytes: u64) -> Self {
        Self { loaded: Vec::new(), capacity_mb: vram_bytes >> 20 }
    }

    /// Marks a model as used now. Whether it was there.
    pub(crate) fn touch(&mut self, name: &str) -> bool {
        let Some(at) = self.loaded.iter().position(|(loaded, _)| loaded == name) else { return false };
        let model = self.loaded.remove(at);
        self.loaded.push(model);
        true
    }

    /// Puts a model in, pushing out others where it does not fit.
    pub(crate) fn load(&mut self, name: &str, size_mb: u64) {
        while !self.loaded.is_empty() && self.used_mb() + size_mb > self.capacity_mb {
            self.loaded.remove(0);
        }
        self.loaded.push((name.to_owned(), size_mb));
    }

    pub(crate) fn unload_all(&mut self) {
        self.loaded.clear();
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.loaded.iter().map(|(name, _)| name.clone()).collect()
    }

    pub(crate) fn used_mb(&self) -> u64 {
        self.loaded.iter().map(|(_, size_mb)| size_mb).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_used_longest_ago_makes_room() {
        let mut models = Models::new(10 << 20);
        models.load("a", 4);
        models.load("b", 4);
        assert!(models.touch("a"));
        models.load("c", 4);
        assert_eq!(models.names(), ["a", "c"]);
        assert!(!models.touch("b"));
    }
}
