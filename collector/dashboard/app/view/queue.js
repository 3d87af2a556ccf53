// The queue: what runs, what waits in the order expected, and what has ended.

import { get } from '../api.js';
import { h, setAttribute, setText } from '../dom/h.js';
import { keyed } from '../dom/keyed.js';
import { endedRow, runningRow, waitingRow } from '../model/jobs.js';
import { plural } from '../model/format.js';
import { toFront } from './actions.js';
import { createEnded, createRunning, createWaiting } from './rows.js';

const PAGE = 40;
/** After a change of jobs: several come at once, so it is waited for the rest of them. */
const SETTLE_MILLIS = 350;
/** What is expected changes by itself. */
const AGAIN_MILLIS = 5000;

export function queueView(store) {
  const wish = { client: '', model: '', state: '' };
  const parts = {
    running: part('Running', (row) => createRunning(row, store)),
    waiting: part('Waiting', (row) => createWaiting(row, store)),
    ended: part('Ended', (row) => createEnded(row, store)),
  };
  const more = h('button.button', { type: 'button', hidden: true, onclick: () => older() }, 'Show older ones');
  parts.ended.element.append(more);
  const front = dropZone();
  parts.waiting.element.insertBefore(front, parts.waiting.list);
  const known = { clients: h('datalist', { id: 'clients' }), models: h('datalist', { id: 'models' }) };
  const filters = filterBar(wish, known, () => learn());
  const problem = h('p.problem', { role: 'alert' });
  const element = h(
    'section.queue', { 'aria-labelledby': 'queue-title' },
    h('h1.unseen', { id: 'queue-title', tabindex: '-1' }, 'Queue'), filters, problem,
    parts.running.element, parts.waiting.element, parts.ended.element,
  );

  let queue = { running: [], waiting: [], waiting_count: 0, foreseen_count: 0 };
  let ended = { jobs: [], next: undefined };

  /** Only what the filter lets through is asked for. */
  async function learn() {
    const query = { client: wish.client, model: wish.model };
    const states = { '': 'succeeded,failed,interrupted,cancelled', waiting: null, running: null }[wish.state];
    const listed = { ...query, state: states === undefined ? wish.state : states, limit: PAGE };
    try {
      const [live, page] = await Promise.all([get('queue', query), states === null ? { jobs: [] } : get('jobs', listed)]);
      queue = live;
      ended = ended.jobs.length > PAGE && sameWish(wish) ? { ...ended, jobs: joined(page.jobs, ended.jobs) } : page;
      setText(problem, '');
    } catch (error) {
      setText(problem, error.message);
    }
    told = { ...wish };
    update(store.state);
  }
  let told = {};
  const sameWish = (now) => Object.keys(now).every((key) => now[key] === told[key]);

  async function older() {
    const query = { client: wish.client, model: wish.model, state: wish.state || 'succeeded,failed,interrupted,cancelled' };
    const page = await get('jobs', { ...query, limit: PAGE, cursor: ended.next });
    ended = { jobs: joined(ended.jobs, page.jobs), next: page.next };
    update(store.state);
  }

  function update({ fleet }) {
    const progress = new Map([...fleet.backends.values()].filter((backend) => backend.job).map(({ job }) => [job.id, job]));
    const shows = (name) => !wish.state || wish.state === name;
    const running = queue.running.map((job) => runningRow(job, progress.get(job.id) ?? job.progress, fleet.at));
    const waiting = queue.waiting.map((job, at) => waitingRow(job, at + 1, fleet.at));
    parts.running.update(running, plural(running.length, 'job'), shows('running'));
    const beyond = queue.waiting_count - waiting.length;
    const words = `${plural(queue.waiting_count, 'job')}${beyond > 0 ? `, the first ${waiting.length} of them` : ''}`;
    parts.waiting.update(waiting, words, shows('waiting'));
    parts.ended.update(ended.jobs.map((job) => endedRow(job, fleet.at)), '', !['running', 'waiting'].includes(wish.state));
    more.hidden = !ended.next;
    offer(known.clients, [...queue.running, ...queue.waiting, ...ended.jobs].map((job) => job.client));
    offer(known.models, [...queue.running, ...queue.waiting, ...ended.jobs].flatMap((job) => job.models));
  }

  let ends = [];
  let timer;
  let due;
  const settle = () => {
    clearTimeout(due);
    due = setTimeout(learn, SETTLE_MILLIS);
  };
  return {
    element,
    show() {
      if (ends.length) return;
      ends = [store.subscribe(update), store.hear((kind) => ['job', 'resync'].includes(kind) && settle())];
      timer = setInterval(() => queue.waiting_count > 0 && learn(), AGAIN_MILLIS);
      learn();
    },
    hide() {
      ends.forEach((end) => end());
      ends = [];
      clearInterval(timer);
      clearTimeout(due);
    },
  };
}

/** Newer ones first, each once. */
function joined(first, second) {
  const known = new Set(first.map((job) => job.id));
  return [...first, ...second.filter((job) => !known.has(job.id))];
}

function part(title, create) {
  const count = h('span.muted.small');
  const list = h('ul.jobs');
  const none = h('p.muted.none', {}, `Nothing ${title === 'Ended' ? 'has ended' : `is ${title.toLowerCase()}`}.`);
  const element = h('section.part', {}, h('div.group-head', {}, h('h2', {}, title), count), list, none);
  setAttribute(list, 'aria-label', title);
  const sync = keyed(list, (row) => row.key, create);
  const update = (rows, words, isShown) => {
    element.hidden = !isShown;
    setText(count, words);
    none.hidden = rows.length > 0;
    list.hidden = rows.length === 0;
    sync(rows);
  };
  return { element, list, update };
}

/** Where a waiting job is dropped to go first. It can be seen only while one is dragged. */
function dropZone() {
  const zone = h('div.drop-front', { 'aria-hidden': 'true' }, 'Drop here to prefer it');
  zone.addEventListener('dragover', (event) => event.preventDefault());
  zone.addEventListener('drop', (event) => {
    event.preventDefault();
    const id = event.dataTransfer.getData('application/x-job');
    if (id) toFront({ id });
  });
  return zone;
}

function filterBar(wish, known, changed) {
  const text = (name, label, list) => {
    const input = h('input', { type: 'search', list, placeholder: label, 'aria-label': `Only of this ${label.toLowerCase()}` });
    input.addEventListener('change', () => { wish[name] = input.value.trim(); changed(); });
    return input;
  };
  const states = ['', 'running', 'waiting', 'succeeded', 'failed', 'interrupted', 'cancelled'];
  const words = { '': 'All states' };
  const state = h('select', { 'aria-label': 'State', onchange: () => { wish.state = state.value; changed(); } },
    states.map((name) => h('option', { value: name }, words[name] ?? name.charAt(0).toUpperCase() + name.slice(1))));
  return h('div.toolbar', {}, text('client', 'Client', 'clients'), text('model', 'Model', 'models'), state, known.clients, known.models);
}

function offer(list, values) {
  const all = [...new Set(values.filter(Boolean))].sort().slice(0, 200);
  if (list.dataset.told === all.join('\n')) return;
  list.dataset.told = all.join('\n');
  list.replaceChildren(...all.map((value) => h('option', { value })));
}
