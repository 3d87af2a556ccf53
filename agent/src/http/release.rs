//! `POST /-/release`: lets go of NVML for a while, so that a driver can be replaced, a GPU reset or MIG configured.

use std::time::{Duration, Instant};

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::{MayChange, Shared};
use crate::limits::{RELEASE, RELEASE_PATIENCE};

/// A key that is not known is refused: `second=600` would else end after a minute, in the middle of an upgrade.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    seconds: Option<u64>,
}

/// Answers when the driver is let go of. `seconds=0` ends a release.
pub(super) async fn release(
    _: MayChange,
    State(shared): State<Shared>,
    wish: Result<Query<Wish>, QueryRejection>,
) -> (StatusCode, String) {
    let (default, most) = RELEASE;
    let wished = wish.ok().map(|Query(wish)| wish.seconds.map_or(default, Duration::from_secs));
    let Some(duration) = wished.filter(|wished| *wished <= most) else {
        let told =
            format!("give seconds as a whole number of 0 to {}, such as ?seconds=60\n", most.as_secs());
        return (StatusCode::BAD_REQUEST, told);
    };
    shared.release.ask(Instant::now() + duration);
    if duration.is_zero() {
        return (StatusCode::OK, "NVML is opened again\n".to_owned());
    }
    if shared.release.released(RELEASE_PATIENCE).await {
        return (StatusCode::OK, format!("NVML is let go of for {} s\n", duration.as_secs()));
    }
    let hung = "a call into the driver hangs, so NVML cannot be let go of; it will be once the call returns. Stop the \
                agent to free the driver\n";
    (StatusCode::SERVICE_UNAVAILABLE, hung.to_owned())
}
