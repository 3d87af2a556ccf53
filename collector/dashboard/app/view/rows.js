// One job in a list: waiting, running or ended.

import { own } from '../api.js';
import { button, h, icon, setAttribute, setShare, setText } from '../dom/h.js';
import { thumbnail } from '../dom/picture.js';
import { lowered, raised } from '../model/jobs.js';
import { cancel, prefer, retry, toFront } from './actions.js';

export function createWaiting(first, store) {
  const line = head(first);
  const [place, why, starts, ends] = ['span.place', 'p.why.muted', 'span.figure', 'span.muted.small'].map((what) => h(what));
  const grip = h('span.grip', { title: 'Drag to the front', 'aria-hidden': 'true' }, icon('grip'));
  const actions = h('div.row-actions');
  const element = h('li.job-row.waiting', {}, grip, place, line.element, why, h('div.when', {}, starts, ends), actions);
  let row = first;
  drag(element, () => row.job);
  return {
    element,
    update(now) {
      row = now;
      const may = store.mayChange(row.job);
      element.draggable = may;
      grip.hidden = !may;
      line.update(row);
      setText(place, row.place);
      setText(why, row.why);
      setText(starts, row.starts);
      setText(ends, row.ends);
      offer(actions, may, () => [
        button('front', `Move job ${row.id} to the front`, () => toFront(row.job)),
        button('up', `Raise the priority of job ${row.id}`, () => prefer(row.job, raised(row.priority))),
        button('lower', `Lower the priority of job ${row.id}`, () => prefer(row.job, lowered(row.priority))),
        button('close', `Cancel job ${row.id}`, () => cancel({ ...row.job, state: 'waiting' })),
      ]);
    },
  };
}

export function createRunning(first, store) {
  const line = head(first);
  const picture = h('img.thumb', { alt: '', hidden: true, onerror: () => { picture.hidden = true; } });
  const [step, left] = ['span', 'span.muted.small'].map((what) => h(what));
  const done = h('i');
  const track = h('div.bar-track', { role: 'progressbar', 'aria-label': 'Steps', 'aria-valuemin': '0', 'aria-valuemax': '100' }, done);
  const actions = h('div.row-actions');
  const element = h('li.job-row.running', {}, picture, line.element, h('div.progress', {}, h('div.progress-line', {}, step, left), track), actions);
  let row = first;
  return {
    element,
    update(now) {
      if (now.preview != null && (now.preview !== row.preview || now === first)) {
        picture.src = own(`jobs/${now.key}/preview`, { n: now.preview });
        picture.hidden = false;
      }
      row = now;
      line.update(row);
      setText(step, row.step);
      setText(left, row.left);
      setShare(done, row.share);
      setAttribute(track, 'aria-valuenow', Math.round(row.share * 100));
      offer(actions, store.mayChange(row.job), () => [
        button('close', `Cancel job ${row.id}`, () => cancel({ ...row.job, state: 'dispatched' })),
      ]);
    },
  };
}

export function createEnded(row, store) {
  const line = head(row);
  line.update(row);
  const sign = h(`span.sign.tone-${row.tone}`, {}, icon(row.icon));
  const element = h(
    'li.job-row.ended', {},
    thumbnail(row.preview, `What job ${row.id} made`),
    line.element,
    h('p.outcome', {}, sign, row.word, h('span.muted.small', {}, [row.files, row.took].filter(Boolean).join(', '))),
    h('p.why.problem.cut', { title: row.error }, row.error),
    h('span.when.muted', {}, row.when),
    h('div.row-actions', {}, button('retry', `Submit job ${row.id} once more`, () => retry(row.job))),
  );
  return { element, update() {} };
}

/** What it is, whose, and where. */
function head(first) {
  const title = h('a.cut', { href: `#/jobs/${first.key}` }, first.title);
  const [id, work, wishes, from, backend] = ['span.mono.muted', 'span', 'span.wishes', 'span', 'span.chip'].map((what) => h(what));
  setText(id, first.id);
  const element = h('div.job-head', {}, h('div.job-title', {}, title, id), h('div.job-about.muted.small', {}, backend, wishes, work, from));
  const update = (row) => {
    setText(work, row.work);
    setText(wishes, row.wishes ?? '');
    setText(from, row.from);
    setText(backend, row.backend);
    backend.hidden = !row.backend;
  };
  return { element, update };
}

function offer(element, may, make) {
  if (element.dataset.may === String(may)) return;
  element.dataset.may = String(may);
  element.replaceChildren(...(may ? make() : []));
}

function drag(element, job) {
  element.addEventListener('dragstart', (event) => {
    event.dataTransfer.setData('application/x-job', job().id);
    event.dataTransfer.effectAllowed = 'move';
    document.body.classList.add('is-dragging');
  });
  element.addEventListener('dragend', () => document.body.classList.remove('is-dragging'));
}
