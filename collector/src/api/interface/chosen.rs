//! Which backend answers for the web interface. Settings and saved workflows are kept by each backend for itself, so the
//! choice must not wander: a backend that was named whenever it is up, else the one that answered last, else the first.

use std::sync::{Mutex, PoisonError};

use crate::fleet::{Backend, Fleet, Status};
use crate::id::BackendId;

#[derive(Default)]
pub(super) struct Chosen {
    named: Option<BackendId>,
    held: Mutex<Option<BackendId>>,
}

impl Chosen {
    pub(super) fn new(named: Option<BackendId>) -> Self {
        Self { named, held: Mutex::default() }
    }

    /// None while no backend is up.
    pub(super) fn now(&self, fleet: &Fleet) -> Option<BackendId> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let choice = choose(fleet, self.named.as_ref(), held.as_ref())?;
        // Until each was asked once, the first that is up may not be the first.
        let is_settled = fleet.backends.iter().all(|backend| backend.health.status != Status::Unknown);
        if is_settled && held.as_ref() != Some(&choice.id) {
            tracing::info!(backend = %choice.id, "this backend answers for the web interface");
            *held = Some(choice.id.clone());
        }
        Some(choice.id.clone())
    }
}

fn choose<'a>(fleet: &'a Fleet, named: Option<&BackendId>, held: Option<&BackendId>) -> Option<&'a Backend> {
    let up = || fleet.backends.iter().map(AsRef::as_ref).filter(|backend: &&Backend| backend.health.is_up());
    let wanted = [named, held].into_iter().flatten();
    wanted.filter_map(|id| up().find(|backend| backend.id == *id)).next().or_else(|| up().next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMillis;
    use crate::fleet::Failure;

    /// Backends by their names; a capital is up, `?` after a name: not asked yet.
    fn fleet(text: &str) -> Fleet {
        Fleet::of(text.split(' ').map(|name| {
            let url: url::Url = "http://127.0.0.1:8188".parse().unwrap();
            let id = name.trim_end_matches('?').to_lowercase().parse().unwrap();
            let mut backend = Backend::new(id, url.clone(), url);
            let failure = Failure { refused: true, reason: "refused".into() };
            if name.chars().all(char::is_uppercase) {
                backend.health = backend.health.after_answer(UnixMillis(1));
            } else if !name.ends_with('?') {
                backend.health = backend.health.after_failure(&failure, UnixMillis(1));
            }
            backend
        }))
    }

    /// Who answers, one after the other, as backends come and go.
    fn course(named: Option<&str>, fleets: &[&str]) -> Vec<String> {
        let chosen = Chosen::new(named.map(|name| name.parse().unwrap()));
        let answers = fleets.iter().map(|text| chosen.now(&fleet(text)));
        answers.map(|id| id.map_or_else(String::new, |id| id.to_string())).collect()
    }

    #[test]
    fn another_takes_over_and_stays() {
        assert_eq!(course(None, &["A B", "a B", "A B", "A b", "a b", "A B"]), ["a", "b", "b", "a", "", "a"]);
    }

    #[test]
    fn one_that_was_named_comes_back_to_its_place() {
        assert_eq!(course(Some("b"), &["A B", "A b", "A B"]), ["b", "a", "b"]);
    }

    #[test]
    fn who_answers_first_after_a_start_is_not_chosen_for_good() {
        assert_eq!(course(None, &["a? B", "A B"]), ["b", "a"]);
    }
}
