import { machineFacts } from '/app/model/machine.js';
import { equal, test } from './check.js';

const GIB = 2 ** 30;

test('a machine tells how its GPU is clocked, cooled and worn, and what is not known has no row', () => {
  const gpu = {
    clock_hertz: { graphics: 2.2e9, memory: 10.5e9, video: 1e9 }, clock_max_hertz: { graphics: 2.5e9 }, power_limit_watts: 320.4,
    slowed_by: ['hw_thermal_slowdown', 'sw_thermal_slowdown', 'new_reason'], fan_speed_ratio: { 0: 0.451, 1: 0.5 },
    ecc_errors_total: { corrected: 3, uncorrected: 0 }, row_remap_pending: true, xid_errors_total: { 79: 1 },
  };
  const host = { cpu_utilization_ratio: 0.125, ram_available_bytes: 48 * GIB, ram_total_bytes: 64 * GIB };
  equal(machineFacts({ gpus: [gpu], host, model_files: 2, model_bytes: 9 * GIB }), [
    ['Clocks', 'graphics 2200 of 2500 MHz, memory 10500 MHz'],
    ['Slowed by', 'heat, new_reason'],
    ['Power limit', '320 W'],
    ['Fans', '45 %, 50 %'],
    ['Memory errors', '3 corrected, 0 uncorrected'],
    ['Repair', 'A part of its memory is replaced once it is reset.'],
    ['Driver’s errors', 'XID 79, 1 time'],
    ['Machine', 'CPU 13 %, RAM 48.0 of 64.0 GiB available'],
    ['Model files', '2 files, 9.0 GiB'],
  ]);
  equal([machineFacts(undefined), machineFacts({ gpus: [{}] })], [[], []]);
});

test('of several GPUs each has rows of its own, and one that nothing slows says so', () => {
  const told = machineFacts({ gpus: [{ slowed_by: [] }, { slowed_by: ['sw_power_cap'] }] });
  equal(told, [['GPU 1: Slowed by', 'nothing'], ['GPU 2: Slowed by', 'its power limit']]);
});
