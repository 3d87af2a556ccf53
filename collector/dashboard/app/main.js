// The page: which view is shown, and what stands around it.

import { h, icon, setAttribute, setText } from './dom/h.js';
import { clock } from './model/format.js';
import { createStore } from './store.js';
import { backendSheet } from './view/backend.js';
import { fleetView } from './view/fleet.js';
import { jobView } from './view/job.js';
import { queueView } from './view/queue.js';
import { routingView } from './view/routing.js';
import { submitView } from './view/submit.js';

const store = createStore();
const main = document.getElementById('main');

/** First part of the address → its view; each is made when it is first looked at, and kept. */
const VIEWS = {
  fleet: { title: 'Fleet', create: fleetView },
  queue: { title: 'Queue', create: queueView },
  jobs: { title: 'Job', create: jobView, under: 'queue' },
  routing: { title: 'Routing', create: routingView },
  submit: { title: 'Submit', create: submitView },
};

let shown;

/** Gives whether there is another page to look at than before. */
function show() {
  const [name, id] = location.hash.replace(/^#\/?/, '').split('/').map(decodeURIComponent);
  const view = VIEWS[name] ?? VIEWS.fleet;
  view.made ??= view.create(store);
  const isAnother = shown !== view || view === VIEWS.jobs;
  if (shown !== view) {
    shown?.made.hide?.();
    main.replaceChildren(view.made.element);
    shown = view;
    window.scrollTo(0, 0);
  }
  view.made.show?.(id);
  if (view === VIEWS.fleet) backendSheet(store, id);
  document.title = `${id && view === VIEWS.jobs ? id.slice(0, 8) : view.title} · orchestrator`;
  const current = `#/${view.under ?? (VIEWS[name] ? name : 'fleet')}`;
  for (const link of document.querySelectorAll('nav a')) {
    setAttribute(link, 'aria-current', link.getAttribute('href') === current ? 'page' : null);
  }
  return isAnother;
}

/** Whoever moves on by keyboard or by ear begins at the new view's heading. */
function enter() {
  if (show()) main.querySelector('h1')?.focus();
}

const CONNECTION = { connecting: 'connecting', live: 'live', lost: 'not connected', out: 'logged out' };

function frame({ connection, fleet, me }) {
  const link = document.getElementById('connection');
  setAttribute(link, 'data-state', connection.is);
  setText(link, CONNECTION[connection.is]);
  setText(document.getElementById('waiting'), fleet.counts.waiting ? String(fleet.counts.waiting) : '');
  document.body.classList.toggle('is-stale', ['lost', 'out'].includes(connection.is));
  banner(connection);
  who(me);
}

function banner({ is, since }) {
  const element = document.getElementById('banner');
  element.hidden = !['lost', 'out'].includes(is);
  if (element.hidden || element.dataset.is === `${is}${since}`) return;
  element.dataset.is = `${is}${since}`;
  if (is === 'out') {
    const next = new URL('../login?next=/orchestrator/', document.baseURI);
    element.replaceChildren('You are logged out. ', h('a', { href: next.href }, 'Log in again'), '.');
  } else {
    setText(element, `The connection to the collector was lost at ${clock(since)}. What is shown is as it was then; trying again.`);
  }
}

function who({ name, role }) {
  const element = document.getElementById('who');
  if (element.dataset.name === `${name} ${role}`) return;
  element.dataset.name = `${name} ${role}`;
  const logOut = () =>
    h('form', { method: 'post', action: '../logout' }, h('span.muted.name', { title: `role: ${role}` }, name), h('button.plain', {}, 'Log out'));
  element.replaceChildren(...(name ? [logOut()] : []));
}

const THEMES = { auto: 'as the system', light: 'light', dark: 'dark' };

function theme() {
  const element = document.getElementById('theme');
  const names = Object.keys(THEMES);
  let now = localStorage.getItem('theme');
  const apply = () => {
    if (!THEMES[now]) now = 'auto';
    setAttribute(document.documentElement, 'data-theme', now === 'auto' ? null : now);
    const label = `Colours: ${THEMES[now]}. Change`;
    setAttribute(element, 'aria-label', label);
    setAttribute(element, 'title', label);
  };
  element.append(icon('theme'));
  element.addEventListener('click', () => {
    now = names[(names.indexOf(now) + 1) % names.length];
    localStorage.setItem('theme', now);
    apply();
  });
  apply();
}

theme();
store.start();
store.subscribe(frame);
window.addEventListener('hashchange', enter);
show();
