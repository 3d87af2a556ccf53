// What the last hour comes to: shares of time, loads avoided, how much of the work was loading. Pure.

import { clock, percent, UNKNOWN } from './format.js';

const DOINGS = ['run', 'load', 'others', 'idle', 'down'];

/** Sums over slots. Shares are of the time that was seen; null where none was. */
export function summed(slots) {
  const sum = (name) => slots.reduce((total, slot) => total + slot[name], 0);
  const spent = Object.fromEntries(DOINGS.map((name) => [name, sum(name)]));
  const seen = DOINGS.reduce((total, name) => total + spent[name], 0);
  const shares = Object.fromEntries(DOINGS.map((name) => [name, seen > 0 ? spent[name] / seen : null]));
  const worked = spent.run + spent.load;
  return {
    shares,
    swapShare: worked > 0 ? spent.load / worked : null,
    avoided: sum('loads_avoided'),
    loads: sum('loads_avoided') + sum('loads_caused'),
  };
}

export function row(id, slots) {
  const sums = summed(slots);
  const words = ['run', 'load', 'others', 'idle', 'down'].filter((name) => sums.shares[name] >= 0.005);
  return {
    id,
    slots,
    busy: sums.shares.run == null ? UNKNOWN : percent(sums.shares.run + sums.shares.load),
    swap: percent(sums.swapShare),
    avoided: sums.loads === 0 ? UNKNOWN : `${sums.avoided} of ${sums.loads}`,
    words: words.length ? `Last hour: ${words.map((name) => `${WORDS[name]} ${percent(sums.shares[name])}`).join(', ')}` : 'Nothing is known of the last hour',
  };
}

export const WORDS = { run: 'running', load: 'loading models', others: 'for others', idle: 'idle', down: 'down' };

/** One slot in words, for whoever points at it. */
export function slotWords(slot, slotMillis, now) {
  const parts = DOINGS.filter((name) => slot[name] > 0).map((name) => `${WORDS[name]} ${slot[name]} %`);
  return `${clock(slot.from, now)}–${clock(slot.from + slotMillis, now)}: ${parts.join(', ') || 'not seen'}`;
}

export function total(all) {
  const sums = summed(all.flat());
  return {
    swap: percent(sums.swapShare),
    avoided: sums.loads === 0 ? UNKNOWN : `${sums.avoided.toLocaleString('en')} of ${sums.loads.toLocaleString('en')}`,
    avoidedShare: sums.loads === 0 ? UNKNOWN : percent(sums.avoided / sums.loads),
    busy: sums.shares.run == null ? UNKNOWN : percent(sums.shares.run + sums.shares.load),
  };
}
