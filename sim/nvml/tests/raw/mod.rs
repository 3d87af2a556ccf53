//! The library as C callers use it: symbols that the wrapper leaves out or never calls so.

#![allow(unsafe_code, reason = "a C interface")]
#![allow(clippy::unwrap_used, reason = "support of tests: whatever goes wrong here fails the test")]

use nvml_wrapper_sys::bindings::{NvmlLib, nvmlDevice_t, nvmlMemory_t};
use sim_nvml::Control;

/// The library of a control, loaded and opened. Closed and let go of when dropped.
pub(crate) struct Raw(pub(crate) NvmlLib);

impl Raw {
    pub(crate) fn open(control: &Control) -> Self {
        let raw = Self::load(control);
        // SAFETY: takes nothing.
        assert_eq!(unsafe { raw.0.nvmlInit_v2() }, 0);
        raw
    }

    /// Without `nvmlInit`.
    pub(crate) fn load(control: &Control) -> Self {
        // SAFETY: our own library, which does nothing when it is loaded or let go of.
        Self(unsafe { NvmlLib::new(control.library()) }.unwrap())
    }

    pub(crate) fn device(&self, index: u32) -> nvmlDevice_t {
        let mut device = std::ptr::null_mut();
        // SAFETY: a valid place for a handle.
        assert_eq!(unsafe { self.0.nvmlDeviceGetHandleByIndex_v2(index, &raw mut device) }, 0);
        device
    }

    pub(crate) fn memory_v1(&self, device: nvmlDevice_t) -> nvmlMemory_t {
        let mut memory = nvmlMemory_t { total: 0, free: 0, used: 0 };
        // SAFETY: a valid place for the first version's struct.
        assert_eq!(unsafe { self.0.nvmlDeviceGetMemoryInfo(device, &raw mut memory) }, 0);
        memory
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: takes nothing; an error when it is not open.
        unsafe { self.0.nvmlShutdown() };
    }
}
