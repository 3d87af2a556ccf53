//! What is asked of a GPU, by how often: every second, every five, every minute.

use std::collections::BTreeMap;

use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{
    Clock, EccCounter, MemoryError, PerformanceState, TemperatureSensor,
};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::enums::gpm::GpmMetricId;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::gpm::{GpmSample, gpm_metrics_get};
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use nvml_wrapper::{Device, Nvml};
use report::{Gpu, GpuMemory};

use super::ask::Ask;
use super::raw::{memory_v1, remapped_rows};
use crate::limits::{FANS, GPU_PROCESSES};
use crate::probe::GpuProcess;
use crate::probe::gpu::tier::{Medium, Slow};

const CLOCKS: [(&str, Clock); 4] =
    [("graphics", Clock::Graphics), ("sm", Clock::SM), ("memory", Clock::Memory), ("video", Clock::Video)];

/// NVML's names of what holds clocks down, without their prefix. Idleness is one of them.
const CLOCK_EVENTS: [(&str, ThrottleReasons); 9] = [
    ("gpu_idle", ThrottleReasons::GPU_IDLE),
    ("applications_clocks_setting", ThrottleReasons::APPLICATIONS_CLOCKS_SETTING),
    ("sw_power_cap", ThrottleReasons::SW_POWER_CAP),
    ("hw_slowdown", ThrottleReasons::HW_SLOWDOWN),
    ("sync_boost", ThrottleReasons::SYNC_BOOST),
    ("sw_thermal_slowdown", ThrottleReasons::SW_THERMAL_SLOWDOWN),
    ("hw_thermal_slowdown", ThrottleReasons::HW_THERMAL_SLOWDOWN),
    ("hw_power_brake_slowdown", ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN),
    ("display_clock_setting", ThrottleReasons::DISPLAY_CLOCK_SETTING),
];

/// Marks of GPUs that work in the host's memory: Grace Blackwell desktops and Jetson modules.
const UNIFIED: [&str; 5] = ["GB10", "Jetson", "Orin", "Thor", "Xavier"];

/// What changes from one second to the next: load, memory, heat, power, clocks.
pub(super) fn read_fast(ask: &mut Ask<'_, '_>, gpu: &mut Gpu) {
    if let Some(rates) = ask.field("utilization", Device::utilization_rates) {
        gpu.utilization_ratio = Some(ratio(rates.gpu));
        gpu.memory_controller_utilization_ratio = Some(ratio(rates.memory));
    }
    gpu.memory = ask.field("memory", memory_v2);
    gpu.memory_v1 = ask.field("memory_v1", memory_v1);
    let unified = ask.lacks("memory_v1") && gpu.name.as_deref().is_some_and(works_in_host_memory);
    gpu.memory_unified = unified.then_some(true);
    let temperature = ask.field("temperature", |device| device.temperature(TemperatureSensor::Gpu));
    gpu.temperature_celsius = temperature.map(f64::from);
    gpu.power_watts = ask.field("power", Device::power_usage).map(from_thousandths);
    gpu.clock_hertz =
        ask.field("clocks", |device| clocks(|clock| device.clock_info(clock))).unwrap_or_default();
    let events = ask.field("clock_events", Device::current_throttle_reasons);
    gpu.clock_event_active = events.map(clock_events).unwrap_or_default();
}

/// What is read every five seconds.
pub(super) fn read_medium(ask: &mut Ask<'_, '_>) -> Medium {
    let encoder = ask.field("encoder", Device::encoder_utilization);
    let decoder = ask.field("decoder", Device::decoder_utilization);
    let energy = ask.field("energy", Device::total_energy_consumption);
    Medium {
        encoder_utilization_ratio: encoder.map(|engine| ratio(engine.utilization)),
        decoder_utilization_ratio: decoder.map(|engine| ratio(engine.utilization)),
        energy_joules: energy.map(|millijoules| millijoules as f64 / 1000.0),
        fan_speed_ratio: ask.field("fans", fans).unwrap_or_default(),
        performance_state: ask
            .field("performance_state", Device::performance_state)
            .and_then(performance_state),
        pcie_link_generation: ask.field("pcie_generation", Device::current_pcie_link_gen),
        pcie_link_width: ask.field("pcie_width", Device::current_pcie_link_width),
        processes: ask.field("processes", processes).unwrap_or_default(),
    }
}

/// What is read every minute.
pub(super) fn read_slow(ask: &mut Ask<'_, '_>) -> Slow {
    let rows = ask.field("remapped_rows", remapped_rows);
    let by_cause = rows.as_ref().map(|rows| {
        BTreeMap::from([
            ("correctable".to_owned(), rows.correctable),
            ("uncorrectable".to_owned(), rows.uncorrectable),
        ])
    });
    Slow {
        power_limit_watts: ask.field("power_limit", Device::enforced_power_limit).map(from_thousandths),
        clock_max_hertz: ask
            .field("clocks_max", |device| clocks(|clock| device.max_clock_info(clock)))
            .unwrap_or_default(),
        ecc_errors: ask.field("ecc", ecc_errors).unwrap_or_default(),
        remapped_rows: by_cause.unwrap_or_default(),
        row_remap_pending: rows.map(|rows| rows.pending),
        mig_mode: ask.field("mig", Device::mig_mode).map(|mode| mode.current != 0),
    }
}

/// How busy tensor cores were between two looks. Hopper and newer tell it.
#[derive(Default)]
pub(super) struct TensorCores<'nvml> {
    last: Option<GpmSample<'nvml>>,
}

impl<'nvml> TensorCores<'nvml> {
    pub(super) fn read(&mut self, ask: &mut Ask<'_, 'nvml>, nvml: &'nvml Nvml) -> Option<f64> {
        let sample = ask.field("tensor_cores", |device| match device.gpm_support()? {
            true => device.gpm_sample(),
            false => Err(NvmlError::NotSupported),
        });
        let before = std::mem::replace(&mut self.last, sample)?;
        let metrics = gpm_metrics_get(nvml, &before, self.last.as_ref()?, &[GpmMetricId::AnyTensorUtil]);
        let percent = metrics.ok()?.into_iter().next()?.ok()?.value;
        percent.is_finite().then_some(percent / 100.0)
    }
}

/// Version 2: `used` without what the driver reserves. Drivers before R510 have it not.
fn memory_v2(device: &Device<'_>) -> Result<GpuMemory, NvmlError> {
    let info = device.memory_info()?;
    Ok(GpuMemory {
        total_bytes: Some(info.total),
        used_bytes: Some(info.used),
        free_bytes: Some(info.free),
        reserved_bytes: Some(info.reserved),
    })
}

fn works_in_host_memory(name: &str) -> bool {
    UNIFIED.iter().any(|mark| name.split([' ', '-', '(', ')']).any(|word| word == *mark))
}

/// The domains that answer; an error only if the first does not.
fn clocks(read: impl Fn(Clock) -> Result<u32, NvmlError>) -> Result<BTreeMap<String, f64>, NvmlError> {
    let [(first, clock), rest @ ..] = CLOCKS;
    let mut hertz = BTreeMap::from([(first.to_owned(), from_megahertz(read(clock)?))]);
    for (name, clock) in rest {
        if let Ok(megahertz) = read(clock) {
            hertz.insert(name.to_owned(), from_megahertz(megahertz));
        }
    }
    Ok(hertz)
}

fn clock_events(active: ThrottleReasons) -> BTreeMap<String, bool> {
    CLOCK_EVENTS.iter().map(|(name, reason)| ((*name).to_owned(), active.contains(*reason))).collect()
}

fn fans(device: &Device<'_>) -> Result<BTreeMap<String, f64>, NvmlError> {
    let count = device.num_fans()?.min(FANS);
    let speed = |fan: u32| Some((fan.to_string(), ratio(device.fan_speed(fan).ok()?)));
    Ok((0..count).filter_map(speed).collect())
}

/// Over the GPU's life, not since the driver was loaded: that count is lost with each reload.
fn ecc_errors(device: &Device<'_>) -> Result<BTreeMap<String, f64>, NvmlError> {
    let kinds = [("corrected", MemoryError::Corrected), ("uncorrected", MemoryError::Uncorrected)];
    let count = |(name, kind): (&str, MemoryError)| {
        Ok((name.to_owned(), device.total_ecc_errors(kind, EccCounter::Aggregate)? as f64))
    };
    kinds.into_iter().map(count).collect()
}

/// Those that compute. One that also draws is told of once.
fn processes(device: &Device<'_>) -> Result<Vec<GpuProcess>, NvmlError> {
    let processes = device.running_compute_processes()?;
    Ok(processes.into_iter().take(GPU_PROCESSES).map(process).collect())
}

fn process(info: ProcessInfo) -> GpuProcess {
    let used_bytes = match info.used_gpu_memory {
        UsedGpuMemory::Used(bytes) => Some(bytes),
        UsedGpuMemory::Unavailable => None,
    };
    GpuProcess { pid: info.pid, used_bytes }
}

fn performance_state(state: PerformanceState) -> Option<u32> {
    use PerformanceState::{
        Eight, Eleven, Fifteen, Five, Four, Fourteen, Nine, One, Seven, Six, Ten, Thirteen, Three, Twelve,
        Two, Zero,
    };
    let states = [
        Zero, One, Two, Three, Four, Five, Six, Seven, Eight, Nine, Ten, Eleven, Twelve, Thirteen, Fourteen,
        Fifteen,
    ];
    (0..).zip(states).find_map(|(number, one)| (one == state).then_some(number))
}

fn ratio(percent: u32) -> f64 {
    f64::from(percent) / 100.0
}

fn from_thousandths(value: u32) -> f64 {
    f64::from(value) / 1000.0
}

fn from_megahertz(megahertz: u32) -> f64 {
    f64::from(megahertz) * 1e6
}
