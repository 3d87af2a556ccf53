//! The library and the driver as a whole.

use std::ffi::{c_char, c_int, c_uint};

use nvml_wrapper_sys::bindings::nvmlReturn_t;

use super::place::Text;
use super::{code, symbols, system};
use crate::{failure, gate};

symbols! {
    nvmlInit_v2() = open();
    nvmlInitWithFlags(_flags: c_uint) = open();
    nvmlShutdown() = close();
    nvmlSystemGetDriverVersion(version: *mut c_char, length: c_uint) =
        system(Text(version, length), |driver| Ok(driver.driver_version.clone()));
    nvmlSystemGetNVMLVersion(version: *mut c_char, length: c_uint) =
        system(Text(version, length), |driver| Ok(format!("12.{}", gate::version(driver))));
    nvmlSystemGetCudaDriverVersion(version: *mut c_int) =
        system(version, |driver| Ok(driver.cuda_version.cast_signed()));
    nvmlSystemGetCudaDriverVersion_v2(version: *mut c_int) =
        system(version, |driver| Ok(driver.cuda_version.cast_signed()));
}

/// A table, not a call: it works without a session, and nothing is logged.
#[unsafe(no_mangle)]
extern "C" fn nvmlErrorString(result: nvmlReturn_t) -> *const c_char {
    failure::text(result).as_ptr()
}

unsafe fn open(symbol: &str) -> nvmlReturn_t {
    code(gate::open(symbol))
}

unsafe fn close(symbol: &str) -> nvmlReturn_t {
    code(gate::close(symbol))
}
