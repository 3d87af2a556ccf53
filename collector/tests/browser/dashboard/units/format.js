import { clock, gib, modelName, plural, span, work } from '/app/model/format.js';
import { words } from '/app/api.js';
import { equal, test } from './check.js';

test('a time span is told in its largest unit, or two where the second one matters', () => {
  const told = [0, 0.4, 59.4, 60, 90, 599, 601, 3599, 3600, 5400, 172_800, null, NaN].map(span);
  equal(told, ['0 s', '0 s', '59 s', '1 min', '1 min 30 s', '9 min 59 s', '10 min', '60 min', '1 h', '1 h 30 min', '2 d', '–', '–']);
});

test('what is not known is a dash and never a zero', () => {
  equal([gib(null), gib(0), gib(18.2 * 2 ** 30), gib(500 * 2 ** 30)], ['–', '0.0', '18.2', '500']);
});

test('a model is called without its folders and ending', () => {
  equal(['SDXL/sd_xl_base_1.0.safetensors', 'a\\b.gguf', 'plain'].map(modelName), ['sd_xl_base_1.0', 'b', 'plain']);
});

test('what a job makes is told as far as it is known', () => {
  equal(work({ width: 1024, height: 768, steps: 1, batch: 1 }), '1024 × 768, 1 step');
  equal(work({ frames: 81, steps: 20 }), '81 frames, 20 steps');
  equal([work({}), work()], ['', '']);
});

test('another day is told with its time', () => {
  const [day, next] = [new Date(2030, 0, 31, 18, 5, 9).getTime(), new Date(2030, 1, 1, 9).getTime()];
  equal([clock(day, day), clock(day, next).endsWith('18:05:09'), clock(null)], ['18:05:09', true, '–']);
  equal([plural(1, 'job'), plural(1200, 'job')], ['1 job', '1,200 jobs']);
});

test('a refusal is told in the words of the collector, or else by its number', () => {
  equal(words({ error: { message: 'no backend is called x', details: '' } }, 404), 'No backend is called x');
  equal(words({ error: { message: 'it cannot be', details: 'because' } }, 400), 'It cannot be: because');
  equal(words(null, 502), 'The collector answers 502.');
});
