//! Waiting for something that another process does: looked at again and again, and bounded.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::{Instant, sleep, timeout_at};

const PAUSE: Duration = Duration::from_millis(50);

/// Calls `look` until it answers `Some`, and gives that. An error of `look` counts as "not yet".
///
/// # Errors
/// After `limit`: `what` was waited for, and the last error of `look`.
pub(crate) async fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + limit;
    let mut last = None;
    loop {
        match timeout_at(end, look()).await {
            Ok(Ok(Some(value))) => return Ok(value),
            Ok(Ok(None)) => last = None,
            Ok(Err(error)) => last = Some(error),
            Err(_) => {}
        }
        if Instant::now() >= end {
            match last {
                Some(error) => {
                    return Err(error).with_context(|| format!("{limit:?} went by without {what}"));
                }
                None => bail!("{limit:?} went by without {what}"),
            }
        }
        sleep(PAUSE).await;
    }
}
