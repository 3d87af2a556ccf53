import { row, slotWords, summed, total } from '/app/model/routing.js';
import { equal, test } from './check.js';

const slot = (more) => ({ from: 0, down: 0, idle: 0, load: 0, run: 0, others: 0, loads_caused: 0, loads_avoided: 0, ...more });

test('shares are of the time that was seen, and the swap share of the time at work', () => {
  const sums = summed([slot({ run: 60, load: 20, idle: 20, loads_caused: 1 }), slot({ run: 20, loads_avoided: 3 })]);
  equal([sums.shares.run, sums.shares.idle, sums.swapShare], [80 / 120, 20 / 120, 0.2]);
  equal([sums.avoided, sums.loads], [3, 4]);
  equal(total([[slot({ run: 75, load: 25, loads_caused: 1 })], [slot({ idle: 100, loads_avoided: 1 })]]), {
    swap: '25 %', avoided: '1 of 2', avoidedShare: '50 %', busy: '50 %',
  });
});

test('where nothing was seen nothing is claimed', () => {
  equal(summed([slot({})]).shares.run, null);
  equal(total([]), { swap: '–', avoided: '–', avoidedShare: '–', busy: '–' });
  equal(row('a', []).words, 'Nothing is known of the last hour');
});

test('a strip and its slots are told in words', () => {
  equal(row('a', [slot({ run: 50, down: 50 })]).words, 'Last hour: running 50 %, down 50 %');
  equal(slotWords(slot({ run: 40, load: 10 }), 15_000, 0).split(': ')[1], 'running 40 %, loading models 10 %');
  equal(slotWords(slot({}), 15_000, 0).split(': ')[1], 'not seen');
});
