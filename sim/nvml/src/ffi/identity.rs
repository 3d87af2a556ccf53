//! Which GPUs there are, and who they are.

use std::ffi::{c_char, c_uint};

use nvml_wrapper_sys::bindings::{nvmlDevice_t, nvmlPciInfo_t, nvmlReturn_t};

use super::place::Text;
use super::{device, gpu, handle_of, symbols, system, text};
use crate::device::Device;
use crate::driver::Driver;
use crate::failure::{Answer, Failure, known};
use crate::gpu::Gpu;
use crate::pci::Address;

/// Vendor NVIDIA, an AD102.
const PCI_DEVICE: c_uint = 0x2684_10de;
const PCI_SUBSYSTEM: c_uint = 0x16f3_10de;

symbols! {
    nvmlDeviceGetCount_v2(count: *mut c_uint) =
        system(count, |driver| c_uint::try_from(driver.gpus.len()).map_err(|_| Failure::Unknown));
    nvmlDeviceGetHandleByIndex_v2(index: c_uint, handle: *mut nvmlDevice_t) =
        found(handle, |driver| nth(driver, index));
    nvmlDeviceGetHandleByUUID(uuid: *const c_char, handle: *mut nvmlDevice_t) =
        found(handle, |driver| Device::find(driver, text(uuid)?));
    nvmlDeviceGetHandleByPciBusId_v2(id: *const c_char, handle: *mut nvmlDevice_t) =
        found(handle, |driver| at(driver, text(id)?));
    nvmlDeviceGetName(handle: nvmlDevice_t, name: *mut c_char, length: c_uint) =
        device(handle, Text(name, length), |device| Ok(device.name().to_owned()));
    nvmlDeviceGetUUID(handle: nvmlDevice_t, uuid: *mut c_char, length: c_uint) =
        device(handle, Text(uuid, length), |device| Ok(device.uuid().to_owned()));
    nvmlDeviceGetMinorNumber(handle: nvmlDevice_t, number: *mut c_uint) =
        gpu(handle, number, |gpu| known(gpu.minor_number));
    nvmlDeviceGetPciInfo_v3(handle: nvmlDevice_t, pci: *mut nvmlPciInfo_t) = gpu(handle, pci, pci_info);
    nvmlDeviceGetPciInfo_v2(handle: nvmlDevice_t, pci: *mut PciInfoV2) = gpu(handle, pci, pci_info_v2);
}

/// The second version of the struct, which ends before the long address.
#[repr(C)]
struct PciInfoV2 {
    bus_id: [c_char; 16],
    domain: c_uint,
    bus: c_uint,
    device: c_uint,
    device_id: c_uint,
    subsystem_id: c_uint,
    reserved: [c_uint; 4],
}

/// Answers with the handle of a device that has to be found first.
///
/// # Safety
/// The place is null or valid.
unsafe fn found(
    symbol: &str,
    place: *mut nvmlDevice_t,
    find: impl FnOnce(&Driver) -> Answer<Device<'_>>,
) -> nvmlReturn_t {
    // SAFETY: as the caller promises.
    unsafe { system(symbol, place, |driver| find(driver)?.check(symbol).map(handle_of)) }
}

fn nth(driver: &Driver, index: c_uint) -> Answer<Device<'_>> {
    driver.gpus.get(index as usize).map(Device::Whole).ok_or(Failure::InvalidArgument)
}

fn at<'a>(driver: &'a Driver, id: &str) -> Answer<Device<'a>> {
    let address = Address::parse(id)?;
    let gpu = driver.gpus.iter().find(|gpu| Address::parse(&gpu.pci_bus_id) == Ok(address));
    gpu.map(Device::Whole).ok_or(Failure::NotFound)
}

fn address(gpu: &Gpu) -> Answer<Address> {
    Address::parse(&gpu.pci_bus_id).map_err(|_| Failure::NotSupported)
}

fn pci_info(gpu: &Gpu) -> Answer<nvmlPciInfo_t> {
    let address = address(gpu)?;
    Ok(nvmlPciInfo_t {
        busIdLegacy: characters(&address.legacy_text()),
        domain: address.domain,
        bus: address.bus,
        device: address.device,
        pciDeviceId: PCI_DEVICE,
        pciSubSystemId: PCI_SUBSYSTEM,
        busId: characters(&address.text()),
    })
}

fn pci_info_v2(gpu: &Gpu) -> Answer<PciInfoV2> {
    let address = address(gpu)?;
    Ok(PciInfoV2 {
        bus_id: characters(&address.legacy_text()),
        domain: address.domain,
        bus: address.bus,
        device: address.device,
        device_id: PCI_DEVICE,
        subsystem_id: PCI_SUBSYSTEM,
        reserved: [0; 4],
    })
}

/// A text with a terminating zero, cut where it does not fit.
fn characters<const N: usize>(text: &str) -> [c_char; N] {
    let mut characters = [0; N];
    for (character, byte) in characters.iter_mut().zip(text.bytes().take(N.saturating_sub(1))) {
        *character = c_char::from_ne_bytes([byte]);
    }
    characters
}
