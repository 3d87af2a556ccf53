//! A report in Prometheus' text format. Pure. Names and labels are frozen once released; `docs/metrics.md` lists them.

mod comfyui;
mod dcgm;
mod gpu;
mod host;
mod own;
mod page;

use prometheus::TextEncoder;
use report::Report;

use crate::config::Compat;
use page::Page;

/// The content type of [`text`].
pub(crate) const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Words all that the report knows. What it does not know has no series.
///
/// # Errors
/// A name that Prometheus does not allow, which is a defect.
pub fn text(report: &Report, compat: Option<Compat>) -> prometheus::Result<String> {
    let mut page = Page::default();
    own::write(&mut page, report);
    host::write(&mut page, &report.host);
    gpu::write(&mut page, report);
    if let Some(comfyui) = &report.comfyui {
        comfyui::write(&mut page, comfyui);
    }
    if compat == Some(Compat::Dcgm) {
        dcgm::write(&mut page, report);
    }
    TextEncoder::new().encode_to_string(&page.into_families())
}

#[cfg(test)]
mod tests;
