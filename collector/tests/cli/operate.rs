//! `jobs`, `cancel`, `drain`, `resume` and `free`: what changes at the collector.

use sim::Generation;

use super::shell::run;
use super::stage::Stage;
use super::wait::until;

#[tokio::test]
async fn freeing_without_a_name_asks_every_backend() {
    let stage = Stage::of(Generation::V0_8, 2).await;
    run(&stage.client.url, &["free"]).await.succeeds();
    let asked = async || stage.comfys.iter().all(|comfy| comfy.counters().frees > 0).then_some(());
    until("both are asked", asked).await;
}
