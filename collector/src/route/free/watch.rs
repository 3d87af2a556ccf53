//! Whether a backend has freed memory: a state machine over the readings of its GPU that come after it was asked. Pure.

use super::{HELD_BYTES, Outcome};
use crate::clock::UnixMillis;
use crate::fleet::Backend;
use crate::id::JobId;
use crate::limits;

/// So much less is in use at least, where it is not known how much ComfyUI held.
const LEAST_BYTES: u64 = 256 << 20;
/// Two readings that differ by less are one: memory has settled.
const SETTLED_BYTES: u64 = 128 << 20;

/// Memory in use on a backend's GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    pub used_bytes: u64,
    pub at: UnixMillis,
    pub source: Source,
}

/// Who tells of the GPU's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Agent,
    /// ComfyUI itself, in `/system_stats`.
    SystemStats,
}

impl Source {
    pub fn label(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::SystemStats => "system_stats",
        }
    }
}

/// What a backend does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    Nothing,
    Ours(JobId),
    /// Prompts of others.
    Others,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub outcome: Outcome,
    pub after: Option<Reading>,
}

#[derive(Clone, Debug)]
pub struct Watch {
    before: Option<Reading>,
    /// What ComfyUI held of it before.
    held_bytes: Option<u64>,
    /// Only readings after that count: since it was asked and has nothing to do that comes first.
    since: UnixMillis,
    /// ComfyUI frees between two prompts, so what ran when it was asked comes first.
    waits_for: Doing,
    last: Option<Reading>,
}

impl Reading {
    /// By its agent, or else by ComfyUI, whose own figure lags behind. That of a server on a CPU is its host's memory.
    pub fn best(backend: &Backend, now: UnixMillis) -> Option<Self> {
        Self::by(Source::Agent, backend, now).or_else(|| Self::by(Source::SystemStats, backend, now))
    }

    pub fn by(source: Source, backend: &Backend, now: UnixMillis) -> Option<Self> {
        let (used_bytes, at) = match source {
            Source::Agent => {
                let gpu = backend.agent.as_ref()?.value.gpu(now)?;
                (gpu.used_bytes?, gpu.at)
            }
            Source::SystemStats => {
                let read = backend.stats.as_ref().filter(|read| now - read.at <= limits::STATS_FRESH)?;
                let device = read.value.devices.first().filter(|device| device.kind != "cpu")?;
                (device.vram_total?.saturating_sub(device.vram_free?), read.at)
            }
        };
        Some(Self { used_bytes, at, source })
    }
}

impl Watch {
    /// It has been asked. `held_bytes`: what ComfyUI held, if that is known.
    pub fn new(before: Option<Reading>, held_bytes: Option<u64>, doing: Doing, now: UnixMillis) -> Self {
        Self { before, held_bytes, since: now, waits_for: doing, last: None }
    }

    /// The source whose readings it wants; `None`: none would tell anything.
    pub fn source(&self) -> Option<Source> {
        Some(self.before?.source)
    }

    /// `None`: it is not known yet.
    pub fn see(&mut self, reading: Option<Reading>, doing: Doing, now: UnixMillis) -> Option<Verdict> {
        let Some(before) = self.before else {
            return Some(Verdict { outcome: Outcome::Unverified, after: None });
        };
        if doing != Doing::Nothing {
            // What began after it was asked loads models again before anything can be told.
            let outcome = Outcome::Unverified;
            self.since = now;
            return (doing != self.waits_for).then_some(Verdict { outcome, after: self.last });
        }
        self.waits_for = Doing::Nothing;
        let reading = reading
            .filter(|reading| reading.at > self.since && self.last.is_none_or(|last| reading.at > last.at));
        let last = self.last;
        self.last = reading.or(last);
        if let Some(reading) = reading.filter(|reading| self.is_freed(before, *reading)) {
            let settled =
                last.is_some_and(|last| last.used_bytes.abs_diff(reading.used_bytes) < SETTLED_BYTES);
            if settled {
                return Some(Verdict { outcome: Outcome::Freed, after: Some(reading) });
            }
        }
        (now - self.since >= limits::FREED_WITHIN).then(|| self.at_the_end(before))
    }

    fn at_the_end(&self, before: Reading) -> Verdict {
        let outcome = match self.last {
            None => Outcome::Unverified,
            Some(last) if self.is_freed(before, last) => Outcome::Freed,
            Some(_) => Outcome::NotFreed,
        };
        Verdict { outcome, after: self.last }
    }

    /// Half of what it held is gone: others may take and give memory meanwhile. Where it held nothing there is nothing to
    /// free.
    fn is_freed(&self, before: Reading, reading: Reading) -> bool {
        let less = before.used_bytes.saturating_sub(reading.used_bytes);
        match self.held_bytes {
            Some(held) if held < HELD_BYTES => true,
            Some(held) => less >= held / 2,
            None => less >= LEAST_BYTES,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const ASKED: UnixMillis = UnixMillis(1_000_000);

    fn reading(after_ms: u64, used_mib: u64) -> Reading {
        Reading { used_bytes: used_mib << 20, at: UnixMillis(ASKED.0 + after_ms), source: Source::Agent }
    }

    fn watch(held_bytes: Option<u64>) -> Watch {
        Watch::new(Some(reading(0, 20_000)), held_bytes, Doing::Nothing, ASKED)
    }

    /// What comes of it when each of these readings (ms, MiB) is seen at its time, and nothing after them.
    fn came(mut watch: Watch, readings: &[(u64, u64)]) -> (Outcome, u64) {
        for at in (0..=60_000).step_by(100) {
            let now = UnixMillis(ASKED.0 + at);
            let known = readings.iter().rev().find(|(when, _)| *when <= at);
            let known = known.map(|(when, mib)| reading(*when, *mib));
            if let Some(verdict) = watch.see(known, Doing::Nothing, now) {
                return (verdict.outcome, at);
            }
        }
        panic!("no verdict");
    }

    #[test]
    fn what_came_of_it_is_read_off_the_figures_once_they_have_settled() {
        let (held, unknown, nothing) = (Some(18 * GIB), None, Some(GIB / 2));
        let end = u64::try_from(limits::FREED_WITHIN.as_millis()).unwrap();
        for (held, readings, wanted) in [
            (held, &[(500, 800), (1500, 800)][..], (Outcome::Freed, 1500)),
            (held, &[(500, 15_000), (1500, 4000), (2500, 800), (3500, 810)], (Outcome::Freed, 3500)),
            (held, &[(500, 20_000), (1500, 800)], (Outcome::Freed, end)),
            (held, &[(500, 19_000), (1500, 19_000)], (Outcome::NotFreed, end)),
            (held, &[(500, 800), (1500, 19_000), (2500, 19_500)], (Outcome::NotFreed, end)),
            (held, &[], (Outcome::Unverified, end)),
            (unknown, &[(500, 19_600), (1500, 19_600)], (Outcome::Freed, 1500)),
            (unknown, &[(500, 19_900), (1500, 19_900)], (Outcome::NotFreed, end)),
            (nothing, &[(500, 20_000), (1500, 20_000)], (Outcome::Freed, 1500)),
        ] {
            assert_eq!(came(watch(held), readings), wanted, "{held:?} {readings:?}");
        }
    }

    #[test]
    fn without_a_figure_nothing_is_verified() {
        let mut blind = Watch::new(None, None, Doing::Nothing, ASKED);
        assert_eq!(
            blind.see(Some(reading(500, 1)), Doing::Nothing, ASKED).unwrap().outcome,
            Outcome::Unverified
        );
    }

    #[test]
    fn the_job_that_runs_comes_first_and_another_one_hides_what_came_of_it() {
        let (first, second) = (Doing::Ours(JobId::random()), Doing::Ours(JobId::random()));
        let late = UnixMillis(ASKED.0 + 600_000);
        let begin = || Watch::new(Some(reading(0, 20_000)), Some(18 * GIB), first, ASKED);
        let mut ends = begin();
        assert_eq!(ends.see(Some(reading(599_000, 20_000)), first, late), None);
        let after = |ms| (Some(reading(600_000 + ms, 800)), UnixMillis(late.0 + ms));
        let (early, now) = after(100);
        assert_eq!(ends.see(early, Doing::Nothing, now), None, "not settled");
        let (later, now) = after(1100);
        assert_eq!(ends.see(later, Doing::Nothing, now).unwrap().outcome, Outcome::Freed);
        for other in [second, Doing::Others] {
            let mut hidden = begin();
            hidden.see(None, first, ASKED);
            assert_eq!(hidden.see(None, other, late).unwrap().outcome, Outcome::Unverified);
            assert_eq!(watch(None).see(None, other, ASKED).unwrap().outcome, Outcome::Unverified);
        }
    }

    #[test]
    fn whatever_is_read_there_is_a_verdict_in_time_and_it_is_true() {
        for seed in 0..2000 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let held_bytes = [None, Some(rng.u64(GIB..20 * GIB))][rng.usize(..2)];
            let mut watch = watch(held_bytes);
            let (mut seen, mut verdict, mut at) = (Vec::new(), None, 0);
            while verdict.is_none() {
                at += rng.u64(1..3000);
                let age = rng.u64(0..4000);
                let known = (age < at).then(|| reading(at - age, rng.u64(0..24_000)));
                seen.extend(known);
                verdict = watch.see(known, Doing::Nothing, UnixMillis(ASKED.0 + at));
                assert!(at < 15_000 + 3000, "seed {seed}: no verdict after {at} ms");
            }
            let verdict = verdict.unwrap();
            let wanted = held_bytes.map_or(LEAST_BYTES, |held| held / 2);
            let is_less = |reading: Reading| (20_000_u64 << 20).saturating_sub(reading.used_bytes) >= wanted;
            assert_eq!(verdict.after.is_none(), seen.is_empty(), "seed {seed}");
            assert_eq!(verdict.outcome == Outcome::Unverified, seen.is_empty(), "seed {seed}");
            if let Some(after) = verdict.after {
                assert!(seen.contains(&after) && after.at > ASKED, "seed {seed}");
                assert_eq!(verdict.outcome == Outcome::Freed, is_less(after), "seed {seed}");
            }
        }
    }
}
