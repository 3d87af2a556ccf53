// A file becomes a job: dropped, looked through, changed, sent.

import { postRaw } from '../api.js';
import { button, h, icon } from '../dom/h.js';
import { bodyOf, edits, needs, places, placesWords, problem, randomSeed, submission } from '../model/submit.js';
import { shortId } from '../model/format.js';

/** Names this page's jobs; kept, so that they can be found again by it. */
const CLIENT = 'dashboard';

export function submitView() {
  const input = h('input.unseen', { type: 'file', accept: '.json,.png,.webp,application/json,image/png,image/webp', id: 'file' });
  const label = h('label.drop', { for: 'file' }, icon('plus'), h('span', {}, h('strong', {}, 'Choose a file'), ' or drop it here'),
    h('span.muted.small', {}, 'A workflow, a prompt, or a PNG or WebP that ComfyUI saved. Nothing is sent to a backend until you submit.'));
  const trouble = h('p.problem', { role: 'alert' });
  const result = h('div.inspected');
  const element = h('section', { 'aria-labelledby': 'submit-title' },
    h('h1', { id: 'submit-title', tabindex: '-1' }, 'Submit'), h('div.drop-box', {}, input, label), trouble, result);

  input.addEventListener('change', () => input.files[0] && take(input.files[0]));
  dropping(label, take);

  async function take(file) {
    trouble.textContent = '';
    result.replaceChildren(h('p.muted', {}, `Looking through ${file.name} …`));
    try {
      const bytes = new Uint8Array(await file.arrayBuffer());
      const { body, type } = bodyOf(bytes, new TextDecoder().decode(bytes));
      const inspected = await postRaw('inspect', body, type);
      result.replaceChildren(...draft(file, inspected));
      result.querySelector('h2').focus();
    } catch (error) {
      result.replaceChildren();
      trouble.textContent = `${file.name}: ${error.message}`;
    }
    input.value = '';
  }
  return { element };
}

function draft(file, inspected) {
  const fields = inspected.inputs.map(createField);
  const said = h('p', { role: 'status' });
  const front = h('input', { type: 'checkbox' });
  const refusal = problem(inspected.problem);
  const send = h('button.primary', { type: 'submit', disabled: Boolean(refusal) }, 'Submit');
  const form = h('form.panel.padded.draft', {},
    h('h2', { tabindex: '-1' }, file.name),
    refusal && h('div.problem', {}, h('p', {}, `It would be refused: ${refusal.sentence}`), h('ul', {}, refusal.lines.map((line) => h('li', {}, line)))),
    fields.map((field) => field.element),
    h('div.send', {}, send, h('label', {}, front, 'To the front of the queue'), said));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    send.disabled = true;
    const changed = edits(inspected.inputs, fields.map((field) => field.value()));
    try {
      const { id } = await postRaw('jobs', submission(inspected, changed, { front: front.checked, client: CLIENT }), 'application/json');
      said.replaceChildren('Submitted as job ', h('a', { href: `#/jobs/${id}` }, shortId(id)), '.');
      fields.forEach((field) => field.next());
    } catch (error) {
      said.replaceChildren(h('span.problem', {}, error.message));
    }
    send.disabled = false;
  });
  return [form, h('div.about-draft', {}, needed(inspected.needs), where(inspected.backends))];
}

const WORDS = { text: 'Text', seed: 'Seed', width: 'Width', height: 'Height', frames: 'Frames', batch: 'Batch', steps: 'Steps', cfg: 'CFG' };

function createField({ kind, title, input, value }) {
  const label = `${WORDS[kind]}: ${title}`;
  const control = kind === 'text'
    ? h('textarea', { rows: '3', name: input })
    : h('input', { inputmode: 'decimal', name: input, autocomplete: 'off', pattern: '-?[0-9]*\\.?[0-9]*' });
  control.value = value;
  const roll = () => { control.value = randomSeed(); };
  const dice = kind === 'seed' && button('dice', `Another seed for ${title}`, roll);
  const keep = kind === 'seed' && h('input', { type: 'checkbox' });
  const field = h(`label.field.of-${kind === 'text' ? 'text' : 'number'}`, {}, label, control);
  const element = kind === 'seed'
    ? h('div.seed', {}, field, dice, h('label.small.muted', {}, keep, 'another after each'))
    : field;
  return {
    element,
    value: () => control.value,
    /** After it was sent: the next one differs, if that is wished. */
    next: () => keep && keep.checked && roll(),
  };
}

function needed(all) {
  const rows = needs(all).flatMap(([name, text]) => [h('dt', {}, name), h('dd', {}, text)]);
  return h('section.panel.padded', {}, h('h2', {}, 'What it needs'), h('dl.facts', {}, rows));
}

function where(backends) {
  const rows = places(backends).map((place) => h('li', {},
    h('span.place-name', {}, icon(place.can ? 'done' : 'down'), h('strong', {}, place.id), h('span.unseen', {}, place.can ? 'can run it' : 'cannot run it')),
    h('span.muted', {}, [place.verdict, place.ends].filter(Boolean).join('; '))));
  return h('section.panel.padded', {}, h('h2', {}, 'Where it could run'), h('p', {}, placesWords(backends)), h('ul.places', { tabindex: '0' }, rows));
}

function dropping(label, take) {
  const over = (is) => (event) => {
    event.preventDefault();
    label.classList.toggle('is-over', is);
  };
  label.addEventListener('dragover', over(true));
  label.addEventListener('dragleave', over(false));
  label.addEventListener('drop', (event) => {
    over(false)(event);
    const [file] = event.dataTransfer.files;
    if (file) take(file);
  });
}
