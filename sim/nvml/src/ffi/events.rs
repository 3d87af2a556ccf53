//! XID errors, as events that are waited for.

use std::ffi::{c_uint, c_ulonglong};
use std::time::Duration;

use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlEventData_t, nvmlEventSet_t, nvmlEventTypeXidCriticalError, nvmlReturn_t,
};

use super::{device, gpu, pointer, symbols, system};
use crate::device::Device;
use crate::events::{EventSet, wait};
use crate::failure::{Answer, Failure};
use crate::session::session;

const XID: c_ulonglong = nvmlEventTypeXidCriticalError as c_ulonglong;

symbols! {
    nvmlDeviceGetSupportedEventTypes(handle: nvmlDevice_t, types: *mut c_ulonglong) =
        gpu(handle, types, |_| Ok(XID));
    nvmlEventSetCreate(set: *mut nvmlEventSet_t) =
        system(set, |driver| Ok(pointer(session().sets.add(EventSet::new(driver)))));
    nvmlDeviceRegisterEvents(handle: nvmlDevice_t, types: c_ulonglong, set: nvmlEventSet_t) =
        device(handle, (), |device| register(device, types, set));
    nvmlEventSetWait_v2(set: nvmlEventSet_t, data: *mut nvmlEventData_t, timeout_ms: c_uint) =
        next(set, data, Duration::from_millis(timeout_ms.into()));
    nvmlEventSetFree(set: nvmlEventSet_t) = system((), |_| session().sets.free(set.addr()));
}

fn register(device: Device<'_>, types: c_ulonglong, set: nvmlEventSet_t) -> Answer<()> {
    if types & !XID != 0 {
        return Err(Failure::NotSupported);
    }
    let mut session = session();
    let set = session.sets.get(set.addr())?;
    if types == XID {
        set.register(device.whole()?.uuid.as_str());
    }
    Ok(())
}

/// # Safety
/// The place is null or valid.
unsafe fn next(
    symbol: &str,
    set: nvmlEventSet_t,
    data: *mut nvmlEventData_t,
    timeout: Duration,
) -> nvmlReturn_t {
    let event = |(handle, xid)| nvmlEventData_t {
        device: pointer(handle),
        eventType: XID,
        eventData: xid,
        gpuInstanceId: c_uint::MAX,
        computeInstanceId: c_uint::MAX,
    };
    // SAFETY: as the caller promises.
    unsafe { system(symbol, data, |_| wait(symbol, set.addr(), timeout).map(event)) }
}
