//! Waiting for a condition that can only be seen by asking. Knows nothing of collectors.

use std::time::{Duration, Instant};

/// Far longer than anything here takes, so that a busy machine fails no test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(10);

/// Asks until there is an answer, and gives it.
pub(crate) async fn until<T>(wanted: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain: {wanted}");
        tokio::time::sleep(ASK_AGAIN_AFTER).await;
    }
}
