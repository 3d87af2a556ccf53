//! Where running jobs wait: held by a test, or hung like a process whose interpreter is stuck.

use tokio::sync::watch;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Position {
    held: bool,
    allowed_steps: u64,
    hung: bool,
}

/// Opened and closed by tests, passed by every step of a job and by every answer.
#[derive(Debug)]
pub(crate) struct Gate(watch::Sender<Position>);

impl Default for Gate {
    fn default() -> Self {
        Self(watch::Sender::new(Position::default()))
    }
}

impl Gate {
    pub(crate) fn hold(&self) {
        self.0.send_modify(|position| (position.held, position.allowed_steps) = (true, 0));
    }

    /// Lets `steps` more steps pass and stays closed after them.
    pub(crate) fn let_pass(&self, steps: u64) {
        self.0.send_modify(|position| position.allowed_steps += steps);
    }

    pub(crate) fn release(&self) {
        self.0.send_modify(|position| (position.held, position.allowed_steps) = (false, 0));
    }

    pub(crate) fn hang(&self, hung: bool) {
        self.0.send_modify(|position| position.hung = hung);
    }

    /// Waits for leave to take one step; `waits` is called before each wait.
    pub(crate) async fn step(&self, waits: impl Fn()) {
        let mut changes = self.0.subscribe();
        while !self.try_step() {
            waits();
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits while the process hangs.
    pub(crate) async fn answer(&self) {
        let mut changes = self.0.subscribe();
        // The sender lives as long as this gate.
        let _ = changes.wait_for(|position| !position.hung).await;
    }

    fn try_step(&self) -> bool {
        let mut passes = false;
        self.0.send_if_modified(|position| {
            let pays = position.held && position.allowed_steps > 0;
            passes = !position.hung && (!position.held || pays);
            if passes && pays {
                position.allowed_steps -= 1;
            }
            false
        });
        passes
    }
}
