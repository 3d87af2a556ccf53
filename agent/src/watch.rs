//! Looking at what the sampling threads publish, for what they cannot say themselves: that one hangs, that no GPU is the
//! one asked for, and that only a new process can reach the driver.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use crate::derive;
use crate::limits::READ_PERIOD;
use crate::sample::Sample;
use crate::told::Told;

/// Logs what is wrong as long as the agent runs. Ends when only a new process can reach the driver, and systemd would
/// start one.
pub(crate) async fn watch(samples: watch::Receiver<Arc<Sample>>) {
    let mut ticks = tokio::time::interval(READ_PERIOD);
    let is_service = std::env::var_os("INVOCATION_ID").is_some();
    let (mut hung, mut unmet) = (Told::default(), Told::default());
    loop {
        ticks.tick().await;
        let (sample, now) = (Arc::clone(&samples.borrow()), Instant::now());
        if is_service && derive::is_shut_out(&sample, now) {
            return;
        }
        tell_hangs(&mut hung, &sample, now);
        if !unmet.news(sample.is_choice_unmet(now).then_some(())).begun.is_empty() {
            tracing::warn!("no GPU here is the one asked for; see `nvidia-smi -L` and give another --gpu");
        }
    }
}

fn tell_hangs(hung: &mut Told<&'static str>, sample: &Sample, now: Instant) {
    let overdue = sample.records.iter().filter(|record| record.is_overdue(now));
    let news = hung.news(overdue.map(|record| record.name));
    for probe in news.begun {
        tracing::warn!(probe, "hangs in the kernel or the driver; its figures are absent until it answers");
    }
    for probe in news.ended {
        tracing::info!(probe, "has answered");
    }
}
