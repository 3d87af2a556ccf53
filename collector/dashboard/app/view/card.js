// One backend, as a card or as a row: the same elements, laid out by the style sheet.

import { own } from '../api.js';
import { sparkline } from '../dom/charts.js';
import { h, icon, setAttribute, setIcon, setShare, setText } from '../dom/h.js';
import { watchVisible } from '../dom/visible.js';
import { percent, plural } from '../model/format.js';
import { card } from '../model/fleet.js';

const MODELS_SHOWN = 3;

export function createCard({ id }) {
  const sign = icon('unknown');
  const name = h('a', { href: `#/fleet/${encodeURIComponent(id)}` }, id);
  const state = h('span.word');
  const since = h('span.muted.since');
  const gpu = h('p.gpu.muted.cut');
  const reason = h('p.reason.small');
  const job = jobPart();
  const load = h('span.figure');
  const spark = sparkline();
  const memory = memoryPart();
  const temperature = figure('Temp');
  const power = figure('Power');
  const backlog = figure('Backlog');
  const models = h('p.models');
  const element = h(
    'li.card', {},
    h('div.name', {}, h('h3.cut', {}, name)),
    h('p.state', {}, sign, state, since),
    gpu, reason, job.element,
    h('div.load', {}, h('span.label', {}, 'GPU'), load, spark.element),
    memory.element, temperature.element, power.element, backlog.element, models,
  );
  let isVisible = false;
  let last;
  const end = watchVisible(element, (now) => {
    isVisible = now;
    if (now && last) job.picture(last.job, true);
  });

  return {
    element,
    remove: end,
    update(backend) {
      const now = card(backend, backend.context.now);
      last = now;
      setAttribute(element, 'class', `card is-${now.state}`);
      setIcon(sign, now.icon);
      setAttribute(sign, 'class', `icon tone-${now.tone}`);
      setText(state, now.word);
      setText(since, now.since);
      setText(gpu, [now.gpu, now.host].filter(Boolean).join(' · '));
      setText(reason, now.reason);
      job.update(now.job);
      job.picture(now.job, isVisible);
      setText(load, now.utilization);
      spark.update(backend.context.minutes(id), `GPU over the last ten minutes, now ${now.utilization}`);
      memory.update(now.memory);
      temperature.update(now.temperature);
      power.update(now.power);
      backlog.update(now.backlog);
      showModels(models, now.models);
    },
  };
}

function figure(label) {
  const value = h('span.figure');
  const element = h(`div.fig.${label.toLowerCase()}`, {}, h('span.label', {}, label), value);
  return { element, update: (text) => setText(value, text) };
}

function memoryPart() {
  const own = h('i');
  const others = h('i.hatched');
  const track = h('div.bar-track', { role: 'img' }, own, others);
  const text = h('span.figure');
  const element = h('div.memory', {}, h('span.label', {}, 'VRAM'), text, track);
  const update = (memory) => {
    setText(text, memory.text);
    setAttribute(track, 'aria-label', memory.words);
    setAttribute(element, 'title', memory.words);
    setShare(own, memory.own);
    setShare(others, memory.others);
  };
  return { element, update };
}

/** The job that it is at, or nothing. */
function jobPart() {
  const picture = h('img.thumb', { alt: '', hidden: true, onerror: () => { picture.hidden = true; } });
  const link = h('a.mono');
  const step = h('span.step');
  const left = h('span.muted.left');
  const done = h('i');
  const track = h('div.bar-track', { role: 'progressbar', 'aria-label': 'Steps', 'aria-valuemin': '0', 'aria-valuemax': '100' }, done);
  const element = h('div.job', { hidden: true }, picture, h('div.of-job', {}, h('div.job-line', {}, step, left), track, link));
  let pictured;
  return {
    element,
    update(job) {
      setAttribute(element, 'hidden', job ? null : '');
      if (!job) return;
      setText(link, job.id.slice(0, 8));
      setAttribute(link, 'href', `#/jobs/${job.id}`);
      setAttribute(link, 'aria-label', `Job ${job.id.slice(0, 8)}`);
      setText(step, job.step);
      setText(left, job.left);
      setShare(done, job.share);
      setAttribute(track, 'aria-valuenow', Math.round(job.share * 100));
      setAttribute(track, 'aria-valuetext', `${job.step}, ${percent(job.share)}`);
    },
    /** The newest preview, once the one before it is there: no more than one is asked for at a time. */
    picture(job, isVisible) {
      const wanted = job?.preview == null ? undefined : `${job.id}/${job.preview}`;
      if (!wanted) picture.hidden = true;
      if (!wanted || wanted === pictured || !isVisible || !(picture.complete || picture.hidden)) return;
      pictured = wanted;
      picture.src = own(`jobs/${job.id}/preview`, { n: job.preview });
      picture.hidden = false;
    },
  };
}

function showModels(element, models) {
  const shown = models.slice(0, MODELS_SHOWN);
  const rest = models.length - shown.length;
  const words = [...shown, ...(rest > 0 ? [`and ${rest} more`] : [])];
  if (element.dataset.shown === words.join('\n')) return;
  element.dataset.shown = words.join('\n');
  setAttribute(element, 'title', models.length ? `Believed loaded: ${models.join(', ')}` : null);
  const label = h('span.unseen', {}, models.length ? `${plural(models.length, 'model')} believed loaded: ` : 'no model believed loaded');
  element.replaceChildren(label, ...words.map((name) => h('span.chip', {}, name)));
}
