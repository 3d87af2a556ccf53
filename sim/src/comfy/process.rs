//! The memory of one running server: gone when it is killed. What outlives it is in [`Rig`].

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::sync::Notify;
use uuid::Uuid;

use super::cache::Cache;
use super::classes::Classes;
use super::config::ComfyConfig;
use super::files::Disk;
use super::history::History;
use super::models::Models;
use super::queue::{Item, Queue};
use super::sockets::Sockets;
use super::state::{Board, Step};
use super::user::User;
use crate::faults::Faults;
use crate::gate::Gate;
use crate::generation::Generation;
use crate::host::Life;
use crate::lock::locked;

/// What outlives the process: the machine, the disk, and the tester's hands and eyes.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) config: ComfyConfig,
    pub(crate) classes: Classes,
    pub(crate) disk: Disk,
    pub(crate) user: Mutex<User>,
    pub(crate) gate: Gate,
    pub(crate) faults: Faults,
    pub(crate) board: Board,
    pub(crate) gpu_uuid: String,
    pub(crate) quirks: Quirks,
    /// The process that runs, if one does.
    pub(crate) process: Mutex<Option<Arc<Process>>>,
}

/// How its memory misbehaves on command.
#[derive(Debug, Default)]
pub(crate) struct Quirks {
    pub(crate) keeps_memory: AtomicBool,
    pub(crate) keeps_models: AtomicBool,
    pub(crate) out_of_memory: AtomicU64,
}

impl Quirks {
    /// Whether a sampler runs out of memory now.
    pub(crate) fn takes_memory(&self) -> bool {
        let less = |left: u64| left.checked_sub(1);
        self.out_of_memory.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

impl Rig {
    pub(crate) fn new(config: ComfyConfig) -> Self {
        Self {
            classes: Classes::new(&config),
            config,
            disk: Disk::default(),
            user: Mutex::default(),
            gate: Gate::default(),
            faults: Faults::default(),
            board: Board::default(),
            gpu_uuid: format!("GPU-{}", Uuid::new_v4()),
            quirks: Quirks::default(),
            process: Mutex::new(None),
        }
    }
}

/// What `/free` asked for and is not done yet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flags {
    pub(crate) unload_models: bool,
    pub(crate) free_memory: bool,
}

/// Whose prompt runs, and where it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Current {
    pub(crate) client_id: Option<String>,
    pub(crate) node: Option<String>,
}

/// One running server.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) rig: Arc<Rig>,
    pub(crate) life: Life,
    pub(crate) queue: Mutex<Queue>,
    pub(crate) history: Mutex<History>,
    pub(crate) sockets: Mutex<Sockets>,
    pub(crate) cache: Mutex<Cache>,
    pub(crate) models: Mutex<Models>,
    pub(crate) flags: Mutex<Flags>,
    pub(crate) current: Mutex<Current>,
    pub(crate) interrupted: AtomicBool,
    /// Its context on the GPU is broken.
    pub(crate) is_broken: AtomicBool,
    /// What runs is lost.
    pub(crate) lost: Notify,
    pub(crate) wake: Notify,
    /// Five letters in the names of this process's previews.
    pub(crate) temp_letters: String,
    next_number: AtomicU64,
}

impl Process {
    pub(crate) fn new(rig: Arc<Rig>, life: Life) -> Self {
        let models = Mutex::new(Models::new(rig.config.vram_bytes, rig.config.ram_bytes));
        Self {
            rig,
            life,
            models,
            queue: Mutex::default(),
            history: Mutex::default(),
            sockets: Mutex::default(),
            cache: Mutex::default(),
            flags: Mutex::default(),
            current: Mutex::default(),
            interrupted: AtomicBool::new(false),
            is_broken: AtomicBool::new(false),
            lost: Notify::new(),
            wake: Notify::new(),
            temp_letters: five_letters(),
            next_number: AtomicU64::new(0),
        }
    }

    pub(crate) fn generation(&self) -> Generation {
        self.rig.config.generation
    }

    /// The number of the next prompt that brings none.
    pub(crate) fn take_number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn enqueue(&self, item: Item) {
        self.rig.board.change(|state| {
            state.stamp(&item.prompt_id, Step::Accepted);
            state.counters.accepted += 1;
        });
        locked(&self.queue).push(item);
        self.queue_changed();
        self.wake.notify_one();
    }

    /// Publishes the queue to tests and tells every client how many remain.
    pub(crate) fn queue_changed(&self) {
        let queue = locked(&self.queue);
        let (pending, remaining) = (queue.order(), queue.remaining());
        self.rig.board.change(|state| state.pending = pending);
        locked(&self.sockets).send("status", &status(remaining), None);
    }

    pub(crate) fn remaining(&self) -> usize {
        locked(&self.queue).remaining()
    }

    pub(crate) fn models_changed(&self) {
        let models = locked(&self.models);
        let (loaded, loaded_mb) = (models.names(), models.used_mb());
        self.rig.board.change(|state| (state.loaded, state.loaded_mb) = (loaded, loaded_mb));
    }

    pub(crate) fn sockets_changed(&self) {
        let clients = locked(&self.sockets).ids();
        self.rig.board.change(|state| state.clients = clients);
    }

    pub(crate) fn unload_models(&self) {
        locked(&self.models).unload_all();
        self.models_changed();
    }

    /// Does what `/free` asked for: when idle, or between two prompts.
    pub(crate) fn apply_flags(&self) {
        let flags = std::mem::take(&mut *locked(&self.flags));
        if self.rig.quirks.keeps_memory.load(Ordering::Relaxed) {
            return;
        }
        if flags.unload_models || flags.free_memory {
            self.unload_models();
        }
        if flags.free_memory {
            locked(&self.cache).clear();
        }
    }

    /// Interrupts what runs; with an id, only if that one runs.
    pub(crate) fn interrupt(&self, prompt_id: Option<&str>) {
        let runs = locked(&self.queue).running.as_ref().map(|item| item.prompt_id.clone());
        if prompt_id.is_none_or(|wanted| runs.as_deref() == Some(wanted)) {
            self.interrupted.store(true, Ordering::SeqCst);
        }
    }
}

/// The data of a `status` message.
pub(crate) fn status(remaining: usize) -> Value {
    json!({"status": {"exec_info": {"queue_remaining": remaining}}})
}

/// Milliseconds of the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

fn five_letters() -> String {
    Uuid::new_v4().into_bytes().iter().take(5).map(|byte| char::from(b'a' + byte % 26)).collect()
}
