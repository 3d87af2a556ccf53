//! How much a waiting job counts, and bounds of that for all of a group.

use super::round::Context;
use super::router::Router;
use super::waiting::{Group, Lane, Waiter};

const MINUTE: f64 = 60.0;
/// How much a deadline adds to a job's weight, and from how long before it half of that.
const URGENCY: f64 = 4.0;
const URGENT_SECONDS: f64 = 60.0;

/// A job's weight grows with its age beside the mean wait: so a backlog, in which all are old, does not become a queue in
/// order of arrival; and with the square of that, so that the few which are left far behind come before they are overdue. It falls with its tenant's lead over its share.
pub(super) fn weight(router: &Router, context: &Context, lane: &Lane, waiter: &Waiter, seconds: f64) -> f64 {
    let urgency = waiter.deadline.map_or(0.0, |deadline| {
        let slack = (deadline - context.now - seconds).max(0.0);
        URGENCY / (1.0 + slack / URGENT_SECONDS)
    });
    lane.rank.weight() * (1.0 + urgency) * aged(context, waiter.arrived) * shared(router, waiter.start)
}

/// No job of the group that came at `arrived` or later, with a start tag of `start` or more, weighs more.
pub(super) fn most(router: &Router, context: &Context, group: &Group, arrived: f64, start: f64) -> f64 {
    let urgency = if group.has_deadlines() { URGENCY } else { 0.0 };
    group.most_weight() * (1.0 + urgency) * aged(context, arrived) * shared(router, start)
}

fn aged(context: &Context, arrived: f64) -> f64 {
    let waits = (context.now - arrived).max(0.0) / context.ageing_seconds;
    1.0 + waits * (1.0 + context.ageing_square * waits)
}

fn shared(router: &Router, start: f64) -> f64 {
    let policy = &router.policy;
    let lead = router.shares.lead(start) - policy.lag_grace_seconds;
    1.0 / (1.0 + policy.lag_weight * lead.clamp(0.0, policy.lag_most_seconds) / MINUTE)
}
