//! Waiting for a condition that can only be seen by asking.

use std::time::{Duration, Instant};

/// Far longer than anything here takes, so that a busy machine fails no test.
const PATIENCE: Duration = Duration::from_secs(90);
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Asks until there is an answer, and gives it.
pub(crate) fn until<T>(wanted: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain: {wanted}");
        std::thread::sleep(ASK_AGAIN_AFTER);
    }
}
