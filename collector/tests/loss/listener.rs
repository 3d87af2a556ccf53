//! One client's socket, opened again whenever it breaks: which ends it told, and whether it was open all the time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;

/// Between two attempts to open it.
const AGAIN_AFTER: Duration = Duration::from_millis(20);

#[derive(Default)]
struct State {
    /// Odd while it is open; another number for each time.
    life: u64,
    told: HashMap<String, usize>,
}

#[derive(Clone)]
pub(crate) struct Listener {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<()>,
}

impl Listener {
    pub(crate) fn start(client: String, address: watch::Receiver<String>) -> Self {
        let listener = Self { state: Arc::default(), changed: watch::Sender::new(()) };
        tokio::spawn(listener.clone().listen(client, address));
        listener
    }

    /// `None` while it is not open.
    pub(crate) fn life(&self) -> Option<u64> {
        Some(self.state.lock().unwrap().life).filter(|life| life % 2 == 1)
    }

    pub(crate) fn times_told(&self, job: &str) -> usize {
        self.state.lock().unwrap().told.get(job).copied().unwrap_or(0)
    }

    /// Whether the end is told in this life.
    pub(crate) async fn is_told(&self, job: &str, life: u64) -> bool {
        let mut changed = self.changed.subscribe();
        while self.times_told(job) == 0 {
            if self.life() != Some(life) {
                return self.times_told(job) > 0;
            }
            changed.changed().await.unwrap();
        }
        true
    }

    async fn listen(self, client: String, address: watch::Receiver<String>) {
        loop {
            let url = format!("{}/ws?clientId={client}", address.borrow().replace("http:", "ws:"));
            if let Ok((mut stream, _)) = tokio_tungstenite::connect_async(url).await {
                // Its first frame says that it hears of its client's jobs from now on.
                while let Some(Ok(message)) = stream.next().await {
                    self.hear(&message);
                }
                self.close();
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    fn hear(&self, message: &Message) {
        let mut state = self.state.lock().unwrap();
        state.life += u64::from(state.life.is_multiple_of(2));
        if let Some(job) = ended_job(message) {
            *state.told.entry(job).or_default() += 1;
        }
        drop(state);
        self.changed.send_replace(());
    }

    fn close(&self) {
        let mut state = self.state.lock().unwrap();
        state.life += state.life % 2;
        drop(state);
        self.changed.send_replace(());
    }
}

/// ComfyUI's last word on a job: `executing` without a node.
fn ended_job(message: &Message) -> Option<String> {
    let frame: Value = serde_json::from_str(message.to_text().ok()?).ok()?;
    let is_last = frame["type"] == "executing" && frame["data"]["node"].is_null();
    is_last.then(|| frame["data"]["prompt_id"].as_str().map(str::to_owned))?
}
