//! Who uses a GPU. The second and the third version of these calls differ in name alone: 24 bytes a process.

use std::ffi::{c_uint, c_ulonglong};

use nvml_wrapper_sys::bindings::{nvmlDevice_t, nvmlProcessInfo_t as Row};

use super::place::Table;
use super::{device, symbols};
use crate::device::Device;
use crate::failure::Answer;
use crate::hardware::Process;

/// `NVML_VALUE_NOT_AVAILABLE`, in the width of each field.
const UNKNOWN_BYTES: c_ulonglong = c_ulonglong::MAX;
const NO_INSTANCE: c_uint = c_uint::MAX;

symbols! {
    nvmlDeviceGetComputeRunningProcesses_v2(handle: nvmlDevice_t, count: *mut c_uint, rows: *mut Row) =
        device(handle, Table(count, rows), compute);
    nvmlDeviceGetComputeRunningProcesses_v3(handle: nvmlDevice_t, count: *mut c_uint, rows: *mut Row) =
        device(handle, Table(count, rows), compute);
    nvmlDeviceGetGraphicsRunningProcesses_v2(handle: nvmlDevice_t, count: *mut c_uint, rows: *mut Row) =
        device(handle, Table(count, rows), graphics);
    nvmlDeviceGetGraphicsRunningProcesses_v3(handle: nvmlDevice_t, count: *mut c_uint, rows: *mut Row) =
        device(handle, Table(count, rows), graphics);
}

fn compute(device: Device<'_>) -> Answer<Vec<Row>> {
    Ok(table(device, device.compute_processes()))
}

fn graphics(device: Device<'_>) -> Answer<Vec<Row>> {
    Ok(table(device, device.graphics_processes()))
}

fn table(device: Device<'_>, processes: &[Process]) -> Vec<Row> {
    let (gpu_instance, compute_instance) = match device {
        Device::Whole(_) => (NO_INSTANCE, NO_INSTANCE),
        Device::Part { instance, .. } => (instance, 0),
    };
    let row = |process: &Process| Row {
        pid: process.pid,
        usedGpuMemory: process.used_bytes.unwrap_or(UNKNOWN_BYTES),
        gpuInstanceId: gpu_instance,
        computeInstanceId: compute_instance,
    };
    processes.iter().map(row).collect()
}
