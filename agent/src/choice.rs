//! Which GPUs the agent speaks for, so that several agents of a host do not count one twice.

use std::str::FromStr;

use report::Gpu;

use crate::pci::Address;
use crate::probe::GpuReading;

/// What the operator asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The GPU that the ComfyUI beside the agent uses; the driver's first while that is not known.
    Auto,
    /// All GPUs; the first of them is the one of `/orchestrator/metrics`.
    All,
    /// The GPU at this place of the driver's order when it was first seen.
    Index(u32),
    /// The GPU of this UUID.
    Uuid(String),
    /// The GPU in this slot.
    PciBusId(Address),
}

/// How UUIDs begin: of GPUs, of MIG devices, and of AMD's GPUs that have none but their place.
const UUIDS: [&str; 3] = ["GPU-", "MIG-", "PCI-"];

/// A choice that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no GPU: give auto, all, an index such as 0, a UUID (GPU-...) or a PCI bus id (01:00.0)")]
pub struct BadChoice(String);

impl FromStr for Choice {
    type Err = BadChoice;

    fn from_str(text: &str) -> Result<Self, BadChoice> {
        match text {
            "auto" => Ok(Self::Auto),
            "all" => Ok(Self::All),
            _ if UUIDS.iter().any(|kind| text.starts_with(kind)) => Ok(Self::Uuid(text.to_owned())),
            _ => match (text.parse(), text.parse()) {
                (Ok(address), _) => Ok(Self::PciBusId(address)),
                (_, Ok(index)) => Ok(Self::Index(index)),
                _ => Err(BadChoice(text.to_owned())),
            },
        }
    }
}

/// The choice, bound to the GPU that it was found to mean. The driver's order may change under a running agent (a
/// GPU is lost, the driver is opened anew); the agent goes on speaking for the same GPU. `auto` follows ComfyUI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    choice: Choice,
    bound: Option<Bound>,
}

/// What a choice was found to mean.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bound {
    uuid: String,
    /// The place among the makers of the GPU's own, or 0 of one that ComfyUI uses: a GPU of a maker before it is meant
    /// rather, should its driver answer later. Many a processor brings a GPU of AMD, which is there at once.
    maker: usize,
}

impl Selection {
    /// A choice that has seen no GPU yet.
    pub(crate) fn new(choice: Choice) -> Self {
        Self { choice, bound: None }
    }

    /// The selection after a look at all GPUs, by their makers; `comfyui` are the processes of the ComfyUI beside the
    /// agent.
    pub(crate) fn advance(&mut self, makers: &[&[GpuReading]], comfyui: &[u32]) {
        let used = (self.choice == Choice::Auto).then(|| used_by(makers, comfyui)).flatten();
        if let Some(uuid) = used {
            self.bound = Some(Bound { uuid: uuid.to_owned(), maker: 0 });
        } else if let Some(meant) = self.meant(makers)
            && self.bound.as_ref().is_none_or(|bound| meant.maker < bound.maker)
        {
            self.bound = Some(meant);
        }
    }

    /// Whether the agent speaks for this GPU.
    pub(crate) fn holds(&self, gpu: &Gpu) -> bool {
        match (&self.choice, &self.bound) {
            (Choice::All, _) => true,
            (_, Some(bound)) => gpu.uuid.as_ref() == Some(&bound.uuid),
            // Not even a UUID can be read of it: nothing to be bound to.
            (_, None) => self.means(gpu),
        }
    }

    fn meant(&self, makers: &[&[GpuReading]]) -> Option<Bound> {
        (0..).zip(makers).find_map(|(maker, gpus)| {
            let meant = gpus.iter().map(|reading| &reading.gpu).find(|gpu| self.means(gpu))?;
            Some(Bound { uuid: meant.uuid.clone()?, maker })
        })
    }

    fn means(&self, gpu: &Gpu) -> bool {
        let is_whole = gpu.mig_parent_uuid.is_none();
        match &self.choice {
            Choice::Auto => gpu.index == Some(0) && is_whole,
            Choice::All => true,
            Choice::Index(index) => gpu.index == Some(*index) && is_whole,
            Choice::Uuid(uuid) => gpu.uuid.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(uuid)),
            Choice::PciBusId(wanted) => {
                gpu.pci_bus_id.as_ref().is_some_and(|own| own.parse() == Ok(*wanted)) && is_whole
            }
        }
    }
}

/// The GPU on which these processes have most memory. A MIG device is said rather than the GPU that it is a part of.
fn used_by<'a>(makers: &[&'a [GpuReading]], comfyui: &[u32]) -> Option<&'a str> {
    let used = |reading: &GpuReading| {
        let own = reading.processes.iter().filter(|process| comfyui.contains(&process.pid));
        own.map(|process| process.used_bytes.unwrap_or(0)).reduce(u64::saturating_add)
    };
    let candidates = makers.iter().copied().flatten().filter_map(|reading| {
        Some(((used(reading)?, reading.gpu.mig_parent_uuid.is_some()), reading.gpu.uuid.as_deref()?))
    });
    // Of equals the first: `max_by_key` would take the last.
    candidates.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, uuid)| uuid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::GpuProcess;

    fn readings(uuids: &[&str]) -> Vec<GpuReading> {
        let gpu = |(index, uuid): (u32, &&str)| Gpu {
            uuid: Some((*uuid).to_owned()),
            index: Some(index),
            pci_bus_id: Some(format!("00000000:0{index}:00.0")),
            ..Gpu::default()
        };
        let readings = (0..).zip(uuids).map(gpu).map(|gpu| GpuReading { gpu, ..GpuReading::default() });
        readings.collect()
    }

    fn with_process(mut reading: GpuReading, pid: u32, used_bytes: u64) -> GpuReading {
        reading.processes.push(GpuProcess { pid, used_bytes: Some(used_bytes) });
        reading
    }

    fn look(selection: &mut Selection, readings: &[GpuReading], comfyui: &[u32]) -> Vec<bool> {
        selection.advance(&[readings], comfyui);
        readings.iter().map(|reading| selection.holds(&reading.gpu)).collect()
    }

    fn selection(choice: &str) -> Selection {
        Selection::new(choice.parse().unwrap())
    }

    #[test]
    fn every_way_to_name_a_gpu_finds_it() {
        let cases = [
            ("auto", [true, false]),
            ("all", [true, true]),
            ("0", [true, false]),
            ("1", [false, true]),
            ("GPU-b", [false, true]),
            ("01:00.0", [false, true]),
            ("0000:01:00.0", [false, true]),
            ("00000000:01:00.0", [false, true]),
            ("7", [false, false]),
            ("GPU-c", [false, false]),
        ];
        for (choice, expected) in cases {
            let gpus = readings(&["GPU-a", "GPU-b"]);
            assert_eq!(look(&mut selection(choice), &gpus, &[]), expected, "{choice}");
        }
    }

    #[test]
    fn the_choice_stays_with_its_gpu_when_the_order_changes() {
        for choice in ["auto", "0", "00:00.0"] {
            let mut selection = selection(choice);
            look(&mut selection, &readings(&["GPU-a", "GPU-b"]), &[]);
            let turned = look(&mut selection, &readings(&["GPU-b", "GPU-a"]), &[]);
            assert_eq!(turned, [false, true], "{choice}");
        }
    }

    #[test]
    fn the_gpu_of_a_maker_whose_driver_answers_late_is_meant_rather_than_another_makers() {
        let (nvidia, amd) = (readings(&["GPU-nvidia"]), readings(&["PCI-amd"]));
        for choice in ["auto", "0"] {
            let mut selection = selection(choice);
            selection.advance(&[&[], &amd], &[]);
            assert!(selection.holds(&amd[0].gpu), "{choice}");
            selection.advance(&[&nvidia, &amd], &[]);
            selection.advance(&[&[], &amd], &[]);
            assert!(selection.holds(&nvidia[0].gpu) && !selection.holds(&amd[0].gpu), "{choice}");
        }
    }

    #[test]
    fn the_gpu_that_comfyui_uses_is_kept_whoever_made_it() {
        let (nvidia, amd) = (readings(&["GPU-nvidia"]), readings(&["PCI-amd"]));
        let used: Vec<_> = amd.iter().cloned().map(|gpu| with_process(gpu, 7, 500)).collect();
        let mut selection = selection("auto");
        selection.advance(&[&nvidia, &used], &[7]);
        selection.advance(&[&nvidia, &amd], &[]);
        assert!(selection.holds(&amd[0].gpu));
    }

    #[test]
    fn auto_follows_comfyui_and_stays_where_it_was_while_comfyui_is_away() {
        let mut selection = selection("auto");
        let [a, b] = <[GpuReading; 2]>::try_from(readings(&["GPU-a", "GPU-b"])).unwrap();
        assert_eq!(look(&mut selection, &[a.clone(), b.clone()], &[7]), [true, false]);
        let on_b = [with_process(a.clone(), 8, 9_000), with_process(b.clone(), 7, 500)];
        assert_eq!(look(&mut selection, &on_b, &[7]), [false, true]);
        assert_eq!(look(&mut selection, &[a.clone(), b.clone()], &[]), [false, true]);
        let on_both = [with_process(a, 9, 600), with_process(b, 9, 500)];
        assert_eq!(look(&mut selection, &on_both, &[9]), [true, false]);
    }

    #[test]
    fn a_gpu_that_was_named_is_kept_whatever_comfyui_uses() {
        let [a, b] = <[GpuReading; 2]>::try_from(readings(&["GPU-a", "GPU-b"])).unwrap();
        let on_b = [a, with_process(b, 7, 500)];
        assert_eq!(look(&mut selection("0"), &on_b, &[7]), [true, false]);
    }

    #[test]
    fn comfyui_on_a_mig_device_is_not_taken_for_one_on_the_whole_gpu() {
        let mut gpus = readings(&["GPU-a", "MIG-a"]);
        gpus[1].gpu.mig_parent_uuid = Some("GPU-a".into());
        let gpus: Vec<_> = gpus.into_iter().map(|gpu| with_process(gpu, 7, 500)).collect();
        assert_eq!(look(&mut selection("auto"), &gpus, &[7]), [false, true]);
        assert_eq!(look(&mut selection("0"), &gpus, &[7]), [true, false]);
    }

    #[test]
    fn what_names_no_gpu_is_refused_with_what_would() {
        for text in ["", "first", "-1", "zz:00.0", "1:2:3:4.0", "GPU"] {
            let error = text.parse::<Choice>().unwrap_err();
            assert!(error.to_string().contains("auto, all, an index"), "{text}");
        }
    }
}
