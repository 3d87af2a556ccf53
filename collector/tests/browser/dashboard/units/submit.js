import { bodyOf, edits, places, placesWords, problem, randomSeed, submission } from '/app/model/submit.js';
import { equal, test, throws } from './check.js';

const text = (content) => bodyOf(new TextEncoder().encode(content), content).body;

test('a document is sent as the text that it is, in what says which kind it is', () => {
  const seed = '{"3":{"class_type":"K","inputs":{"seed":18446744073709551615}}}';
  equal(text(seed), `{"prompt":${seed}}`);
  equal(text('{"nodes": []}'), '{"workflow":{"nodes": []}}');
  equal(text(' {"prompt": {}, "front": true}'), ' {"prompt": {}, "front": true}');
});

test('a picture goes as it is', () => {
  const png = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 1]);
  equal([bodyOf(png, '').body === png, bodyOf(png, '').type], [true, 'image/png']);
  const webp = new Uint8Array([0x52, 0x49, 0x46, 0x46, 0, 0, 0, 0, 0x57, 0x45, 0x42, 0x50]);
  equal(bodyOf(webp, '').type, 'image/webp');
});

test('what is none of these is refused with what it lacks', () => {
  throws(() => text('words'), 'neither JSON nor a PNG');
  throws(() => text('[1]'), 'neither a workflow nor a prompt');
  throws(() => text('null'), 'neither a workflow nor a prompt');
  throws(() => text('{"a": {"b": 1}}'), 'no class_type');
  throws(() => text('{}'), 'no nodes');
});

test('what was inspected is submitted digit by digit, with what was changed', () => {
  const inspected = { prompt: '{"3":{"seed":18446744073709551615}}', workflow: '{"id":18446744073709551615}' };
  equal(submission(inspected, { '3.seed': '7' }, { front: true, client: 'me' }),
    '{"prompt":{"3":{"seed":18446744073709551615}},"client_id":"me","extra_data":{"extra_pnginfo":{"workflow":{"id":18446744073709551615}}},"set":{"3.seed":"7"},"front":true}');
  equal(submission({ prompt: '{}' }, {}, { client: 'me' }), '{"prompt":{},"client_id":"me"}');
  const inputs = [{ node: '3', input: 'seed', value: '1' }, { node: '6', input: 'text', value: 'a' }];
  equal(edits(inputs, ['1', 'b']), { '6.text': 'b' });
});

test('a random seed has all the digits that one may have', () => {
  equal([randomSeed(2n ** 64n - 1n), randomSeed(0n)], ['9223372036854775807', '0']);
});

test('places are told by when they would end it, and those that cannot are last', () => {
  const backends = [{ id: 'c', can_run: false, verdict: 'is down' }, { id: 'b', can_run: true, completion_seconds: 9 }, { id: 'a', can_run: true, completion_seconds: 3 }];
  equal(places(backends).map(({ id }) => id), ['a', 'b', 'c']);
  equal([placesWords(backends), placesWords([]), placesWords([backends[0]])], ['2 of 3 backends can run it now.', 'There is no backend.', 'No backend can run it now.']);
});

test('a refusal names every node and what each backend lacks', () => {
  const told = problem({
    error: { message: 'No', details: 'because', extra_info: { orchestrator: { lacking: ['a lacks x'] } } },
    node_errors: { 4: { class_type: 'Loader', errors: [{ message: 'Value not in list', details: 'm' }] } },
  });
  equal(told, { sentence: 'No: because', lines: ['Loader (4): Value not in list: m', 'a lacks x'] });
  equal(problem(undefined), null);
});
