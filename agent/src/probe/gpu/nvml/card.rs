//! One GPU during a session: its identity, what was read of it in which tier, its MIG devices and its XID errors.

use std::time::Instant;

use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, EventSet, Nvml};
use report::Gpu;

use super::ask::{Ask, Unsupported, is_fatal};
use super::figures::{self, TensorCores};
use crate::clock::now_unix_seconds;
use crate::limits::{MIG_DEVICES, XIDS_A_READING};
use crate::probe::gpu::tier::{Medium, Slow, Tiers};
use crate::probe::{GpuReading, Xid};

/// What is read only where somebody asked for it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wishes {
    pub(super) tensor_cores: bool,
}

/// What is remembered of one GPU, or of one MIG device, during a session.
pub(super) struct Card<'nvml> {
    device: Option<Device<'nvml>>,
    index: u32,
    identity: Gpu,
    unsupported: Unsupported,
    tiers: Tiers,
    tensor_cores: Option<TensorCores<'nvml>>,
    xids: Option<EventSet<'nvml>>,
    mig: Vec<Card<'nvml>>,
}

/// What one card has told.
pub(super) struct CardRead {
    /// The GPU, then its MIG devices.
    pub(super) readings: Vec<GpuReading>,
    /// See [`Ask::answers`].
    pub(super) answers: u32,
    /// See [`Ask::error`].
    pub(super) error: Option<NvmlError>,
}

impl<'nvml> Card<'nvml> {
    /// The GPU at a place of the driver's order. One in trouble is asked for again at each reading.
    pub(super) fn new(nvml: &'nvml Nvml, index: u32, wishes: Wishes) -> Self {
        let device = nvml.device_by_index(index).ok();
        let xids = device.as_ref().and_then(|device| watch_xids(nvml, device));
        let tensor_cores = wishes.tensor_cores.then(TensorCores::default);
        Self { tensor_cores, xids, ..Self::of(device, Gpu { index: Some(index), ..Gpu::default() }, index) }
    }

    fn of(device: Option<Device<'nvml>>, identity: Gpu, index: u32) -> Self {
        Self {
            device,
            index,
            identity,
            unsupported: Unsupported::new(),
            tiers: Tiers::new(),
            tensor_cores: None,
            xids: None,
            mig: Vec::new(),
        }
    }

    /// # Errors
    /// The driver as a whole is gone.
    pub(super) fn read(&mut self, nvml: &'nvml Nvml, now: Instant) -> Result<CardRead, NvmlError> {
        if self.device.is_none() {
            match nvml.device_by_index(self.index) {
                Ok(device) => {
                    self.xids = watch_xids(nvml, &device);
                    self.device = Some(device);
                }
                Err(error) if is_fatal(&error) => return Err(error),
                Err(_) => return Ok(self.lost()),
            }
        }
        self.read_device(nvml, now)
    }

    fn read_device(&mut self, nvml: &'nvml Nvml, now: Instant) -> Result<CardRead, NvmlError> {
        let Some(device) = &self.device else { return Ok(self.lost()) };
        identify(&mut self.identity, device);
        let mut ask = Ask::new(device, &mut self.unsupported);
        let mut gpu = Gpu { up: Some(true), ..self.identity.clone() };
        figures::read_fast(&mut ask, &mut gpu);
        if let Some(tensor_cores) = &mut self.tensor_cores {
            gpu.tensor_active_ratio = tensor_cores.read(&mut ask, nvml);
        }
        let (medium, _) = self.tiers.medium.due(now, || figures::read_medium(&mut ask));
        let (slow, is_new) = self.tiers.slow.due(now, || figures::read_slow(&mut ask));
        let (ended_by, error, answers) = (ask.ended_by.take(), ask.error.take(), ask.answers);
        match ended_by {
            Some(error) if is_fatal(&error) => return Err(error),
            Some(_) => return Ok(self.lost()),
            None => {}
        }
        let reading = self.worded(gpu, medium, slow);
        if is_new {
            self.divide();
        }
        let mut read = CardRead { readings: vec![reading], answers, error };
        for part in &mut self.mig {
            read.readings.extend(part.read_device(nvml, now)?.readings);
        }
        Ok(read)
    }

    fn worded(&self, mut gpu: Gpu, medium: Medium, slow: Slow) -> GpuReading {
        let processes = medium.place(&mut gpu);
        slow.place(&mut gpu);
        GpuReading { gpu, tiers: self.tiers.read_at(), processes, xids: self.xids(), ..GpuReading::default() }
    }

    /// Its identity, and the XID error that may say why. What was not answered because it was lost is asked again when
    /// it is back.
    fn lost(&mut self) -> CardRead {
        self.tiers.forget();
        let gpu = Gpu { up: Some(false), ..self.identity.clone() };
        let reading = GpuReading { gpu, xids: self.xids(), ..GpuReading::default() };
        CardRead { readings: vec![reading], answers: 1, error: None }
    }

    fn xids(&self) -> Vec<Xid> {
        let Some(events) = &self.xids else { return Vec::new() };
        // Zero milliseconds: what has come by now. NVML says `Timeout` when nothing (more) has.
        let numbers = (0..XIDS_A_READING).map_while(|_| events.wait(0).ok()?.event_data);
        numbers.map(|number| Xid { number: xid_number(&number), unix_seconds: now_unix_seconds() }).collect()
    }

    /// Looks which MIG devices there are; those that stay keep what was found out about them.
    fn divide(&mut self) {
        let parts = self.device.as_ref().map(mig_devices).unwrap_or_default();
        let mut before = std::mem::take(&mut self.mig);
        for device in parts {
            let Some(uuid) = uuid(&device) else { continue };
            let known = before.iter().position(|card| card.identity.uuid.as_ref() == Some(&uuid));
            let known = known.map(|place| before.swap_remove(place));
            let part = known.unwrap_or_else(|| self.part(device, uuid));
            self.mig.push(part);
        }
    }

    fn part(&self, device: Device<'nvml>, uuid: String) -> Self {
        let identity = Gpu {
            uuid: Some(uuid),
            index: Some(self.index),
            mig_parent_uuid: self.identity.uuid.clone(),
            pci_bus_id: self.identity.pci_bus_id.clone(),
            ..Gpu::default()
        };
        Self::of(Some(device), identity, self.index)
    }
}

/// Asks for what is not known yet: on a GPU in trouble the first attempt may fail.
fn identify(identity: &mut Gpu, device: &Device<'_>) {
    identity.uuid = identity.uuid.take().or_else(|| uuid(device));
    identity.name = identity.name.take().or_else(|| device.name().ok());
    identity.pci_bus_id = identity.pci_bus_id.take().or_else(|| Some(device.pci_info().ok()?.bus_id));
}

/// One that is empty tells nothing from anything.
fn uuid(device: &Device<'_>) -> Option<String> {
    device.uuid().ok().filter(|uuid| !uuid.is_empty())
}

fn mig_devices<'nvml>(device: &Device<'nvml>) -> Vec<Device<'nvml>> {
    let count = device.mig_device_count().unwrap_or(0).min(MIG_DEVICES);
    (0..count).filter_map(|index| device.mig_device_by_index(index).ok()).collect()
}

/// A set of its own for each GPU, so that one that cannot be watched does not keep the others from it.
fn watch_xids<'nvml>(nvml: &'nvml Nvml, device: &Device<'nvml>) -> Option<EventSet<'nvml>> {
    let watched = device.register_events(EventTypes::CRITICAL_XID_ERROR, nvml.create_event_set().ok()?);
    watched.inspect_err(|error| tracing::debug!(error = %error.error, "a GPU tells no XID errors")).ok()
}

fn xid_number(error: &XidError) -> u64 {
    match error {
        XidError::Value(number) => *number,
        // What NVML itself says of an error that it cannot name.
        XidError::Unknown => 999,
    }
}
