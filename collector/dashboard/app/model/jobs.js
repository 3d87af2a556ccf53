// Jobs as lists and their own page show them. Pure.

import { between, clock, modelName, plural, shortId, span, UNKNOWN, work } from './format.js';

const STATES = {
  waiting: { word: 'Waiting', icon: 'wait', tone: 'muted' },
  dispatched: { word: 'Running', icon: 'run', tone: 'accent' },
  succeeded: { word: 'Succeeded', icon: 'done', tone: 'ok' },
  failed: { word: 'Failed', icon: 'down', tone: 'bad' },
  interrupted: { word: 'Interrupted', icon: 'stop', tone: 'warn' },
  cancelled: { word: 'Cancelled', icon: 'stop', tone: 'muted' },
};

export const ENDED = ['succeeded', 'failed', 'interrupted', 'cancelled'];

export const signOf = (state) => STATES[state] ?? { word: state, icon: 'unknown', tone: 'muted' };
export const hasEnded = (job) => ENDED.includes(job.state);

/** What a job is, in a line: its models, else that it has none. */
export function titleOf(job) {
  const models = (job.models ?? []).map(modelName);
  return models.length ? models.join(' + ') : 'no model';
}

export function waitingRow(job, place, now) {
  const starts = job.starts_in_seconds;
  return {
    key: job.id,
    id: shortId(job.id),
    place: String(place),
    title: titleOf(job),
    work: work(job.work),
    from: fromOf(job),
    backend: job.backend ?? '',
    why: job.why ?? 'further back than is looked ahead',
    starts: starts == null ? UNKNOWN : starts === 0 ? 'now' : `in ${span(starts)}`,
    ends: job.ends_in_seconds == null ? '' : `done in ${span(job.ends_in_seconds)}`,
    waits: between(job.submitted_at, now),
    priority: job.wishes?.priority ?? 1,
    wishes: wishes(job.wishes, now),
    job,
  };
}

/** What a job asks for beside being run, in words. */
export function wishes({ priority = 1, deadline, backend, tags = [] } = {}, now) {
  const parts = [
    priority !== 1 && `priority ${priority}`,
    deadline != null && (deadline < now ? `late since ${clock(deadline, now)}` : `due by ${clock(deadline, now)}`),
    backend && `only on ${backend}`,
    tags.length > 0 && `only with ${tags.join(', ')}`,
  ];
  return parts.filter(Boolean).join(', ');
}

/** The collector takes 0.01 to 100. */
export const raised = (priority) => Math.min(priority * 2, 100);
export const lowered = (priority) => Math.max(priority / 2, 0.01);

export function runningRow(job, progress, now) {
  const share = progress?.steps ? Math.min(progress.steps_done / progress.steps, 1) : 0;
  const phases = { sending: 'being sent', loading: 'loading models', running: 'running', finishing: 'finishing' };
  return {
    key: job.id,
    id: shortId(job.id),
    title: titleOf(job),
    work: work(job.work),
    from: fromOf(job),
    backend: job.backend ?? '',
    step: progress?.steps ? `step ${progress.steps_done} of ${progress.steps}` : phases[progress?.phase] ?? 'running',
    share,
    left: progress?.left_seconds == null ? '' : `about ${span(progress.left_seconds)} left`,
    took: progress?.started_at ? between(progress.started_at, now) : '',
    preview: progress?.preview,
    job,
  };
}

export function endedRow(job, now) {
  return {
    key: job.id,
    id: shortId(job.id),
    title: titleOf(job),
    work: work(job.work),
    from: fromOf(job),
    backend: job.backend ?? '',
    when: clock(job.ended_at, now),
    took: between(job.submitted_at, job.ended_at),
    files: job.outputs_count == null ? '' : plural(job.outputs_count, 'file'),
    error: job.error ?? '',
    preview: job.preview,
    ...signOf(job.state),
    job,
  };
}

/** Who sent it: the token's name, and what the client calls itself. */
function fromOf({ owner, client }) {
  return [owner, client && shortClient(client)].filter(Boolean).join(' · ');
}

const shortClient = (client) => (client.length > 24 ? `${client.slice(0, 22)}…` : client);

/** What happened to a job, from its submission to its end; the newest last. */
export function timeline(job, now) {
  const steps = [{ at: job.submitted_at, what: 'Submitted', detail: fromOf(job) }];
  for (const attempt of job.attempts ?? []) steps.push(...ofAttempt(job, attempt));
  if (job.state === 'waiting') steps.push({ what: 'Waits', detail: job.why ?? '', isOpen: true });
  if (job.progress && job.state === 'dispatched') {
    steps.push({ what: 'Now', detail: progressWords(job.progress), isOpen: true });
  }
  if (hasEnded(job)) steps.push({ at: job.ended_at, what: signOf(job.state).word, detail: `${between(job.submitted_at, job.ended_at)} after it was submitted` });
  return steps.map((step, index) => ({ ...step, key: String(index), clock: step.at == null ? '' : clock(step.at, now) }));
}

function ofAttempt(job, attempt) {
  const isLast = attempt.number === job.attempts.length;
  const began = attempt.started_at ?? (isLast ? job.progress?.started_at ?? job.started_at : null);
  const stepped = attempt.first_step_at ?? (isLast ? job.progress?.first_step_at : null);
  const steps = [{ at: attempt.dispatched_at, what: `Sent to ${attempt.backend}`, detail: attempt.why, isLong: true }];
  if (began) steps.push({ at: began, what: 'Began', detail: `${between(attempt.dispatched_at, began)} after it was sent` });
  if (stepped) steps.push({ at: stepped, what: 'First step', detail: `${between(began, stepped)} after it began` });
  if (attempt.ended_at && !(isLast && hasEnded(job))) {
    steps.push({ at: attempt.ended_at, what: `Attempt ${attempt.number} was lost`, detail: attempt.ending ?? '', isBad: true });
  }
  return steps;
}

function progressWords({ phase, steps_done: done, steps, left_seconds: left }) {
  const what = { sending: 'is being sent', loading: 'loads its models', running: 'runs', finishing: 'its results are fetched' }[phase];
  const step = steps ? `, step ${done} of ${steps}` : '';
  return `${what}${step}${left != null && phase !== 'finishing' ? `, about ${span(left)} left` : ''}`;
}

/** Why a job failed: a sentence, what it said, and the traceback for who wants it. */
export function failure(job) {
  const messages = Array.isArray(job.status?.messages) ? job.status.messages : [];
  const error = messages.findLast(([kind]) => kind === 'execution_error')?.[1];
  if (!error) return job.state === 'failed' ? { sentence: job.error ?? 'It failed, and nothing tells why.', said: '', traceback: '' } : null;
  const kind = error.exception_type?.split('.').at(-1) ?? '';
  const message = (error.exception_message ?? '').trim();
  const where = error.node_type ? `the node ${error.node_type}${error.node_id ? ` (${error.node_id})` : ''}` : '';
  return {
    sentence: sentence(kind, message, where),
    said: [kind, message].filter(Boolean).join(': '),
    traceback: (Array.isArray(error.traceback) ? error.traceback.join('') : '').trimEnd(),
  };
}

/** What is known to go wrong often, in words that say what can be done. */
const KNOWN = [
  [/out ?of ?memory/i, (where) => `The GPU’s memory did not suffice for ${where || 'this job'}. A smaller picture or batch, or a backend with more VRAM, helps.`],
  [/^PromptRejected/, () => 'The backend refused the prompt, although what it had told before fits.'],
  [/^AttemptsLost/, () => 'Every attempt was lost with its backend, so it was given up.'],
  [/^(FileNotFoundError|Missing)|no such file/i, (where) => `${capital(where || 'A node')} looked for a file that is not there.`],
  [/^EndUnknown/, () => 'The backend ended the job without telling how.'],
  [/^Impossible/, () => 'What the job needs is no longer there.'],
];

function sentence(kind, message, where) {
  const known = KNOWN.find(([pattern]) => pattern.test(kind) || pattern.test(message));
  if (known) return known[1](where);
  return where ? `${capital(where)} could not do its work.` : 'It could not be executed.';
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** The files that a job made, each once, in the order of their nodes. */
export function files(job) {
  const lists = Object.values(job.outputs ?? {}).flatMap((node) => Object.values(node ?? {}));
  const all = lists.filter(Array.isArray).flat().filter((file) => file && typeof file.filename === 'string');
  const seen = new Set();
  return all.filter((file) => {
    const key = `${file.type}/${file.subfolder}/${file.filename}`;
    return !seen.has(key) && seen.add(key);
  });
}

/** Node id → what people call it. */
export function nodeNames(prompt) {
  const entries = Object.entries(prompt ?? {});
  return new Map(entries.map(([id, node]) => [id, node?._meta?.title || node?.class_type || `node ${id}`]));
}

/** Every backend's verdict, those that could run it first. */
export function verdicts(whyWaiting = {}) {
  const rows = Object.entries(whyWaiting).map(([id, words]) => ({ id, words }));
  const collator = new Intl.Collator('en', { numeric: true });
  return rows.sort((a, b) => Number(isRefusal(a.words)) - Number(isRefusal(b.words)) || collator.compare(a.id, b.id));
}

const isRefusal = (words) => !/^(free|busy)/.test(words);
