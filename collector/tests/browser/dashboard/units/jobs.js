import { failure, files, nodeNames, runningRow, timeline, titleOf, verdicts, waitingRow } from '/app/model/jobs.js';
import { equal, test } from './check.js';

const attempt = (number, more = {}) => ({ number, backend: 'a', why: 'earliest', dispatched_at: 1000 * number, ...more });

test('a job is called by its models', () => {
  equal([titleOf({ models: ['x/flux.safetensors', 'b.pt'] }), titleOf({})], ['flux + b', 'no model']);
});

test('a course tells every attempt and how it was lost, and ends once', () => {
  const job = {
    state: 'succeeded', submitted_at: 0, ended_at: 9000, started_at: 2500, client: 'me',
    attempts: [attempt(1, { ended_at: 1500, ending: 'it died' }), attempt(2, { ended_at: 9000, ending: 'succeeded', first_step_at: 4000 })],
  };
  const told = timeline(job, 9000).map(({ at, what, isBad }) => [at, what, Boolean(isBad)]);
  equal(told, [
    [0, 'Submitted', false], [1000, 'Sent to a', false], [1500, 'Attempt 1 was lost', true],
    [2000, 'Sent to a', false], [2500, 'Began', false], [4000, 'First step', false], [9000, 'Succeeded', false],
  ]);
});

test('a running job tells where it is now, and a waiting one that it waits', () => {
  const progress = { phase: 'running', steps_done: 3, steps: 8, left_seconds: 12, started_at: 1200, first_step_at: 1300 };
  const told = timeline({ state: 'dispatched', submitted_at: 0, attempts: [attempt(1)], progress }, 5000);
  equal(told.map((step) => step.what), ['Submitted', 'Sent to a', 'Began', 'First step', 'Now']);
  equal(told.at(-1).detail, 'runs, step 3 of 8, about 12 s left');
  equal(timeline({ state: 'waiting', submitted_at: 0, attempts: [] }, 0).at(-1).what, 'Waits');
  equal(timeline({ state: 'cancelled', submitted_at: 0, ended_at: 5, attempts: [] }, 5).at(-1).what, 'Cancelled');
});

const failed = (error) => ({ state: 'failed', status: { messages: [['execution_start', {}], ['execution_error', error]] } });

test('a failure is a sentence, what it said, and the traceback', () => {
  const told = failure(failed({ node_id: '3', node_type: 'KSampler', exception_type: 'torch.OutOfMemoryError', exception_message: 'Allocation failed \n', traceback: ['a\n', 'b\n'] }));
  equal(told.sentence, 'The GPU’s memory did not suffice for the node KSampler (3). A smaller picture or batch, or a backend with more VRAM, helps.');
  equal([told.said, told.traceback], ['OutOfMemoryError: Allocation failed', 'a\nb']);
  equal(failure(failed({ node_type: 'X', exception_type: 'ValueError', exception_message: 'no' })).sentence, 'The node X could not do its work.');
  equal(failure({ state: 'failed', error: 'why' }).sentence, 'why');
  equal([failure({ state: 'succeeded', status: { messages: [] } }), failure({ state: 'waiting' })], [null, null]);
});

test('files are told once, whatever nodes made of them', () => {
  const file = (filename) => ({ filename, subfolder: 'a', type: 'output' });
  const outputs = { 9: { images: [file('x.png'), file('x.png')], animated: [true] }, 12: { text: ['words'], gifs: [file('y.mp4'), null] }, 13: null };
  equal(files({ outputs }).map((one) => one.filename), ['x.png', 'y.mp4']);
  equal(files({}), []);
});

test('rows of the queue tell when and why, and a dash where it is not known', () => {
  const job = { id: '12345678-x', models: [], submitted_at: 0 };
  const row = waitingRow({ ...job, backend: 'a', why: 'waits for a', starts_in_seconds: 3.2, ends_in_seconds: 24, owner: 'anna', client: 'c'.repeat(40) }, 2, 0);
  equal([row.place, row.starts, row.ends, row.why], ['2', 'in 3 s', 'done in 24 s', 'waits for a']);
  equal(row.from, `anna · ${'c'.repeat(22)}…`);
  equal([waitingRow(job, 1, 0).starts, waitingRow({ ...job, starts_in_seconds: 0 }, 1, 0).starts], ['–', 'now']);
  const running = runningRow(job, { phase: 'running', steps_done: 9, steps: 8 }, 0);
  equal([running.step, running.share, runningRow(job, undefined, 0).step], ['step 9 of 8', 1, 'running']);
});

test('backends that could run a job are told before those that cannot', () => {
  const told = verdicts({ 'gpu-10': 'busy for 3.0 s', b: 'is down', 'gpu-2': 'free, nothing to load', a: 'lacks x' });
  equal(told.map(({ id }) => id), ['gpu-2', 'gpu-10', 'a', 'b']);
  equal([...nodeNames({ 1: { class_type: 'K', _meta: { title: 'T' } }, 2: { class_type: 'K' }, 3: null })], [['1', 'T'], ['2', 'K'], ['3', 'node 3']]);
});
