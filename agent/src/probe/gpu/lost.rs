//! GPUs that were there and are not any more, of one maker. A driver forgets what it lost; operators must not.

use report::Gpu;

use super::{GpuReading, Gpus};
use crate::limits::KNOWN_GPUS;
use crate::told::Told;

/// Who was ever seen, and what the log was told.
#[derive(Debug, Default)]
pub(in crate::probe) struct Lost {
    /// Identities of all GPUs that were ever seen, so that one that vanishes is told as lost.
    known: Vec<Gpu>,
    /// UUID and slot of the lost ones that the log was told of.
    told: Told<(Option<String>, Option<String>)>,
}

impl Lost {
    /// Adds those that a reading does not speak of any more, and logs who is lost and who is back.
    pub(in crate::probe) fn settle(&mut self, gpus: &mut Gpus) {
        self.remember(gpus);
        self.tell(gpus);
    }

    /// Adds the GPUs that the driver does not speak of any more, as lost. A MIG device that is gone was taken away
    /// by somebody, like a program that has ended.
    fn remember(&mut self, gpus: &mut Gpus) {
        let seen = gpus.gpus.iter().map(|reading| &reading.gpu);
        for gpu in seen.filter(|gpu| gpu.uuid.is_some() && gpu.mig_parent_uuid.is_none()) {
            self.known.retain(|known| known.uuid != gpu.uuid);
            self.known.push(identity(gpu));
        }
        // Those that were seen last are at the end.
        self.known.drain(..self.known.len().saturating_sub(KNOWN_GPUS));
        let gone: Vec<GpuReading> = self
            .known
            .iter()
            .filter(|known| !gpus.gpus.iter().any(|reading| reading.gpu.uuid == known.uuid))
            .map(|known| GpuReading { gpu: known.clone(), ..GpuReading::default() })
            .collect();
        gpus.gpus.extend(gone);
    }

    fn tell(&mut self, gpus: &Gpus) {
        let down = gpus.gpus.iter().map(|reading| &reading.gpu).filter(|gpu| gpu.up != Some(true));
        let news = self.told.news(down.map(|gpu| (gpu.uuid.clone(), gpu.pci_bus_id.clone())));
        for (uuid, pci_bus_id) in news.begun {
            tracing::warn!(uuid, pci_bus_id, "a GPU is lost; reset it or reboot");
        }
        for (uuid, pci_bus_id) in news.ended {
            tracing::info!(uuid, pci_bus_id, "a lost GPU is back");
        }
    }
}

/// Who a GPU is, without what it did and without its place, which another may have by now.
fn identity(gpu: &Gpu) -> Gpu {
    Gpu {
        uuid: gpu.uuid.clone(),
        name: gpu.name.clone(),
        pci_bus_id: gpu.pci_bus_id.clone(),
        up: Some(false),
        ..Gpu::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_gpus_that_are_ever_others_the_latest_are_remembered() {
        let mut lost = Lost::default();
        let mut told = Gpus::default();
        for number in 0..=KNOWN_GPUS {
            let gpu = Gpu { uuid: Some(format!("GPU-{number}")), up: Some(true), ..Gpu::default() };
            told = Gpus { gpus: vec![GpuReading { gpu, ..GpuReading::default() }], ..Gpus::default() };
            lost.settle(&mut told);
        }
        let up: Vec<Option<bool>> = told.gpus.iter().map(|reading| reading.gpu.up).collect();
        assert_eq!((up.len(), up.first()), (KNOWN_GPUS, Some(&Some(true))));
        assert!(told.gpus.iter().all(|reading| reading.gpu.uuid.as_deref() != Some("GPU-0")));
    }
}
