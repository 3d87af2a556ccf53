//! Ctrl-C while following: the first stops following as soon as what is being saved is saved, the second at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[derive(Clone, Default)]
pub(super) struct Stop {
    pub(super) soon: CancellationToken,
    pub(super) now: CancellationToken,
}

impl Stop {
    /// Listens as long as the program runs.
    pub(super) fn on_ctrl_c() -> Self {
        let stop = Self::default();
        let told = stop.clone();
        // Where signals cannot be listened for, Ctrl-C ends the program as it always does.
        let Ok(mut presses) = signal(SignalKind::interrupt()) else { return stop };
        tokio::spawn(async move {
            for token in [told.soon, told.now] {
                presses.recv().await;
                token.cancel();
            }
        });
        stop
    }
}
