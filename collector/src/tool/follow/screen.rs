//! Where a followed job is shown: bars on a terminal, lines in a log, JSON for machines. Knows nothing of servers.
//!
//! Standard output has the paths of saved files, or the JSON; everything else goes to standard error.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indexmap::IndexMap;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::super::output::{self, WriteError, harmless, say, tell};
use super::course::{Job, Told};
use super::line;

const TICK: Duration = Duration::from_millis(120);
const PLAIN: &str = "{spinner} {prefix} {wide_msg}";
const STEPS: &str = "{spinner} {prefix} {bar:28} {pos:>3}/{len:<3} {wide_msg}";

pub(super) enum Screen {
    Bars(Bars),
    Lines,
    Json,
}

pub(super) struct Bars {
    area: MultiProgress,
    /// By the job's id.
    running: IndexMap<String, Bar>,
}

struct Bar {
    bar: ProgressBar,
    backend: String,
}

impl Screen {
    pub(super) fn new(json: bool) -> Self {
        match (json, stderr().is_terminal()) {
            (true, _) => Self::Json,
            (false, true) => Self::Bars(Bars { area: MultiProgress::new(), running: IndexMap::new() }),
            (false, false) => Self::Lines,
        }
    }

    pub(super) fn show(&mut self, job: &Job, told: &Told) -> Result<(), WriteError> {
        match self {
            Self::Json => return output::print(&json_line(job, told)),
            Self::Lines => {
                if line::is_worth_it(told) {
                    tell(&sentence(job, told));
                }
            }
            Self::Bars(bars) => bars.show(job, told),
        }
        self.path(told)
    }

    /// Says something that is about no job.
    pub(super) fn remark(&self, text: &str) {
        self.above(|| say(text));
    }

    fn path(&self, told: &Told) -> Result<(), WriteError> {
        let Told::Saved { path } = told else { return Ok(()) };
        self.above(|| output::print_text(&format!("{path}\n")))
    }

    /// Bars must not be written over.
    fn above<R>(&self, write: impl FnOnce() -> R) -> R {
        match self {
            Self::Bars(bars) => bars.area.suspend(write),
            Self::Lines | Self::Json => write(),
        }
    }
}

fn json_line(job: &Job, told: &Told) -> Vec<u8> {
    let mut document = json!({ "job": job.id, "file": job.name });
    if let (Value::Object(document), Value::Object(told)) = (&mut document, json!(told)) {
        document.extend(told);
    }
    format!("{document}\n").into_bytes()
}

fn sentence(job: &Job, told: &Told) -> String {
    match told {
        Told::Accepted => format!("{}: accepted as {}", job.name, job.id),
        told => format!("{}: {}", job.name, line::of(told)),
    }
}

impl Bars {
    fn show(&mut self, job: &Job, told: &Told) {
        match told {
            Told::Saved { .. } => {}
            Told::Begun { backend, .. } => {
                self.said(job, told);
                let bar = self.of(job);
                (bar.backend, _) = (harmless(backend), bar.bar.set_message(harmless(backend)));
            }
            Told::Node { .. } => {
                let bar = self.of(job);
                bar.bar.set_style(style(PLAIN));
                bar.bar.set_message(format!("{}: {}", bar.backend, harmless(&line::of(told))));
            }
            Told::Steps { done, all, .. } => {
                let bar = self.of(job);
                bar.bar.set_style(style(STEPS));
                bar.bar.set_length(*all);
                bar.bar.set_position(*done);
            }
            Told::Ended { .. } => {
                if let Some(Bar { bar, .. }) = self.running.shift_remove(&job.id) {
                    bar.finish_and_clear();
                    self.area.remove(&bar);
                }
                self.said(job, told);
            }
            _ => self.said(job, told),
        }
    }

    fn said(&self, job: &Job, told: &Told) {
        self.area.suspend(|| tell(&sentence(job, told)));
    }

    fn of(&mut self, job: &Job) -> &mut Bar {
        let area = &self.area;
        self.running.entry(job.id.clone()).or_insert_with(|| {
            let bar = area.add(ProgressBar::new(1).with_style(style(PLAIN)));
            bar.set_prefix(harmless(&job.name));
            bar.enable_steady_tick(TICK);
            Bar { bar, backend: String::new() }
        })
    }
}

/// Bars that are left when following stops would stay as they were.
impl Drop for Bars {
    fn drop(&mut self) {
        self.running.values().for_each(|bar| bar.bar.finish_and_clear());
    }
}

/// The plain style where a template is wrong, which a constant one is not.
fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("━╸─")
}
