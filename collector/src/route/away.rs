//! Files that a job loads and another backend made: where they are costs nothing, elsewhere they are fetched first, and
//! while their owner is down they cannot be.

use super::{Candidate, Refusal};
use crate::id::BackendId;
use crate::job::{Needs, as_input, owner_of};

/// What fetching one file is taken for: a picture needs less, a film more, and either is little beside a run.
const FETCH_SECONDS: f64 = 0.5;

/// Seconds until all is there, or why that cannot be now. A first segment that is no backend's name is a folder's, and
/// means nothing here.
pub(super) fn fetch_seconds(fleet: &[Candidate], backend: &BackendId, needs: &Needs) -> Result<f64, Refusal> {
    let mut seconds = 0.0;
    for file in &needs.outputs {
        let Some((owner, there)) = owner_of(file).filter(|(owner, _)| owner != backend) else { continue };
        match fleet.iter().find(|candidate| candidate.backend.id == owner) {
            None => {}
            Some(candidate) if candidate.backend.health.is_up() => seconds += FETCH_SECONDS,
            Some(_) => return Err(Refusal::FileAway { file: as_input(&there), owner }),
        }
    }
    Ok(seconds)
}
