// Backends as cards show them: in what state, in which order and groups. Pure.

import { between, gib, modelName, percent, plural, span, UNKNOWN } from './format.js';

/** State → its word, the shape and tone of its sign, and its rank where states are sorted. */
const STATES = {
  running: { word: 'Running', icon: 'run', tone: 'accent', rank: 0 },
  loading: { word: 'Loading models', icon: 'load', tone: 'warn', rank: 1 },
  sending: { word: 'Getting a job', icon: 'load', tone: 'accent', rank: 2 },
  finishing: { word: 'Finishing', icon: 'load', tone: 'accent', rank: 3 },
  others: { word: 'Busy for others', icon: 'others', tone: 'warn', rank: 4 },
  idle: { word: 'Idle', icon: 'idle', tone: 'ok', rank: 5 },
  draining: { word: 'Draining', icon: 'drain', tone: 'warn', rank: 6 },
  drained: { word: 'Drained', icon: 'drain', tone: 'muted', rank: 7 },
  unready: { word: 'Not ready', icon: 'unknown', tone: 'warn', rank: 8 },
  unknown: { word: 'Not heard of yet', icon: 'unknown', tone: 'muted', rank: 9 },
  down: { word: 'Down', icon: 'down', tone: 'bad', rank: 10 },
};

export function stateOf(backend) {
  const { state, drain, job } = backend;
  if (state === 'down') return 'down';
  if (state === 'unknown') return 'unknown';
  if (drain) return drain.state;
  if (job) return job.phase;
  if (!backend.takes_jobs) return 'unready';
  return backend.backlog > backend.jobs ? 'others' : 'idle';
}

/** All that a card shows, in words. */
export function card(backend, now) {
  const state = stateOf(backend);
  const gpu = backend.gpu ?? {};
  return {
    id: backend.id,
    state,
    ...STATES[state],
    since: since(backend, state, now),
    host: hostOf(backend),
    gpu: gpu.name ?? 'GPU unknown',
    reason: backend.reason ?? '',
    utilization: percent(gpu.utilization_ratio),
    memory: memory(gpu),
    temperature: gpu.temperature_celsius == null ? UNKNOWN : `${Math.round(gpu.temperature_celsius)} °C`,
    power: gpu.power_watts == null ? UNKNOWN : `${Math.round(gpu.power_watts)} W`,
    backlog: backend.backlog == null ? UNKNOWN : String(backend.backlog),
    models: (backend.models ?? []).map(modelName),
    agent: backend.agent_state,
    tags: backend.tags ?? [],
    job: backend.job && progress(backend.job, now),
  };
}

function since(backend, state, now) {
  if (backend.job?.started_at) return `for ${between(backend.job.started_at, now)}`;
  if (backend.drain) return `for ${between(backend.drain.since, now)}`;
  if (backend.since == null) return '';
  return state === 'down' ? `for ${between(backend.since, now)}` : `up ${between(backend.since, now)}`;
}

export function hostOf(backend) {
  try {
    return new URL(backend.url).hostname;
  } catch {
    return '';
  }
}

/** Shares of the whole, and what they are in words. What is in use by whom is not always known. */
export function memory(gpu) {
  const { vram_total_bytes: total, vram_used_bytes: used } = gpu;
  if (!total || used == null) return { own: 0, others: 0, text: UNKNOWN, words: 'VRAM is not known' };
  const own = gpu.comfyui_bytes ?? null;
  const others = gpu.others_bytes ?? null;
  const words = [
    own != null && `ComfyUI ${gib(own)} GiB`,
    others != null && `others ${gib(others)} GiB`,
    own == null && `in use ${gib(used)} GiB`,
    `free ${gib(Math.max(total - used, 0))} of ${gib(total)} GiB`,
  ];
  const ownShare = own ?? Math.max(used - (others ?? 0), 0);
  return {
    own: clamp(ownShare / total),
    others: clamp((others ?? 0) / total),
    text: `${gib(used)} / ${gib(total)} GiB`,
    words: `VRAM: ${words.filter(Boolean).join(', ')}`,
  };
}

/** How far a job is. */
export function progress(job, now) {
  const { id, phase, steps_done: done, steps, left_seconds: left, preview } = job;
  const share = steps ? clamp(done / steps) : 0;
  const step = steps ? `step ${done} of ${steps}` : STATES[phase].word.toLowerCase();
  const isOpen = phase === 'running' || phase === 'loading';
  return {
    id,
    phase,
    share,
    step,
    left: isOpen && left != null ? `about ${span(left)} left` : '',
    took: job.started_at ? between(job.started_at, now) : '',
    preview,
  };
}

const clamp = (ratio) => Math.min(Math.max(ratio, 0), 1);

/** What a state is counted under in the filter. */
export const CLASSES = [
  ['all', 'All', () => true],
  ['busy', 'Busy', (state) => ['running', 'loading', 'sending', 'finishing', 'others'].includes(state)],
  ['idle', 'Idle', (state) => state === 'idle'],
  ['draining', 'Draining', (state) => ['draining', 'drained'].includes(state)],
  ['down', 'Down', (state) => ['down', 'unready', 'unknown'].includes(state)],
];

export function counts(backends) {
  const states = backends.map(stateOf);
  return CLASSES.map(([key, word, is]) => ({ key, word, count: states.filter(is).length }));
}

const byName = new Intl.Collator('en', { numeric: true });
const free = (backend) => (backend.gpu?.vram_total_bytes ?? 0) - (backend.gpu?.vram_used_bytes ?? 0);

/** Among equals by name, so that nothing jumps about. */
export const ORDERS = {
  name: ['Name', () => 0],
  state: ['State', (a, b) => STATES[stateOf(a)].rank - STATES[stateOf(b)].rank],
  utilization: ['Utilisation', (a, b) => (b.gpu?.utilization_ratio ?? -1) - (a.gpu?.utilization_ratio ?? -1)],
  free: ['Free VRAM', (a, b) => free(b) - free(a)],
  temperature: ['Temperature', (a, b) => (b.gpu?.temperature_celsius ?? -1) - (a.gpu?.temperature_celsius ?? -1)],
  backlog: ['Backlog', (a, b) => (b.backlog ?? -1) - (a.backlog ?? -1)],
};

export const GROUPS = {
  none: ['No groups', () => ['']],
  host: ['Host', (backend) => [hostOf(backend) || 'unknown host']],
  tag: ['Tag', (backend) => (backend.tags?.length ? backend.tags : ['no tag'])],
  state: ['State', (backend) => [STATES[stateOf(backend)].word]],
};

/** The groups to show, each with its backends in order. */
export function arranged(backends, { text = '', only = 'all', order = 'name', group = 'none' }) {
  const [, , isOnly] = CLASSES.find(([key]) => key === only) ?? CLASSES[0];
  const wanted = text.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const kept = backends.filter((backend) => isOnly(stateOf(backend)) && wanted.every((word) => textOf(backend).includes(word)));
  const [, compare] = ORDERS[order] ?? ORDERS.name;
  kept.sort((a, b) => compare(a, b) || byName.compare(a.id, b.id));
  const groups = new Map();
  const [, of] = GROUPS[group] ?? GROUPS.none;
  for (const backend of kept) {
    for (const name of of(backend)) groups.set(name, [...(groups.get(name) ?? []), backend]);
  }
  const named = [...groups].map(([name, members]) => ({ name, members, count: plural(members.length, 'backend') }));
  return named.sort((a, b) => byName.compare(a.name, b.name));
}

function textOf(backend) {
  const parts = [backend.id, backend.url, backend.gpu?.name, ...(backend.models ?? []), ...(backend.tags ?? [])];
  return parts.filter(Boolean).join(' ').toLowerCase();
}

/** The GPU's utilisation over the last minutes, or else how busy it was; null where nothing is known. */
export function lastMinutes(slots = [], count = 40) {
  const ratios = slots.slice(-count).map((slot) => {
    if (slot.utilization != null) return slot.utilization / 100;
    const seen = slot.down + slot.idle + slot.load + slot.run + slot.others;
    return seen > 0 ? (slot.load + slot.run + slot.others) / seen : null;
  });
  return [...Array(Math.max(count - ratios.length, 0)).fill(null), ...ratios];
}
