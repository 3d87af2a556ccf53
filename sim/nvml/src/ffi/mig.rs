//! GPUs that are cut into parts.

use std::ffi::c_uint;

use nvml_wrapper_sys::bindings::nvmlDevice_t;

use super::{device, gpu, handle_of, symbols};
use crate::device::{Device, parts};
use crate::failure::{Answer, Failure, known};
use crate::gpu::Gpu;

/// What an A100 or an H100 can be cut into.
const MOST_PARTS: c_uint = 7;

symbols! {
    nvmlDeviceGetMigMode(handle: nvmlDevice_t, current: *mut c_uint, pending: *mut c_uint) =
        gpu(handle, (current, pending), mode);
    nvmlDeviceGetMaxMigDeviceCount(handle: nvmlDevice_t, count: *mut c_uint) =
        gpu(handle, count, |gpu| Ok(if is_cut(gpu) { MOST_PARTS } else { 0 }));
    nvmlDeviceGetMigDeviceHandleByIndex(handle: nvmlDevice_t, index: c_uint, part: *mut nvmlDevice_t) =
        gpu(handle, part, |gpu| part_at(gpu, index));
    nvmlDeviceIsMigDeviceHandle(handle: nvmlDevice_t, is_part: *mut c_uint) =
        device(handle, is_part, |device| Ok(matches!(device, Device::Part { .. }).into()));
    nvmlDeviceGetDeviceHandleFromMigDeviceHandle(part: nvmlDevice_t, whole: *mut nvmlDevice_t) =
        device(part, whole, whole_of);
}

fn is_cut(gpu: &Gpu) -> bool {
    gpu.mig.as_ref().is_some_and(|mig| mig.current)
}

fn mode(gpu: &Gpu) -> Answer<(c_uint, c_uint)> {
    known(gpu.mig.as_ref()).map(|mig| (mig.current.into(), mig.pending.into()))
}

fn part_at(gpu: &Gpu, index: c_uint) -> Answer<nvmlDevice_t> {
    match parts(gpu).nth(index as usize) {
        Some(part) => Ok(handle_of(part)),
        None if !is_cut(gpu) => Err(Failure::NotSupported),
        None if index >= MOST_PARTS => Err(Failure::InvalidArgument),
        None => Err(Failure::NotFound),
    }
}

fn whole_of(device: Device<'_>) -> Answer<nvmlDevice_t> {
    match device {
        Device::Part { gpu, .. } => Ok(handle_of(Device::Whole(gpu))),
        Device::Whole(_) => Err(Failure::InvalidArgument),
    }
}
