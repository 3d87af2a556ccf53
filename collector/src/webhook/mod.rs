//! Webhooks: whom a submission named is told of its job's end. The queue writes what is to be told with the end itself
//! (`job/notice.rs`); here it is sent, signed, until the receiver takes it or a day has passed. `address`, `plan`, `schedule`
//! and `signature` are pure. It knows nothing of backends, and changes no job.

mod address;
mod courier;
mod plan;
mod schedule;
mod send;
mod signature;

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use self::address::{Forbidden, Rules};
use self::courier::Tools;
use self::send::Sender;
pub use self::signature::{SecretError, Secrets};
use crate::clock::Clock;
use crate::lifecycle;
use crate::metrics::Metrics;
use crate::queue::Queue;

/// What [`start`] is given; `run.rs` has it all.
pub struct Parts {
    pub queue: Queue,
    pub rules: Rules,
    pub secrets: watch::Receiver<Arc<Secrets>>,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    pub stop: CancellationToken,
}

/// Sends what waits, from now on.
///
/// # Errors
/// HTTP cannot be set up.
pub fn start(parts: Parts) -> Result<(), comfyui::Error> {
    let Parts { queue, rules, secrets, clock, metrics, stop } = parts;
    let written = queue.noticed();
    let tools = Tools { queue, sender: Sender::new(rules, secrets)?, clock, metrics };
    lifecycle::vital("webhooks", stop.clone(), courier::run(tools, written, stop));
    Ok(())
}
