//! NVML's C interface. All of the crate's unsafe code is in this folder, and nothing is decided here: a symbol is a
//! line that says from where its figure comes and where it goes.

#![allow(unsafe_code, reason = "a C interface: symbols by name, and places given by pointer")]

mod events;
mod figures;
mod gpm;
mod identity;
mod mig;
mod place;
mod processes;
mod system;

use std::ffi::{CStr, c_char};

use nvml_wrapper_sys::bindings::{nvmlDevice_t, nvmlReturn_t};

use crate::device::Device;
use crate::driver::Driver;
use crate::failure::{Answer, Failure};
use crate::gate;
use crate::gpu::Gpu;
use crate::session::session;
use place::Place;

/// Exports symbols: each calls one of the functions below, with its own name before what it was given.
macro_rules! symbols {
    ($($symbol:ident($($argument:ident: $kind:ty),* $(,)?) = $through:ident($($given:expr),* $(,)?);)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $symbol($($argument: $kind),*) -> nvml_wrapper_sys::bindings::nvmlReturn_t {
            // SAFETY: callers keep NVML's contract: a pointer is null, or points at what the header says of it.
            unsafe { $through(stringify!($symbol), $($given),*) }
        }
    )*};
}
use symbols;

/// Answers a call about the driver.
///
/// # Safety
/// The place is null or valid.
unsafe fn system<P: Place>(
    symbol: &str,
    place: P,
    ask: impl FnOnce(&Driver) -> Answer<P::Value>,
) -> nvmlReturn_t {
    code(gate::enter(symbol).and_then(|driver| {
        // SAFETY: as the caller promises.
        unsafe { place.check() }?;
        let value = ask(&driver)?;
        // SAFETY: as the caller promises, and it was found not to be null.
        unsafe { place.put(value) }
    }))
}

/// Answers a call about a GPU or a part of one.
///
/// # Safety
/// The place is null or valid.
unsafe fn device<P: Place>(
    symbol: &str,
    handle: nvmlDevice_t,
    place: P,
    ask: impl FnOnce(Device<'_>) -> Answer<P::Value>,
) -> nvmlReturn_t {
    // SAFETY: as the caller promises.
    unsafe { system(symbol, place, |driver| ask(device_of(driver, handle)?.check(symbol)?)) }
}

/// Answers a call about a GPU; `NOT_SUPPORTED` for a part of one.
///
/// # Safety
/// The place is null or valid.
unsafe fn gpu<P: Place>(
    symbol: &str,
    handle: nvmlDevice_t,
    place: P,
    ask: impl FnOnce(&Gpu) -> Answer<P::Value>,
) -> nvmlReturn_t {
    // SAFETY: as the caller promises.
    unsafe { device(symbol, handle, place, |device| ask(device.whole()?)) }
}

fn code(answer: Answer<()>) -> nvmlReturn_t {
    answer.map_or_else(Failure::code, |()| 0)
}

/// The driver does not know a GPU any more that it gave a handle of: it is lost.
fn device_of(driver: &Driver, handle: nvmlDevice_t) -> Answer<Device<'_>> {
    let session = session();
    Device::find(driver, session.uuid(handle.addr())?).map_err(|_| Failure::GpuIsLost)
}

fn handle_of(device: Device<'_>) -> nvmlDevice_t {
    pointer(session().device(device.uuid()))
}

/// A handle as C holds it: a pointer that only this library reads, and as a number.
fn pointer<T>(handle: usize) -> *mut T {
    std::ptr::without_provenance_mut(handle)
}

/// # Safety
/// Null, or a C string that is not changed meanwhile.
unsafe fn text<'a>(text: *const c_char) -> Answer<&'a str> {
    if text.is_null() {
        return Err(Failure::InvalidArgument);
    }
    // SAFETY: not null, so a C string, as the caller promises.
    unsafe { CStr::from_ptr(text) }.to_str().map_err(|_| Failure::InvalidArgument)
}
