// The last hour of each backend, slot by slot, as far as it was asked for. Pure.

export const SLOTS = 240;
const SERIES = ['down', 'idle', 'load', 'run', 'others', 'utilization', 'loads_caused', 'loads_avoided'];

/** `backends`: id → slots from the oldest to the newest. It reaches from `from` to `until`, where the newest slot begins. */
export const NOTHING = { slotMillis: 15_000, backends: new Map(), from: Infinity, until: 0 };

/** With an answer to `since`: its slots take the place of those of the same time. */
export function merged(timeline, answer, since) {
  const backends = new Map();
  for (const [id, course] of Object.entries(answer.backends)) {
    const before = (timeline.backends.get(id) ?? []).filter((slot) => slot.from < course.from);
    backends.set(id, [...before, ...slots(course, answer.slot_millis)].slice(-SLOTS));
  }
  const until = Math.floor(answer.at / answer.slot_millis) * answer.slot_millis;
  return { slotMillis: answer.slot_millis, backends, from: Math.min(timeline.from, since), until };
}

function slots(course, slotMillis) {
  return course.run.map((_, at) => {
    const slot = { from: course.from + at * slotMillis };
    for (const name of SERIES) slot[name] = course[name][at];
    return slot;
  });
}
