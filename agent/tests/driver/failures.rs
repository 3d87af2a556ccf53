//! What the driver can do wrong, and what the agent makes of it.

use sim_nvml::{Driver, Failure, Gpu, Memory};

use super::{Rig, gpu_probe};

#[test]
fn a_driver_that_is_loaded_after_the_agent_is_found() {
    let mut driver = Driver::with_gpus(1);
    driver.fail.insert("nvmlInit_v2".into(), Failure::DriverNotLoaded);
    let rig = Rig::start(&driver, &[]);
    let report = rig.report_until(|report| gpu_probe(report).failures_total.contains_key("no_driver"));
    assert!(gpu_probe(&report).error.as_deref().unwrap().contains("modprobe nvidia"));
    assert!(!rig.agent.ask("GET", "/metrics").body.contains("orchestrator_gpu_"));
    rig.change(|driver| driver.fail.clear());
    rig.ready();
}

#[test]
fn a_driver_without_gpus_is_looked_at_again() {
    let rig = Rig::start(&Driver::with_gpus(0), &[]);
    rig.reason_until("no_device");
    rig.change(|driver| driver.gpus.push(Gpu::new(0)));
    rig.ready();
}

#[test]
fn an_upgraded_driver_is_used_once_its_library_is_there_too_and_the_old_library_is_let_go_of() {
    let rig = Rig::start(&Driver::with_gpus(1), &[]);
    rig.ready();
    rig.change(|driver| driver.driver_version = "560.35.03".into());
    rig.reason_until("version_mismatch");
    assert!(!rig.agent.ask("GET", "/metrics").body.contains("orchestrator_gpu_"));
    rig.control.install("560.35.03").unwrap();
    let report = rig.report_until(|report| !report.gpus.is_empty());
    assert_eq!(report.gpu_driver.unwrap().driver_version.as_deref(), Some("560.35.03"));
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", rig.agent.pid())).unwrap();
    assert!(maps.contains("libnvidia-ml.so.560.35.03") && !maps.contains("550.54.14"), "{maps}");
}

#[test]
fn a_call_that_hangs_takes_only_the_gpus_away_and_only_until_it_returns() {
    let rig = Rig::start(&Driver::with_gpus(2), &[]);
    rig.ready();
    rig.change(|driver| _ = driver.hang.insert("nvmlDeviceGetUtilizationRates".into()));
    rig.page_until(|page| !page.contains("orchestrator_gpu_"));
    let report = rig.report();
    assert!(report.gpus.is_empty() && report.host.cpu.is_some());
    assert_eq!(gpu_probe(&report).failures_total["timeout"], 1);
    assert_eq!(rig.document().as_object().unwrap().len(), 3);
    assert_eq!(rig.agent.ask("GET", "/-/ready").status, 200);
    rig.change(|driver| driver.hang.clear());
    rig.ready();
    assert_eq!(rig.document().as_object().unwrap().len(), 8);
}

#[test]
fn what_a_lost_gpu_left_unanswered_is_asked_again_when_it_is_back() {
    let mut driver = Driver::with_gpus(1);
    driver.gpus[0].fail.insert("nvmlDeviceGetUtilizationRates".into(), Failure::GpuIsLost);
    let rig = Rig::start(&driver, &[]);
    rig.gpu_until(|gpu| gpu.up == Some(false));
    rig.change(|driver| driver.gpus[0].fail.clear());
    let gpu = rig.gpu_until(|gpu| gpu.up == Some(true));
    assert!(gpu.power_limit_watts.is_some() && gpu.pcie_link_width.is_some(), "{gpu:?}");
    assert_eq!(rig.calls("nvmlInit_v2"), 1);
}

#[test]
fn a_gpu_that_falls_off_the_bus_is_down_says_why_and_harms_no_other() {
    let rig = Rig::start(&Driver::with_gpus(2), &["--gpu", "all"]);
    let lost = rig.gpu_until(|gpu| gpu.up == Some(true)).uuid.unwrap();
    rig.change(|driver| {
        driver.report_xid(0, 79);
        driver.gpus[0].lost = true;
    });
    let page = rig.page_until(|page| page.contains(&format!("orchestrator_gpu_up{{uuid=\"{lost}\"}} 0\n")));
    let of_lost =
        page.lines().filter(|line| line.contains(&lost)).map(|line| line.split('{').next().unwrap());
    let told = [
        "orchestrator_gpu_info",
        "orchestrator_gpu_up",
        "orchestrator_gpu_xid_last_timestamp_seconds",
        "orchestrator_gpu_xid_errors_total",
    ];
    assert_eq!(of_lost.collect::<Vec<_>>(), told, "{page}");
    assert!(page.contains(&format!("orchestrator_gpu_xid_errors_total{{uuid=\"{lost}\",xid=\"79\"}} 1")));
    let other = rig.report().gpus.remove(1);
    assert_eq!((other.up, other.temperature_celsius), (Some(true), Some(41.0)));
    assert_eq!(rig.document().as_object().unwrap().len(), 3);
    rig.change(|driver| driver.gpus[0].lost = false);
    rig.gpu_until(|gpu| gpu.up == Some(true) && gpu.temperature_celsius.is_some());
}

#[test]
fn what_a_gpu_does_not_support_is_asked_once_a_session_and_skipped() {
    let mut driver = Driver::with_gpus(1);
    driver.gpus[0].encoder_percent = None;
    driver.gpus[0].power_milliwatts = None;
    driver.gpus[0].fail.insert("nvmlDeviceGetCurrentClocksThrottleReasons".into(), Failure::FunctionNotFound);
    let rig = Rig::start(&driver, &[]);
    rig.calls_until("nvmlDeviceGetTemperature", 4);
    for symbol in ["nvmlDeviceGetPowerUsage", "nvmlDeviceGetEncoderUtilization"] {
        assert_eq!(rig.calls(symbol), 1, "{symbol}");
    }
    let gpu = rig.gpu_until(|gpu| gpu.temperature_celsius.is_some());
    assert_eq!((gpu.power_watts, gpu.clock_event_active.len()), (None, 0));
    // Another driver may support it.
    rig.change(|driver| {
        driver.driver_version = "560.35.03".into();
        driver.gpus[0].power_milliwatts = Some(60_000);
    });
    rig.control.install("560.35.03").unwrap();
    rig.gpu_until(|gpu| gpu.power_watts == Some(60.0));
}

#[test]
fn what_fails_in_another_way_is_absent_and_asked_for_again() {
    let rig = Rig::start(&Driver::with_gpus(1), &[]);
    rig.ready();
    rig.change(|driver| _ = driver.gpus[0].fail.insert("nvmlDeviceGetTemperature".into(), Failure::Unknown));
    let gpu = rig.gpu_until(|gpu| gpu.temperature_celsius.is_none());
    assert_eq!((gpu.up, gpu.utilization_ratio), (Some(true), Some(0.03)));
    assert!(rig.document().get("gpu_temperature").is_none());
    rig.change(|driver| driver.gpus[0].fail.clear());
    rig.gpu_until(|gpu| gpu.temperature_celsius == Some(41.0));
}

#[test]
fn memory_is_the_hosts_only_where_the_gpu_has_none_by_its_nature() {
    let desktop = |name: &str| Gpu { name: name.into(), memory: None, ..Gpu::new(0) };
    let refused = |name: &str| {
        let fail = [("nvmlDeviceGetMemoryInfo".to_owned(), Failure::Unknown)].into();
        Gpu { name: name.into(), fail, ..Gpu::new(0) }
    };
    let cases = [
        (desktop("NVIDIA GB10"), Some(true)),
        (desktop("Orin (nvgpu)"), Some(true)),
        (desktop("NVIDIA GeForce RTX 4090"), None),
        (desktop("NVIDIA RTX GB1024"), None),
        (refused("NVIDIA GB10"), None),
    ];
    let rigs = cases.map(|(gpu, unified)| {
        let name = gpu.name.clone();
        let driver = Driver { gpus: vec![gpu], ..Driver::with_gpus(0) };
        (Rig::start(&driver, &[]), name, unified)
    });
    for (rig, name, unified) in rigs {
        let gpu = rig.gpu_until(|gpu| gpu.up == Some(true));
        assert_eq!(gpu.memory_unified, unified, "{name}");
        let document = rig.document();
        let total = document.get("gpu_memory_total");
        assert_eq!(total, unified.and_then(|_| document.get("ram_total")), "{name}");
    }
}

#[test]
fn a_driver_that_takes_long_to_open_is_opened_once_and_waited_for_by_nobody() {
    let mut driver = Driver::with_gpus(1);
    driver.delay_ms.insert("nvmlInit_v2".into(), 4000);
    let rig = Rig::start(&driver, &[]);
    assert!(rig.report().gpus.is_empty());
    rig.ready();
    rig.calls_until("nvmlDeviceGetTemperature", 3);
    assert_eq!((rig.calls("nvmlInit_v2"), rig.calls("nvmlShutdown")), (1, 0));
}

#[test]
fn a_service_that_is_shut_out_of_the_driver_ends_to_be_started_anew() {
    let rig = Rig::start_with(&Driver::with_gpus(1), &[], &[("INVOCATION_ID", "a-service")]);
    rig.ready();
    rig.change(|driver| {
        driver.fail.insert("*".into(), Failure::Unknown);
        driver.fail.insert("nvmlInit_v2".into(), Failure::NoPermission);
    });
    rig.reason_until("permission");
    let Rig { agent, .. } = rig;
    assert_eq!(agent.wait().code(), Some(1));
}

#[test]
fn an_agent_that_was_never_let_in_goes_on_without_gpus() {
    let mut driver = Driver::with_gpus(1);
    driver.fail.insert("nvmlInit_v2".into(), Failure::NoPermission);
    let rig = Rig::start_with(&driver, &[], &[("INVOCATION_ID", "a-service")]);
    rig.reason_until("permission");
    rig.report_until(|report| gpu_probe(report).failures_total["permission"] >= 3);
    assert!(rig.report().host.cpu.is_some());
}

#[test]
fn a_broken_control_of_figures_is_never_told_as_zero() {
    let mut driver = Driver::with_gpus(1);
    driver.gpus[0].memory = Some(Memory { total_bytes: 1 << 30, used_bytes: 0, reserved_bytes: 0 });
    let rig = Rig::start(&driver, &[]);
    rig.ready();
    assert_eq!(rig.document()["gpu_memory_used"], 0);
    rig.change(|driver| _ = driver.gpus[0].fail.insert("nvmlDeviceGetMemoryInfo".into(), Failure::Timeout));
    rig.gpu_until(|gpu| gpu.memory_v1.is_none());
    assert!(rig.document().get("gpu_memory_used").is_none());
}

#[test]
fn a_log_that_nobody_reads_any_more_costs_no_figures() {
    let rig = Rig::start(&Driver::with_gpus(2), &[]);
    rig.ready();
    rig.agent.leave_log();
    for lost in [true, false] {
        rig.change(|driver| driver.gpus[0].lost = lost);
        rig.gpu_until(|gpu| gpu.up == Some(!lost));
    }
    assert_eq!(rig.agent.stop("TERM").code(), Some(0));
}

#[test]
fn gpus_that_cannot_be_told_apart_make_no_series_twice() {
    for (uuid, told) in [("", 0), ("GPU-same", 1)] {
        let mut driver = Driver::with_gpus(2);
        driver.gpus.iter_mut().for_each(|gpu| gpu.uuid = uuid.into());
        let rig = Rig::start(&driver, &["--gpu", "all"]);
        rig.ready();
        let page = rig.agent.ask("GET", "/metrics").body;
        assert_eq!(page.matches("orchestrator_gpu_up{").count(), told, "{uuid:?} {page}");
    }
}
