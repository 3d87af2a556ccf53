//! GPU memory as NVML's first version counts it: `used` with what the driver reserves. The wrapper only knows the
//! second version, which leaves that out, and so differs from pynvml by some hundred MB. All of the agent's unsafe
//! code is here.

#![allow(unsafe_code, reason = "the wrapper has no safe call for version 1 of NVML's memory figures")]

use nvml_wrapper::Device;
use nvml_wrapper::error::{NvmlError, nvml_sym, nvml_try};
use report::GpuMemory;

/// `nvmlDeviceGetMemoryInfo`, version 1.
///
/// # Errors
/// Those of NVML; `NotSupported` on GPUs without memory of their own.
pub(super) fn memory_v1(device: &Device<'_>) -> Result<GpuMemory, NvmlError> {
    let call = nvml_sym(device.nvml().lib().nvmlDeviceGetMemoryInfo.as_ref())?;
    // SAFETY: `nvmlMemory_t` is a C struct of three integers, for which all bits zero are valid values.
    let mut info = unsafe { std::mem::zeroed() };
    // SAFETY: the handle is only passed on to the library that it came from, while `device` borrows that library's
    // session and so keeps it open; `info` is the struct that this symbol fills, and outlives the call.
    nvml_try(unsafe { call(device.handle(), &raw mut info) })?;
    Ok(GpuMemory {
        total_bytes: Some(info.total),
        used_bytes: Some(info.used),
        free_bytes: Some(info.free),
        reserved_bytes: None,
    })
}
