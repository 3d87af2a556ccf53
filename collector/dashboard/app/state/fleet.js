// The fleet as it was told: each function gives the state after an event. Pure.

/** `backends`: id → what is known of it. `at`: the collector's time, so that no clock but its own counts. */
export const NOTHING = { backends: new Map(), counts: { waiting: 0, dispatched: 0 }, at: 0, isKnown: false };

export function after(fleet, kind, data) {
  switch (kind) {
    case 'resync':
      return resynced(fleet, data);
    case 'backend':
      return withBackend(fleet, data);
    case 'backend_removed':
      return withoutBackend(fleet, data.id);
    case 'counts':
      return { ...fleet, counts: data };
    case 'live':
      return withFigures(fleet, data);
    default:
      return fleet;
  }
}

/** Figures of before are kept until the next second brings new ones; who is no longer named is gone. */
function resynced(fleet, { backends, counts }) {
  const known = backends.map((row) => [row.id, { ...figuresOf(fleet.backends.get(row.id)), ...row }]);
  return { ...fleet, backends: new Map(known), counts, isKnown: true };
}

function withBackend(fleet, row) {
  const backends = new Map(fleet.backends);
  backends.set(row.id, { ...figuresOf(fleet.backends.get(row.id)), ...row });
  return { ...fleet, backends };
}

function withoutBackend(fleet, id) {
  const backends = new Map(fleet.backends);
  backends.delete(id);
  return { ...fleet, backends };
}

/** Whole each time: what is no longer told is no longer known. */
function withFigures(fleet, { at, backends: told }) {
  const backends = new Map(fleet.backends);
  for (const { id, ...figures } of told) {
    const known = backends.get(id);
    if (known) backends.set(id, { ...known, job: undefined, ...figures });
  }
  return { ...fleet, backends, at };
}

function figuresOf(backend) {
  return backend ? { gpu: backend.gpu, models: backend.models, job: backend.job } : { gpu: {}, models: [] };
}
