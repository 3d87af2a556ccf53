//! Samplers and their steps.
//!
//! A sampler has `steps` and a seed of its own (`KSampler` and those of node packs), or it is given a `sampler` and
//! `sigmas` (`SamplerCustom`, `SamplerCustomAdvanced`); then the steps are those of the scheduler that made the sigmas.

use serde_json::Value;

use super::graph::{Graph, HOPS_MAX, whole};
use crate::prompt::{Link, Node, link};

impl<'a> Graph<'a> {
    pub(super) fn is_sampler(self, node: &Node) -> bool {
        let has_seed = || node.inputs.keys().any(|input| input.ends_with("seed"));
        takes_sigmas(node) || (node.inputs.contains_key("steps") && has_seed())
    }

    pub(super) fn steps(self, sampler: &'a Node) -> Option<u64> {
        if takes_sigmas(sampler) {
            return self.sigmas(&link(sampler.inputs.get("sigmas")?)?, HOPS_MAX);
        }
        let total = self.count(sampler, "steps")?;
        let bound = |input| match sampler.inputs.contains_key(input) {
            true => self.count(sampler, input).map(Some),
            false => Some(None),
        };
        let (start, end) = (bound("start_at_step")?, bound("end_at_step")?);
        Some(end.unwrap_or(total).min(total).saturating_sub(start.unwrap_or(0)))
    }

    /// The name of its method; of an own sampler node without one, its class.
    pub(super) fn sampler_name(self, sampler: &'a Node) -> Option<&'a str> {
        let source = if takes_sigmas(sampler) { self.source(sampler, "sampler")? } else { sampler };
        let name = self.constant(source, "sampler_name").and_then(Value::as_str);
        name.or_else(|| takes_sigmas(sampler).then_some(source.class_type.as_str()))
    }

    /// How many steps a list of sigmas makes.
    fn sigmas(self, from: &Link, hops: usize) -> Option<u64> {
        let (node, hops) = (self.node(from)?, hops.checked_sub(1)?);
        if let Some(upstream) = node.inputs.get("sigmas").and_then(link) {
            let total = self.sigmas(&upstream, hops)?;
            return self.cut(node, from.slot, total);
        }
        if node.inputs.contains_key("steps") {
            return self.count(node, "steps");
        }
        match node.inputs.get("sigmas") {
            Some(listed) => count_listed(listed.as_str()?),
            None => self.sigmas(&link(self.passed_on(node)?)?, hops),
        }
    }

    /// What a node that takes sigmas and gives sigmas leaves of them: all, or the part before (output 0) or after
    /// (output 1) a `step` or a share `denoise`. One with `steps` of its own puts some between, how many is not told.
    fn cut(self, node: &'a Node, slot: u64, total: u64) -> Option<u64> {
        let first = if node.inputs.contains_key("steps") {
            return None;
        } else if node.inputs.contains_key("step") {
            self.count(node, "step")?.min(total)
        } else if node.inputs.contains_key("denoise") {
            total.saturating_sub(whole(total as f64 * self.number(node, "denoise")?)?)
        } else {
            return Some(total);
        };
        Some(if slot == 0 { first } else { total - first })
    }
}

fn takes_sigmas(node: &Node) -> bool {
    ["sampler", "sigmas"]
        .iter()
        .all(|input| node.inputs.get(*input).is_some_and(|value| link(value).is_some()))
}

/// `14.6, 7.1, 0.0`: a step from each to the next.
fn count_listed(text: &str) -> Option<u64> {
    let numbers = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
    (numbers.count() as u64).checked_sub(1)
}
