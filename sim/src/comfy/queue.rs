//! A server's own queue: a binary heap on `number`, shown in the heap's own order as ComfyUI shows it.

use serde_json::{Value, json};

/// A prompt that was accepted.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// As answered: a whole number, or a float where the client gave one.
    pub(crate) number: Value,
    pub(crate) prompt_id: String,
    pub(crate) prompt: Value,
    pub(crate) extra_data: Value,
    pub(crate) outputs: Vec<String>,
}

impl Item {
    pub(crate) fn client_id(&self) -> Option<&str> {
        self.extra_data.get("client_id").and_then(Value::as_str)
    }

    /// When it was accepted, in milliseconds of the Unix epoch; absent in 2024.
    pub(crate) fn create_time(&self) -> Option<u64> {
        self.extra_data.get("create_time").and_then(Value::as_u64)
    }

    /// `[number, prompt_id, prompt, extra_data, outputs_to_execute]`.
    pub(crate) fn to_json(&self) -> Value {
        json!([self.number, self.prompt_id, self.prompt, self.extra_data, self.outputs])
    }

    fn goes_before(&self, other: &Self) -> bool {
        let key = |item: &Self| item.number.as_f64().unwrap_or(f64::MAX);
        key(self).total_cmp(&key(other)).then_with(|| self.prompt_id.cmp(&other.prompt_id)).is_lt()
    }
}

/// What waits and what runs.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: Vec<Item>,
    pub(crate) running: Option<Item>,
}

impl Queue {
    pub(crate) fn push(&mut self, item: Item) {
        self.heap.push(item);
        self.rise(self.heap.len() - 1);
    }

    /// Takes the first one and makes it the running one.
    pub(crate) fn start_next(&mut self) -> Option<Item> {
        let last = self.heap.len().checked_sub(1)?;
        self.heap.swap(0, last);
        let first = self.heap.pop()?;
        self.sink(0);
        self.running = Some(first.clone());
        Some(first)
    }

    pub(crate) fn clear(&mut self) {
        self.heap.clear();
    }

    /// Removes one that waits; never the running one. Whether there was one.
    pub(crate) fn delete(&mut self, prompt_id: &str) -> bool {
        let Some(at) = self.heap.iter().position(|item| item.prompt_id == prompt_id) else {
            return false;
        };
        self.heap.remove(at);
        for parent in (0..self.heap.len() / 2).rev() {
            self.sink(parent);
        }
        true
    }

    /// In the heap's order, which is not the order of execution.
    pub(crate) fn pending(&self) -> &[Item] {
        &self.heap
    }

    /// Running and waiting.
    pub(crate) fn remaining(&self) -> usize {
        self.heap.len() + usize::from(self.running.is_some())
    }

    /// Ids of those that wait, in the order of execution.
    pub(crate) fn order(&self) -> Vec<String> {
        let mut items: Vec<&Item> = self.heap.iter().collect();
        items.sort_by(
            |a, b| if a.goes_before(b) { std::cmp::Ordering::Less } else { std::cmp::Ordering::Greater },
        );
        items.into_iter().map(|item| item.prompt_id.clone()).collect()
    }

    fn before(&self, first: usize, second: usize) -> bool {
        match (self.heap.get(first), self.heap.get(second)) {
            (Some(first), Some(second)) => first.goes_before(second),
            _ => false,
        }
    }

    fn rise(&mut self, mut at: usize) {
        while at > 0 && self.before(at, (at - 1) / 2) {
            self.heap.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    fn sink(&mut self, mut at: usize) {
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let child = if self.before(right, left) { right } else { left };
            if !self.before(child, at) {
                return;
            }
            self.heap.swap(at, child);
            at = child;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(number: impl Into<Value>, prompt_id: &str) -> Item {
        let number = number.into();
        let (prompt, extra_data) = (json!({}), json!({}));
        Item { number, prompt_id: prompt_id.to_owned(), prompt, extra_data, outputs: Vec::new() }
    }

    fn queue() -> Queue {
        let mut queue = Queue::default();
        for (number, id) in [(json!(20), "a"), (json!(21), "b"), (json!(-22), "c"), (json!(-7.0), "d")] {
            queue.push(item(number, id));
        }
        queue
    }

    #[test]
    fn waiting_prompts_are_shown_in_the_heaps_order() {
        let ids: Vec<_> = queue().pending().iter().map(|item| item.prompt_id.clone()).collect();
        assert_eq!(ids, ["c", "d", "a", "b"]);
    }

    #[test]
    fn prompts_start_by_number_and_a_later_front_before_an_earlier_one() {
        let mut queue = queue();
        queue.push(item(-23, "e"));
        let order = queue.order();
        let started: Vec<_> = std::iter::from_fn(|| queue.start_next()).map(|item| item.prompt_id).collect();
        assert_eq!(started, ["e", "c", "d", "a", "b"]);
        assert_eq!(order, started);
    }

    #[test]
    fn deleting_keeps_the_order_and_spares_the_running_one() {
        let mut queue = queue();
        assert_eq!(queue.start_next().map(|item| item.prompt_id).as_deref(), Some("c"));
        assert!(!queue.delete("c"));
        assert!(queue.delete("d"));
        assert_eq!(queue.order(), ["a", "b"]);
        assert_eq!(queue.remaining(), 3);
    }
}
