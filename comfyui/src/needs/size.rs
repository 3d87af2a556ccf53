//! The size of what is sampled: from a sampler upstream along the latent or picture, to the node that made or scaled it.

use super::graph::{Graph, HOPS_MAX, whole};
use crate::prompt::{Node, link};

const FRAMES: [&str; 4] = ["length", "num_frames", "video_frames", "frames"];

/// Types of inputs that carry the size, the stronger first.
const CARRIERS: [&str; 4] = ["LATENT", "IMAGE", "VIDEO", "MASK"];

/// Their names, where types are not known.
const CARRIER_NAMES: [&str; 10] = [
    "latent_image",
    "latent",
    "samples",
    "pixels",
    "image",
    "images",
    "destination",
    "start_image",
    "init_image",
    "video",
];

const PIXELS_A_MEGAPIXEL: f64 = 1_048_576.0;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Size {
    pub(super) width: Option<u64>,
    pub(super) height: Option<u64>,
    pub(super) pixels: Option<u64>,
    pub(super) frames: Option<u64>,
    pub(super) batch: Option<u64>,
}

/// How far the walk from a sampler has come.
struct Walk {
    size: Size,
    /// By how much sides are scaled between here and the sampler.
    scale: f64,
    /// Whether the node that decides on frames and batch is behind us.
    is_counted: bool,
}

impl<'a> Graph<'a> {
    /// Of the samplers' sizes the largest. Samplers of node packs are given their size in other ways: then that of the
    /// largest node which makes films; and without samplers, that of the largest which makes pictures.
    pub(super) fn largest(self, samplers: &[&'a Node], local: &[&'a Node]) -> Size {
        let sampled = samplers.iter().map(|sampler| self.size_at(sampler));
        let largest = sampled.max_by_key(Size::volume).unwrap_or_default();
        if largest.pixels.is_some() {
            return largest;
        }
        let makes = |node: &Node| frames_of(node).is_some() || (samplers.is_empty() && makes_pictures(node));
        let made = local.iter().filter(|node| makes(node)).map(|node| self.own_size(node));
        made.filter(|size| size.pixels.is_some()).max_by_key(Size::volume).unwrap_or(largest)
    }

    fn size_at(self, sampler: &'a Node) -> Size {
        let mut walk = Walk { size: Size::default(), scale: 1.0, is_counted: false };
        let mut next = Some(sampler);
        for _ in 0..HOPS_MAX {
            let Some(node) = next else { break };
            next = self.walk(&mut walk, node);
        }
        walk.size
    }

    /// Takes what a node says of the size, and tells where to go on.
    fn walk(self, walk: &mut Walk, node: &'a Node) -> Option<&'a Node> {
        let own = self.own_size(node);
        if !walk.is_counted {
            walk.size.frames = walk.size.frames.or(own.frames);
            walk.size.batch = walk.size.batch.or(own.batch);
            walk.is_counted = has_sides(node) && (frames_of(node).is_some() || makes_pictures(node));
        }
        if walk.size.pixels.is_none() {
            walk.size.take_area(own, walk.scale);
            walk.scale *= self.number(node, "scale_by").filter(|scale| *scale > 0.0).unwrap_or(1.0);
        }
        let is_known = walk.size.pixels.is_some();
        match (is_known, walk.is_counted) {
            (true, true) => None,
            // The sides come by links that end at no number: from the size of another picture.
            (false, _) if has_sides(node) => self.source(node, "width"),
            _ => self.carrier(node),
        }
    }

    /// What a node itself says.
    fn own_size(self, node: &'a Node) -> Size {
        let (width, height) = (self.size(node, "width"), self.size(node, "height"));
        let area = width.zip(height).and_then(|(width, height)| width.checked_mul(height));
        let aimed = || whole(self.number(node, "megapixels")? * PIXELS_A_MEGAPIXEL);
        Size {
            width: area.and(width),
            height: area.and(height),
            pixels: area.or_else(aimed).filter(|pixels| *pixels > 0),
            frames: frames_of(node).and_then(|input| self.size(node, input)),
            batch: self.size(node, "batch_size"),
        }
    }

    /// The node that a node's latent or picture comes from.
    fn carrier(self, node: &'a Node) -> Option<&'a Node> {
        if let Some(link) = self.passed_on(node).and_then(link) {
            return self.node(&link);
        }
        let class = self.class(node);
        let is_of = |input: &str, kind| {
            class.and_then(|class| class.input.get(input)).and_then(|spec| spec.kind()) == Some(kind)
        };
        let of_type = CARRIERS.iter().find_map(|kind| {
            let mut linked = node.inputs.keys().filter(|input| is_of(input, *kind));
            linked.find_map(|input| self.source(node, input))
        });
        let by_name = || CARRIER_NAMES.iter().find_map(|input| self.source(node, input));
        if class.is_some() { of_type } else { by_name() }
    }
}

impl Size {
    fn volume(&self) -> u64 {
        self.pixels
            .unwrap_or(0)
            .saturating_mul(self.frames.unwrap_or(1))
            .saturating_mul(self.batch.unwrap_or(1))
    }

    fn take_area(&mut self, own: Self, scale: f64) {
        let scaled = |side: u64| whole(side as f64 * scale);
        self.width = own.width.and_then(scaled);
        self.height = own.height.and_then(scaled);
        self.pixels = match self.width.zip(self.height) {
            Some((width, height)) => width.checked_mul(height),
            None => own.pixels.and_then(|pixels| whole(pixels as f64 * scale * scale)),
        };
    }
}

fn has_sides(node: &Node) -> bool {
    node.inputs.contains_key("width") && node.inputs.contains_key("height")
}

fn frames_of(node: &Node) -> Option<&'static str> {
    FRAMES.into_iter().find(|input| node.inputs.contains_key(*input))
}

fn makes_pictures(node: &Node) -> bool {
    node.inputs.contains_key("batch_size")
}
