//! As much of SVG as the plots need. A drawing carries its own page and its colours for light and dark, so that it can be read
//! wherever it is shown.

use std::fmt::{Display, Write};

/// Classes are those of `STYLE`, several of them separated by spaces.
pub(super) struct Drawing {
    width: f64,
    height: f64,
    body: String,
}

pub(super) type Point = (f64, f64);

const STYLE: &str = "
svg { font: 12px system-ui, sans-serif }
.page { fill: #ffffff; stroke: #d0d7de }
text { fill: #1f2328 }
.title { font-size: 14px; font-weight: 600 }
.middle { text-anchor: middle }
.end { text-anchor: end }
.grid { stroke: #d0d7de }
.mark { stroke: #57606a; stroke-dasharray: 2 3 }
circle { fill: currentColor }
path { fill: none; stroke: currentColor; stroke-width: 2 }
.dashed { stroke-dasharray: 6 4 }
.ours { color: #0969da }
.swarmui { color: #bc4c00 }
.least-queue { color: #8250df }
.earliest-completion { color: #1a7f37 }
.rest { color: #8c959f }
@media (prefers-color-scheme: dark) {
  .page { fill: #0d1117; stroke: #30363d }
  text { fill: #e6edf3 }
  .grid { stroke: #30363d }
  .mark { stroke: #8b949e }
  .ours { color: #58a6ff }
  .swarmui { color: #f0883e }
  .least-queue { color: #bc8cff }
  .earliest-completion { color: #3fb950 }
  .rest { color: #6e7681 }
}
";

impl Drawing {
    pub(super) fn new(width: f64, height: f64, title: &str) -> Self {
        let mut drawing = Self { width, height, body: String::new() };
        drawing.text((16.0, 26.0), "title", title);
        drawing
    }

    pub(super) fn line(&mut self, from: Point, to: Point, class: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.put(format_args!(
            r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
        ));
    }

    pub(super) fn path(&mut self, points: &[Point], class: &str) {
        let to: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        self.put(format_args!(r#"<path class="{class}" d="M{}"/>"#, to.join("L")));
    }

    /// `told`: what is shown to who points at it.
    pub(super) fn dot(&mut self, (x, y): Point, radius: f64, class: &str, told: &str) {
        self.put(format_args!(
            r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{radius}"><title>{told}</title></circle>"#
        ));
    }

    pub(super) fn text(&mut self, (x, y): Point, class: &str, text: impl Display) {
        self.put(format_args!(r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{text}</text>"#));
    }

    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.body, "{element}");
    }

    pub(super) fn finish(self) -> String {
        let Self { width, height, body } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n\
             <style>{STYLE}</style>\n\
             <rect class=\"page\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"6\"/>\n{body}</svg>\n",
            width - 1.0,
            height - 1.0
        )
    }
}
