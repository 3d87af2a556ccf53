//! What is printed before the jobs and after them.

use std::path::Path;
use std::time::Duration;

use url::Url;

use crate::client::Backend;
use crate::follow::Ended;
use crate::screen::Screen;
use crate::stage::{PORT, Stage};

pub(crate) fn opening(screen: &Screen, backends: &[Backend], collector: &Url, pictures: &Path) {
    let width = backends.iter().map(|backend| backend.id.len()).fold("collector".len(), usize::max);
    let elsewhere = if collector.port() == Some(PORT) { "" } else { "  (its usual port is taken)" };
    screen.line(&format!("{:<width$}  {collector}orchestrator/  <- open this in a browser", "dashboard"));
    screen.line(&format!("{:<width$}  {collector}{elsewhere}", "collector"));
    for backend in backends {
        let agent = match backend.agent_state.as_str() {
            "up" => format!("agent {}", backend.agent_url),
            _ => format!("no agent answers at {}", backend.agent_url),
        };
        screen.line(&format!("{:<width$}  {}  {agent}", backend.id, backend.url));
        if !backend.takes_jobs {
            screen.line(&format!("{:<width$}  takes no jobs: {}", "", backend.trouble()));
        }
    }
    screen.line(&format!("{:<width$}  {}\n", "pictures", pictures.display()));
    screen.line("Each job is told when it has ended, with why it went where it did and what it was expected to take there.");
    screen
        .line("The router begins with the times of typical GPU jobs and learns this fleet's as jobs end.\n");
}

pub(crate) fn closing(screen: &Screen, stage: &Stage, ended: &[Ended], wall: Duration, pictures: &Path) {
    screen.clear();
    screen.line(&format!("\n{:<22} {:>4}  {:<19}  busy", "backend", "jobs", "model loads avoided"));
    for backend in &stage.backends {
        let id = backend.id.as_str();
        screen.line(&row(id, ended, stage.model_loads(id), wall));
    }
    let failures = ended.iter().filter_map(|job| Some((job.job.number, job.failure.as_ref()?)));
    let failures: Vec<String> = failures.map(|(number, why)| format!("  job {number}: {why}")).collect();
    let outcome =
        if failures.is_empty() { "all succeeded".to_owned() } else { format!("{} not done", failures.len()) };
    screen.line(&format!("\n{} jobs in {:.1} s, {outcome}.", ended.len(), wall.as_secs_f64()));
    failures.iter().for_each(|failure| screen.line(failure));
    if failures.len() < ended.len() {
        screen.line(&format!("The pictures are in {}", pictures.display()));
    }
}

/// Loads avoided: attempts that found their model in the server's memory. Unknown where the server does not tell.
fn row(backend: &str, ended: &[Ended], loads: Option<u64>, wall: Duration) -> String {
    let attempts = ended.iter().flat_map(|job| &job.attempts).filter(|attempt| attempt.backend == backend);
    let attempts: Vec<_> = attempts.collect();
    let is_here = |job: &&Ended| job.attempts.last().is_some_and(|last| last.backend == backend);
    let jobs = ended.iter().filter(is_here).count();
    let tried = attempts.len() as u64;
    let avoided = loads.map(|loads| format!("{} of {tried}", tried.saturating_sub(loads)));
    let busy: Duration = attempts.iter().filter_map(|attempt| attempt.took()).sum();
    let share = 100.0 * busy.as_secs_f64() / wall.as_secs_f64().max(f64::EPSILON);
    let avoided = avoided.as_deref().unwrap_or("-");
    format!("{backend:<22} {jobs:>4}  {avoided:<19}  {:.1} s, {share:.0} %", busy.as_secs_f64())
}

pub(crate) fn addresses(screen: &Screen, stage: &Stage) {
    screen.line(&format!("\nStill serving. The dashboard is at {}orchestrator/", stage.url));
    screen.line("To look at, in a browser or with curl:");
    for path in ["queue", "history", "system_stats", "metrics", "orchestrator/v1/backends"] {
        screen.line(&format!("  {}{path}", stage.url));
    }
    for backend in &stage.backends {
        screen.line(&format!("  {}system_stats  (server {})", backend.url, backend.id));
        screen.line(&format!("  {}orchestrator/metrics  (its agent)", backend.agent));
    }
    screen.line(&format!("Any ComfyUI client can use {} as its server. Ctrl-C to stop.", stage.url));
}
