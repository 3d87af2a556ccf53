import { arranged, card, counts, lastMinutes, memory, stateOf } from '/app/model/fleet.js';
import { freed, ofDraining, ofFreeing, ofRemoving } from '/app/model/consequences.js';
import { after, NOTHING } from '/app/state/fleet.js';
import { merged, NOTHING as NO_TIMELINE, SLOTS } from '/app/state/timeline.js';
import { path } from '/app/dom/charts.js';
import { equal, test } from './check.js';

const up = (id, more = {}) => ({ id, url: `http://${id}.lan:8188/`, state: 'up', since: 0, takes_jobs: true, jobs: 0, backlog: 0, gpu: {}, models: [], ...more });

test('a backend is in one state, and the one that matters most', () => {
  for (const [backend, state] of [
    [up('a'), 'idle'],
    [up('a', { job: { phase: 'loading' } }), 'loading'],
    [up('a', { backlog: 2 }), 'others'],
    [up('a', { backlog: 2, jobs: 2 }), 'idle'],
    [up('a', { takes_jobs: false }), 'unready'],
    [up('a', { drain: { state: 'draining' }, job: { phase: 'running' } }), 'draining'],
    [up('a', { state: 'down', drain: { state: 'drained' } }), 'down'],
    [up('a', { state: 'unknown' }), 'unknown'],
  ]) {
    equal([backend.state, stateOf(backend)], [backend.state, state]);
  }
});

test('what is not known of a backend is shown as unknown', () => {
  const shown = card(up('a', { gpu: undefined, models: undefined, backlog: undefined }), 60_000);
  equal([shown.utilization, shown.memory.text, shown.temperature, shown.power, shown.backlog], ['–', '–', '–', '–', '–']);
  equal([shown.gpu, shown.since, shown.host], ['GPU unknown', 'up 1 min', 'a.lan']);
});

test('memory is divided by whose it is, as far as that is known', () => {
  const GIB = 2 ** 30;
  const whole = { vram_total_bytes: 24 * GIB, vram_used_bytes: 18 * GIB };
  const divided = memory({ ...whole, comfyui_bytes: 12 * GIB, others_bytes: 6 * GIB });
  equal([divided.own, divided.others, divided.words], [0.5, 0.25, 'VRAM: ComfyUI 12.0 GiB, others 6.0 GiB, free 6.0 of 24.0 GiB']);
  const undivided = memory(whole);
  equal([undivided.own, undivided.others, undivided.words], [0.75, 0, 'VRAM: in use 18.0 GiB, free 6.0 of 24.0 GiB']);
  equal(memory({ vram_total_bytes: 24 * GIB }).words, 'VRAM is not known');
});

test('backends are found by any of their words, sorted and grouped, and equals stay in the order of their names', () => {
  const fleet = [
    up('gpu-10', { gpu: { utilization_ratio: 0.5 }, tags: ['fast'] }),
    up('gpu-2', { gpu: { name: 'RTX 4090', utilization_ratio: 0.9 }, models: ['flux.safetensors'] }),
    up('gpu-1', { state: 'down', tags: ['fast', 'big'] }),
  ];
  const names = (wish) => arranged(fleet, wish).map(({ name, members }) => [name, ...members.map((one) => one.id)].join(' ').trim());
  equal(names({}), ['gpu-1 gpu-2 gpu-10']);
  equal(names({ order: 'utilization' }), ['gpu-2 gpu-10 gpu-1']);
  equal(names({ order: 'state' }), ['gpu-2 gpu-10 gpu-1']);
  equal(names({ text: 'FLUX 4090' }), ['gpu-2']);
  equal(names({ text: 'flux 5090' }), []);
  equal(names({ only: 'down' }), ['gpu-1']);
  equal(names({ group: 'tag' }), ['big gpu-1', 'fast gpu-1 gpu-10', 'no tag gpu-2']);
  equal(names({ group: 'host', text: 'gpu-2' }), ['gpu-2.lan gpu-2']);
  equal(counts(fleet).map(({ key, count }) => [key, count]), [['all', 3], ['busy', 0], ['idle', 2], ['draining', 0], ['down', 1]]);
});

test('events change the fleet, and what is no longer told is no longer known', () => {
  let fleet = after(NOTHING, 'resync', { backends: [{ id: 'a' }, { id: 'b' }], counts: { waiting: 1, dispatched: 0 } });
  fleet = after(fleet, 'live', { at: 7, backends: [{ id: 'a', gpu: { name: 'X' }, models: ['m'], job: { id: 1 } }, { id: 'gone' }] });
  equal([fleet.at, fleet.backends.get('a').job.id, fleet.backends.has('gone')], [7, 1, false]);
  fleet = after(fleet, 'backend', { id: 'a', state: 'down' });
  equal([fleet.backends.get('a').state, fleet.backends.get('a').gpu.name], ['down', 'X']);
  fleet = after(fleet, 'live', { at: 8, backends: [{ id: 'a', gpu: {}, models: [] }] });
  equal([fleet.backends.get('a').job, fleet.backends.get('a').gpu], [undefined, {}]);
  fleet = after(fleet, 'backend_removed', { id: 'b' });
  fleet = after(fleet, 'counts', { waiting: 0, dispatched: 2 });
  equal([[...fleet.backends.keys()], fleet.counts.dispatched], [['a'], 2]);
  equal(after(fleet, 'job', {}), fleet);
  equal([...after(fleet, 'resync', { backends: [{ id: 'c' }], counts: {} }).backends.keys()], ['c']);
});

const course = (from, run) => ({ from, run, down: run, idle: run, load: run, others: run, utilization: run, loads_caused: run, loads_avoided: run });

test('newer slots take the place of those that were still growing, and an hour is kept', () => {
  let known = merged(NO_TIMELINE, { at: 30_500, slot_millis: 15_000, backends: { a: course(15_000, [1, 2]) } }, 0);
  equal([known.until, known.from], [30_000, 0]);
  known = merged(known, { at: 47_000, slot_millis: 15_000, backends: { a: course(30_000, [9, 3]), b: course(45_000, [5]) } }, 30_000);
  equal([...known.backends].map(([id, slots]) => [id, ...slots.map((slot) => slot.run)]), [['a', 1, 9, 3], ['b', 5]]);
  const long = merged(known, { at: 0, slot_millis: 15_000, backends: { a: course(60_000, Array(SLOTS).fill(7)) } }, 60_000);
  equal([long.backends.get('a').length, long.backends.has('b')], [SLOTS, false]);
});

test('the last minutes are the utilisation, or how busy it was, with gaps where nothing is known', () => {
  const slot = (more) => ({ utilization: null, down: 0, idle: 0, load: 0, run: 0, others: 0, ...more });
  const told = lastMinutes([slot({ utilization: 50 }), slot({ idle: 50, run: 50 }), slot({})], 4);
  equal(told, [null, 0.5, 0.5, null]);
  equal(path([null, 0.5, 1, null, 0]), 'M30 12L60 1M120 23');
});

test('what will happen is told by what is known of the backend', () => {
  equal(ofDraining({ id: 'a', jobs: 1 })[1], '1 job that it has goes on to the end.');
  equal(ofRemoving({ id: 'a', jobs: 0 }).length, 2);
  equal(ofRemoving({ id: 'a', jobs: 2 })[1].startsWith('2 jobs that it has are given up there and wait again'), true);
  equal(ofFreeing({ id: 'a', models: ['x/m.pt'] })[1], 'Believed loaded there: m. The next job that needs them loads them again.');
  const GIB = 2 ** 30;
  const vram = (gibs) => ({ used_bytes: gibs * GIB });
  equal(freed({ proved: true, vram_before: vram(18), vram_after: vram(11.5) }), '6.5 GiB were freed (18.0 → 11.5 GiB in use).');
  equal(freed({ proved: false, vram_before: vram(18), vram_after: vram(18) }).includes('as before'), true);
  equal(freed({ proved: false }).includes('nothing tells'), true);
});
