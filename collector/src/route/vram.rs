//! Whether a job fits a backend's GPU: what can be free there now against what such jobs have taken, and which of them have
//! run out of memory on such a GPU. Learned from what agents tell while jobs run; what is unknown forbids nothing. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Candidate, Refusal, suits};
use crate::clock::UnixMillis;
use crate::fleet::{Backend, Read};
use crate::job::{Job, Needs};
use crate::limits;

/// Out of memory so often, without a success in between, is too big; the first time its memory is freed and it is tried again.
const TIMES_TO_BE_TOO_BIG: u32 = 2;
/// How long that is remembered: drivers, ComfyUI and its options change.
const TOO_BIG_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// Sizes that differ by less than a fifth are alike.
const SIZES_A_DOUBLING: f64 = 4.0;

/// What decides how much GPU memory a prompt takes: its models, its node classes, and the size of what is sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Signature([u8; 16]);

/// GPUs of one name and memory are one class. ComfyUI itself tells, so that it is known where there is no agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuClass {
    pub name: String,
    pub total_bytes: u64,
}

/// The GPU of a backend as it is now, as far as that is known and fresh.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Room {
    pub class: Option<GpuClass>,
    /// When the rest was read.
    pub read_at: Option<UnixMillis>,
    pub free_bytes: Option<u64>,
    /// What its ComfyUI holds.
    pub own_bytes: Option<u64>,
    /// What other programs hold.
    pub others_bytes: Option<u64>,
    /// What can be free for a job: what is, and what ComfyUI itself would give up.
    pub available_bytes: Option<u64>,
}

/// What was learned of jobs' memory, by signature. As JSON it is kept over restarts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fits {
    by_signature: BTreeMap<Signature, Fit>,
    learned: u64,
}

/// What is known of one job's memory, while it is decided where it goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim<'a> {
    fit: Option<&'a Fit>,
    /// Whether it may be too big for a GPU: where it is too big for all, it is tried all the same, since its client would
    /// rather hear the exception than wait for ever.
    may_be_too_big: bool,
}

/// What was learned of one signature.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fit {
    on: Vec<OnClass>,
    /// The last one that was learned from is the highest.
    learned: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct OnClass {
    class: GpuClass,
    /// Of the last runs that ended well, the newest last: what ComfyUI held at most.
    #[serde(default)]
    peaks_bytes: Vec<u64>,
    /// Whether one ended well, be its peak known or not.
    #[serde(default)]
    has_run: bool,
    /// Since it last ended well.
    #[serde(default)]
    out_of_memory: u32,
    #[serde(default)]
    out_of_memory_at: UnixMillis,
}

impl Signature {
    pub fn of(needs: &Needs) -> Self {
        let mut digest = Sha256::new();
        for name in needs.models().0.iter().chain(&needs.classes) {
            digest.update(name);
            digest.update([0]);
        }
        digest.update(size(needs).unwrap_or(-1).to_le_bytes());
        let mut signature = [0; 16];
        signature.iter_mut().zip(digest.finalize()).for_each(|(byte, hashed)| *byte = hashed);
        Self(signature)
    }
}

fn size(needs: &Needs) -> Option<i32> {
    let work = &needs.work;
    let pixels = work.pixels? as f64 * work.frames.unwrap_or(1) as f64 * work.batch.unwrap_or(1) as f64;
    Some((pixels.max(1.0).log2() * SIZES_A_DOUBLING).round() as i32)
}

impl From<Signature> for String {
    fn from(signature: Signature) -> Self {
        HEXLOWER.encode(&signature.0)
    }
}

impl TryFrom<String> for Signature {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or("it is no signature: 32 digits from 0 to f")
    }
}

impl GpuClass {
    pub fn of(backend: &Backend) -> Option<Self> {
        let device = backend.stats.as_ref()?.value.devices.first()?;
        Some(Self { name: bare(&device.name).to_owned(), total_bytes: device.vram_total? })
    }
}

/// `cuda:0 NVIDIA GeForce RTX 4090 : cudaMallocAsync` without its number and its allocator.
fn bare(name: &str) -> &str {
    let unnumbered =
        name.split_once(' ').filter(|(device, _)| device.contains(':')).map_or(name, |(_, rest)| rest);
    unnumbered.split(" : ").next().unwrap_or(unnumbered)
}

impl Room {
    pub fn of(backend: &Backend, now: UnixMillis) -> Self {
        let class = GpuClass::of(backend);
        let figures = backend.agent.as_ref().map(|read| &read.value);
        let Some((figures, gpu)) = figures.and_then(|figures| Some((figures, figures.gpu(now)?))) else {
            return Self { class, ..Self::default() };
        };
        let fresh = |read: &Option<Read<u64>>| {
            read.as_ref().filter(|read| figures.is_fresh(read, now)).map(|read| read.value)
        };
        let others_bytes = fresh(&gpu.others);
        let all = gpu.used_bytes.zip(gpu.free_bytes).map(|(used, free)| used.saturating_add(free));
        let own = gpu.used_bytes.zip(others_bytes).map(|(used, others)| used.saturating_sub(others));
        Self {
            class,
            read_at: Some(gpu.at),
            free_bytes: gpu.free_bytes,
            own_bytes: own.or_else(|| fresh(&gpu.own)),
            others_bytes,
            available_bytes: all.zip(others_bytes).map(|(all, others)| all.saturating_sub(others)),
        }
    }
}

impl Fits {
    /// `None`: nothing was learned of such a job.
    pub fn of(&self, needs: &Needs) -> Option<&Fit> {
        // Reading a prompt's signature costs more than finding out that there is nothing to look for.
        if self.by_signature.is_empty() { None } else { self.by_signature.get(&Signature::of(needs)) }
    }

    pub(super) fn known(&self, signature: &Signature) -> Option<&Fit> {
        self.by_signature.get(signature)
    }

    /// How often something was learned.
    pub(super) fn version(&self) -> u64 {
        self.learned
    }

    /// It has ended well there. `peak_bytes`: what ComfyUI held at most meanwhile, where that could be seen.
    pub fn has_run(&mut self, needs: &Needs, class: &GpuClass, peak_bytes: Option<u64>) {
        let on = self.on(needs, class);
        (on.has_run, on.out_of_memory) = (true, 0);
        if on.peaks_bytes.len() == limits::VRAM_PEAKS && peak_bytes.is_some() {
            on.peaks_bytes.remove(0);
        }
        on.peaks_bytes.extend(peak_bytes);
    }

    /// It has run out of memory there, so many times at once.
    pub fn ran_out_of_memory(&mut self, needs: &Needs, class: &GpuClass, times: u32, now: UnixMillis) {
        let on = self.on(needs, class);
        on.out_of_memory = on.out_of_memory.saturating_add(times);
        on.out_of_memory_at = now;
    }

    fn on(&mut self, needs: &Needs, class: &GpuClass) -> &mut OnClass {
        self.learned += 1;
        let signature = Signature::of(needs);
        if self.by_signature.len() >= limits::VRAM_SIGNATURES && !self.by_signature.contains_key(&signature) {
            let oldest =
                self.by_signature.iter().min_by_key(|(_, fit)| fit.learned).map(|(signature, _)| *signature);
            oldest.map(|oldest| self.by_signature.remove(&oldest));
        }
        let fit = self.by_signature.entry(signature).or_default();
        fit.learned = self.learned;
        fit.on(class)
    }
}

impl<'a> Claim<'a> {
    pub(super) fn of(job: &Job, fits: &'a Fits, candidates: &[Candidate], now: UnixMillis) -> Self {
        Self::by(fits.of(&job.needs), job, candidates, now)
    }

    /// `fit`: what was learned of the job's like.
    pub(super) fn by(fit: Option<&'a Fit>, job: &Job, candidates: &[Candidate], now: UnixMillis) -> Self {
        let failed = fit.is_some_and(Fit::has_failed);
        Self { fit, may_be_too_big: failed && fit_somewhere(fit, job, candidates, now) }
    }

    pub(super) fn refusal(self, room: &Room, now: UnixMillis) -> Option<Refusal> {
        let (fit, class) = (self.fit?, room.class.as_ref()?);
        let too_big = self.may_be_too_big.then(|| fit.too_big(class, now)).flatten();
        too_big.or_else(|| fit.no_room(class, room))
    }
}

/// Whether there is a backend for the job, whatever its state, whose GPU was not shown to be too small. One whose class is
/// not known may do.
pub fn fits_somewhere(job: &Job, fits: &Fits, candidates: &[Candidate], now: UnixMillis) -> bool {
    fit_somewhere(fits.of(&job.needs), job, candidates, now)
}

fn fit_somewhere(fit: Option<&Fit>, job: &Job, candidates: &[Candidate], now: UnixMillis) -> bool {
    candidates.iter().any(|candidate| {
        let class = candidate.room.class.as_ref();
        let too_big = || fit.zip(class).and_then(|(fit, class)| fit.too_big(class, now));
        suits(&candidate.backend, job) && too_big().is_none()
    })
}

impl Fit {
    /// Whether something was learned since that version of all that was.
    pub(super) fn is_newer_than(&self, version: u64) -> bool {
        self.learned > version
    }

    /// It has run out of memory somewhere, and not run there since.
    pub(super) fn has_failed(&self) -> bool {
        self.on.iter().any(|on| on.out_of_memory > 0)
    }

    fn on(&mut self, class: &GpuClass) -> &mut OnClass {
        // Moved to the end, so that the one used longest ago is the first.
        let known = self.on.iter().position(|on| on.class == *class).map(|at| self.on.remove(at));
        if self.on.len() >= limits::VRAM_CLASSES {
            self.on.remove(0);
        }
        self.on.push_mut(known.unwrap_or_else(|| OnClass::new(class.clone())))
    }

    fn find(&self, class: &GpuClass) -> Option<&OnClass> {
        self.on.iter().find(|on| on.class == *class)
    }

    /// The least that sufficed in the last runs on this class: ComfyUI holds more where there is more, and keeps models
    /// of earlier jobs, so the most would be far too much.
    pub fn needed_bytes(&self, class: &GpuClass) -> Option<u64> {
        self.find(class)?.peaks_bytes.iter().min().copied()
    }

    /// It has run out of memory on this class again and again, or on one with more, and has never run on this one.
    fn too_big(&self, class: &GpuClass, now: UnixMillis) -> Option<Refusal> {
        let here = self.find(class);
        let recent = |on: &&OnClass| on.out_of_memory > 0 && now - on.out_of_memory_at < TOO_BIG_FOR;
        let refused_here = here.filter(recent).filter(|on| on.out_of_memory >= TIMES_TO_BE_TOO_BIG);
        let on_more = |on: &&OnClass| on.class.total_bytes > class.total_bytes;
        let refused_on_more = || {
            let has_run = here.is_some_and(|on| on.has_run && on.out_of_memory == 0);
            self.on.iter().filter(recent).find(on_more).filter(|_| !has_run)
        };
        refused_here.or_else(refused_on_more).map(|on| Refusal::TooBig { gpu: on.class.to_string() })
    }

    fn no_room(&self, class: &GpuClass, room: &Room) -> Option<Refusal> {
        let (needed_bytes, available_bytes) = (self.needed_bytes(class)?, room.available_bytes?);
        let others_bytes = room.others_bytes?;
        (needed_bytes > available_bytes).then_some(Refusal::NoRoom {
            needed_bytes,
            available_bytes,
            others_bytes,
        })
    }
}

impl OnClass {
    fn new(class: GpuClass) -> Self {
        let (peaks_bytes, out_of_memory_at) = (Vec::new(), UnixMillis::default());
        Self { class, peaks_bytes, has_run: false, out_of_memory: 0, out_of_memory_at }
    }
}

impl fmt::Display for GpuClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {}", self.name, gib(self.total_bytes))
    }
}

pub(super) fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / (1_u64 << 30) as f64)
}

#[cfg(test)]
#[path = "vram_tests.rs"]
mod tests;
