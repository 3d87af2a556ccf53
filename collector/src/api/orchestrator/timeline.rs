//! What every backend did with its time over the last hour.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::App;
use crate::chronicle::{Doing, SLOT_MILLIS, Slot};
use crate::clock::UnixMillis;

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    since: u64,
}

/// The last hour in slots of equal length, the newest still growing.
#[derive(Serialize, ToSchema)]
pub(super) struct Timeline {
    #[schema(value_type = u64)]
    at: UnixMillis,
    slot_millis: u64,
    #[schema(value_type = BTreeMap<String, Course>)]
    backends: BTreeMap<String, Course>,
}

/// One backend's slots, from the oldest to the newest. A share is in percent of the slot; together they are less than
/// 100 where the collector did not look, or the slot is not over.
#[derive(Default, Serialize, ToSchema)]
pub(super) struct Course {
    /// When the first slot begins, in milliseconds since 1970.
    from: u64,
    down: Vec<u8>,
    idle: Vec<u8>,
    /// A job's models are loaded: from its beginning to its first step, where they were not believed loaded.
    load: Vec<u8>,
    run: Vec<u8>,
    /// It works for others who submitted to it directly.
    others: Vec<u8>,
    /// Of its GPU, in percent; null where it is not known.
    utilization: Vec<Option<u8>>,
    /// Jobs with models that were sent to it in the slot and found them loaded not, and those that did.
    loads_caused: Vec<u32>,
    loads_avoided: Vec<u32>,
}

/// What every backend did with its time over the last hour: down, idle, loading, running, working for others.
#[utoipa::path(get, path = "/orchestrator/v1/timeline", tag = "backends",
    params(("since" = Option<u64>, Query, description = "Only slots that begin then or later, in milliseconds since 1970")),
    responses((status = 200, body = Timeline)))]
pub(super) async fn timeline(State(app): State<Arc<App>>, Query(asked): Query<Asked>) -> Json<Timeline> {
    let courses = app.chronicle.since(asked.since.div_ceil(SLOT_MILLIS));
    let backends =
        courses.into_iter().map(|(backend, (first, slots))| (backend.to_string(), course(first, &slots)));
    Json(Timeline { at: app.clock.now(), slot_millis: SLOT_MILLIS, backends: backends.collect() })
}

fn course(first: u64, slots: &[Slot]) -> Course {
    let share =
        |doing| slots.iter().map(|slot| percent(slot.millis(doing) as f64 / SLOT_MILLIS as f64)).collect();
    Course {
        from: first * SLOT_MILLIS,
        down: share(Doing::Down),
        idle: share(Doing::Idle),
        load: share(Doing::Load),
        run: share(Doing::Run),
        others: share(Doing::Others),
        utilization: slots.iter().map(|slot| slot.utilization().map(percent)).collect(),
        loads_caused: slots.iter().map(|slot| slot.loads_caused).collect(),
        loads_avoided: slots.iter().map(|slot| slot.loads_avoided).collect(),
    }
}

fn percent(ratio: f64) -> u8 {
    (ratio * 100.0).round().clamp(0.0, 100.0) as u8
}
