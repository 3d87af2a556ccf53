//! In which order a prompt's nodes run, by the rule of each generation. Pure.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::classes::Classes;
use crate::generation::Generation;

/// The graph of a prompt, as far as the order needs it.
pub(crate) struct Graph<'a> {
    nodes: &'a Map<String, Value>,
    classes: &'a Classes,
    cached: &'a BTreeSet<String>,
}

/// The nodes that a node links to, in the order of its inputs.
pub(crate) fn links(node: Option<&Value>) -> Vec<String> {
    let inputs = node.and_then(|node| node.get("inputs")?.as_object());
    let linked = inputs.into_iter().flatten().filter_map(|(_, value)| link(value));
    linked.map(|(from, _)| from.to_owned()).collect()
}

/// The node and the slot of a link.
pub(crate) fn link(value: &Value) -> Option<(&str, usize)> {
    match value.as_array()?.as_slice() {
        [from, slot] => Some((from.as_str()?, usize::try_from(slot.as_u64()?).ok()?)),
        _ => None,
    }
}

impl<'a> Graph<'a> {
    pub(crate) fn new(
        nodes: &'a Map<String, Value>,
        classes: &'a Classes,
        cached: &'a BTreeSet<String>,
    ) -> Self {
        Self { nodes, classes, cached }
    }

    /// The nodes to visit. In 0.8 cached outputs are among them, in 2024 they are not.
    pub(crate) fn order(&self, generation: Generation, outputs: &[String]) -> Vec<String> {
        match generation {
            Generation::V0_8 => self.staged(outputs),
            Generation::V2024 => self.depth_first(outputs),
        }
    }

    fn needs(&self, id: &str) -> Vec<String> {
        links(self.nodes.get(id)).into_iter().filter(|from| !self.cached.contains(from)).collect()
    }

    fn is_output(&self, id: &str) -> bool {
        let class = self.nodes.get(id).and_then(|node| node.get("class_type")?.as_str());
        class.is_some_and(|class| self.classes.is_output(class))
    }

    /// 2024: the output that needs the fewest nodes first, and of each its inputs in their order.
    fn depth_first(&self, outputs: &[String]) -> Vec<String> {
        let mut order = Vec::new();
        let mut left = outputs.to_vec();
        while !left.is_empty() {
            let ahead = |id: &String| {
                let mut ahead = order.clone();
                self.descend(id, &mut ahead);
                (ahead.len(), id.clone())
            };
            left.sort_by_cached_key(ahead);
            let next = left.remove(0);
            self.descend(&next, &mut order);
        }
        order
    }

    fn descend(&self, id: &str, order: &mut Vec<String>) {
        if self.cached.contains(id) || order.iter().any(|done| done == id) {
            return;
        }
        for from in self.needs(id) {
            self.descend(&from, order);
        }
        order.push(id.to_owned());
    }

    /// 0.8: of those that need nothing more, outputs first, then what feeds an output, then the first listed.
    fn staged(&self, outputs: &[String]) -> Vec<String> {
        let mut pending = self.listed(outputs);
        let blocking = self.blocking(&pending);
        let mut order = Vec::new();
        while let Some(next) = self.pick(&pending, &blocking) {
            pending.retain(|id| *id != next);
            order.push(next);
        }
        order
    }

    fn listed(&self, outputs: &[String]) -> Vec<String> {
        let mut listed: Vec<String> = Vec::new();
        for output in outputs {
            let mut stack = vec![output.clone()];
            while let Some(id) = stack.pop() {
                if !listed.contains(&id) {
                    // A cached output is visited, and needs nothing of what is before it.
                    let needs = if self.cached.contains(&id) { Vec::new() } else { self.needs(&id) };
                    stack.extend(needs);
                    listed.push(id);
                }
            }
        }
        listed
    }

    fn blocking(&self, pending: &[String]) -> HashMap<String, Vec<String>> {
        let mut blocking: HashMap<String, Vec<String>> = HashMap::new();
        for id in pending.iter().filter(|id| !self.cached.contains(*id)) {
            for from in self.needs(id) {
                blocking.entry(from).or_default().push(id.clone());
            }
        }
        blocking
    }

    fn pick(&self, pending: &[String], blocking: &HashMap<String, Vec<String>>) -> Option<String> {
        let is_ready = |id: &&String| {
            self.cached.contains(*id) || !self.needs(id).iter().any(|from| pending.contains(from))
        };
        let ready: Vec<&String> = pending.iter().filter(is_ready).collect();
        let blocked = |id: &str| blocking.get(id).into_iter().flatten();
        let feeds = |id: &str| blocked(id).any(|next| self.is_output(next));
        let rank = |id: &&&String| match () {
            () if self.is_output(id) => 0,
            () if feeds(id) => 1,
            () if blocked(id).any(|next| feeds(next)) => 2,
            () => 3,
        };
        ready.iter().min_by_key(rank).map(|id| (*id).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comfy::config::ComfyConfig;
    use serde_json::json;

    fn order(generation: Generation, cached: &[&str]) -> Vec<String> {
        let nodes = json!({
            "1": {"class_type": "SimLoader", "inputs": {}},
            "2": {"class_type": "SimSampler", "inputs": {"model": ["1", 0]}},
            "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}},
            "4": {"class_type": "EmptyImage", "inputs": {}},
            "5": {"class_type": "PreviewImage", "inputs": {"images": ["4", 0]}},
        });
        let cached = cached.iter().map(|id| (*id).to_owned()).collect();
        let classes = Classes::new(&ComfyConfig::default());
        Graph::new(nodes.as_object().unwrap(), &classes, &cached)
            .order(generation, &["3".to_owned(), "5".to_owned()])
    }

    #[test]
    fn the_older_generation_runs_the_output_that_needs_least_first() {
        assert_eq!(order(Generation::V2024, &[]), ["4", "5", "1", "2", "3"]);
    }

    #[test]
    fn the_newer_generation_prefers_what_shows_something_soon() {
        assert_eq!(order(Generation::V0_8, &[]), ["4", "5", "1", "2", "3"]);
    }

    #[test]
    fn only_the_newer_generation_visits_a_cached_output() {
        assert_eq!(order(Generation::V0_8, &["4", "5", "1"]), ["5", "2", "3"]);
        assert_eq!(order(Generation::V2024, &["4", "5", "1"]), ["2", "3"]);
    }
}
