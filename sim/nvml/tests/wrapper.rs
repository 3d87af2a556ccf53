//! What nvml-wrapper reads from an installed library, and how that fails on command.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "support of tests: whatever goes wrong here fails the test"
)]

mod raw;

use std::thread;
use std::time::{Duration, Instant};

use nvml_wrapper::Nvml;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enum_wrappers::device::{
    Clock, EccCounter, MemoryError, PerformanceState, TemperatureSensor,
};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::enums::gpm::GpmMetricId;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::gpm::gpm_metrics_get;
use raw::Raw;
use sim_nvml::{Control, Driver, Ecc, Failure, Gpu, Memory, Mig, MigDevice, Process};

const MIB: u64 = 1 << 20;

fn open(control: &Control) -> Result<Nvml, NvmlError> {
    Nvml::builder().lib_path(control.library().as_os_str()).init()
}

fn installed(driver: &Driver) -> (Control, Nvml) {
    let control = Control::new(driver).unwrap();
    let nvml = open(&control).unwrap();
    (control, nvml)
}

/// One GPU, made different from the default.
fn one(edit: impl FnOnce(&mut Gpu)) -> Driver {
    let mut driver = Driver::with_gpus(1);
    edit(&mut driver.gpus[0]);
    driver
}

fn error<T>(answer: Result<T, NvmlError>) -> String {
    answer.err().map_or_else(|| "no error".to_owned(), |error| format!("{error:?}"))
}

#[test]
fn the_driver_and_its_gpus_say_who_they_are() {
    let (control, nvml) = installed(&Driver::with_gpus(2));
    assert_eq!(nvml.sys_driver_version().unwrap(), "550.54.14");
    assert_eq!(nvml.sys_nvml_version().unwrap(), "12.550.54.14");
    assert_eq!(nvml.sys_cuda_driver_version().unwrap(), 12_040);
    assert_eq!(nvml.device_count().unwrap(), 2);
    let second = nvml.device_by_index(1).unwrap();
    assert_eq!(second.name().unwrap(), "NVIDIA GeForce RTX 4090");
    assert_eq!(second.minor_number().unwrap(), 1);
    let pci = second.pci_info().unwrap();
    assert_eq!((pci.bus_id.as_str(), pci.bus), ("00000000:02:00.0", 2));
    let uuid = second.uuid().unwrap();
    assert_eq!(nvml.device_by_uuid(uuid.as_str()).unwrap().minor_number().unwrap(), 1);
    assert_eq!(nvml.device_by_pci_bus_id("0000:02:00.0").unwrap().uuid().unwrap(), uuid);
    assert_ne!(nvml.device_by_index(0).unwrap().uuid().unwrap(), uuid);
    assert_eq!(error(nvml.device_by_index(2)), "InvalidArg");
    assert_eq!(error(nvml.device_by_uuid("GPU-of-another")), "NotFound");
    assert_eq!(control.calls().first().map(String::as_str), Some("nvmlInit_v2"));
}

#[test]
fn an_idle_gpu_has_the_figures_of_a_desktop() {
    let (_control, nvml) = installed(&Driver::with_gpus(1));
    let gpu = nvml.device_by_index(0).unwrap();
    let rates = gpu.utilization_rates().unwrap();
    assert_eq!((rates.gpu, rates.memory), (3, 1));
    assert_eq!(gpu.encoder_utilization().unwrap().utilization, 0);
    assert_eq!(gpu.decoder_utilization().unwrap().utilization, 0);
    assert_eq!(gpu.temperature(TemperatureSensor::Gpu).unwrap(), 41);
    assert_eq!((gpu.power_usage().unwrap(), gpu.enforced_power_limit().unwrap()), (28_500, 450_000));
    assert_eq!(gpu.total_energy_consumption().unwrap(), 1_234_567);
    assert_eq!(gpu.clock_info(Clock::Memory).unwrap(), 405);
    assert_eq!(gpu.max_clock_info(Clock::SM).unwrap(), 3_105);
    assert_eq!((gpu.num_fans().unwrap(), gpu.fan_speed(1).unwrap()), (2, 30));
    assert_eq!(gpu.performance_state().unwrap(), PerformanceState::Eight);
    assert_eq!((gpu.current_pcie_link_gen().unwrap(), gpu.current_pcie_link_width().unwrap()), (1, 16));
    assert_eq!(gpu.current_throttle_reasons().unwrap(), ThrottleReasons::GPU_IDLE);
    assert!(!gpu.is_in_persistent_mode().unwrap());
}

#[test]
fn the_first_version_of_memory_counts_what_the_driver_holds_as_used() {
    let memory = Memory { total_bytes: 1_000 * MIB, used_bytes: 300 * MIB, reserved_bytes: 50 * MIB };
    let (control, nvml) = installed(&one(|gpu| gpu.memory = Some(memory)));
    let second = nvml.device_by_index(0).unwrap().memory_info().unwrap();
    assert_eq!((second.used, second.reserved, second.free), (300 * MIB, 50 * MIB, 650 * MIB));
    let raw = Raw::open(&control);
    let first = raw.memory_v1(raw.device(0));
    assert_eq!((first.total, first.used, first.free), (1_000 * MIB, 350 * MIB, 650 * MIB));
}

#[test]
fn a_figure_that_is_absent_is_not_supported() {
    let (_control, nvml) = installed(&one(|gpu| {
        *gpu = Gpu { uuid: gpu.uuid.clone(), name: "bare".to_owned(), ..Gpu::default() };
    }));
    let gpu = nvml.device_by_index(0).unwrap();
    assert_eq!(gpu.name().unwrap(), "bare");
    let errors = [
        error(gpu.utilization_rates()),
        error(gpu.memory_info()),
        error(gpu.temperature(TemperatureSensor::Gpu)),
        error(gpu.clock_info(Clock::SM)),
        error(gpu.num_fans()),
        error(gpu.pci_info()),
        error(gpu.total_ecc_errors(MemoryError::Corrected, EccCounter::Volatile)),
        error(gpu.mig_mode()),
        error(gpu.gpm_sample()),
    ];
    assert_eq!(errors, ["NotSupported"; 9]);
}

#[test]
fn calls_fail_by_symbol_on_all_gpus_or_on_one() {
    let (control, nvml) = installed(&Driver::with_gpus(2));
    let change = |edit: fn(&mut Driver)| control.change(edit).unwrap();
    let gpus = [nvml.device_by_index(0).unwrap(), nvml.device_by_index(1).unwrap()];
    let errors = || gpus.each_ref().map(|gpu| error(gpu.power_usage()));

    change(|driver| driver.fail = [("nvmlDeviceGetPowerUsage".to_owned(), Failure::Timeout)].into());
    assert_eq!(errors(), ["Timeout", "Timeout"]);
    assert_eq!(gpus[0].name().unwrap(), "NVIDIA GeForce RTX 4090");
    change(|driver| {
        driver.fail.clear();
        driver.gpus[1].fail.insert("*".into(), Failure::NoPermission);
    });
    assert_eq!(errors(), ["no error", "NoPermission"]);
    change(|driver| driver.fail = [("*".to_owned(), Failure::DriverNotLoaded)].into());
    assert_eq!(errors(), ["DriverNotLoaded", "DriverNotLoaded"]);
    assert_eq!(error(nvml.device_count()), "DriverNotLoaded");
}

#[test]
fn a_lost_gpu_answers_nothing_and_the_others_go_on() {
    let (control, nvml) = installed(&Driver::with_gpus(2));
    let (first, second) = (nvml.device_by_index(0).unwrap(), nvml.device_by_index(1).unwrap());
    control.change(|driver| driver.gpus[0].lost = true).unwrap();
    let errors = [
        error(first.uuid()),
        error(first.temperature(TemperatureSensor::Gpu)),
        error(nvml.device_by_index(0)),
    ];
    assert_eq!(errors, ["GpuLost"; 3]);
    assert_eq!(second.temperature(TemperatureSensor::Gpu).unwrap(), 41);
    assert_eq!(nvml.device_count().unwrap(), 2);

    control.change(|driver| drop(driver.gpus.remove(0))).unwrap();
    assert_eq!(error(first.uuid()), "GpuLost");
    assert_eq!(second.minor_number().unwrap(), 1);
    assert_eq!(nvml.device_by_index(0).unwrap().minor_number().unwrap(), 1);
}

#[test]
fn a_call_hangs_until_the_file_lets_it_go_and_others_are_answered_meanwhile() {
    let (control, nvml) = installed(&Driver::with_gpus(1));
    let gpu = nvml.device_by_index(0).unwrap();
    control.change(|driver| driver.hang = ["nvmlDeviceGetUtilizationRates".to_owned()].into()).unwrap();
    thread::scope(|scope| {
        let hanging = scope.spawn(|| gpu.utilization_rates().unwrap().gpu);
        await_call(&control, "hanging nvmlDeviceGetUtilizationRates");
        assert_eq!(gpu.temperature(TemperatureSensor::Gpu).unwrap(), 41);
        assert!(!hanging.is_finished());
        control
            .change(|driver| {
                driver.hang.clear();
                driver.gpus[0].utilization.as_mut().unwrap().gpu_percent = 99;
            })
            .unwrap();
        assert_eq!(hanging.join().unwrap(), 99);
    });
}

#[test]
fn a_hanging_call_ends_with_its_control() {
    let (control, nvml) = installed(&Driver::with_gpus(1));
    control.change(|driver| driver.hang = ["*".to_owned()].into()).unwrap();
    thread::scope(|scope| {
        let hanging = scope.spawn(|| error(nvml.device_count()));
        await_call(&control, "hanging nvmlDeviceGetCount_v2");
        drop(control);
        assert_eq!(hanging.join().unwrap(), "Unknown");
    });
}

#[test]
fn a_call_is_delayed_as_long_as_it_is_told() {
    let (control, nvml) = installed(&Driver::with_gpus(1));
    control.change(|driver| driver.delay_ms = [("nvmlDeviceGetCount_v2".to_owned(), 60)].into()).unwrap();
    let begun = Instant::now();
    assert_eq!(nvml.device_count().unwrap(), 1);
    assert!(begun.elapsed() >= Duration::from_millis(60));
}

fn await_call(control: &Control, line: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !control.calls().iter().any(|call| call == line) {
        assert!(Instant::now() < deadline, "no call `{line}` among {:?}", control.calls());
        thread::yield_now();
    }
}

#[test]
fn an_xid_error_is_told_once_to_those_who_registered() {
    let mut driver = Driver::with_gpus(2);
    driver.report_xid(1, 13);
    let (control, nvml) = installed(&driver);
    let second = nvml.device_by_index(1).unwrap();
    assert!(second.supported_event_types().unwrap().contains(EventTypes::CRITICAL_XID_ERROR));
    let set = nvml.create_event_set().unwrap();
    let set = second.register_events(EventTypes::CRITICAL_XID_ERROR, set).unwrap();
    assert_eq!(error(set.wait(0)), "Timeout");

    thread::scope(|scope| {
        scope.spawn(|| {
            control
                .change(|driver| {
                    driver.report_xid(0, 31);
                    driver.report_xid(1, 79);
                })
                .unwrap();
        });
        let event = set.wait(20_000).unwrap();
        assert_eq!(event.event_data, Some(XidError::Value(79)));
        assert_eq!(event.device.minor_number().unwrap(), 1);
    });
    assert_eq!(error(set.wait(10)), "Timeout");
    set.release_events().unwrap();
}

#[test]
fn a_part_of_a_cut_gpu_has_a_name_and_memory_but_no_load() {
    let memory = Memory { total_bytes: 10_240 * MIB, used_bytes: 38 * MIB, reserved_bytes: MIB };
    let part = |number: u32| MigDevice {
        uuid: format!("MIG-{number}"),
        name: "NVIDIA A100-SXM4-40GB MIG 1g.5gb".to_owned(),
        memory: Some(memory),
        compute_processes: vec![Process { pid: number, used_bytes: Some(MIB) }],
        ..MigDevice::default()
    };
    let mig = Mig { current: true, pending: false, devices: vec![part(1), part(2)] };
    let (control, nvml) = installed(&one(|gpu| gpu.mig = Some(mig)));
    let gpu = nvml.device_by_index(0).unwrap();
    assert_eq!(gpu.mig_device_count().unwrap(), 7);
    let second = gpu.mig_device_by_index(1).unwrap();
    assert_eq!(error(gpu.mig_device_by_index(2)), "NotFound");
    assert_eq!((second.uuid().unwrap(), second.memory_info().unwrap().used), ("MIG-2".to_owned(), 38 * MIB));
    assert!(second.mig_is_mig_device_handle().unwrap() && !gpu.mig_is_mig_device_handle().unwrap());
    assert_eq!(second.mig_parent_device().unwrap().uuid().unwrap(), gpu.uuid().unwrap());
    assert_eq!(nvml.device_by_uuid("MIG-1").unwrap().name().unwrap(), part(1).name);
    let processes = second.running_compute_processes().unwrap();
    assert_eq!((processes[0].pid, processes[0].gpu_instance_id), (2, Some(2)));
    let errors = [
        error(second.utilization_rates()),
        error(second.temperature(TemperatureSensor::Gpu)),
        error(second.power_usage()),
    ];
    assert_eq!(errors, ["NotSupported"; 3]);

    control.change(|driver| driver.gpus[0].mig.as_mut().unwrap().current = false).unwrap();
    assert_eq!(
        (error(second.uuid()), error(gpu.mig_device_by_index(0))),
        ("GpuLost".into(), "NotSupported".into())
    );
}

#[test]
fn processes_are_told_with_the_memory_that_is_known() {
    let (_control, nvml) = installed(&one(|gpu| {
        gpu.compute_processes =
            vec![Process { pid: 7, used_bytes: Some(512 * MIB) }, Process { pid: 8, used_bytes: None }];
        gpu.graphics_processes = vec![Process { pid: 9, used_bytes: Some(MIB) }];
    }));
    let gpu = nvml.device_by_index(0).unwrap();
    let compute = gpu.running_compute_processes().unwrap();
    assert_eq!(compute.iter().map(|one| one.pid).collect::<Vec<_>>(), [7, 8]);
    assert_eq!(compute[0].used_gpu_memory, UsedGpuMemory::Used(512 * MIB));
    assert_eq!(
        (&compute[1].used_gpu_memory, compute[1].gpu_instance_id),
        (&UsedGpuMemory::Unavailable, None)
    );
    assert_eq!(gpu.running_graphics_processes().unwrap()[0].pid, 9);
}

#[test]
fn a_data_centers_gpu_counts_its_memorys_errors() {
    let (_control, nvml) = installed(&one(|gpu| {
        gpu.ecc = Some(Ecc {
            corrected_volatile: 1,
            uncorrected_volatile: 2,
            corrected_aggregate: 3,
            uncorrected_aggregate: 4,
        });
    }));
    let gpu = nvml.device_by_index(0).unwrap();
    let count = |kind, counter| gpu.total_ecc_errors(kind, counter).unwrap();
    assert_eq!(count(MemoryError::Corrected, EccCounter::Volatile), 1);
    assert_eq!(count(MemoryError::Uncorrected, EccCounter::Aggregate), 4);
    assert!(gpu.is_ecc_enabled().unwrap().currently_enabled);
}

#[test]
fn the_tensor_cores_load_is_known_between_two_samples() {
    let (control, nvml) = installed(&one(|gpu| gpu.tensor_active_percent = Some(12.5)));
    let gpu = nvml.device_by_index(0).unwrap();
    assert!(gpu.gpm_support().unwrap());
    let first = gpu.gpm_sample().unwrap();
    control.change(|driver| driver.gpus[0].tensor_active_percent = Some(62.5)).unwrap();
    let second = gpu.gpm_sample().unwrap();
    let asked = [GpmMetricId::AnyTensorUtil, GpmMetricId::SmUtil];
    let metrics = gpm_metrics_get(&nvml, &first, &second, &asked).unwrap();
    assert_eq!(metrics[0].as_ref().unwrap().value, 62.5);
    assert!(matches!(metrics[1], Err(NvmlError::NotSupported)));
}

#[test]
fn a_library_of_another_version_than_the_driver_heals_only_by_being_loaded_anew() {
    let (control, nvml) = installed(&Driver::with_gpus(1));
    let change = |version: &str| control.change(|driver| driver.driver_version = version.to_owned()).unwrap();
    change("560.28.03");
    assert_eq!(error(nvml.device_count()), "LibRmVersionMismatch");
    control.install("560.28.03").unwrap();
    // While the old library is held, opening means the mapped one, whatever lies in its place by now.
    assert_eq!(error(open(&control)), "LibRmVersionMismatch");
    assert_eq!(error(nvml.device_count()), "LibRmVersionMismatch");
    drop(nvml);
    let nvml = open(&control).unwrap();
    assert_eq!(nvml.sys_nvml_version().unwrap(), "12.560.28.03");
    assert_eq!(nvml.device_count().unwrap(), 1);
}

#[test]
fn an_upgrade_whose_module_is_not_loaded_yet_hurts_only_those_who_open_anew() {
    let (control, nvml) = installed(&Driver::with_gpus(1));
    control.install("560.28.03").unwrap();
    assert_eq!(nvml.device_count().unwrap(), 1);
    drop(nvml);
    assert_eq!(error(open(&control)), "LibRmVersionMismatch");
}

#[test]
fn a_broken_control_file_fails_every_call_and_harms_nobody() {
    let (control, nvml) = installed(&Driver::with_gpus(1));
    let gpu = nvml.device_by_index(0).unwrap();
    for broken in ["", "{", "7", r#"{"gpus": 7}"#, r#"{"fail": {"*": "NO_SUCH_ERROR"}}"#] {
        std::fs::write(control.file(), broken).unwrap();
        assert_eq!(
            (error(nvml.device_count()), error(gpu.name())),
            ("Unknown".into(), "Unknown".into()),
            "{broken}"
        );
    }
    std::fs::remove_file(control.file()).unwrap();
    assert_eq!(error(gpu.memory_info()), "Unknown");
    control.change(|_| ()).unwrap();
    assert_eq!(nvml.device_count().unwrap(), 1);
}
