// A backend's machine as its agent tells it, beyond what a card shows. Pure.

import { clock, gib, percent, plural } from './format.js';

/** What holds a GPU's clocks down, for people. */
const SLOWED_BY = {
  sw_power_cap: 'its power limit',
  hw_slowdown: 'its hardware, for heat or power',
  sw_thermal_slowdown: 'heat',
  hw_thermal_slowdown: 'heat',
  hw_power_brake_slowdown: 'the power supply',
  sync_boost: 'GPUs that keep its pace',
  applications_clocks_setting: 'a clock that was set',
  display_clock_setting: 'a display',
};

/** Rows of a name and a text; what is not known has none. */
export function machineFacts(machine, now) {
  if (!machine) return [];
  const { gpus = [], host, comfyui, model_files: files, model_bytes: bytes } = machine;
  const rows = [
    ...gpus.flatMap((gpu, index) => ofGpu(gpu, gpus.length > 1 ? `GPU ${index + 1}: ` : '')),
    ['Machine', host && ofHost(host)],
    ['ComfyUI’s process', comfyui && ofProcess(comfyui, now)],
    ['Model files', files != null && `${plural(files, 'file')}, ${gib(bytes)} GiB`],
  ];
  return rows.filter(([, text]) => text);
}

function ofGpu(gpu, prefix) {
  const rows = [
    ['Clocks', clocks(gpu)],
    ['Slowed by', gpu.slowed_by && (words(gpu.slowed_by.map((reason) => SLOWED_BY[reason] ?? reason)) || 'nothing')],
    ['Power limit', gpu.power_limit_watts != null && `${Math.round(gpu.power_limit_watts)} W`],
    ['Fans', words(Object.values(gpu.fan_speed_ratio ?? {}).map(percent))],
    ['Memory errors', counted(gpu.ecc_errors_total, (kind, count) => `${count} ${kind}`)],
    ['Repair', gpu.row_remap_pending && 'A part of its memory is replaced once it is reset.'],
    ['Driver’s errors', counted(gpu.xid_errors_total, (number, count) => `XID ${number}, ${plural(count, 'time')}`)],
  ];
  return rows.map(([name, text]) => [prefix + name, text]);
}

function clocks({ clock_hertz: now = {}, clock_max_hertz: highest = {} }) {
  const of = (domain) => {
    if (now[domain] == null) return '';
    const bound = highest[domain] == null ? '' : ` of ${megahertz(highest[domain])}`;
    return `${domain} ${megahertz(now[domain])}${bound} MHz`;
  };
  return ['graphics', 'memory'].map(of).filter(Boolean).join(', ');
}

const megahertz = (hertz) => Math.round(hertz / 1e6);
const words = (list) => [...new Set(list)].join(', ');
const counted = (counts = {}, say) => Object.entries(counts).map(([kind, count]) => say(kind, count)).join(', ');

function ofHost({ cpu_utilization_ratio: cpu, ram_available_bytes: available, ram_total_bytes: total }) {
  const parts = [cpu != null && `CPU ${percent(cpu)}`, total != null && `RAM ${gib(available)} of ${gib(total)} GiB available`];
  return parts.filter(Boolean).join(', ');
}

function ofProcess({ start_time_seconds: started, memory_bytes: memory }, now) {
  return [`since ${clock(started * 1000, now)}`, memory != null && `${gib(memory)} GiB of RAM`].filter(Boolean).join(', ');
}
