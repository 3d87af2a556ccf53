use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use report::Gpu;

use super::*;

type Script = Arc<Mutex<State>>;

/// What the scripted driver does next, and what was done to it.
#[derive(Default)]
struct State {
    opens: VecDeque<Result<(), Failure>>,
    reads: VecDeque<Result<Vec<Gpu>, Failure>>,
    open_sessions: u32,
    opened: u32,
    /// Whether a session was still held while another was opened.
    overlapped: bool,
}

struct ScriptedDriver(Script);

struct ScriptedSession(Script);

impl Driver for ScriptedDriver {
    fn open(&mut self) -> Result<Box<dyn Session>, Failure> {
        let mut state = self.0.lock().unwrap();
        state.overlapped |= state.open_sessions > 0;
        state.opens.pop_front().unwrap_or(Ok(()))?;
        state.open_sessions += 1;
        state.opened += 1;
        Ok(Box::new(ScriptedSession(Arc::clone(&self.0))))
    }
}

impl Session for ScriptedSession {
    fn read(&mut self, _now: Instant) -> Result<Gpus, Failure> {
        let gpus = self.0.lock().unwrap().reads.pop_front().expect("the script has an answer")?;
        let gpus = gpus.into_iter().map(|gpu| GpuReading { gpu, ..GpuReading::default() }).collect();
        Ok(Gpus { driver: None, gpus })
    }
}

impl Drop for ScriptedSession {
    fn drop(&mut self) {
        self.0.lock().unwrap().open_sessions -= 1;
    }
}

fn probe() -> (Script, GpuProbe) {
    let script = Script::default();
    let probe = GpuProbe::new(Box::new(ScriptedDriver(Arc::clone(&script))), Arc::default());
    (script, probe)
}

fn gpu(index: u32, uuid: &str) -> Gpu {
    Gpu {
        uuid: Some(uuid.into()),
        index: Some(index),
        up: Some(true),
        temperature_celsius: Some(40.0),
        ..Gpu::default()
    }
}

fn lost(index: u32, uuid: &str) -> Gpu {
    Gpu { up: Some(false), temperature_celsius: None, ..gpu(index, uuid) }
}

fn read(probe: &mut GpuProbe, now: Instant) -> Vec<Gpu> {
    match probe.read(now).unwrap() {
        Reading::Gpus(gpus) => gpus.gpus.into_iter().map(|reading| reading.gpu).collect(),
        other => panic!("{other:?}"),
    }
}

fn failure() -> Failure {
    Failure::new("no_library", "no driver")
}

#[test]
fn a_missing_driver_is_looked_for_with_growing_pauses_and_found_when_it_comes() {
    let (script, mut probe) = probe();
    let now = Instant::now();
    script.lock().unwrap().opens.extend((0..9).map(|_| Err(failure())));
    let pauses: Vec<u64> = (0..9)
        .map(|_| {
            assert_eq!(probe.read(now), Err(failure()));
            probe.pause().as_secs()
        })
        .collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);

    script.lock().unwrap().reads.push_back(Ok(vec![gpu(0, "GPU-a")]));
    assert_eq!(read(&mut probe, now).len(), 1);
    assert_eq!(probe.pause(), READ_PERIOD);
}

#[test]
fn one_session_serves_all_readings() {
    let (script, mut probe) = probe();
    script.lock().unwrap().reads.extend((0..5).map(|_| Ok(vec![gpu(0, "GPU-a")])));
    for _ in 0..5 {
        read(&mut probe, Instant::now());
    }
    assert_eq!(script.lock().unwrap().opened, 1);
}

#[test]
fn a_driver_that_fails_is_let_go_of_before_it_is_opened_again() {
    let (script, mut probe) = probe();
    let now = Instant::now();
    script.lock().unwrap().reads.extend([
        Ok(vec![gpu(0, "GPU-a")]),
        Err(Failure::new("driver", "gone")),
        Ok(vec![gpu(0, "GPU-a")]),
    ]);
    read(&mut probe, now);
    assert!(probe.read(now).is_err());
    assert_eq!(script.lock().unwrap().open_sessions, 0);
    script.lock().unwrap().opens.push_back(Err(Failure::new("version_mismatch", "upgraded")));
    assert!(probe.read(now).is_err());
    read(&mut probe, now);
    let state = script.lock().unwrap();
    assert_eq!((state.overlapped, state.open_sessions), (false, 1));
}

#[test]
fn a_lost_gpu_is_down_and_the_others_are_unharmed() {
    let (script, mut probe) = probe();
    let now = Instant::now();
    script
        .lock()
        .unwrap()
        .reads
        .extend([Ok(vec![gpu(0, "GPU-a"), gpu(1, "GPU-b")]), Ok(vec![lost(0, "GPU-a"), gpu(1, "GPU-b")])]);
    read(&mut probe, now);
    let gpus = read(&mut probe, now);
    assert_eq!((gpus[0].up, gpus[0].temperature_celsius), (Some(false), None));
    assert_eq!((gpus[1].up, gpus[1].temperature_celsius), (Some(true), Some(40.0)));
}

#[test]
fn a_gpu_that_vanishes_from_the_drivers_list_stays_down_until_it_comes_back() {
    let (script, mut probe) = probe();
    let now = Instant::now();
    script.lock().unwrap().reads.extend([
        Ok(vec![gpu(0, "GPU-a"), gpu(1, "GPU-b")]),
        Ok(vec![gpu(0, "GPU-b")]),
        Ok(vec![gpu(0, "GPU-b"), gpu(1, "GPU-a")]),
    ]);
    read(&mut probe, now);
    let states =
        |gpus: Vec<Gpu>| -> Vec<_> { gpus.into_iter().map(|g| (g.uuid.unwrap(), g.up.unwrap())).collect() };
    let without = states(read(&mut probe, now));
    let expected = [("GPU-b".to_owned(), true), ("GPU-a".to_owned(), false)];
    assert_eq!(without, expected);
    let back = states(read(&mut probe, now));
    let expected = [("GPU-b".to_owned(), true), ("GPU-a".to_owned(), true)];
    assert_eq!(back, expected);
}

#[test]
fn the_driver_is_opened_anew_for_a_lost_gpu_but_not_at_every_reading() {
    let (script, mut probe) = probe();
    let start = Instant::now();
    script.lock().unwrap().reads.extend((0..31).map(|_| Ok(vec![lost(0, "GPU-a"), gpu(1, "GPU-b")])));
    let opened: Vec<u32> = (0..31)
        .map(|second| {
            read(&mut probe, start + Duration::from_secs(second));
            script.lock().unwrap().opened
        })
        .collect();
    // Renewed 10 seconds after the loss and 20 after that.
    assert_eq!((opened[9], opened[10], opened[29], opened[30]), (1, 2, 2, 3));
    assert!(!script.lock().unwrap().overlapped);
}

#[tokio::test]
async fn a_driver_that_is_released_is_closed_and_opened_again_when_the_time_is_over() {
    let script = Script::default();
    let release = Arc::new(Release::default());
    let mut probe = GpuProbe::new(Box::new(ScriptedDriver(Arc::clone(&script))), Arc::clone(&release));
    script.lock().unwrap().reads.extend([Ok(vec![gpu(0, "GPU-a")]), Ok(vec![gpu(0, "GPU-a")])]);
    let now = Instant::now();
    read(&mut probe, now);
    release.ask(now + Duration::from_secs(30));
    assert!(!release.released(Duration::ZERO).await);
    assert_eq!(probe.read(now).unwrap_err().reason, "released");
    assert!(release.released(Duration::ZERO).await);
    assert_eq!((script.lock().unwrap().open_sessions, probe.pause()), (0, READ_PERIOD));
    read(&mut probe, now + Duration::from_secs(30));
    assert_eq!(script.lock().unwrap().opened, 2);
}

#[test]
fn a_mig_device_that_is_taken_away_is_not_mourned() {
    let (script, mut probe) = probe();
    let part = Gpu { mig_parent_uuid: Some("GPU-a".into()), ..gpu(0, "MIG-a") };
    script.lock().unwrap().reads.extend([Ok(vec![gpu(0, "GPU-a"), part]), Ok(vec![gpu(0, "GPU-a")])]);
    assert_eq!(read(&mut probe, Instant::now()).len(), 2);
    assert_eq!(read(&mut probe, Instant::now()).len(), 1);
}
