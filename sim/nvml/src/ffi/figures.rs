//! The figures of a GPU.

use std::ffi::{c_uint, c_ulonglong};

use nvml_wrapper_sys::bindings::{
    nvmlClockType_enum_NVML_CLOCK_GRAPHICS as GRAPHICS, nvmlClockType_enum_NVML_CLOCK_MEM as MEMORY,
    nvmlClockType_enum_NVML_CLOCK_SM as SM, nvmlClockType_enum_NVML_CLOCK_VIDEO as VIDEO, nvmlClockType_t,
    nvmlDevice_t, nvmlEccCounterType_enum_NVML_AGGREGATE_ECC as AGGREGATE,
    nvmlEccCounterType_enum_NVML_VOLATILE_ECC as VOLATILE, nvmlEccCounterType_t, nvmlEnableState_t,
    nvmlMemory_t, nvmlMemory_v2_t, nvmlMemoryErrorType_enum_NVML_MEMORY_ERROR_TYPE_CORRECTED as CORRECTED,
    nvmlMemoryErrorType_enum_NVML_MEMORY_ERROR_TYPE_UNCORRECTED as UNCORRECTED, nvmlMemoryErrorType_t,
    nvmlPstates_t, nvmlTemperatureSensors_t, nvmlUtilization_t,
};

use super::place::Versioned;
use super::{device, gpu, symbols};
use crate::failure::{Answer, Failure, known};
use crate::gpu::Gpu;
use crate::hardware::{Clocks, Memory};

/// 40 bytes, version 2.
const MEMORY_V2: c_uint = 0x0200_0028;

/// Over which the engines' utilization is taken.
const SAMPLE_MICROSECONDS: c_uint = 1_000_000;

symbols! {
    nvmlDeviceGetUtilizationRates(handle: nvmlDevice_t, rates: *mut nvmlUtilization_t) =
        gpu(handle, rates, utilization);
    nvmlDeviceGetEncoderUtilization(handle: nvmlDevice_t, percent: *mut c_uint, period: *mut c_uint) =
        gpu(handle, (percent, period), |gpu| Ok((known(gpu.encoder_percent)?, SAMPLE_MICROSECONDS)));
    nvmlDeviceGetDecoderUtilization(handle: nvmlDevice_t, percent: *mut c_uint, period: *mut c_uint) =
        gpu(handle, (percent, period), |gpu| Ok((known(gpu.decoder_percent)?, SAMPLE_MICROSECONDS)));
    nvmlDeviceGetMemoryInfo(handle: nvmlDevice_t, memory: *mut nvmlMemory_t) =
        device(handle, memory, |device| device.memory().map(memory_v1));
    nvmlDeviceGetMemoryInfo_v2(handle: nvmlDevice_t, memory: *mut nvmlMemory_v2_t) =
        device(handle, Versioned(memory, MEMORY_V2), |device| device.memory().map(memory_v2));
    nvmlDeviceGetTemperature(handle: nvmlDevice_t, sensor: nvmlTemperatureSensors_t, celsius: *mut c_uint) =
        gpu(handle, celsius, |gpu| temperature(gpu, sensor));
    nvmlDeviceGetPowerUsage(handle: nvmlDevice_t, milliwatts: *mut c_uint) =
        gpu(handle, milliwatts, |gpu| known(gpu.power_milliwatts));
    nvmlDeviceGetEnforcedPowerLimit(handle: nvmlDevice_t, milliwatts: *mut c_uint) =
        gpu(handle, milliwatts, |gpu| known(gpu.power_limit_milliwatts));
    nvmlDeviceGetTotalEnergyConsumption(handle: nvmlDevice_t, millijoules: *mut c_ulonglong) =
        gpu(handle, millijoules, |gpu| known(gpu.energy_millijoules));
    nvmlDeviceGetClockInfo(handle: nvmlDevice_t, clock: nvmlClockType_t, megahertz: *mut c_uint) =
        gpu(handle, megahertz, |gpu| domain(gpu.clocks, clock));
    nvmlDeviceGetMaxClockInfo(handle: nvmlDevice_t, clock: nvmlClockType_t, megahertz: *mut c_uint) =
        gpu(handle, megahertz, |gpu| domain(gpu.clocks_max, clock));
    nvmlDeviceGetNumFans(handle: nvmlDevice_t, count: *mut c_uint) = gpu(handle, count, fans);
    nvmlDeviceGetFanSpeed(handle: nvmlDevice_t, percent: *mut c_uint) =
        gpu(handle, percent, |gpu| known(gpu.fans_percent.first().copied()));
    nvmlDeviceGetFanSpeed_v2(handle: nvmlDevice_t, fan: c_uint, percent: *mut c_uint) =
        gpu(handle, percent, |gpu| fan_speed(gpu, fan));
    nvmlDeviceGetPerformanceState(handle: nvmlDevice_t, state: *mut nvmlPstates_t) =
        gpu(handle, state, |gpu| known(gpu.performance_state));
    nvmlDeviceGetCurrPcieLinkGeneration(handle: nvmlDevice_t, generation: *mut c_uint) =
        gpu(handle, generation, |gpu| known(gpu.pcie_generation));
    nvmlDeviceGetCurrPcieLinkWidth(handle: nvmlDevice_t, width: *mut c_uint) =
        gpu(handle, width, |gpu| known(gpu.pcie_width));
    nvmlDeviceGetCurrentClocksThrottleReasons(handle: nvmlDevice_t, reasons: *mut c_ulonglong) =
        gpu(handle, reasons, |gpu| known(gpu.clock_event_reasons));
    nvmlDeviceGetCurrentClocksEventReasons(handle: nvmlDevice_t, reasons: *mut c_ulonglong) =
        gpu(handle, reasons, |gpu| known(gpu.clock_event_reasons));
    nvmlDeviceGetTotalEccErrors(
        handle: nvmlDevice_t,
        kind: nvmlMemoryErrorType_t,
        counter: nvmlEccCounterType_t,
        count: *mut c_ulonglong,
    ) = gpu(handle, count, |gpu| ecc_errors(gpu, kind, counter));
    nvmlDeviceGetEccMode(
        handle: nvmlDevice_t,
        current: *mut nvmlEnableState_t,
        pending: *mut nvmlEnableState_t,
    ) = gpu(handle, (current, pending), |gpu| known(gpu.ecc.map(|_| (1, 1))));
    nvmlDeviceGetRemappedRows(
        handle: nvmlDevice_t,
        correctable: *mut c_uint,
        uncorrectable: *mut c_uint,
        pending: *mut c_uint,
        failed: *mut c_uint,
    ) = gpu(handle, ((correctable, uncorrectable), (pending, failed)), remapped_rows);
    nvmlDeviceGetPersistenceMode(handle: nvmlDevice_t, mode: *mut nvmlEnableState_t) =
        gpu(handle, mode, |gpu| known(gpu.persistence_mode.map(c_uint::from)));
}

fn utilization(gpu: &Gpu) -> Answer<nvmlUtilization_t> {
    let utilization = known(gpu.utilization)?;
    Ok(nvmlUtilization_t { gpu: utilization.gpu_percent, memory: utilization.memory_percent })
}

fn memory_v1(memory: Memory) -> nvmlMemory_t {
    nvmlMemory_t {
        total: memory.total_bytes,
        free: memory.free_bytes(),
        used: memory.used_bytes.saturating_add(memory.reserved_bytes),
    }
}

fn memory_v2(memory: Memory) -> nvmlMemory_v2_t {
    nvmlMemory_v2_t {
        version: MEMORY_V2,
        total: memory.total_bytes,
        reserved: memory.reserved_bytes,
        free: memory.free_bytes(),
        used: memory.used_bytes,
    }
}

/// Sensor 0 is the GPU itself, the only one that NVML knows.
fn temperature(gpu: &Gpu, sensor: nvmlTemperatureSensors_t) -> Answer<c_uint> {
    if sensor == 0 { known(gpu.temperature_celsius) } else { Err(Failure::InvalidArgument) }
}

fn domain(clocks: Clocks, clock: nvmlClockType_t) -> Answer<c_uint> {
    match clock {
        GRAPHICS => known(clocks.graphics_megahertz),
        SM => known(clocks.sm_megahertz),
        MEMORY => known(clocks.memory_megahertz),
        VIDEO => known(clocks.video_megahertz),
        _ => Err(Failure::InvalidArgument),
    }
}

/// A GPU without fans does not know the question.
fn fans(gpu: &Gpu) -> Answer<c_uint> {
    match gpu.fans_percent.len() {
        0 => Err(Failure::NotSupported),
        count => c_uint::try_from(count).map_err(|_| Failure::Unknown),
    }
}

fn fan_speed(gpu: &Gpu, fan: c_uint) -> Answer<c_uint> {
    gpu.fans_percent.get(fan as usize).copied().ok_or(Failure::InvalidArgument)
}

fn ecc_errors(gpu: &Gpu, kind: nvmlMemoryErrorType_t, counter: nvmlEccCounterType_t) -> Answer<c_ulonglong> {
    let ecc = known(gpu.ecc)?;
    match (kind, counter) {
        (CORRECTED, VOLATILE) => Ok(ecc.corrected_volatile),
        (UNCORRECTED, VOLATILE) => Ok(ecc.uncorrected_volatile),
        (CORRECTED, AGGREGATE) => Ok(ecc.corrected_aggregate),
        (UNCORRECTED, AGGREGATE) => Ok(ecc.uncorrected_aggregate),
        _ => Err(Failure::InvalidArgument),
    }
}

fn remapped_rows(gpu: &Gpu) -> Answer<((c_uint, c_uint), (c_uint, c_uint))> {
    let rows = known(gpu.remapped_rows)?;
    Ok(((rows.correctable, rows.uncorrectable), (rows.pending.into(), rows.failed.into())))
}
