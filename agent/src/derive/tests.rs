use std::collections::BTreeMap;

use report::{ComfyUi, Cpu, Gpu, GpuMemory};

use super::*;
use crate::choice::Selection;
use crate::probe::{ComfyUiReading, GpuProcess, GpuReading, Gpus, Xid};

const SECOND: Duration = Duration::from_secs(1);

fn attempt(began: Instant, result: Result<Reading, Failure>) -> Attempt {
    Attempt { began, ended: began, ended_unix_seconds: 1000.0, result, pause: SECOND }
}

fn times(busy: f64, idle: f64, iowait: f64) -> Reading {
    let seconds_total: BTreeMap<_, _> = [("user", busy), ("idle", idle), ("iowait", iowait)]
        .map(|(mode, value)| (mode.to_owned(), value))
        .into();
    Reading::Cpu(Cpu { seconds_total, ..Cpu::default() })
}

fn gpu(uuid: &str, utilization_ratio: Option<f64>) -> Gpu {
    let uuid = Some(uuid.to_owned());
    Gpu { uuid, utilization_ratio, up: Some(true), chosen: Some(true), ..Gpu::default() }
}

fn gpus(gpus: Vec<Gpu>) -> Reading {
    let gpus = gpus.into_iter().map(|gpu| GpuReading { gpu, ..GpuReading::default() }).collect();
    Reading::Gpus(Gpus { driver: None, gpus })
}

fn record(start: Instant, readings: Vec<(Duration, Result<Reading, Failure>)>) -> Record {
    readings.into_iter().fold(Record::new("p", start + SECOND), |record, (at, result)| {
        advance(record, attempt(start + at, result))
    })
}

fn report_of(record: &Record, now: Instant) -> Report {
    report(&sample(vec![record.clone()]), now)
}

fn sample(records: Vec<Record>) -> Sample {
    let selection = Selection::new("all".parse().unwrap());
    Sample { started_unix_seconds: 5.0, selection, records }
}

#[test]
fn utilization_is_the_busy_share_between_two_readings() {
    let cases = [
        ((0.0, 0.0, 0.0), (1.0, 3.0, 0.0), Some(0.25)),
        ((10.0, 50.0, 5.0), (10.0, 51.0, 6.0), Some(0.0)),
        ((10.0, 50.0, 5.0), (14.0, 50.0, 5.0), Some(1.0)),
        // `iowait` fell: it counts as standing still
        ((10.0, 50.0, 5.0), (11.0, 51.0, 4.0), Some(0.5)),
        // no time passed: nothing can be said
        ((10.0, 50.0, 5.0), (10.0, 50.0, 5.0), None),
    ];
    let start = Instant::now();
    for (before, after, expected) in cases {
        let first = times(before.0, before.1, before.2);
        let second = times(after.0, after.1, after.2);
        let record = record(start, vec![(Duration::ZERO, Ok(first)), (SECOND, Ok(second))]);
        let cpu = report_of(&record, start + SECOND).host.cpu.unwrap();
        assert_eq!(cpu.utilization_ratio, expected, "{before:?} {after:?}");
    }
}

#[test]
fn the_first_reading_says_nothing_of_utilization() {
    let start = Instant::now();
    let record = record(start, vec![(Duration::ZERO, Ok(times(10.0, 90.0, 0.0)))]);
    let report = report_of(&record, start);
    assert_eq!(report.host.cpu.as_ref().unwrap().utilization_ratio, None);
    assert_eq!(node_metrics(&report, RamUsed::Psutil7), NodeMetrics::default());
}

#[test]
fn a_reading_carries_its_age() {
    let start = Instant::now();
    let record = record(start, vec![(Duration::ZERO, Ok(times(1.0, 1.0, 0.0)))]);
    let report = report_of(&record, start + Duration::from_millis(1500));
    assert_eq!(report.host.cpu.unwrap().age_seconds, Some(1.5));
    assert_eq!(report.probes[0].success, Some(true));
    assert_eq!(report.probes[0].last_success_timestamp_seconds, Some(1000.0));
}

#[test]
fn a_reading_that_does_not_come_in_time_is_absent_and_counted_once() {
    let start = Instant::now();
    let before = record(start, vec![(Duration::ZERO, Ok(gpus(vec![gpu("GPU-1", Some(0.5))])))]);
    let hung = start + SECOND + READ_DEADLINE + Duration::from_millis(1);

    let report = report_of(&before, hung);
    assert_eq!((report.gpus.len(), report.gpu_driver), (0, None));
    assert_eq!(report.probes[0].success, Some(false));
    assert_eq!(report.probes[0].failures_total, [("timeout".to_owned(), 1)].into());
    assert!(report.probes[0].error.as_deref().unwrap().contains("not answered in time"));

    let late = Attempt { began: start + SECOND, ..attempt(hung, Ok(gpus(vec![gpu("GPU-1", Some(0.5))]))) };
    let after = advance(before, late);
    let report = report_of(&after, hung);
    assert_eq!((report.gpus.len(), report.probes[0].success), (1, Some(true)));
    assert_eq!(report.probes[0].failures_total, [("timeout".to_owned(), 1)].into());
}

#[test]
fn a_failed_attempt_hides_the_reading_before_it() {
    let start = Instant::now();
    let failure = Failure::new("io", "it broke");
    let record = record(start, vec![(Duration::ZERO, Ok(times(1.0, 1.0, 0.0))), (SECOND, Err(failure))]);
    let report = report_of(&record, start + SECOND);
    assert_eq!(report.host.cpu, None);
    assert_eq!(report.probes[0].success, Some(false));
    assert_eq!(report.probes[0].error.as_deref(), Some("it broke"));
    assert_eq!(report.probes[0].failures_total, [("io".to_owned(), 1)].into());
}

#[test]
fn a_probe_that_was_never_read_says_neither_success_nor_failure_until_its_deadline() {
    let start = Instant::now();
    let record = Record::new("gpu", start + SECOND);
    assert_eq!(report_of(&record, start).probes[0].success, None);
    assert_eq!(report_of(&record, start + SECOND * 2).probes[0].success, Some(false));
}

#[test]
fn busy_seconds_are_the_integral_of_utilization() {
    let start = Instant::now();
    let reading = |ratio| Ok(gpus(vec![gpu("GPU-1", ratio)]));
    /// When each utilization was read, in seconds.
    type Readings = Vec<(u32, Option<f64>)>;
    let cases: [(Readings, Option<f64>); 5] = [
        (vec![(0, Some(0.5))], Some(0.0)),
        (vec![(0, Some(0.5)), (1, Some(0.5)), (2, Some(1.0))], Some(1.25)),
        // nobody knows what it did in a gap of an hour
        (vec![(0, Some(1.0)), (1, Some(1.0)), (3601, Some(1.0)), (3602, Some(1.0))], Some(2.0)),
        // unreadable in between: the total neither grows nor is forgotten
        (vec![(0, Some(1.0)), (1, Some(1.0)), (2, None), (3, Some(1.0)), (4, Some(1.0))], Some(2.0)),
        (vec![(0, None), (1, None)], None),
    ];
    for (readings, expected) in cases {
        let timed = readings.iter().map(|(at, ratio)| (SECOND * *at, reading(*ratio))).collect();
        let record = record(start, timed);
        let last = start + SECOND * readings.last().unwrap().0;
        assert_eq!(report_of(&record, last).gpus[0].busy_seconds_total, expected, "{readings:?}");
    }
}

#[test]
fn busy_seconds_follow_the_gpu_when_the_drivers_order_changes() {
    let start = Instant::now();
    let busy = || gpu("GPU-busy", Some(1.0));
    let idle = || gpu("GPU-idle", Some(0.0));
    let record = record(
        start,
        vec![
            (Duration::ZERO, Ok(gpus(vec![busy(), idle()]))),
            (SECOND, Ok(gpus(vec![busy(), idle()]))),
            (SECOND * 2, Ok(gpus(vec![idle(), busy()]))),
        ],
    );
    let report = report_of(&record, start + SECOND * 2);
    let totals: Vec<_> = report.gpus.iter().map(|gpu| gpu.busy_seconds_total).collect();
    assert_eq!(totals, [Some(0.0), Some(2.0)]);
}

fn full_report() -> Report {
    let mebibyte = 1024 * 1024;
    let memory = Memory {
        total_bytes: Some(1000 * mebibyte + 5),
        available_bytes: Some(600 * mebibyte),
        used_bytes: Some(400 * mebibyte + 5),
        free_bytes: Some(100 * mebibyte),
        cached_bytes: Some(550 * mebibyte),
        ..Memory::default()
    };
    let memory_v1 = GpuMemory {
        total_bytes: Some(24_564 * mebibyte),
        used_bytes: Some(912 * mebibyte + mebibyte - 1),
        ..GpuMemory::default()
    };
    let chosen = Gpu {
        name: Some("NVIDIA A100".into()),
        memory_v1: Some(memory_v1),
        temperature_celsius: Some(41.0),
        ..gpu("GPU-1", Some(0.29))
    };
    let other = Gpu { chosen: Some(false), name: Some("another".into()), ..chosen.clone() };
    let mut report = Report { gpus: vec![other, chosen], ..Report::default() };
    report.host.cpu = Some(Cpu { utilization_ratio: Some(0.12345), ..Cpu::default() });
    report.host.memory = Some(memory);
    report
}

#[test]
fn the_python_nodes_figures_are_whole_mebibytes_and_percents_of_the_chosen_gpu() {
    let expected = NodeMetrics {
        cpu_utilization: Some(12.3),
        ram_total: Some(1000),
        ram_used: Some(400),
        gpu_name: Some("NVIDIA A100".into()),
        gpu_memory_total: Some(24_564),
        gpu_memory_used: Some(912),
        gpu_utilization: Some(29),
        gpu_temperature: Some(41),
    };
    assert_eq!(node_metrics(&full_report(), RamUsed::Psutil7), expected);
}

#[test]
fn old_psutil_takes_caches_off_what_is_used() {
    assert_eq!(node_metrics(&full_report(), RamUsed::Psutil5).ram_used, Some(350));
}

#[test]
fn old_psutil_takes_nothing_off_where_caches_exceed_what_is_not_free() {
    let mut report = full_report();
    report.host.memory.as_mut().unwrap().cached_bytes = Some(u64::MAX);
    assert_eq!(node_metrics(&report, RamUsed::Psutil5).ram_used, Some(900));
}

#[test]
fn the_figure_of_old_psutil_is_absent_where_caches_are_unknown() {
    let mut report = full_report();
    report.host.memory.as_mut().unwrap().cached_bytes = None;
    assert_eq!(node_metrics(&report, RamUsed::Psutil5).ram_used, None);
}

#[test]
fn a_lost_gpu_has_no_keys_at_all() {
    let mut report = full_report();
    report.gpus[1].up = Some(false);
    let metrics = node_metrics(&report, RamUsed::Psutil7);
    let keys = serde_json::to_value(&metrics).unwrap().as_object().unwrap().len();
    assert_eq!(keys, 3);
}

#[test]
fn what_one_gpu_cannot_tell_is_the_only_key_that_is_missing() {
    let mut report = full_report();
    report.gpus[1].utilization_ratio = None;
    let metrics = node_metrics(&report, RamUsed::Psutil7);
    assert_eq!((metrics.gpu_utilization, metrics.gpu_temperature), (None, Some(41)));
}
