// A document on its way to becoming a job: what it is, and the body that submits it. Numbers in documents are never read
// as JavaScript's: seeds have more digits than those keep.

import { modelName, plural, span, work } from './format.js';

/**
 * The body that asks about a file, or the reason why it is none of those that can be run. A picture goes as it is; JSON goes
 * as the text that it is, in what says which kind of document it is.
 */
export function bodyOf(bytes, text) {
  if (isPicture(bytes)) return { body: bytes, type: bytes[0] === 0x89 ? 'image/png' : 'image/webp' };
  let document;
  try {
    document = JSON.parse(text);
  } catch {
    throw new Error('This is neither JSON nor a PNG or WebP picture that ComfyUI saved.');
  }
  return { body: wrapped(document, text), type: 'application/json' };
}

function isPicture(bytes) {
  const starts = (...wanted) => wanted.every((byte, at) => bytes[at] === byte);
  return starts(0x89, 0x50, 0x4e, 0x47) || (starts(0x52, 0x49, 0x46, 0x46) && bytes[8] === 0x57 && bytes[9] === 0x45);
}

function wrapped(document, text) {
  if (document === null || typeof document !== 'object' || Array.isArray(document)) {
    throw new Error('This JSON is neither a workflow nor a prompt.');
  }
  if (Array.isArray(document.nodes)) return `{"workflow":${text}}`;
  if (document.prompt || document.workflow) return text;
  const nodes = Object.values(document);
  if (nodes.length > 0 && nodes.every((node) => typeof node?.class_type === 'string')) return `{"prompt":${text}}`;
  throw new Error('This JSON is neither a workflow (it has no nodes) nor a prompt (its nodes have no class_type).');
}

/** The body that submits what was inspected, with the inputs that were changed. `edits`: `node.input` → text. */
export function submission(inspected, edits, { front = false, client } = {}) {
  const extra = inspected.workflow ? `,"extra_data":{"extra_pnginfo":{"workflow":${inspected.workflow}}}` : '';
  const set = Object.keys(edits).length ? `,"set":${JSON.stringify(edits)}` : '';
  const first = front ? ',"front":true' : '';
  return `{"prompt":${inspected.prompt},"client_id":${JSON.stringify(client)}${extra}${set}${first}}`;
}

/** Of the inputs, those whose text is another than it was. */
export function edits(inputs, values) {
  const changed = inputs.map((input, at) => [`${input.node}.${input.input}`, values[at], input.value]);
  return Object.fromEntries(changed.filter(([, now, before]) => now !== before).map(([target, now]) => [target, now]));
}

/** A seed of 64 bits, all digits of it. */
export function randomSeed(random = crypto.getRandomValues(new BigUint64Array(1))[0]) {
  return (random >> 1n).toString();
}

/** What it needs, in lines. */
export function needs({ models, files, work: size, classes }) {
  return [
    ['Models', models.map(modelName).join(', ') || 'none'],
    ['Size', work(size)],
    ['Files', files.join(', ')],
    ['Node classes', plural(classes.length, 'class', 'classes')],
  ].filter(([, text]) => text);
}

/** Where it could run: those that would end it first come first. */
export function places(backends) {
  const seconds = (backend) => backend.completion_seconds ?? Infinity;
  const collator = new Intl.Collator('en', { numeric: true });
  const rows = [...backends].sort((a, b) => seconds(a) - seconds(b) || collator.compare(a.id, b.id));
  return rows.map(({ id, can_run: can, verdict, completion_seconds: ends }) => ({
    key: id, id, can, verdict, ends: ends == null ? '' : `done in about ${span(ends)}, were it first`,
  }));
}

export function placesWords(backends) {
  const able = backends.filter((backend) => backend.can_run).length;
  if (backends.length === 0) return 'There is no backend.';
  return able === 0 ? 'No backend can run it now.' : `${able} of ${plural(backends.length, 'backend')} can run it now.`;
}

/** Why it would be refused: the sentence, and what each node says. */
export function problem(refusal) {
  if (!refusal) return null;
  const { error = {}, node_errors: nodes = {} } = refusal;
  const lines = Object.entries(nodes).flatMap(([id, { class_type: kind, errors = [] }]) =>
    errors.map((one) => `${kind} (${id}): ${[one.message, one.details].filter(Boolean).join(': ')}`));
  const lacking = error.extra_info?.orchestrator?.lacking ?? [];
  return { sentence: [error.message, error.details].filter(Boolean).join(': '), lines: [...lines, ...lacking] };
}
