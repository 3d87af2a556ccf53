//! What a person sees while jobs run: lines on standard output and, where that is a terminal, bars below them.
//! Knows nothing of servers.

use std::collections::HashMap;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::follow::Ended;
use crate::jobs::Job;

const TICK: Duration = Duration::from_millis(120);
const JOB: &str = "{spinner:.cyan} {prefix:<14} {bar:28.cyan/237} {pos:>3}/{len:<3} {msg}";
const ALL: &str = "  {prefix:<14} {bar:28.green/237} {pos:>3}/{len:<3} {elapsed}";

pub(crate) struct Screen {
    /// Absent where nobody sees them move.
    bars: Option<Bars>,
}

struct Bars {
    area: MultiProgress,
    all: ProgressBar,
    /// Of the jobs that run, by their numbers, with their backends.
    running: Mutex<HashMap<usize, Running>>,
}

struct Running {
    bar: ProgressBar,
    backend: String,
}

impl Screen {
    pub(crate) fn new() -> Self {
        let seen = stdout().is_terminal() && stderr().is_terminal();
        Self { bars: seen.then(Bars::new) }
    }

    /// Nobody may be reading any more; the jobs go on.
    pub(crate) fn line(&self, text: &str) {
        let write = || {
            let _ = writeln!(stdout(), "{text}");
        };
        match &self.bars {
            Some(bars) => bars.area.suspend(write),
            None => write(),
        }
    }

    pub(crate) fn submitted(&self, count: usize) {
        match &self.bars {
            Some(bars) => bars.show_all(count),
            None => self.line(&format!("Submitting {count} jobs.")),
        }
    }

    pub(crate) fn begun(&self, job: &Job, backend: &str) {
        match &self.bars {
            Some(bars) => bars.add(job, backend),
            None => self.line(&format!("{:>3}  {:<14} begins on {backend}", job.number, job.title)),
        }
    }

    /// `node` is the id of a node of the job's prompt, where ids are verbs.
    pub(crate) fn at_node(&self, job: &Job, node: &str) {
        self.of(job, |running| running.bar.set_message(format!("{}: {node}", running.backend)));
    }

    pub(crate) fn progressed(&self, job: &Job, done: u64, all: u64) {
        self.of(job, |running| {
            running.bar.set_length(all);
            running.bar.set_position(done);
        });
    }

    pub(crate) fn ended(&self, ended: &Ended) {
        if let Some(bars) = &self.bars {
            bars.remove(&ended.job);
        }
        self.line(&result(ended));
        if let Some(attempt) = ended.attempts.last() {
            self.aside(&attempt.why);
        }
    }

    /// Why it went there.
    fn aside(&self, why: &str) {
        let (dim, plain) = if self.bars.is_some() { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
        self.line(&format!("     {dim}{why}{plain}"));
    }

    /// Takes all bars away.
    pub(crate) fn clear(&self) {
        if let Some(bars) = &self.bars {
            bars.lock().clear();
            bars.all.finish_and_clear();
            let _ = bars.area.clear();
        }
    }

    fn of(&self, job: &Job, change: impl FnOnce(&Running)) {
        if let Some(bars) = &self.bars {
            bars.lock().get(&job.number).map(change);
        }
    }
}

fn result(ended: &Ended) -> String {
    let Ended { job, attempts, previews, picture, failure } = ended;
    let place = attempts.last().map_or("nowhere", |attempt| attempt.backend.as_str());
    let took = attempts.last().and_then(|attempt| attempt.took());
    let took = took.map(|took| format!(" in {:.1} s", took.as_secs_f64())).unwrap_or_default();
    let again = if attempts.len() > 1 { format!(", attempt {}", attempts.len()) } else { String::new() };
    let what = match (picture, failure) {
        (_, Some(failure)) => failure.clone(),
        (Some(picture), None) if *previews > 0 => format!("{picture}, {previews} previews"),
        (Some(picture), None) => picture.clone(),
        (None, None) => String::new(),
    };
    format!("{:>3}  {:<14} {place}{took}{again}: {what}", job.number, job.title)
}

impl Bars {
    fn new() -> Self {
        let area = MultiProgress::new();
        Self { area, all: ProgressBar::hidden(), running: Mutex::default() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<usize, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show_all(&self, count: usize) {
        self.all.set_length(count as u64);
        self.all.set_style(style(ALL));
        self.all.set_prefix("all jobs");
        self.area.add(self.all.clone());
        self.all.enable_steady_tick(TICK);
    }

    fn add(&self, job: &Job, backend: &str) {
        let bar = ProgressBar::new(1).with_style(style(JOB));
        let bar = self.area.insert_before(&self.all, bar);
        bar.set_prefix(format!("{:>2} {}", job.number, job.title));
        bar.set_message(backend.to_owned());
        bar.enable_steady_tick(TICK);
        let before = self.lock().insert(job.number, Running { bar, backend: backend.to_owned() });
        if let Some(before) = before {
            before.bar.finish_and_clear();
        }
    }

    fn remove(&self, job: &Job) {
        if let Some(running) = self.lock().remove(&job.number) {
            running.bar.finish_and_clear();
            self.area.remove(&running.bar);
        }
        self.all.inc(1);
    }
}

/// The plain style where a template is wrong, which a constant one is not.
fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("━╸─")
}
