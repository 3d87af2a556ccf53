use std::collections::BTreeMap;

use report::{ComfyUi, Cpu, Gpu, GpuMemory, NodeMetrics};

use super::*;
use crate::choice::Selection;
use crate::config::RamUsed;
use crate::limits::READ_DEADLINE;
use crate::probe::{ComfyUiReading, GpuProcess, GpuReading, Gpus, Xid};

const SECOND: Duration = Duration::from_secs(1);

fn attempt(began: Instant, result: Result<Reading, Failure>) -> Attempt {
    Attempt { began, ended: began, ended_unix_seconds: 1000.0, result, due_in: SECOND + READ_DEADLINE }
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
    Sample { started_unix_seconds: 5.0, host_name: None, selection, records }
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
fn processor_time_does_not_fall_unless_a_processor_is_gone() {
    let start = Instant::now();
    for (idle, expected) in [(51.0, 51.0), (49.5, 50.0), (20.0, 20.0)] {
        let readings =
            vec![(Duration::ZERO, Ok(times(10.0, 50.0, 5.0))), (SECOND, Ok(times(11.0, idle, 5.0)))];
        let cpu = report_of(&record(start, readings), start + SECOND).host.cpu.unwrap();
        assert_eq!(cpu.seconds_total["idle"], expected);
    }
}

#[test]
fn the_first_reading_says_nothing_of_utilization() {
    let start = Instant::now();
    let record = record(start, vec![(Duration::ZERO, Ok(times(10.0, 90.0, 0.0)))]);
    let report = report_of(&record, start);
    assert_eq!(report.host.cpu.as_ref().unwrap().utilization_ratio, None);
    assert_eq!(node_metrics(&sample(vec![record]), start, RamUsed::Psutil7), NodeMetrics::default());
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

    // It comes at last: as old as the hang, it is not told either; the one after it is.
    let hung = hung + SECOND * 10;
    let late = Attempt { began: start + SECOND, ..attempt(hung, Ok(gpus(vec![gpu("GPU-1", Some(0.5))]))) };
    let after = advance(before, late);
    let report = report_of(&after, hung);
    assert_eq!((report.gpus.len(), report.probes[0].success), (0, Some(false)));
    let next = attempt(hung + SECOND, Ok(gpus(vec![gpu("GPU-1", Some(0.5))])));
    let report = report_of(&advance(after, next), hung + SECOND);
    assert_eq!((report.gpus.len(), report.probes[0].success), (1, Some(true)));
    assert_eq!(report.probes[0].failures_total, [("timeout".to_owned(), 1)].into());
}

#[test]
fn a_probe_that_takes_its_time_is_given_it() {
    let start = Instant::now();
    let patient = Attempt { due_in: SECOND * 60, ..attempt(start, Ok(gpus(vec![gpu("GPU-1", None)]))) };
    let record = advance(Record::new("p", start + SECOND), patient);
    assert_eq!(report_of(&record, start + SECOND * 60).gpus.len(), 1);
    assert_eq!(report_of(&record, start + SECOND * 61).gpus.len(), 0);
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

/// A sample of everything that the Python node tells of.
fn full() -> Sample {
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
    let other = Gpu { name: Some("another".into()), ..gpu("GPU-2", Some(0.5)) };
    let cpu = Cpu { utilization_ratio: Some(0.12345), ..Cpu::default() };
    let readings = [Reading::Cpu(cpu), Reading::Memory(memory), gpus(vec![other, chosen])];
    let start = Instant::now();
    let records = readings.map(|reading| Record {
        reading: Some((Arc::new(reading), start)),
        ..Record::new("p", start + SECOND * 3600)
    });
    Sample { selection: Selection::new("GPU-1".parse().unwrap()), ..sample(records.into()) }
}

fn memory_of(sample: &mut Sample) -> &mut Memory {
    match sample.records[1].reading.as_mut().map(|(reading, _)| Arc::make_mut(reading)) {
        Some(Reading::Memory(memory)) => memory,
        other => panic!("{other:?}"),
    }
}

fn chosen_gpu(sample: &mut Sample) -> &mut Gpu {
    match sample.records[2].reading.as_mut().map(|(reading, _)| Arc::make_mut(reading)) {
        Some(Reading::Gpus(gpus)) => &mut gpus.gpus[1].gpu,
        other => panic!("{other:?}"),
    }
}

fn told(sample: &Sample, rule: RamUsed) -> NodeMetrics {
    node_metrics(sample, Instant::now(), rule)
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
    assert_eq!(told(&full(), RamUsed::Psutil7), expected);
}

#[test]
fn old_psutil_takes_caches_off_what_is_used() {
    assert_eq!(told(&full(), RamUsed::Psutil5).ram_used, Some(350));
}

#[test]
fn old_psutil_takes_nothing_off_where_caches_exceed_what_is_not_free() {
    let mut sample = full();
    memory_of(&mut sample).cached_bytes = Some(u64::MAX);
    assert_eq!(told(&sample, RamUsed::Psutil5).ram_used, Some(900));
}

#[test]
fn the_figure_of_old_psutil_is_absent_where_caches_are_unknown() {
    let mut sample = full();
    memory_of(&mut sample).cached_bytes = None;
    assert_eq!(told(&sample, RamUsed::Psutil5).ram_used, None);
}

#[test]
fn a_lost_gpu_has_no_keys_at_all() {
    let mut sample = full();
    chosen_gpu(&mut sample).up = Some(false);
    let metrics = told(&sample, RamUsed::Psutil7);
    let keys = serde_json::to_value(&metrics).unwrap().as_object().unwrap().len();
    assert_eq!(keys, 3);
}

#[test]
fn what_one_gpu_cannot_tell_is_the_only_key_that_is_missing() {
    let mut sample = full();
    chosen_gpu(&mut sample).utilization_ratio = None;
    let metrics = told(&sample, RamUsed::Psutil7);
    assert_eq!((metrics.gpu_utilization, metrics.gpu_temperature), (None, Some(41)));
}

#[test]
fn a_gpu_without_memory_of_its_own_has_the_hosts_marked_as_such() {
    let mut sample = full();
    let gpu = chosen_gpu(&mut sample);
    (gpu.memory_v1, gpu.memory_unified) = (None, Some(true));
    let metrics = told(&sample, RamUsed::Psutil7);
    assert_eq!((metrics.gpu_memory_total, metrics.gpu_memory_used), (Some(1000), Some(400)));
    let gpu = report(&sample, Instant::now()).gpus.remove(1);
    assert_eq!(gpu.memory_unified, Some(true));
    assert_eq!(gpu.memory.unwrap().used_bytes, memory_of(&mut sample).used_bytes);
}

/// Readings of one GPU, a second apart.
fn second_by_second(readings: Vec<GpuReading>) -> Report {
    let start = Instant::now();
    let last = start + SECOND * (readings.len() as u32 - 1);
    let readings = readings.into_iter().map(|reading| Gpus { driver: None, gpus: vec![reading] });
    let timed = (0..).zip(readings).map(|(at, gpus)| (SECOND * at, Ok(Reading::Gpus(gpus))));
    report_of(&record(start, timed.collect()), last)
}

#[test]
fn counters_of_the_driver_go_on_when_it_begins_anew() {
    let with = |joules: Option<f64>, errors: f64| GpuReading {
        gpu: Gpu {
            energy_joules_total: joules,
            ecc_errors_total: [("corrected".to_owned(), errors)].into(),
            ..gpu("GPU-1", None)
        },
        ..GpuReading::default()
    };
    let cases = [
        (vec![with(Some(100.0), 3.0), with(Some(150.0), 4.0)], Some(150.0), 4.0),
        (vec![with(Some(100.0), 3.0), with(Some(20.0), 0.0), with(Some(30.0), 2.0)], Some(130.0), 5.0),
        (vec![with(Some(100.0), 3.0), with(None, 3.0), with(Some(110.0), 3.0)], Some(110.0), 3.0),
        (vec![with(Some(100.0), 3.0), with(None, 3.0)], None, 3.0),
    ];
    for (readings, joules, errors) in cases {
        let report = second_by_second(readings);
        assert_eq!(report.gpus[0].energy_joules_total, joules);
        assert_eq!(report.gpus[0].ecc_errors_total["corrected"], errors);
    }
}

#[test]
fn a_reason_that_holds_clocks_down_is_counted_while_it_is_active() {
    let with = |active: &[bool]| GpuReading {
        gpu: Gpu {
            clock_event_active: active.iter().map(|active| ("sw_power_cap".to_owned(), *active)).collect(),
            ..gpu("GPU-1", None)
        },
        ..GpuReading::default()
    };
    let report = second_by_second(vec![with(&[true]), with(&[true]), with(&[false]), with(&[true])]);
    assert_eq!(report.gpus[0].clock_event_seconds_total["sw_power_cap"], 2.0);
    // Unreadable in between: nobody knows how long of it.
    let report = second_by_second(vec![with(&[true]), with(&[]), with(&[true])]);
    assert_eq!(report.gpus[0].clock_event_seconds_total["sw_power_cap"], 0.0);
}

#[test]
fn xid_errors_add_up_and_outlive_the_loss_that_they_explain() {
    let with = |up: bool, numbers: &[u64]| GpuReading {
        gpu: Gpu { up: Some(up), ..gpu("GPU-1", None) },
        xids: numbers.iter().map(|number| Xid { number: *number, unix_seconds: 7.0 }).collect(),
        ..GpuReading::default()
    };
    let report =
        second_by_second(vec![with(true, &[]), with(true, &[31, 31]), with(false, &[79]), with(false, &[])]);
    assert_eq!(report.gpus[0].xid_errors_total, [(31, 2), (79, 1)].into());
    assert_eq!(report.gpus[0].xid_last_timestamp_seconds[&79], 7.0);
}

fn comfyui(start: Option<f64>) -> Reading {
    let up = Some(start.is_some());
    let comfyui = ComfyUi { up, process_start_time_seconds: start, ..ComfyUi::default() };
    Reading::ComfyUi(ComfyUiReading { comfyui, pids: vec![7], ..ComfyUiReading::default() })
}

#[test]
fn a_restart_is_another_start_time_however_long_comfyui_was_away() {
    let cases: [(&[Option<f64>], Option<u64>); 6] = [
        (&[None], None),
        (&[Some(100.0)], Some(0)),
        (&[Some(100.0), Some(100.01)], Some(0)),
        (&[Some(100.0), Some(160.0)], Some(1)),
        (&[Some(100.0), None, None, Some(160.0), Some(160.0)], Some(1)),
        (&[Some(100.0), Some(160.0), None], Some(1)),
    ];
    for (starts, expected) in cases {
        let start = Instant::now();
        let timed = (0..).zip(starts).map(|(at, started)| (SECOND * at, Ok(comfyui(*started))));
        let record = record(start, timed.collect());
        let report = report_of(&record, start + SECOND * (starts.len() as u32 - 1));
        assert_eq!(report.comfyui.unwrap().restarts_total, expected, "{starts:?}");
    }
}

#[test]
fn comfyui_has_the_memory_of_its_processes_on_each_gpu() {
    let with = |uuid: &str, processes: &[(u32, Option<u64>)]| GpuReading {
        gpu: gpu(uuid, None),
        processes: processes
            .iter()
            .map(|(pid, used_bytes)| GpuProcess { pid: *pid, used_bytes: *used_bytes })
            .collect(),
        ..GpuReading::default()
    };
    let gpus = vec![
        with("GPU-1", &[(7, Some(100)), (8, Some(50)), (9, Some(1))]),
        with("GPU-2", &[(9, Some(5))]),
        with("GPU-3", &[(7, None)]),
    ];
    let start = Instant::now();
    let mut both = record(start, vec![(Duration::ZERO, Ok(comfyui(Some(1.0))))]);
    if let Some(Reading::ComfyUi(reading)) = both.reading.as_mut().map(|(reading, _)| Arc::make_mut(reading))
    {
        reading.pids = vec![7, 8];
    }
    let gpus = record(start, vec![(Duration::ZERO, Ok(Reading::Gpus(Gpus { driver: None, gpus })))]);
    let report = report(&sample(vec![gpus, both]), start);
    assert_eq!(report.comfyui.unwrap().gpu_memory_bytes, [("GPU-1".to_owned(), 150)].into());
}

#[test]
fn only_a_driver_that_was_open_and_refuses_for_long_calls_for_a_new_process() {
    let refused = || Err(Failure::new("permission", "no"));
    let opened = || Ok(gpus(vec![gpu("GPU-1", None)]));
    let long = REFUSAL_PATIENCE + SECOND * 3;
    let cases = [
        (vec![(Duration::ZERO, opened()), (SECOND, refused()), (long, refused())], true),
        (vec![(Duration::ZERO, opened()), (SECOND, refused())], false),
        (vec![(Duration::ZERO, refused()), (long, refused())], false),
        // Let go of on demand: only what comes after that is a refusal.
        (
            vec![
                (Duration::ZERO, opened()),
                (SECOND, Err(Failure::new("released", "no"))),
                (long, refused()),
            ],
            false,
        ),
        (
            vec![(Duration::ZERO, opened()), (SECOND, refused()), (SECOND * 2, opened()), (long, refused())],
            false,
        ),
        (vec![(Duration::ZERO, opened()), (SECOND, Err(Failure::new("no_driver", "no")))], false),
    ];
    for (readings, expected) in cases {
        let start = Instant::now();
        let last = start + readings.last().unwrap().0;
        assert_eq!(is_shut_out(&sample(vec![record(start, readings)]), last), expected);
    }
}
