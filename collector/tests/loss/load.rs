//! Clients that submit one job after the other, whatever happens to the collector meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::client::http;
use super::listener::Listener;
use super::wait::PATIENCE;

const CLIENTS: usize = 20;
/// Between two attempts at anything.
const AGAIN_AFTER: Duration = Duration::from_millis(20);
/// A port that a killed collector had may be another program's by now, which need not answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long after an end that is known its event may come.
const EVENT_WITHIN: Duration = Duration::from_secs(20);

/// An accepted job, and what its client knows of its end.
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) has_ended: bool,
    pub(crate) told: Told,
    pub(crate) times_told: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Heard,
    /// Its socket broke meanwhile: the history told it.
    Excused,
    Missing,
}

pub(crate) struct Load {
    /// Where the collector is now.
    pub(crate) address: watch::Sender<String>,
    over: CancellationToken,
    clients: JoinSet<Vec<Job>>,
    accepted: Arc<AtomicU64>,
}

struct Submitter {
    id: String,
    http: reqwest::Client,
    address: watch::Receiver<String>,
    listener: Listener,
    accepted: Arc<AtomicU64>,
}

impl Load {
    pub(crate) fn start(address: String) -> Self {
        let (address, over) = (watch::Sender::new(address), CancellationToken::new());
        let (mut clients, accepted) = (JoinSet::new(), Arc::<AtomicU64>::default());
        for at in 0..CLIENTS {
            let id = format!("client-{at}");
            let (current, accepted) = (address.subscribe(), Arc::clone(&accepted));
            let listener = Listener::start(id.clone(), current.clone());
            let submitter = Submitter { id, http: http(), address: current, listener, accepted };
            clients.spawn(submitter.work(over.clone()));
        }
        Self { address, over, clients, accepted }
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Lets every client see the end of its last job.
    pub(crate) async fn finish(self) -> Vec<Job> {
        self.over.cancel();
        self.clients.join_all().await.into_iter().flatten().collect()
    }
}

impl Submitter {
    async fn work(self, over: CancellationToken) -> Vec<Job> {
        let mut jobs = Vec::new();
        while !over.is_cancelled() {
            jobs.push(self.one_job(&over).await);
        }
        // An event that comes twice comes soon.
        jobs.into_iter().map(|job| Job { times_told: self.listener.times_told(&job.id), ..job }).collect()
    }

    async fn one_job(&self, over: &CancellationToken) -> Job {
        let (id, life) = (uuid::Uuid::new_v4().to_string(), self.listener.life());
        self.submit(&id).await;
        let has_ended = self.ends(&id, over).await;
        let told = match life {
            Some(life) => self.told(&id, life).await,
            None => Told::Excused,
        };
        Job { id, has_ended, told, times_told: 0 }
    }

    async fn told(&self, id: &str, life: u64) -> Told {
        match tokio::time::timeout(EVENT_WITHIN, self.listener.is_told(id, life)).await {
            Ok(true) => Told::Heard,
            Ok(false) => Told::Excused,
            Err(_) => Told::Missing,
        }
    }

    /// Under the same id until it is accepted: whoever got no answer does not know whether it was.
    async fn submit(&self, id: &str) {
        let body = json!({"prompt": prompt(id), "client_id": self.id, "prompt_id": id});
        loop {
            let url = format!("{}/prompt", *self.address.borrow());
            let Ok(answer) = self.http.post(url).timeout(ANSWER_WITHIN).json(&body).send().await else {
                tokio::time::sleep(AGAIN_AFTER).await;
                continue;
            };
            match answer.status().as_u16() {
                200 => break,
                // A collector that stands by was told nothing by the one that it had asked.
                502 | 503 => tokio::time::sleep(AGAIN_AFTER).await,
                status => panic!("{status} to a submission: {:?}", answer.text().await),
            }
        }
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// False: not within a time that is far longer than it takes, once nothing is killed any more: what is killed each second gets
    /// on with little.
    async fn ends(&self, id: &str, over: &CancellationToken) -> bool {
        let look = async {
            while self.history_of(id).await.is_none() {
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        };
        let patience = async {
            over.cancelled().await;
            tokio::time::sleep(PATIENCE).await;
        };
        let has_ended = tokio::select! {
            () = look => true,
            () = patience => false,
        };
        if !has_ended {
            self.say_what_is_known(id).await;
        }
        has_ended
    }

    /// Of a job that does not end: for whoever has to find out why.
    async fn say_what_is_known(&self, id: &str) {
        for path in
            [format!("orchestrator/v1/jobs/{id}"), "orchestrator/v1/backends".to_owned(), "queue".to_owned()]
        {
            let url = format!("{}/{path}", *self.address.borrow());
            let answer = async { self.http.get(&url).timeout(ANSWER_WITHIN).send().await?.text().await };
            println!("{path}: {:?}", answer.await);
        }
    }

    async fn history_of(&self, id: &str) -> Option<Value> {
        let url = format!("{}/history/{id}", *self.address.borrow());
        let document: Value =
            self.http.get(url).timeout(ANSWER_WITHIN).send().await.ok()?.json().await.ok()?;
        document.get(id).cloned()
    }
}

/// Four steps of 10 ms; no two are alike, so that none is answered out of a server's cache.
pub(crate) fn prompt(id: &str) -> Value {
    let seed = u64::from_str_radix(id.get(..8).unwrap(), 16).unwrap();
    json!({
        "1": {"class_type": "SimLoader",
              "inputs": {"ckpt_name": "sd15.safetensors", "load_seconds": 0.0, "size_mb": 4000}},
        "2": {"class_type": "SimSampler", "inputs": {
            "model": ["1", 0], "seed": seed, "steps": 4, "step_seconds": 0.01, "width": 16, "height": 8, "preview": false,
        }},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": id}},
    })
}
