//! Who asks, in every request that reaches a route.

use std::sync::Arc;

use tokio::sync::watch;

use crate::access::{Entry, Role, Tokens};
use crate::job::Job;

#[derive(Clone, Debug)]
pub(crate) enum Asker {
    /// No tokens are asked for.
    Anyone,
    Known(Known),
}

#[derive(Clone, Debug)]
pub(crate) struct Known {
    entry: Arc<Entry>,
    tokens: Option<watch::Receiver<Arc<Tokens>>>,
}

impl Asker {
    pub(super) fn known(entry: Arc<Entry>, tokens: Option<watch::Receiver<Arc<Tokens>>>) -> Self {
        Self::Known(Known { entry, tokens })
    }

    /// Whose the jobs are that it submits.
    pub(crate) fn name(&self) -> Option<&str> {
        self.entry().map(|entry| entry.name.as_str())
    }

    pub(crate) fn role(&self) -> Role {
        self.entry().map_or(Role::Admin, |entry| entry.role)
    }

    /// How many of them may wait.
    pub(crate) fn max_waiting(&self) -> Option<usize> {
        self.entry().and_then(|entry| entry.allowance.max_waiting)
    }

    /// Whether everybody's jobs are its to stop, not only its own.
    pub(crate) fn operates(&self) -> bool {
        self.entry().is_none_or(|entry| entry.role >= Role::Operate)
    }

    /// Whether it may stop or remove this job.
    pub(crate) fn commands(&self, job: &Job) -> bool {
        self.operates() || job.owner.as_deref() == self.name()
    }

    /// The owner whose ended jobs alone it may forget; None: everybody's.
    pub(crate) fn forgets_of(&self) -> Option<String> {
        self.name().filter(|_| !self.operates()).map(str::to_owned)
    }

    fn entry(&self) -> Option<&Entry> {
        match self {
            Self::Anyone => None,
            Self::Known(known) => Some(&known.entry),
        }
    }

    /// Returns when the token is taken out of the file.
    pub(crate) async fn lost(&mut self) {
        let Self::Known(Known { entry, tokens: Some(tokens) }) = self else {
            return std::future::pending().await;
        };
        // The sender is gone only when the program ends.
        let _ = tokens.wait_for(|tokens| tokens.find(&entry.sha256).is_none()).await;
    }
}
