// What will happen when something is done, and what came of it, in sentences. Pure.

import { gib, modelName, plural } from './format.js';

export function ofDraining({ id, jobs }) {
  const goOn = jobs > 0 ? `${plural(jobs, 'job')} that it has ${jobs === 1 ? 'goes' : 'go'} on to the end.` : 'It has no job now.';
  return [`${id} gets no new job.`, goOn, 'It stays so, over restarts too, until it is resumed.'];
}

export function ofFreeing({ id, models = [], job }) {
  const names = models.map(modelName).join(', ');
  return [
    `ComfyUI on ${id} is asked to let go of its memory.`,
    names ? `Believed loaded there: ${names}. The next job that needs them loads them again.` : 'No model is believed to be loaded there.',
    job ? 'A job runs there: it comes first, and memory is freed after it.' : '',
    'Whether memory was freed is read off the figures that follow, for up to ten seconds.',
  ].filter(Boolean);
}

export function ofRemoving({ id, jobs }) {
  const lose = `${plural(jobs, 'job')} that it has ${jobs === 1 ? 'is' : 'are'} given up there and ${jobs === 1 ? 'waits' : 'wait'} again for another backend; it may go on computing in vain.`;
  return [`${id} is no longer asked for anything and gets no job.`, ...(jobs > 0 ? [lose] : []), 'Pictures that only it holds cannot be looked at through the collector any more.'];
}

export function ofCancelling({ state, backend }) {
  return state === 'waiting'
    ? ['It is taken out of the queue and leaves no result.']
    : [`${backend ?? 'Its backend'} is told to stop it; what it has made so far is lost.`];
}

/** What the figures showed after memory was to be freed. */
export function freed({ proved, vram_before: before, vram_after: after }) {
  if (before && after) {
    const [was, is] = [gib(before.used_bytes), gib(after.used_bytes)];
    if (proved) return `${gib(before.used_bytes - after.used_bytes)} GiB were freed (${was} → ${is} GiB in use).`;
    return `ComfyUI has taken the wish, but ${is} GiB are in use as before (${was} GiB).`;
  }
  return 'ComfyUI has taken the wish; nothing tells whether memory was freed.';
}
