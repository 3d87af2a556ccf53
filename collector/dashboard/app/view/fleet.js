// The fleet: a card or a row a backend, found, sorted and grouped.

import { h, icon, setAttribute, setText } from '../dom/h.js';
import { keyed } from '../dom/keyed.js';
import { arranged, counts, GROUPS, lastMinutes, ORDERS } from '../model/fleet.js';
import { addBackend } from './actions.js';
import { createCard } from './card.js';

const MINUTES = 10;
/** Beyond so many a card each is too much to look over. */
const CARDS_AT_MOST = 40;

export function fleetView(store) {
  const wish = { text: '', only: 'all', order: 'name', group: 'none', layout: localStorage.getItem('layout') };
  const groups = h('div.groups');
  const empty = h('div.empty', { hidden: true });
  const bar = toolbar(store, wish, () => update(store.state));
  const element = h('section', { 'aria-labelledby': 'fleet-title' }, h('h1.unseen', { id: 'fleet-title', tabindex: '-1' }, 'Fleet'), bar.element, empty, groups);
  const sync = keyed(groups, (group) => group.name, createGroup);

  function update({ fleet, timeline }) {
    const backends = [...fleet.backends.values()];
    const isCards = (wish.layout ?? (backends.length > CARDS_AT_MOST ? 'rows' : 'cards')) === 'cards';
    setAttribute(groups, 'class', isCards ? 'groups cards' : 'groups rows');
    bar.update(backends, isCards);
    const arrangedGroups = arranged(backends, wish);
    const context = { now: fleet.at, isCards, minutes: (id) => lastMinutes(timeline.backends.get(id)), isGrouped: wish.group !== 'none' };
    sync(arrangedGroups.map((group) => ({ ...group, context })));
    nothing(empty, fleet, arrangedGroups, store);
  }

  let end;
  let timer;
  const learn = () => store.learnMinutes(MINUTES).catch(() => {});
  return {
    element,
    show() {
      if (end) return;
      end = store.subscribe(update);
      learn();
      timer = setInterval(learn, store.state.timeline.slotMillis);
    },
    hide() {
      end?.();
      clearInterval(timer);
      end = undefined;
    },
  };
}

function createGroup() {
  const title = h('h2');
  const count = h('span.muted.small');
  const head = h('div', {}, title, count);
  const list = h('ul.backends');
  const element = h('section.group', {}, head, rowHeads(), list);
  const sync = keyed(list, (backend) => backend.id, createCard);
  return {
    element,
    update({ name, members, count: words, context }) {
      // To the ear a heading stands between the view's and those of the cards in any case.
      setAttribute(head, 'class', context.isGrouped ? 'group-head' : 'group-head unseen');
      setText(title, context.isGrouped ? name : 'Backends');
      setText(count, words);
      setAttribute(list, 'aria-label', context.isGrouped ? name : 'Backends');
      sync(members.map((backend) => ({ ...backend, context })));
    },
  };
}

/** What the columns of rows are; cards say it of each figure, and to the ear each row does. */
function rowHeads() {
  const heads = { name: 'Backend', state: 'State', job: 'Job', gpu: 'GPU', load: 'Utilisation', memory: 'VRAM', temp: 'Temp', power: 'Power', backlog: 'Queue', models: 'Models believed loaded' };
  return h('div.row-heads', { 'aria-hidden': 'true' }, Object.entries(heads).map(([kind, word]) => h(`span.${kind}`, {}, word)));
}

function nothing(element, fleet, groups, store) {
  element.hidden = groups.length > 0;
  if (element.hidden) return;
  const isEmpty = fleet.isKnown && fleet.backends.size === 0;
  const words = isEmpty ? 'There is no backend yet.' : fleet.isKnown ? 'No backend matches.' : 'Asking the collector …';
  if (element.firstChild?.textContent === words) return;
  const add = isEmpty && store.may('admin') && h('button.primary', { type: 'button', onclick: addBackend }, icon('plus'), 'Add a backend');
  element.replaceChildren(h('h2', {}, words), ...[add].filter(Boolean));
}

function toolbar(store, wish, changed) {
  const search = h('input', {
    type: 'search', placeholder: 'Find by name, GPU, model', 'aria-label': 'Find backends',
    oninput: () => { wish.text = search.value; changed(); },
  });
  const chips = h('fieldset.segments', {}, h('legend.unseen', {}, 'State'));
  const choose = (key) => { wish.only = key; changed(); };
  const sync = keyed(chips, (chip) => chip.key, (chip) => createChip(chip, choose));
  const layout = h('button.button', { type: 'button' });
  let isCardsNow = true;
  layout.addEventListener('click', () => {
    wish.layout = isCardsNow ? 'rows' : 'cards';
    localStorage.setItem('layout', wish.layout);
    changed();
  });
  const add = h('button.button', { type: 'button', onclick: addBackend }, icon('plus'), 'Add backend');
  const element = h(
    'div.toolbar', {}, search, chips,
    select('Sort', ORDERS, (key) => { wish.order = key; changed(); }),
    select('Group', GROUPS, (key) => { wish.group = key; changed(); }),
    layout, h('span.spring'), add,
  );
  return {
    element,
    update(backends, isCards) {
      isCardsNow = isCards;
      setText(layout, isCards ? 'Show as rows' : 'Show as cards');
      add.hidden = !store.may('admin');
      sync(counts(backends).filter((chip) => chip.count > 0 || chip.key === 'all' || chip.key === wish.only)
        .map((chip) => ({ ...chip, isChosen: chip.key === wish.only })));
    },
  };
}

function createChip(chip, choose) {
  const input = h('input', { type: 'radio', name: 'state', value: chip.key, onchange: () => choose(chip.key) });
  const count = h('span.muted');
  return {
    element: h('label', {}, input, chip.word, count),
    update({ count: number, isChosen }) {
      input.checked = isChosen;
      setText(count, String(number));
    },
  };
}

function select(label, choices, chosen) {
  const options = Object.entries(choices).map(([key, [word]]) => h('option', { value: key }, word));
  const element = h('select', { onchange: () => chosen(element.value) }, options);
  return h('label', {}, h('span.muted.small', {}, label), element);
}
