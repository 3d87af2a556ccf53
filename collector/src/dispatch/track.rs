//! One attempt, followed: which state it is in, and what a frame from its backend means for it. Pure.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use comfyui::message::{Frame, Message};
use serde_json::Value;

use super::pace::Pauses;
use super::results;
use crate::clock::UnixMillis;
use crate::event::Event;
use crate::id::BackendId;
use crate::job::{Attempt, Course, Job, Outcome};
use crate::limits;
use crate::route::free::HELD_BYTES;
use crate::route::{Asset, GpuClass, Room, Tier, Timing};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The intent is being committed, files delivered, the prompt posted.
    Sending,
    /// The backend has it, and we hear of it.
    Following,
    /// Something was lost: it has to be looked up, not before the given time.
    Doubtful {
        not_before: UnixMillis,
    },
    LookingUp,
    /// Its end is known; the results are being fetched and committed.
    Concluding,
}

pub(super) struct Track {
    pub job: Arc<Job>,
    pub attempt: u32,
    pub backend: BackendId,
    /// The id under which the backend knows it, as soon as that is certain.
    pub prompt_id: Option<String>,
    pub phase: Phase,
    /// Lookups in a row that did not find it.
    pub misses: u32,
    /// Something was missed while it could not be looked up: it has to be, as soon as it can.
    pub shaken: bool,
    /// What went wrong when it was sent, for whoever is told that it was lost.
    pub trouble: Option<String>,
    /// A client wants it stopped.
    pub stop: Stop,
    /// It is not to be stopped once it runs.
    pub stop_only_pending: bool,
    pub dispatched_at: UnixMillis,
    pub started_at: Option<UnixMillis>,
    pub first_step_at: Option<UnixMillis>,
    /// The node at work, and how many of its steps are done, of how many.
    pub node: Option<String>,
    pub steps: Option<(f64, f64)>,
    /// It was found running, so its start is not known; and while it ran, its first step may have been missed.
    start_unheard: bool,
    step_unheard: bool,
    /// The backend can run another job.
    pub released_at: Option<UnixMillis>,
    pub heard_at: UnixMillis,
    /// The models were believed loaded when it was sent; and where each was, as far as it is known.
    pub models_loaded: bool,
    pub loads: Vec<(Asset, Tier)>,
    /// What it was expected to take, loads included.
    pub expected_seconds: Option<f64>,
    /// The GPU that it was sent to, and its memory while it runs.
    pub gpu: Gpu,
    /// Pauses between the steps that it told.
    pub pauses: Pauses,
    stepped_at: Option<UnixMillis>,
    /// Its client was told that it has begun, by an attempt before this one or by this one: it hears that once.
    pub begun_before: bool,
    pub begun: bool,
    early: VecDeque<Frame>,
    /// How it ended, as frames told; they are passed on only once the end is committed.
    pub ending: Ending,
    /// Output nodes whose `executed` was passed on.
    pub told_outputs: Vec<String>,
    /// Results as frames told, in case the backend is lost before its history can be read.
    pub outputs: serde_json::Map<String, Value>,
}

/// What one attempt sees of its backend's GPU.
#[derive(Clone, Debug, Default)]
pub(super) struct Gpu {
    pub class: Option<GpuClass>,
    /// What ComfyUI held when the job was sent.
    pub held_bytes: Option<u64>,
    /// The most that it held while the job ran, the time of the last reading, and how many there were.
    most_bytes: u64,
    read_at: UnixMillis,
    readings: u32,
}

impl Gpu {
    pub(super) fn of(room: &Room) -> Self {
        Self { class: room.class.clone(), held_bytes: room.own_bytes, ..Self::default() }
    }

    /// Memory that jobs before it left there is not its own, as far as that can be told: where nothing was held, or none
    /// of its models were. One reading alone may have come between two nodes.
    pub(super) fn needed_bytes(&self, models_loaded: bool) -> Option<u64> {
        let held = self.held_bytes.filter(|_| self.readings >= 2)?;
        match held {
            held if held < HELD_BYTES => Some(self.most_bytes),
            _ if models_loaded => None,
            held => Some(self.most_bytes.saturating_sub(held).saturating_add(HELD_BYTES / 2)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    No,
    Asked,
    /// The backend was told; at most so often as a step of the sampler may take.
    Told {
        at: UnixMillis,
    },
}

#[derive(Clone, Debug, Default)]
pub(super) struct Ending {
    /// What a frame said; `None`: nothing but that it is over, which in 2024 means success.
    pub outcome: Option<Outcome>,
    /// `execution_success`, `execution_error` or `execution_interrupted`, with the client's id.
    pub last: Option<Message>,
}

/// What a frame means beyond the track itself.
#[derive(Debug, PartialEq)]
pub(super) enum Effect {
    Tell(Event),
    Executing(Utf8Bytes),
    /// The backend is free for the next job.
    Released,
    /// Nothing more will come.
    Ended,
}

impl Track {
    pub(super) fn new(
        job: Arc<Job>,
        attempt: u32,
        backend: BackendId,
        now: UnixMillis,
        models_loaded: bool,
    ) -> Self {
        Self {
            job,
            attempt,
            backend,
            prompt_id: None,
            phase: Phase::Sending,
            misses: 0,
            shaken: false,
            trouble: None,
            stop: Stop::No,
            stop_only_pending: false,
            dispatched_at: now,
            started_at: None,
            first_step_at: None,
            node: None,
            steps: None,
            start_unheard: false,
            step_unheard: false,
            released_at: None,
            heard_at: now,
            models_loaded,
            loads: Vec::new(),
            expected_seconds: None,
            gpu: Gpu::default(),
            pauses: Pauses::default(),
            stepped_at: None,
            begun_before: false,
            begun: false,
            early: VecDeque::new(),
            ending: Ending::default(),
            told_outputs: Vec::new(),
            outputs: serde_json::Map::new(),
        }
    }

    /// An attempt found in the store at start: what became of it must be looked up.
    pub(super) fn found(job: Arc<Job>, attempt: &Attempt, now: UnixMillis) -> Self {
        let mut track = Self::new(job, attempt.number, attempt.backend.clone(), attempt.dispatched_at, true);
        track.prompt_id = attempt.prompt_id.clone();
        track.phase = Phase::Doubtful { not_before: now };
        track.heard_at = now;
        track
    }

    /// What its backend's ComfyUI holds of the GPU now.
    pub(super) fn see_memory(&mut self, room: &Room) {
        let Some((own, at)) = room.own_bytes.zip(room.read_at) else { return };
        let runs = self.runs() && self.started_at.is_some_and(|started| at > started);
        if runs && at > self.gpu.read_at {
            let gpu = &mut self.gpu;
            (gpu.most_bytes, gpu.read_at, gpu.readings) = (gpu.most_bytes.max(own), at, gpu.readings + 1);
        }
    }

    pub(super) fn is_released(&self) -> bool {
        self.released_at.is_some()
    }

    /// Whether it occupies the backend's one place, as far as frames tell.
    pub(super) fn runs(&self) -> bool {
        self.started_at.is_some() && !self.is_released()
    }

    /// Something may have been missed: it is looked up as soon as nothing else is under way for it.
    pub(super) fn doubt(&mut self, not_before: UnixMillis) {
        self.step_unheard |= self.runs() && self.first_step_at.is_none();
        match self.phase {
            Phase::Following => self.phase = Phase::Doubtful { not_before },
            Phase::Sending | Phase::LookingUp => self.shaken = true,
            Phase::Doubtful { .. } | Phase::Concluding => {}
        }
    }

    /// The backend has answered, so frames that came before are now known to be its own.
    pub(super) fn accepted(&mut self, prompt_id: String, now: UnixMillis) -> Vec<Effect> {
        self.prompt_id = Some(prompt_id);
        self.phase = Phase::Following;
        self.misses = 0;
        self.heard_at = now;
        let early = std::mem::take(&mut self.early);
        let mine = |frame: &Frame| frame.prompt_id().is_none_or(|id| Some(id) == self.prompt_id.as_deref());
        let mine: Vec<Frame> = early.into_iter().filter(mine).collect();
        let effects = mine.into_iter().flat_map(|frame| self.hear(frame, now)).collect();
        if std::mem::take(&mut self.shaken) {
            self.doubt(now);
        } else if self.is_released() {
            // It is over but for the last word; should that be lost, it is looked up before long.
            self.doubt(now.after(limits::LOOKUP_AGAIN_AFTER));
        }
        effects
    }

    /// Whether a frame from its backend is about it: by its id, or, for one that names no prompt, because it runs.
    pub(super) fn owns(&self, frame: &Frame) -> bool {
        let live = self.phase != Phase::Concluding;
        match (frame.prompt_id(), &self.prompt_id) {
            (Some(theirs), Some(mine)) => live && theirs == mine,
            (None, Some(_)) => live && self.runs() && !matches!(frame, Frame::Message(Message::Status(_))),
            (_, None) => false,
        }
    }

    /// Whether a frame that no other attempt owns may turn out to be about it: its id is not known yet.
    pub(super) fn may_own(&self) -> bool {
        self.phase == Phase::Sending
    }

    pub(super) fn hear(&mut self, mut frame: Frame, now: UnixMillis) -> Vec<Effect> {
        if self.phase == Phase::Sending {
            match self.early.len() < limits::EARLY_FRAMES {
                true => self.early.push_back(frame),
                false => self.shaken = true,
            }
            return Vec::new();
        }
        self.heard_at = now;
        frame.set_prompt_id(&self.job.id.to_string());
        match frame {
            Frame::Message(message) => self.hear_message(message, now),
            Frame::Preview(preview) => {
                let with_metadata = preview.metadata.is_some().then(|| preview.to_binary(true));
                vec![Effect::Tell(Event::Preview { plain: preview.to_binary(false), with_metadata })]
            }
            Frame::Text(text) => {
                vec![Effect::Tell(Event::Preview { plain: text.to_binary(), with_metadata: None })]
            }
            Frame::Other(_) => Vec::new(),
        }
    }

    fn hear_message(&mut self, mut message: Message, now: UnixMillis) -> Vec<Effect> {
        match &mut message {
            Message::Status(_) | Message::FeatureFlags(_) => return Vec::new(),
            Message::Executing(executing) if executing.node.is_none() => return self.over(now),
            Message::Executing(executing) => {
                self.see_running(false, now);
                (self.node, self.steps, self.stepped_at) = (executing.node.clone(), None, None);
                return vec![Effect::Executing(message.to_text().into())];
            }
            Message::ExecutionSuccess(_) => return self.ends(Outcome::Succeeded, message, now),
            Message::ExecutionError(_) => return self.ends(Outcome::Failed, message, now),
            Message::ExecutionInterrupted(_) => return self.ends(Outcome::Interrupted, message, now),
            Message::ExecutionStart(_) | Message::ExecutionCached(_) if self.begun_before => {
                // Another attempt: to its client it is one run.
                self.see_running(matches!(message, Message::ExecutionStart(_)), now);
                return Vec::new();
            }
            Message::Progress(progress) => {
                self.first_step_at.get_or_insert(now);
                self.steps = progress.value.as_f64().zip(progress.max.as_f64());
                if let Some(before) = self.stepped_at.replace(now) {
                    self.pauses.add(now - before);
                }
            }
            Message::Executed(executed) => {
                results::name_backend(&mut executed.output, &self.backend);
                self.told_outputs.push(executed.node.clone());
                self.outputs.insert(executed.node.clone(), executed.output.clone());
            }
            _ => {}
        }
        self.see_running(matches!(message, Message::ExecutionStart(_)), now);
        self.begun |= matches!(message, Message::ExecutionStart(_));
        let light = matches!(message, Message::Progress(_) | Message::ProgressState(_));
        let text = message.to_text();
        vec![Effect::Tell(if light { Event::light(text) } else { Event::heavy(text) })]
    }

    /// That it begins `execution_start` alone tells; anything else, heard first, tells that this was missed.
    pub(super) fn see_running(&mut self, begins: bool, now: UnixMillis) {
        if self.started_at.is_none() {
            (self.started_at, self.start_unheard) = (Some(now), !begins);
        }
    }

    /// What is known of its times, to be kept with its end.
    pub(super) fn course(&self) -> Course {
        let started_at = self.started_at.filter(|_| !self.start_unheard);
        let is_first = started_at.is_some() && !self.step_unheard;
        Course { started_at, first_step_at: self.first_step_at.filter(|_| is_first) }
    }

    fn ends(&mut self, outcome: Outcome, message: Message, now: UnixMillis) -> Vec<Effect> {
        self.ending = Ending { outcome: Some(outcome), last: Some(message) };
        self.release(now)
    }

    fn over(&mut self, now: UnixMillis) -> Vec<Effect> {
        let mut effects = self.release(now);
        self.phase = Phase::Concluding;
        effects.push(Effect::Ended);
        effects
    }

    fn release(&mut self, now: UnixMillis) -> Vec<Effect> {
        let first = self.released_at.is_none();
        self.released_at.get_or_insert(now);
        if first { vec![Effect::Released] } else { Vec::new() }
    }

    /// What the attempt teaches about load and run times, once it has ended.
    pub(super) fn timing(&self) -> Option<Timing> {
        let (started, ended) = (self.course().started_at?, self.released_at?);
        let load_seconds = self.first_step_at.map(|first_step| (first_step - started).as_secs_f64());
        let all_seconds = (ended - started).as_secs_f64();
        let loading = load_seconds.filter(|_| !self.models_loaded);
        Some(Timing { load_seconds, run_seconds: all_seconds - loading.unwrap_or(0.0), all_seconds })
    }
}

#[cfg(test)]
#[path = "track_tests.rs"]
mod tests;
