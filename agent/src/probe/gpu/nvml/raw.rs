//! NVML calls that the wrapper lacks. All of the agent's unsafe code is here.

#![allow(unsafe_code, reason = "the wrapper has no safe call for these two")]

use nvml_wrapper::Device;
use nvml_wrapper::error::{NvmlError, nvml_sym, nvml_try};
use report::GpuMemory;

/// `nvmlDeviceGetMemoryInfo`, version 1: `used` with what the driver reserves. The wrapper only knows the second
/// version, which leaves that out, and so differs from pynvml by some hundred MB.
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

/// Rows of memory that spare ones replace.
pub(super) struct RemappedRows {
    /// Because of errors that could be corrected.
    pub(super) correctable: u32,
    /// Because of errors that could not.
    pub(super) uncorrectable: u32,
    /// Whether more wait for a reset of the GPU.
    pub(super) pending: bool,
}

/// `nvmlDeviceGetRemappedRows`.
///
/// # Errors
/// Those of NVML; `NotSupported` on GPUs before Ampere and without error correction.
pub(super) fn remapped_rows(device: &Device<'_>) -> Result<RemappedRows, NvmlError> {
    let call = nvml_sym(device.nvml().lib().nvmlDeviceGetRemappedRows.as_ref())?;
    let (mut correctable, mut uncorrectable, mut pending, mut failed) = (0, 0, 0, 0);
    // SAFETY: as above; the four integers are what this symbol writes to, and outlive the call.
    nvml_try(unsafe {
        call(device.handle(), &raw mut correctable, &raw mut uncorrectable, &raw mut pending, &raw mut failed)
    })?;
    Ok(RemappedRows { correctable, uncorrectable, pending: pending != 0 })
}
