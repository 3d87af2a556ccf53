//! Every backend's part in why a job waits, recomputed on the same snapshot as the decision: "why here" and "why waiting".

use super::desk::{self, Desk};
use super::elsewhere::Better;
use super::key::{SlotId, Ticket};
use super::memory::Tier;
use super::round::{Choice, Context};
use super::router::Router;
use super::slot::Standing;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// It gets no job at all.
    Closed,
    /// It may not run this one.
    Unfit,
    /// Its tenant has another that goes first.
    Outranked,
    Busy {
        seconds: f64,
        load_seconds: f64,
        run_seconds: f64,
    },
    /// It would have to load the model, and another that holds it is soon enough.
    LeavesToHot {
        slot: SlotId,
        seconds: f64,
        load_seconds: f64,
    },
    LeavesToWarm {
        slot: SlotId,
        seconds: f64,
        load_seconds: f64,
    },
    /// It takes another job first.
    TakesOther {
        choice: Choice,
        load_seconds: f64,
        run_seconds: f64,
    },
    Takes {
        choice: Choice,
    },
}

pub(super) fn explain(router: &Router, ticket: Ticket, now: f64) -> Vec<(SlotId, Verdict)> {
    let context = Context::of(router, now);
    let slots = (0..router.slots.len()).filter_map(|slot| u32::try_from(slot).ok()).map(SlotId);
    slots.filter_map(|slot| Some((slot, judge(router, &context, slot, ticket)?))).collect()
}

fn judge(router: &Router, context: &Context, id: SlotId, ticket: Ticket) -> Option<Verdict> {
    let entry = router.waiting.get(ticket)?;
    let group = router.waiting.group(entry.group)?;
    let known = router.kinds.get(&entry.lane.kind)?;
    let desk = Desk::new(router, context, id)?;
    if !desk.slot.is_open() {
        return Some(Verdict::Closed);
    }
    if !known.may_run_on(id) {
        return Some(Verdict::Unfit);
    }
    let head = desk.unranked(&entry.lane, &entry.waiter)?;
    let (load_seconds, run_seconds) = (head.load_seconds, head.run_seconds);
    if let Standing::Busy { .. } = desk.slot.standing {
        return Some(Verdict::Busy { seconds: desk.slot.residual(context.now), load_seconds, run_seconds });
    }
    if desk.clone().head(&entry.lane, &entry.waiter).is_none() {
        return Some(Verdict::Outranked);
    }
    if desk.tier(group) != Tier::Vram {
        match desk.better(group) {
            Some(Better::Hot { slot, seconds }) => {
                return Some(Verdict::LeavesToHot { slot, seconds, load_seconds });
            }
            Some(Better::Warm { slot, seconds }) => {
                return Some(Verdict::LeavesToWarm { slot, seconds, load_seconds });
            }
            None => {}
        }
    }
    let choice = desk::choose(router, context, id)?;
    Some(match choice.ticket == ticket {
        true => Verdict::Takes { choice },
        false => Verdict::TakesOther { choice, load_seconds, run_seconds },
    })
}
