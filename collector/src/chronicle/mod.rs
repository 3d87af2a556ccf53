//! What every backend did with its time over the last hour: for people who look, and for nothing that decides. It is
//! told by one task, kept in memory, and gone with the program.

mod course;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use self::course::{Course, Doing, SLOT_MILLIS, Sight, Slot};
use crate::clock::{Clock, UnixMillis};
use crate::dispatch::{Running, View};
use crate::fleet::Backend;
use crate::id::BackendId;
use crate::limits;
use crate::route::Candidate;

#[derive(Default)]
pub struct Chronicle(Mutex<BTreeMap<BackendId, Course>>);

impl Chronicle {
    /// All backends of the fleet as they are now; of those that have left it nothing is kept.
    fn see(&self, at: UnixMillis, sights: Vec<(BackendId, Sight)>) {
        self.courses(|courses| {
            let mut before = std::mem::take(courses);
            for (backend, sight) in sights {
                let mut course = before.remove(&backend).unwrap_or_default();
                course.see(at, sight);
                courses.insert(backend, course);
            }
        });
    }

    /// Each backend's slots from this number on, with the number of its first.
    pub fn since(&self, number: u64) -> BTreeMap<BackendId, (u64, Vec<Slot>)> {
        self.courses(|courses| {
            courses.iter().map(|(backend, course)| (backend.clone(), course.since(number))).collect()
        })
    }

    fn courses<T>(&self, act: impl FnOnce(&mut BTreeMap<BackendId, Course>) -> T) -> T {
        // A poisoned map is still a map: at worst a backend's hour begins anew.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Looks until told to stop.
pub async fn keep(
    chronicle: Arc<Chronicle>,
    view: watch::Receiver<Arc<View>>,
    clock: Clock,
    stop: CancellationToken,
) {
    let mut look = tokio::time::interval(limits::CHRONICLE_LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(look.tick()).await.is_some() {
        let view = view.borrow().clone();
        chronicle.see(clock.now(), sights(&view));
    }
}

fn sights(view: &View) -> Vec<(BackendId, Sight)> {
    let at_work = view.running.values().filter(|running| running.works());
    let at_work: HashMap<&BackendId, &Running> = at_work.map(|running| (&running.backend, running)).collect();
    let of = |candidate: &Candidate| {
        let backend = &candidate.backend;
        let sight = Sight {
            doing: doing(candidate, at_work.get(&backend.id).copied()),
            utilization: utilization(backend),
            loads: view.loads.get(&backend.id).copied().unwrap_or_default(),
        };
        (backend.id.clone(), sight)
    };
    view.candidates.iter().map(of).collect()
}

fn doing(candidate: &Candidate, at_work: Option<&Running>) -> Option<Doing> {
    let health = &candidate.backend.health;
    if health.is_down() {
        return Some(Doing::Down);
    }
    match at_work {
        Some(running) if running.loads() => Some(Doing::Load),
        Some(_) => Some(Doing::Run),
        None if candidate.foreign > 0 => Some(Doing::Others),
        None => health.is_up().then_some(Doing::Idle),
    }
}

fn utilization(backend: &Backend) -> Option<f64> {
    let percent = backend.agent.as_ref()?.value.document.gpu_utilization?;
    Some(f64::from(percent) / 100.0)
}
