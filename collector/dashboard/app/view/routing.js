// The last hour: what every backend did with its time, and how often a model did not have to be loaded.

import { drawStrip } from '../dom/charts.js';
import { h, setAttribute, setText } from '../dom/h.js';
import { keyed } from '../dom/keyed.js';
import { watchVisible } from '../dom/visible.js';
import { row, slotWords, total, WORDS } from '../model/routing.js';
import { SLOTS } from '../state/timeline.js';

const byName = new Intl.Collator('en', { numeric: true });

export function routingView(store) {
  const totals = {
    avoided: tile('Loads avoided', 'jobs with models that found them loaded'),
    share: tile('Share of loads avoided', 'of all jobs with models'),
    swap: tile('Swap share', 'of the time at work went into loading models'),
    busy: tile('At work', 'of the backends’ time'),
  };
  const search = h('input', { type: 'search', placeholder: 'Find backends', 'aria-label': 'Find backends', oninput: () => draw(store.state) });
  const list = h('ul.courses', { 'aria-label': 'Backends' });
  const sync = keyed(list, (item) => item.id, createCourse);
  const element = h(
    'section', { 'aria-labelledby': 'routing-title' },
    h('h1', { id: 'routing-title', tabindex: '-1' }, 'The last hour'),
    h('p.muted.lead', {}, 'Loading a model costs more than most jobs, so a job goes where its models are, unless waiting there takes longer than loading them elsewhere.'),
    h('dl.tiles', {}, Object.values(totals).map((one) => one.element)),
    h('div.toolbar', {}, search, h('span.spring'), legend()), list,
  );
  let last;

  function draw({ timeline, fleet }) {
    if (last === timeline) return;
    const wanted = search.value.trim().toLowerCase();
    const courses = [...timeline.backends].filter(([id]) => fleet.backends.has(id));
    const sums = total(courses.map(([, slots]) => slots));
    totals.avoided.update(sums.avoided);
    totals.share.update(sums.avoidedShare);
    totals.swap.update(sums.swap);
    totals.busy.update(sums.busy);
    const shown = courses.filter(([id]) => id.toLowerCase().includes(wanted)).sort(([a], [b]) => byName.compare(a, b));
    sync(shown.map(([id, slots]) => ({ ...row(id, slots), slotMillis: timeline.slotMillis, now: fleet.at })));
  }
  const changed = (state) => {
    draw(state);
    last = state.timeline;
  };
  search.addEventListener('input', () => { last = undefined; changed(store.state); });

  let end;
  let timer;
  return {
    element,
    show() {
      if (end) return;
      last = undefined;
      end = store.subscribe(changed);
      store.learnHour().catch(() => {});
      timer = setInterval(() => store.learnHour().catch(() => {}), store.state.timeline.slotMillis);
    },
    hide() {
      end?.();
      clearInterval(timer);
      end = undefined;
    },
  };
}

function createCourse({ id }) {
  const name = h('a', { href: `#/fleet/${encodeURIComponent(id)}` }, id);
  const canvas = h('canvas.strip', { role: 'img' });
  const told = h('span.muted.small.pointed');
  const [busy, swap, avoided] = ['At work', 'Swap share', 'Loads avoided'].map((label) => {
    const value = h('span.figure');
    return { value, element: h('div.fig', {}, h('span.label', {}, label), value) };
  });
  const element = h('li.course-row', {}, h('h2.cut', {}, name), h('div.strip-box', {}, canvas, told), busy.element, swap.element, avoided.element);
  let now;
  let isVisible = false;
  const draw = () => isVisible && now && drawStrip(canvas, now.slots, SLOTS);
  const ends = [
    watchVisible(element, (visible) => { isVisible = visible; draw(); }),
    watchResize(canvas, draw),
  ];
  canvas.addEventListener('pointermove', (event) => setText(told, pointed(event, canvas, now)));
  canvas.addEventListener('pointerleave', () => setText(told, ''));
  return {
    element,
    remove: () => ends.forEach((end) => end()),
    update(row) {
      now = row;
      setAttribute(canvas, 'aria-label', row.words);
      setText(busy.value, row.busy);
      setText(swap.value, row.swap);
      setText(avoided.value, row.avoided);
      draw();
    },
  };
}

function pointed(event, canvas, { slots, slotMillis, now }) {
  const at = Math.floor((event.offsetX / canvas.clientWidth) * SLOTS) - (SLOTS - slots.length);
  return slots[at] ? slotWords(slots[at], slotMillis, now) : '';
}

/** A strip that got another width, or other colours, is drawn anew. */
function watchResize(element, changed) {
  const observer = new ResizeObserver(changed);
  observer.observe(element);
  const scheme = matchMedia('(prefers-color-scheme: dark)');
  scheme.addEventListener('change', changed);
  return () => {
    observer.disconnect();
    scheme.removeEventListener('change', changed);
  };
}

function tile(name, words) {
  const value = h('dd.value');
  return { element: h('div.tile.panel', {}, h('dt', {}, name), value, h('dd.muted.small', {}, words)), update: (text) => setText(value, text) };
}

function legend() {
  return h('ul.legend', { 'aria-label': 'What the strips show' }, ['run', 'load', 'others', 'idle', 'down'].map((name) => h('li', {}, h(`i.key.${name}`), WORDS[name])));
}
