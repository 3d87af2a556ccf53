//! What a device handle stands for: a whole GPU, or a part of one that was cut by MIG.

use crate::driver::Driver;
use crate::failure::{Answer, Failure, known};
use crate::gpu::Gpu;
use crate::hardware::{Memory, MigDevice, Process};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Device<'a> {
    Whole(&'a Gpu),
    Part {
        gpu: &'a Gpu,
        /// NVML's number of the GPU instance.
        instance: u32,
        part: &'a MigDevice,
    },
}

impl<'a> Device<'a> {
    /// # Errors
    /// `NOT_FOUND`: neither a GPU nor a part of one.
    pub(crate) fn find(driver: &'a Driver, uuid: &str) -> Answer<Self> {
        let devices = || driver.gpus.iter().flat_map(|gpu| parts(gpu).chain([Self::Whole(gpu)]));
        devices().find(|device| device.uuid() == uuid).ok_or(Failure::NotFound)
    }

    /// # Errors
    /// What was commanded for its GPU.
    pub(crate) fn check(self, symbol: &str) -> Answer<Self> {
        let gpu = self.gpu();
        if gpu.lost {
            return Err(Failure::GpuIsLost);
        }
        crate::driver::allowed(&gpu.fail, symbol).map(|()| self)
    }

    /// The GPU that it is, or is a part of.
    pub(crate) fn gpu(self) -> &'a Gpu {
        match self {
            Self::Whole(gpu) | Self::Part { gpu, .. } => gpu,
        }
    }

    /// # Errors
    /// `NOT_SUPPORTED`: a part of a GPU, of which most figures cannot be told.
    pub(crate) fn whole(self) -> Answer<&'a Gpu> {
        match self {
            Self::Whole(gpu) => Ok(gpu),
            Self::Part { .. } => Err(Failure::NotSupported),
        }
    }

    pub(crate) fn uuid(self) -> &'a str {
        match self {
            Self::Whole(gpu) => &gpu.uuid,
            Self::Part { part, .. } => &part.uuid,
        }
    }

    pub(crate) fn name(self) -> &'a str {
        match self {
            Self::Whole(gpu) => &gpu.name,
            Self::Part { part, .. } => &part.name,
        }
    }

    /// # Errors
    /// `NOT_SUPPORTED`: no memory of its own.
    pub(crate) fn memory(self) -> Answer<Memory> {
        match self {
            Self::Whole(gpu) => known(gpu.memory),
            Self::Part { part, .. } => known(part.memory),
        }
    }

    pub(crate) fn compute_processes(self) -> &'a [Process] {
        match self {
            Self::Whole(gpu) => &gpu.compute_processes,
            Self::Part { part, .. } => &part.compute_processes,
        }
    }

    pub(crate) fn graphics_processes(self) -> &'a [Process] {
        match self {
            Self::Whole(gpu) => &gpu.graphics_processes,
            Self::Part { part, .. } => &part.graphics_processes,
        }
    }
}

/// The parts that a GPU is cut into now.
pub(crate) fn parts(gpu: &Gpu) -> impl Iterator<Item = Device<'_>> {
    let cut = gpu.mig.iter().filter(|mig| mig.current).flat_map(|mig| &mig.devices);
    (1..).zip(cut).map(move |(instance, part)| Device::Part { gpu, instance, part })
}
