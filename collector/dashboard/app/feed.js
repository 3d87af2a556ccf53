// What the collector tells as it happens. After a lost connection everything is told anew, so nothing has to be guessed.

import { get, own } from './api.js';

const KINDS = ['resync', 'backend', 'backend_removed', 'counts', 'job', 'live'];
const FIRST_PAUSE_MILLIS = 500;
const LONGEST_PAUSE_MILLIS = 8000;
/** Figures come every second: a line that is silent for so long is dead, whatever it looks like. */
const SILENCE_MILLIS = 10_000;

/** `told(kind, data)` for each event; `changed('live' | 'lost' | 'out')` for the connection: `out` needs a new login. */
export function follow(told, changed) {
  let source;
  let pause = FIRST_PAUSE_MILLIS;
  let silence;

  const open = () => {
    source = new EventSource(own('events', { live: true }));
    for (const kind of KINDS) {
      source.addEventListener(kind, (event) => {
        heard();
        told(kind, JSON.parse(event.data));
      });
    }
    source.onerror = lose;
    listen();
  };
  const heard = () => {
    pause = FIRST_PAUSE_MILLIS;
    changed('live');
    listen();
  };
  const listen = () => {
    clearTimeout(silence);
    silence = setTimeout(lose, SILENCE_MILLIS);
  };
  const lose = async () => {
    clearTimeout(silence);
    source.close();
    changed('lost');
    if (await isOut()) return changed('out');
    setTimeout(open, pause);
    pause = Math.min(pause * 2, LONGEST_PAUSE_MILLIS);
  };
  open();
}

async function isOut() {
  return get('whoami').then(() => false, (error) => error.status === 401);
}
