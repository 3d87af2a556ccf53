//! What is told of GPUs that are well.

use sim_nvml::{Driver, Ecc, Memory, Mig, MigDevice, Process, RemappedRows, Utilization};

use super::Rig;

const GIB: u64 = 1 << 30;

#[test]
fn the_python_nodes_keys_are_those_of_the_chosen_gpu() {
    let mut driver = Driver::with_gpus(2);
    driver.gpus[1].name = "NVIDIA A100".into();
    driver.gpus[1].memory =
        Some(Memory { total_bytes: 80 * GIB, used_bytes: 8 << 20, reserved_bytes: 904 << 20 });
    driver.gpus[1].utilization = Some(Utilization { gpu_percent: 57, memory_percent: 20 });
    driver.gpus[1].temperature_celsius = Some(63);
    let rig = Rig::start(&driver, &["--gpu", "1"]);
    rig.ready();
    let document = rig.document();
    let gpu = [
        ("gpu_name", "NVIDIA A100".into()),
        ("gpu_memory_total", (80 * 1024).into()),
        ("gpu_memory_used", 912.into()),
        ("gpu_utilization", 57.into()),
        ("gpu_temperature", 63.into()),
    ];
    for (key, expected) in gpu {
        let expected: serde_json::Value = expected;
        assert_eq!(document[key], expected, "{key}");
    }
    assert_eq!(document.as_object().unwrap().len(), 8);
}

#[test]
fn a_choice_that_no_gpu_meets_is_told_once_and_leaves_the_gpus_out() {
    let rig = Rig::start(&Driver::with_gpus(1), &["--gpu", "GPU-another"]);
    rig.agent.log_until("no GPU here is the one asked for");
    rig.ready();
    assert_eq!(rig.document().as_object().unwrap().len(), 3);
    assert!(!rig.agent.ask("GET", "/metrics").body.contains("orchestrator_gpu_"));
}

#[test]
fn figures_are_read_as_often_as_they_change() {
    let rig = Rig::start(&Driver::with_gpus(1), &[]);
    rig.calls_until("nvmlDeviceGetUtilizationRates", 8);
    let processes = rig.calls("nvmlDeviceGetComputeRunningProcesses_v3");
    // Asked twice a look: how many, and which. The wrapper leaves out the second where there are none.
    assert!((1..=6).contains(&processes), "{processes}");
    assert_eq!(rig.calls("nvmlDeviceGetMaxClockInfo"), 4);
    assert_eq!(rig.calls("nvmlDeviceGetName"), 1);
    let gpu = rig.gpu_until(|gpu| gpu.tier_age_seconds.len() == 2);
    assert!(gpu.age_seconds.unwrap() < 3.0, "{gpu:?}");
}

#[test]
fn health_is_told_of_gpus_that_know_it() {
    let mut driver = Driver::with_gpus(1);
    driver.gpus[0].ecc = Some(Ecc { corrected_aggregate: 7, uncorrected_aggregate: 1, ..Ecc::default() });
    driver.gpus[0].remapped_rows =
        Some(RemappedRows { correctable: 2, uncorrectable: 1, pending: true, failed: false });
    driver.gpus[0].clock_event_reasons = Some(0x4 | 0x40);
    let rig = Rig::start(&driver, &[]);
    let gpu =
        rig.gpu_until(|gpu| gpu.clock_event_seconds_total.get("sw_power_cap").is_some_and(|s| *s > 0.5));
    assert_eq!(gpu.ecc_errors_total, [("corrected".into(), 7.0), ("uncorrected".into(), 1.0)].into());
    assert_eq!(gpu.remapped_rows, [("correctable".into(), 2), ("uncorrectable".into(), 1)].into());
    assert_eq!(gpu.row_remap_pending, Some(true));
    let active: Vec<_> =
        gpu.clock_event_active.iter().filter(|(_, active)| **active).map(|(name, _)| name).collect();
    assert_eq!(active, ["hw_thermal_slowdown", "sw_power_cap"]);
    assert_eq!(gpu.clock_event_seconds_total["hw_slowdown"], 0.0);
}

#[test]
fn xid_errors_are_counted_by_number_and_those_before_the_agent_are_not() {
    let mut driver = Driver::with_gpus(2);
    driver.report_xid(0, 13);
    let rig = Rig::start(&driver, &["--gpu", "all"]);
    rig.ready();
    rig.change(|driver| {
        driver.report_xid(0, 31);
        driver.report_xid(0, 31);
        driver.report_xid(1, 48);
    });
    let report = rig.report_until(|report| report.gpus.iter().all(|gpu| !gpu.xid_errors_total.is_empty()));
    assert_eq!(report.gpus[0].xid_errors_total, [(31, 2)].into());
    assert_eq!(report.gpus[1].xid_errors_total, [(48, 1)].into());
    assert!(report.gpus[1].xid_last_timestamp_seconds[&48] > 1.7e9);
}

#[test]
fn a_gpu_that_was_lost_when_the_driver_was_opened_is_watched_for_xid_errors_once_it_is_back() {
    let mut driver = Driver::with_gpus(2);
    driver.gpus[0].lost = true;
    let rig = Rig::start(&driver, &["--gpu", "all"]);
    rig.ready();
    rig.change(|driver| driver.gpus[0].lost = false);
    rig.report_until(|report| report.gpus.iter().all(|gpu| gpu.up == Some(true)));
    rig.change(|driver| driver.report_xid(0, 31));
    rig.gpu_until(|gpu| gpu.xid_errors_total.contains_key(&31));
}

fn divided() -> Driver {
    let mut driver = Driver::with_gpus(1);
    let memory = Some(Memory { total_bytes: 20 * GIB, used_bytes: 3 * GIB, reserved_bytes: 0 });
    let part = |uuid: &str| MigDevice {
        uuid: uuid.into(),
        name: "NVIDIA H100 MIG 2g.20gb".into(),
        memory,
        ..MigDevice::default()
    };
    let devices = vec![
        part("MIG-5105e5d0-0000-4000-8000-0000000000aa"),
        part("MIG-5105e5d0-0000-4000-8000-0000000000bb"),
    ];
    driver.gpus[0].mig = Some(Mig { current: true, pending: true, devices });
    driver.gpus[0].utilization = None;
    driver
}

#[test]
fn mig_devices_are_gpus_of_their_own() {
    let rig = Rig::start(&divided(), &["--gpu", "all"]);
    let report = rig.report_until(|report| report.gpus.len() == 3);
    assert_eq!((report.gpus[0].mig_mode, report.gpus[0].utilization_ratio), (Some(true), None));
    let part = &report.gpus[2];
    assert_eq!(part.mig_parent_uuid, report.gpus[0].uuid);
    assert_eq!(part.memory.as_ref().unwrap().used_bytes, Some(3 * GIB));
    assert_eq!((part.temperature_celsius, part.up), (None, Some(true)));
    let page = rig.agent.ask("GET", "/metrics").body;
    assert!(page.contains(
        "orchestrator_gpu_memory_used_bytes{uuid=\"MIG-5105e5d0-0000-4000-8000-0000000000bb\"} 3221225472"
    ));
}

#[test]
fn a_mig_device_can_be_the_one_that_is_spoken_for() {
    let rig = Rig::start(&divided(), &["--gpu", "MIG-5105e5d0-0000-4000-8000-0000000000bb"]);
    rig.report_until(|report| report.gpus.len() == 3);
    let document = rig.document();
    assert_eq!(document["gpu_name"], "NVIDIA H100 MIG 2g.20gb");
    assert_eq!(document["gpu_memory_used"], 3 * 1024);
    assert!(document.get("gpu_utilization").is_none() && document.get("gpu_temperature").is_none());
}

#[test]
fn tensor_cores_are_watched_for_the_dashboard_that_shows_them() {
    let mut driver = Driver::with_gpus(1);
    driver.gpus[0].tensor_active_percent = Some(37.5);
    let rig = Rig::start(&driver, &["--compat", "dcgm"]);
    rig.page_until(|page| page.contains("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE{gpu=\"0\""));
    assert_eq!(rig.gpu_until(|gpu| gpu.tensor_active_ratio.is_some()).tensor_active_ratio, Some(0.375));
    let without = Rig::start(&driver, &[]);
    without.ready();
    assert!(!without.agent.ask("GET", "/metrics").body.contains("DCGM"));
    assert_eq!(without.calls("nvmlGpmSampleGet"), 0);
}

#[test]
fn the_drivers_counters_go_on_over_its_reload() {
    let rig = Rig::start(&Driver::with_gpus(1), &[]);
    let joules =
        |rig: &Rig| rig.gpu_until(|gpu| gpu.energy_joules_total.is_some()).energy_joules_total.unwrap();
    let (before, busy) =
        (joules(&rig), rig.gpu_until(|gpu| gpu.busy_seconds_total > Some(0.0)).busy_seconds_total);
    rig.change(|driver| {
        driver.driver_version = "560.35.03".into();
        driver.gpus[0].energy_millijoules = Some(5_000);
    });
    rig.reason_until("version_mismatch");
    rig.control.install("560.35.03").unwrap();
    rig.ready();
    assert_eq!(joules(&rig), before + 5.0);
    assert!(rig.gpu_until(|gpu| gpu.busy_seconds_total.is_some()).busy_seconds_total >= busy);
}

#[test]
fn processes_of_others_are_told_to_nobody() {
    let mut driver = Driver::with_gpus(1);
    driver.gpus[0].compute_processes = vec![Process { pid: 4_194_300, used_bytes: Some(GIB) }];
    let rig = Rig::start(&driver, &[]);
    rig.ready();
    for path in ["/v1/report", "/metrics", "/orchestrator/metrics"] {
        assert!(!rig.agent.ask("GET", path).body.contains("4194300"), "{path}");
    }
}
