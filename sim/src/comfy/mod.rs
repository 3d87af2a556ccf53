//! A simulated ComfyUI server, and the hands of the tester who makes it fail.

mod cache;
mod classes;
mod config;
mod execute;
mod files;
mod history;
mod http;
mod models;
mod nodes;
mod plan;
mod process;
mod queue;
mod sockets;
mod state;
mod user;
mod validate;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::faults::Fault;
use crate::host::Host;
use crate::lock::locked;
pub use config::ComfyConfig;
use files::Place;
pub(crate) use process::Rig;
use process::{Process, now_ms};
pub use state::{Counters, Outcome, Run, Stamp, State, Step};

/// How long [`Comfy::wait_for`] waits before it gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running simulated server. Clones are the same server; it ends when the last one is dropped.
#[derive(Clone, Debug)]
pub struct Comfy {
    site: Arc<Site>,
}

#[derive(Debug)]
struct Site {
    host: Host,
    rig: Arc<Rig>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.host.abandon();
        // Else rig and process would keep each other.
        locked(&self.rig.process).take();
    }
}

impl Comfy {
    /// Starts a server.
    ///
    /// # Errors
    /// [`Error::Start`] where the address cannot be had.
    pub async fn start(config: ComfyConfig) -> Result<Self> {
        let address = (config.address, config.port).into();
        let host = Host::reserve(address).map_err(|source| Error::Start { address, source })?;
        let comfy = Self { site: Arc::new(Site { host, rig: Arc::new(Rig::new(config)) }) };
        comfy.up()?;
        Ok(comfy)
    }

    /// `http://ADDRESS:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.site.host.address())
    }

    /// What the server is like.
    pub fn config(&self) -> &ComfyConfig {
        &self.site.rig.config
    }

    /// Dies like by `kill -9`: the listener is closed, connections are reset, queue, history and caches are
    /// gone. The port stays its own, and connecting to it is refused.
    pub async fn kill(&self) {
        self.site.host.down().await;
        if locked(&self.site.rig.process).take().is_some() {
            self.site.rig.board.died();
        }
    }

    /// Starts a new process on the same port, after killing the old one where it runs. Input and output files
    /// are still there, temporary ones are not.
    ///
    /// # Errors
    /// [`Error::Start`] where the system refuses to listen.
    pub async fn restart(&self) -> Result<()> {
        self.kill().await;
        self.site.rig.disk.empty_temp();
        self.up()
    }

    /// Whether its process runs.
    pub fn is_up(&self) -> bool {
        self.site.host.is_up()
    }

    /// Stops jobs before their next step: before a node, and before each step of a sampler.
    pub fn hold(&self) {
        self.site.rig.gate.hold();
    }

    /// While held: lets this many more steps pass.
    pub fn let_pass(&self, steps: u64) {
        self.site.rig.gate.let_pass(steps);
    }

    /// Lets held jobs go on.
    pub fn release(&self) {
        self.site.rig.gate.release();
    }

    /// Answers nothing, sends nothing and executes nothing, with all connections open, until
    /// [`unhang`](Self::unhang).
    pub fn hang(&self) {
        self.site.rig.gate.hang(true);
    }

    /// Goes on where it was; answers what was asked meanwhile.
    pub fn unhang(&self) {
        self.site.rig.gate.hang(false);
    }

    /// Closes all WebSockets without a closing handshake. HTTP stays.
    pub fn drop_sockets(&self) {
        if let Some(process) = self.process() {
            locked(&process.sockets).drop_all();
            process.sockets_changed();
        }
    }

    /// Makes requests fail.
    pub fn fail(&self, fault: Fault) {
        self.site.rig.faults.add(fault);
    }

    /// Forgets all faults that wait.
    pub fn clear_faults(&self) {
        self.site.rig.faults.clear();
    }

    /// Loses the history, as when it was cleared by somebody else.
    pub fn forget_history(&self) {
        if let Some(process) = self.process() {
            locked(&process.history).clear();
        }
    }

    /// Somebody empties its folder `output`: the names of what is made next begin anew.
    pub fn empty_output(&self) {
        self.site.rig.disk.empty_output();
    }

    /// Loses the models that are loaded, as when another program wanted the memory.
    pub fn evict_models(&self) {
        if let Some(process) = self.process() {
            process.unload_models();
        }
    }

    /// Other programs hold so many MiB of the device's memory from now on.
    pub fn occupy(&self, megabytes: u64) {
        self.site.rig.board.change(|state| state.others_mb = megabytes);
    }

    /// From now on `/free` is accepted and nothing is freed, or it is again.
    pub fn keep_memory(&self, keeps: bool) {
        self.site.rig.quirks.keeps_memory.store(keeps, Ordering::Relaxed);
    }

    /// From now on models that were used before make no room for others, or they do again.
    pub fn keep_models(&self, keeps: bool) {
        self.site.rig.quirks.keeps_models.store(keeps, Ordering::Relaxed);
    }

    /// The next so many samplers run out of memory.
    pub fn run_out_of_memory(&self, times: u64) {
        self.site.rig.quirks.out_of_memory.store(times, Ordering::Relaxed);
    }

    /// An illegal access has broken the process's context on the GPU: every node fails until a restart.
    pub fn break_context(&self) {
        if let Some(process) = self.process() {
            process.is_broken.store(true, Ordering::Relaxed);
        }
    }

    /// Loses the prompt that runs, and tells nobody.
    pub fn lose_running(&self) {
        if let Some(process) = self.process() {
            process.lost.notify_waiters();
        }
    }

    /// Interrupts what runs, as somebody else's `/interrupt` does.
    pub fn interrupt(&self) {
        if let Some(process) = self.process() {
            process.interrupt(None);
        }
    }

    /// What was counted so far, over all processes.
    pub fn counters(&self) -> Counters {
        self.site.rig.board.0.borrow().counters.clone()
    }

    /// The prompt that runs now.
    pub fn running(&self) -> Option<String> {
        self.site.rig.board.0.borrow().running.clone()
    }

    /// Everything that can be seen now.
    pub fn state(&self) -> State {
        self.site.rig.board.0.borrow().clone()
    }

    /// Waits until what can be seen meets a condition, and returns it as it was then.
    ///
    /// # Errors
    /// [`Error::Waited`] after a minute, with the last state.
    pub async fn wait_for(&self, condition: impl FnMut(&State) -> bool + Send) -> Result<State> {
        let mut changes = self.site.rig.board.0.subscribe();
        let met = tokio::time::timeout(PATIENCE, changes.wait_for(condition)).await;
        match met {
            Ok(Ok(state)) => Ok(state.clone()),
            _ => Err(Error::Waited(PATIENCE, format!("{:?}", self.state()))),
        }
    }

    /// The history document of a prompt, as `GET /history/{prompt_id}` has it under its id.
    pub fn history_of(&self, prompt_id: &str) -> Option<Value> {
        let document = locked(&self.process()?.history).one(prompt_id);
        document.get(prompt_id).cloned()
    }

    /// The bytes of a file by the name that a `LoadImage` would use: `sub/name.png [output]`.
    pub fn file(&self, name: &str) -> Option<bytes::Bytes> {
        self.site.rig.disk.read(&Place::annotated(name)?)
    }

    pub(crate) fn rig(&self) -> Arc<Rig> {
        Arc::clone(&self.site.rig)
    }

    fn process(&self) -> Option<Arc<Process>> {
        locked(&self.site.rig.process).clone()
    }

    fn up(&self) -> Result<()> {
        let address = self.site.host.address();
        let rig = &self.site.rig;
        let started = self.site.host.up(|life| {
            let process = Arc::new(Process::new(Arc::clone(rig), life));
            process.life.spawn(execute::work(Arc::clone(&process)));
            *locked(&rig.process) = Some(Arc::clone(&process));
            http::router(process)
        });
        started.map_err(|source| Error::Start { address, source })?;
        rig.board.started(now_ms() as f64 / 1000.0);
        Ok(())
    }
}
