// One job: its course from submission to end, what went wrong, what it made, and its documents.

import { get, own } from '../api.js';
import { h, icon, setText } from '../dom/h.js';
import { keyed } from '../dom/keyed.js';
import { shown } from '../dom/picture.js';
import { modelName, shortId, work } from '../model/format.js';
import { failure, files, hasEnded, nodeNames, signOf, timeline, titleOf, verdicts } from '../model/jobs.js';
import { cancel, retry, toFront } from './actions.js';

export function jobView(store) {
  const element = h('section.job-page', { 'aria-labelledby': 'job-title' });
  let page;
  let ends = [];
  return {
    element,
    show(id) {
      if (page?.id !== id) {
        page = createPage(store, id);
        element.replaceChildren(page.element);
      }
      if (ends.length) ends.forEach((end) => end());
      const now = page;
      now.learn();
      ends = [
        store.hear((kind, data) => (kind === 'resync' || (kind === 'job' && data.id === id)) && now.learn()),
        store.subscribe(({ fleet }) => now.progress(fleet)),
      ];
    },
    hide() {
      ends.forEach((end) => end());
      ends = [];
    },
  };
}

function createPage(store, id) {
  const title = h('h1', { id: 'job-title', tabindex: '-1' }, `Job ${shortId(id)}`);
  const sign = h('p.outcome');
  const about = h('p.muted');
  const actions = h('div.page-actions');
  const course = h('ol.course', { 'aria-label': 'Course' });
  const preview = h('img.live-preview', { alt: 'The unfinished picture', hidden: true, onerror: () => { preview.hidden = true; } });
  const outputs = h('section', { 'aria-label': 'What it made', hidden: true });
  const side = h('div.job-side', {}, preview, outputs);
  const sections = h('div.job-sections');
  const element = h('div', {},
    h('header.page-head', {}, h('div', {}, title, sign, about), actions),
    h('div.job-columns', {}, h('section.panel.padded', { 'aria-label': 'Course of the job' }, h('h2', {}, 'Course'), course), side),
    sections);
  const sync = keyed(course, (step) => step.key, createStep);
  let job;
  let names = new Map();
  let pictured;

  async function learn() {
    try {
      job = await get(`jobs/${id}`);
      if (names.size === 0) names = nodeNames(await get(`jobs/${id}/prompt`).catch(() => ({})));
    } catch (error) {
      element.replaceChildren(h('div.empty', {}, h('h1', { tabindex: '-1' }, error.status === 404 ? 'There is no such job' : 'The job cannot be shown'), h('p', {}, error.message)));
      return;
    }
    draw();
  }

  function draw() {
    const state = signOf(job.state);
    sign.replaceChildren(h(`span.tone-${state.tone}`, {}, icon(state.icon)), ` ${state.word}`);
    setText(about, [titleOf(job), work(job.work), job.client].filter(Boolean).join(' · '));
    actions.replaceChildren(...offered(store, job));
    sync(timeline(job, store.state.fleet.at || Date.now()).map((step) => ({ ...step, names })));
    showMade(outputs, files(job));
    sections.replaceChildren(...[wrong(job), why(job), documents(job)].filter(Boolean));
  }

  function progress(fleet) {
    if (!job || job.state !== 'dispatched') {
      preview.hidden = true;
      return;
    }
    const now = [...fleet.backends.values()].find((backend) => backend.job?.id === id)?.job;
    if (!now) return;
    job.progress = now;
    const node = now.node ? ` in ${names.get(now.node) ?? `node ${now.node}`}` : '';
    const steps = timeline(job, fleet.at).map((step) => (step.what === 'Now' ? { ...step, detail: `${step.detail}${node}` } : step));
    sync(steps.map((step) => ({ ...step, names })));
    if (now.preview != null && now.preview !== pictured) {
      pictured = now.preview;
      preview.src = own(`jobs/${id}/preview`, { n: pictured });
      preview.hidden = false;
    }
  }
  return { id, element, learn, progress };
}

function createStep() {
  const [when, what, detail] = ['span.at', 'strong', 'div.detail.muted'].map((tag) => h(tag));
  const element = h('li', {}, when, h('div', {}, what, detail));
  return {
    element,
    update(step) {
      element.className = step.isBad ? 'is-bad' : step.isOpen ? 'is-open' : '';
      setText(when, step.clock);
      setText(what, step.what);
      if (!step.isLong) return setText(detail, step.detail ?? '');
      if (detail.dataset.told === step.detail) return;
      detail.dataset.told = step.detail;
      // The reasons for the chosen one, then those against the others.
      const [chosen, ...others] = (step.detail ?? '').split('; ');
      const rest = others.length > 0 && h('details', {}, h('summary', {}, `against ${others.length} other${others.length === 1 ? '' : 's'}`), h('ul', {}, others.map((other) => h('li', {}, other))));
      detail.replaceChildren(...[h('div', {}, chosen), rest].filter(Boolean));
    },
  };
}

function offered(store, job) {
  const act = (words, action, kind = 'button') => h(`button.${kind}`, { type: 'button', onclick: action }, words);
  if (hasEnded(job)) return [act('Submit once more', () => retry(job))];
  if (!store.mayChange(job)) return [];
  const front = job.state === 'waiting' && act('To the front', () => toFront(job));
  return [front, act('Cancel …', () => cancel({ ...job, backend: job.attempts?.at(-1)?.backend }), 'danger')].filter(Boolean);
}

function wrong(job) {
  const error = failure(job);
  if (!error) return null;
  return h('section.panel.padded.wrong', {}, h('h2', {}, 'What went wrong'), h('p', {}, error.sentence),
    error.said && h('p.mono.problem', {}, error.said),
    error.traceback && h('details', {}, h('summary', {}, 'Traceback'), h('pre', { tabindex: '0' }, error.traceback)));
}

/** Once: they do not change, and a film that plays goes on. */
function showMade(element, made) {
  if (made.length === 0 || !element.hidden) return;
  element.hidden = false;
  element.replaceChildren(h('div.gallery', {}, made.map(shown)));
}

function why(job) {
  const rows = verdicts(job.why_waiting);
  if (rows.length === 0) return null;
  return h('section.panel.padded', {}, h('h2', {}, 'Why it waits: what each backend says'),
    h('dl.facts', {}, rows.flatMap(({ id, words }) => [h('dt', {}, id), h('dd', {}, words)])));
}

function documents(job) {
  const models = (job.models ?? []).map((name) => h('span.chip', { title: name }, modelName(name)));
  return h('section.panel.padded', {}, h('h2', {}, 'What it was submitted with'),
    models.length > 0 && h('p.models', {}, models),
    h('p.downloads', {},
      job.has_workflow && h('a.button', { href: own(`jobs/${job.id}/workflow`), download: '' }, 'Workflow'),
      h('a.button', { href: own(`jobs/${job.id}/prompt`), download: '' }, 'Prompt')),
    h('p.muted.small.mono', {}, job.id));
}
