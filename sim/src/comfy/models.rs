//! Models in the memory of a simulated device, and their files in that of its machine: those used longest ago make room.

/// Loaded models with their MiB, and files that were read, the one used longest ago first.
#[derive(Debug, Default)]
pub(crate) struct Models {
    loaded: Vec<(String, u64)>,
    capacity_mb: u64,
    read: Vec<(String, u64)>,
    ram_mb: u64,
}

impl Models {
    pub(crate) fn new(vram_bytes: u64, ram_bytes: u64) -> Self {
        Self { capacity_mb: vram_bytes >> 20, ram_mb: ram_bytes >> 20, ..Self::default() }
    }

    /// A model's file is read. Whether main memory held it.
    pub(crate) fn read(&mut self, name: &str, size_mb: u64) -> bool {
        let before = self.read.len();
        self.read.retain(|(read, _)| read != name);
        let was_held = self.read.len() < before;
        self.read.push((name.to_owned(), size_mb));
        while self.read.len() > 1 && self.read.iter().map(|(_, size_mb)| size_mb).sum::<u64>() > self.ram_mb {
            self.read.remove(0);
        }
        was_held
    }

    /// Marks a model as used now. Whether it was there.
    pub(crate) fn touch(&mut self, name: &str) -> bool {
        let Some(at) = self.loaded.iter().position(|(loaded, _)| loaded == name) else { return false };
        let model = self.loaded.remove(at);
        self.loaded.push(model);
        true
    }

    /// Puts a model in, pushing out others where it does not fit beside what other programs hold. False: it does not fit
    /// at all, or `keeps` the others.
    pub(crate) fn load(&mut self, name: &str, size_mb: u64, others_mb: u64, keeps: bool) -> bool {
        let capacity_mb = self.capacity_mb.saturating_sub(others_mb);
        while !keeps && !self.loaded.is_empty() && self.used_mb() + size_mb > capacity_mb {
            self.loaded.remove(0);
        }
        let fits = self.used_mb() + size_mb <= capacity_mb;
        if fits {
            self.loaded.push((name.to_owned(), size_mb));
        }
        fits
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
        let mut models = Models::new(10 << 20, 0);
        assert!(models.load("a", 4, 0, false) && models.load("b", 4, 0, false));
        assert!(models.touch("a"));
        assert!(models.load("c", 4, 0, false));
        assert_eq!(models.names(), ["a", "c"]);
        assert!(!models.touch("b"));
    }

    #[test]
    fn what_other_programs_hold_and_what_makes_no_room_leaves_less() {
        let mut models = Models::new(10 << 20, 0);
        assert!(models.load("a", 4, 0, false));
        assert!(!models.load("b", 4, 3, true));
        assert!(models.load("b", 4, 3, false));
        assert!(!models.load("c", 8, 3, false));
        assert_eq!(models.names(), [""; 0]);
    }

    #[test]
    fn files_stay_in_main_memory_while_there_is_room() {
        let mut models = Models::new(0, 10 << 20);
        let read = [("a", 4), ("b", 4), ("a", 4), ("c", 4), ("a", 4), ("b", 4)];
        let held = read.map(|(name, size_mb)| models.read(name, size_mb));
        assert_eq!(held, [false, false, true, false, true, false]);
    }
}
