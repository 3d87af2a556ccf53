use std::sync::mpsc;
use std::time::Duration;

use report::{Cpu, Memory};

use super::*;
use crate::probe::Reading;

const PATIENCE: Duration = Duration::from_secs(10);

/// Reads whatever the test sends, and so hangs while it sends nothing.
struct Scripted {
    name: &'static str,
    script: mpsc::Receiver<Result<Reading, Failure>>,
}

impl Probe for Scripted {
    fn name(&self) -> &'static str {
        self.name
    }

    fn read(&mut self, _now: Instant) -> Result<Reading, Failure> {
        self.script.recv().unwrap_or_else(|_| Err(Failure::new("end", "the script has ended")))
    }

    fn pause(&self) -> Duration {
        Duration::from_millis(1)
    }
}

type Script = mpsc::Sender<Result<Reading, Failure>>;

fn scripted(name: &'static str) -> (Script, Box<dyn Probe>) {
    let (send, script) = mpsc::channel();
    (send, Box::new(Scripted { name, script }))
}

async fn until(samples: &mut watch::Receiver<Arc<Sample>>, done: impl Fn(&Sample) -> bool) -> Arc<Sample> {
    let waited = tokio::time::timeout(PATIENCE, samples.wait_for(|sample| done(sample))).await;
    Arc::clone(&waited.expect("the sampler publishes in time").unwrap())
}

#[tokio::test]
async fn a_probe_that_hangs_does_not_hold_up_the_others() {
    let (_hung, gpu) = scripted("gpu");
    let (script, cpu) = scripted("cpu");
    let mut samples = start(vec![vec![gpu], vec![cpu]], Choice::Auto).unwrap();
    for _ in 0..3 {
        script.send(Ok(Reading::Cpu(Cpu::default()))).unwrap();
    }
    let sample = until(&mut samples, |sample| sample.records[1].attempts >= 3).await;
    assert_eq!(sample.records[0].attempts, 0);

    let report = derive::report(&sample, Instant::now());
    assert!(report.host.cpu.is_some());
    let report = derive::report(&sample, Instant::now() + READ_DEADLINE * 2);
    assert_eq!(report.probes[0].failures_total, [("timeout".to_owned(), 1)].into());
}

#[tokio::test]
async fn a_probe_that_failed_is_read_again_and_recovers() {
    let (script, memory) = scripted("memory");
    let mut samples = start(vec![vec![memory]], Choice::Auto).unwrap();
    script.send(Err(Failure::new("io", "broken"))).unwrap();
    let sample = until(&mut samples, |sample| sample.records[0].attempts >= 1).await;
    assert_eq!(sample.records[0].failure, Some(Failure::new("io", "broken")));

    script.send(Ok(Reading::Memory(Memory { total_bytes: Some(7), ..Memory::default() }))).unwrap();
    let sample = until(&mut samples, |sample| sample.records[0].attempts >= 2).await;
    let report = derive::report(&sample, Instant::now());
    assert_eq!(report.host.memory.unwrap().total_bytes, Some(7));
    assert_eq!(report.probes[0].failures_total, [("io".to_owned(), 1)].into());
}

#[tokio::test]
async fn the_threads_end_when_nobody_listens_any_more() {
    let (script, probe) = scripted("cpu");
    let samples = start(vec![vec![probe]], Choice::Auto).unwrap();
    drop(samples);
    script.send(Ok(Reading::Cpu(Cpu::default()))).unwrap();
    // The probe, and with it the script's receiver, goes when its thread ends.
    let ended = tokio::task::spawn_blocking(move || {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if script.send(Ok(Reading::Cpu(Cpu::default()))).is_err() {
                return true;
            }
            thread::yield_now();
        }
        false
    });
    assert!(ended.await.unwrap());
}
