// One backend, over the fleet: all that is known of it, and what can be done to it.

import { get } from '../api.js';
import { button, h, icon, setAttribute, setIcon, setText } from '../dom/h.js';
import { open } from '../dom/dialogs.js';
import { plural } from '../model/format.js';
import { card } from '../model/fleet.js';
import { machineFacts } from '../model/machine.js';
import { drain, free, removeBackend, resume } from './actions.js';

/** How often what only its own page shows is asked for. */
const AGAIN_MILLIS = 3000;

let sheet;

/** Opens it for this id, or closes it where there is none. */
export function backendSheet(store, id) {
  if (sheet && sheet.id !== id) sheet.dialog.close();
  if (!id || sheet) return;
  sheet = create(store, id);
  sheet.dialog.addEventListener('close', () => {
    sheet.end();
    sheet = undefined;
    if (location.hash.startsWith('#/fleet/')) location.hash = '#/fleet';
  });
  open(sheet.dialog);
}

function create(store, id) {
  const sign = icon('unknown');
  const word = h('span');
  const facts = h('dl.facts');
  const actions = h('div.actions');
  const dialog = h(
    'dialog.sheet', { 'aria-labelledby': 'backend-name' },
    h('div.inside', {},
      h('header.sheet-head', {}, h('h2', { id: 'backend-name' }, id), button('close', 'Close', () => dialog.close())),
      h('p.state', {}, sign, word), facts, actions),
  );
  let more;
  const show = ({ fleet }) => {
    const backend = fleet.backends.get(id);
    if (!backend) {
      setText(word, fleet.isKnown ? 'This backend is no longer part of the fleet.' : 'Asking the collector …');
      facts.replaceChildren();
      actions.replaceChildren();
      return;
    }
    const now = card(backend, fleet.at);
    setIcon(sign, now.icon);
    setAttribute(sign, 'class', `icon tone-${now.tone}`);
    setText(word, [now.word, now.since].filter(Boolean).join(' '));
    list(facts, [...factsOf(backend, now, more), ...machineFacts(more?.machine, fleet.at)]);
    offer(actions, store, () => store.state.fleet.backends.get(id), backend);
    if (!more) learn();
  };
  async function learn() {
    more ??= {};
    more = await get(`backends/${encodeURIComponent(id)}`).catch(() => ({}));
    show(store.state);
  }
  const unsubscribe = store.subscribe(show);
  const timer = setInterval(() => store.state.fleet.backends.has(id) && learn(), AGAIN_MILLIS);
  const end = () => {
    unsubscribe();
    clearInterval(timer);
  };
  return { id, dialog, end };
}

function factsOf(backend, now, more) {
  return [
    ['Why', now.reason],
    ['Gets no job', more?.rests?.reason],
    ['GPU', [now.gpu, now.utilization].join(', ')],
    ['VRAM', now.memory.words.replace('VRAM: ', '')],
    ['Temperature, power', `${now.temperature}, ${now.power}`],
    ['Running', now.job && [now.job.step, now.job.left].filter(Boolean).join(', '), now.job && `#/jobs/${now.job.id}`],
    ['With it', `${plural(backend.jobs, 'job')} of this collector; ${backend.backlog ?? 'unknown'} in its own queue`],
    ['Models believed loaded', (backend.models ?? []).join('\n') || 'none'],
    ['Tags', now.tags.join(', ')],
    ['ComfyUI', backend.url, backend.url],
    ['Agent', `${backend.agent_url ?? ''} (${backend.agent_state})`],
  ].filter(([, text]) => text);
}

/** Rows are written anew only where they changed, so that what is selected or focused stays. */
function list(element, facts) {
  const told = JSON.stringify(facts);
  if (element.dataset.told === told) return;
  element.dataset.told = told;
  element.replaceChildren(...facts.flatMap(([name, text, href]) => [
    h('dt', {}, name),
    h('dd', {}, href && isWeb(href) ? h('a', { href }, text) : text),
  ]));
}

const isWeb = (href) => /^(https?:\/\/|#\/)/.test(href);

function offer(element, store, now, backend) {
  const isDrained = Boolean(backend.drain);
  const key = `${isDrained} ${store.state.me.role}`;
  if (element.dataset.key === key) return;
  element.dataset.key = key;
  const act = (words, action, kind = 'button') => h(`button.${kind}`, { type: 'button', onclick: () => action(now() ?? backend) }, words);
  element.replaceChildren(...[
    store.may('admin') && act('Remove …', removeBackend, 'danger'),
    store.may('operate') && act('Free memory …', free),
    store.may('operate') && (isDrained ? act('Resume …', resume) : act('Drain …', drain)),
  ].filter(Boolean));
}
