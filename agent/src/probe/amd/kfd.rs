//! Who computes on AMD's GPUs, as the kernel's compute driver (KFD) tells below `/sys/class/kfd`. Process numbers are those
//! of the host: an agent in a container with processes of its own finds nobody by them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Instant;

use super::files;
use crate::limits::{GPU_PROCESSES, GPU_SLOW_PERIOD, KFD_NODES};
use crate::pci::Address;
use crate::probe::GpuProcess;
use crate::probe::gpu::tier::Tier;

/// The compute driver of a host; many hosts have none.
#[derive(Debug)]
pub(super) struct Kfd {
    folder: PathBuf,
    nodes: Tier<Vec<Node>>,
}

/// What computes: a card, or one part of a divided card.
#[derive(Clone, Copy, Debug)]
struct Node {
    address: Address,
    gpu_id: u32,
}

impl Kfd {
    pub(super) fn new(root: &Path) -> Self {
        Self { folder: root.join("class/kfd/kfd"), nodes: Tier::new(GPU_SLOW_PERIOD) }
    }

    /// Who has memory on the card at an address, and how much. Every process that computes anywhere is told of with
    /// every card; one that has nothing there is no user of it.
    pub(super) fn processes(&mut self, address: Address, now: Instant) -> Vec<GpuProcess> {
        let (nodes, _) = self.nodes.due(now, || nodes(&self.folder.join("topology/nodes")));
        let ids: Vec<u32> =
            nodes.iter().filter(|node| node.address == address).map(|node| node.gpu_id).collect();
        if ids.is_empty() {
            return Vec::new();
        }
        let processes = numbered(&self.folder.join("proc"), GPU_PROCESSES).into_iter();
        processes.filter_map(|(pid, folder)| process(pid, &folder, &ids)).collect()
    }
}

fn process(pid: u32, folder: &Path, ids: &[u32]) -> Option<GpuProcess> {
    let used = ids.iter().filter_map(|id| number::<u64>(&folder.join(format!("vram_{id}"))));
    let used_bytes = used.reduce(u64::saturating_add).filter(|bytes| *bytes > 0)?;
    Some(GpuProcess { pid, used_bytes: Some(used_bytes) })
}

fn nodes(folder: &Path) -> Vec<Node> {
    let folders = numbered(folder, KFD_NODES).into_iter();
    folders.filter_map(|(_, folder)| node(&folder)).collect()
}

/// `None` for processors, whose `gpu_id` is 0, and for devices that a container was not given.
fn node(folder: &Path) -> Option<Node> {
    let gpu_id = number(&folder.join("gpu_id")).filter(|id| *id != 0)?;
    let text = files::read(&folder.join("properties")).ok()?;
    let properties: BTreeMap<&str, u32> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(key, n)| Some((key, n.parse().ok()?)))
        .collect();
    // Kernels before 5.3 tell no domain.
    let domain = properties.get("domain").copied().unwrap_or(0);
    Some(Node { address: Address::of_location(domain, *properties.get("location_id")?), gpu_id })
}

fn number<T: FromStr>(path: &Path) -> Option<T> {
    files::read(path).ok()?.trim().parse().ok()
}

/// The folders whose names are numbers, in their order.
fn numbered(folder: &Path, bound: usize) -> Vec<(u32, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let numbered =
        entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())));
    let mut found: Vec<_> = numbered.take(bound).collect();
    found.sort();
    found
}
