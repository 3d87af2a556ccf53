//! The host: processors, memory, storage, network.

use report::{Cpu, Host, Memory, Network, Pressure, Storage};

use super::page::{Page, whole};

pub(super) fn write(page: &mut Page, host: &Host) {
    if let Some(cpu) = &host.cpu {
        processors(page, cpu);
    }
    if let Some(memory) = &host.memory {
        main_memory(page, memory);
    }
    if let Some(storage) = &host.storage {
        storages(page, storage);
    }
    if let Some(network) = &host.network {
        interfaces(page, network);
    }
    if let Some(pressure) = &host.pressure {
        stalls(page, pressure);
    }
}

fn processors(page: &mut Page, cpu: &Cpu) {
    page.counters(
        "orchestrator_host_cpu_seconds_total",
        "Processor time since boot by mode, summed over all processors; guests count as `user`.",
        cpu.seconds_total.iter().map(|(mode, seconds)| (vec![("mode", mode.as_str())], *seconds)),
    );
    page.gauge(
        "orchestrator_host_cpu_utilization_ratio",
        "Busy share of all processors over the last second.",
        cpu.utilization_ratio,
    );
    let load = cpu.load.unwrap_or_default();
    page.gauge("orchestrator_host_load1", "Load average over 1 minute.", load.load1);
    page.gauge("orchestrator_host_load5", "Load average over 5 minutes.", load.load5);
    page.gauge("orchestrator_host_load15", "Load average over 15 minutes.", load.load15);
}

fn main_memory(page: &mut Page, memory: &Memory) {
    let sizes = [
        ("orchestrator_host_memory_total_bytes", "Main memory.", memory.total_bytes),
        (
            "orchestrator_host_memory_available_bytes",
            "Main memory that a new process could get without swapping.",
            memory.available_bytes,
        ),
        ("orchestrator_host_memory_used_bytes", "Main memory that is not available.", memory.used_bytes),
        ("orchestrator_host_swap_total_bytes", "Swap space.", memory.swap_total_bytes),
        ("orchestrator_host_swap_used_bytes", "Swap space in use.", memory.swap_used_bytes),
        ("orchestrator_host_swap_free_bytes", "Swap space not in use.", memory.swap_free_bytes),
    ];
    for (name, help, bytes) in sizes {
        page.gauge(name, help, whole(bytes));
    }
}

fn storages(page: &mut Page, storage: &Storage) {
    let filesystems =
        || storage.filesystems.iter().map(|one| (vec![("mountpoint", one.mountpoint.as_str())], one));
    page.gauges(
        "orchestrator_host_filesystem_size_bytes",
        "Size of the filesystem, of those that hold `--folder` and `--models`; without these, of all local ones.",
        filesystems().filter_map(|(labels, one)| Some((labels, whole(one.size_bytes)?))),
    );
    page.gauges(
        "orchestrator_host_filesystem_avail_bytes",
        "What a process without privileges may still write.",
        filesystems().filter_map(|(labels, one)| Some((labels, whole(one.avail_bytes)?))),
    );
    let disks = || storage.disks.iter().map(|one| (vec![("device", one.device.as_str())], one));
    page.counters(
        "orchestrator_host_disk_read_bytes_total",
        "Bytes read from the device since boot, of devices with a mounted filesystem.",
        disks().filter_map(|(labels, one)| Some((labels, whole(one.read_bytes_total)?))),
    );
    page.counters(
        "orchestrator_host_disk_written_bytes_total",
        "Bytes written to the device since boot.",
        disks().filter_map(|(labels, one)| Some((labels, whole(one.written_bytes_total)?))),
    );
}

fn interfaces(page: &mut Page, network: &Network) {
    let interfaces = || network.interfaces.iter().map(|one| (vec![("device", one.device.as_str())], one));
    page.counters(
        "orchestrator_host_network_receive_bytes_total",
        "Bytes received by the interface.",
        interfaces().filter_map(|(labels, one)| Some((labels, whole(one.receive_bytes_total)?))),
    );
    page.counters(
        "orchestrator_host_network_transmit_bytes_total",
        "Bytes sent by the interface.",
        interfaces().filter_map(|(labels, one)| Some((labels, whole(one.transmit_bytes_total)?))),
    );
}

fn stalls(page: &mut Page, pressure: &Pressure) {
    let resources = pressure.stalled_seconds_total.iter();
    let series = resources.flat_map(|(resource, kinds)| {
        let labels = move |kind| vec![("resource", resource.as_str()), ("kind", kind)];
        kinds.iter().map(move |(kind, seconds)| (labels(kind.as_str()), *seconds))
    });
    page.counters(
        "orchestrator_host_pressure_seconds_total",
        "Time since boot in which tasks waited for `cpu`, `memory` or `io`: `some` of them, or (`full`) all at \
         once.",
        series,
    );
}
