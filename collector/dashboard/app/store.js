// All that the page knows, in one place; whoever shows something of it is told once a frame that it has changed.

import { get } from './api.js';
import { follow } from './feed.js';
import * as fleet from './state/fleet.js';
import * as timeline from './state/timeline.js';

const ROLES = ['submit', 'operate', 'admin'];

export function createStore() {
  const state = {
    fleet: fleet.NOTHING,
    timeline: timeline.NOTHING,
    connection: { is: 'connecting', since: Date.now() },
    me: { role: 'submit' },
  };
  const readers = new Set();
  const hearers = new Set();
  let isDue = false;

  const changed = () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      for (const read of readers) read(state);
    });
  };
  const told = (kind, data) => {
    if (kind === 'resync') learnMe();
    state.fleet = fleet.after(state.fleet, kind, data);
    for (const hear of hearers) hear(kind, data);
    changed();
  };
  const connected = (is) => {
    if (state.connection.is === is) return;
    state.connection = { is, since: Date.now() };
    changed();
  };
  const learnMe = async () => {
    state.me = await get('whoami').catch(() => state.me);
    changed();
  };
  /** Brings what is known of the last hour up to date from `since` on; what is there already is not asked for again. */
  const learnTimeline = async (since) => {
    const known = state.timeline;
    const answer = await get('timeline', { since: Math.max(since, known.from <= since ? known.until : 0) });
    state.timeline = timeline.merged(state.timeline, answer, since);
    changed();
  };

  return {
    state,
    learnMinutes: (minutes) => learnTimeline(state.fleet.at - minutes * 60_000),
    learnHour: () => learnTimeline(0),
    start: () => follow(told, connected),
    /** Reads now and after each change; the function that is given back ends it. */
    subscribe(read) {
      readers.add(read);
      read(state);
      return () => readers.delete(read);
    },
    /** Hears each event as it is told. */
    hear(listen) {
      hearers.add(listen);
      return () => hearers.delete(listen);
    },
    may: (role) => ROLES.indexOf(state.me.role) >= ROLES.indexOf(role),
    /** Whether a job is the reader's to change. */
    mayChange: (job) => ROLES.indexOf(state.me.role) >= 1 || (job.owner != null && job.owner === state.me.name),
  };
}
