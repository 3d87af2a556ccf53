// What can be done to backends and jobs, each asked before it is done, with what will happen.

import { get, post, remove } from '../api.js';
import { ask, notify } from '../dom/dialogs.js';
import { h } from '../dom/h.js';
import * as consequences from '../model/consequences.js';

const of = (backend, action) => `backends/${encodeURIComponent(backend.id)}/${action}`;

export function drain(backend) {
  ask({
    title: `Drain ${backend.id}?`,
    happens: consequences.ofDraining(backend),
    yes: 'Drain',
    act: async () => {
      await post(of(backend, 'drain'));
      notify(`${backend.id} gets no new job.`);
    },
  });
}

export function resume(backend) {
  ask({
    title: `Resume ${backend.id}?`,
    happens: [`${backend.id} gets jobs again.`],
    yes: 'Resume',
    act: async () => {
      await post(of(backend, 'resume'));
      notify(`${backend.id} gets jobs again.`);
    },
  });
}

export function free(backend) {
  const choice = (name, words, checked) => h('label', {}, h('input', { type: 'checkbox', name, checked }), words);
  ask({
    title: `Free the memory of ${backend.id}?`,
    happens: consequences.ofFreeing(backend),
    extras: [choice('unload_models', 'Unload its models', true), choice('free_memory', 'Drop its cache of results too', false)],
    yes: 'Free',
    act: async (form) => {
      const wish = { unload_models: form.has('unload_models'), free_memory: form.has('free_memory') };
      const outcome = consequences.freed(await post(of(backend, 'free'), wish));
      notify(`${backend.id}: ${outcome}`);
    },
  });
}

export function removeBackend(backend) {
  const force = backend.jobs > 0;
  ask({
    title: `Remove ${backend.id} from the fleet?`,
    happens: consequences.ofRemoving(backend),
    yes: force ? 'Remove it all the same' : 'Remove',
    danger: true,
    act: async () => {
      const { returns_at_restart: returns } = await remove(`backends/${encodeURIComponent(backend.id)}`, force ? { force } : {});
      location.hash = '#/fleet';
      const rest = returns ? ' It stands in the configuration: unless it is taken out there too, it is back after a restart.' : '';
      notify(`${backend.id} has left the fleet.${rest}`);
    },
  });
}

export function addBackend() {
  const field = (label, name, more) => h('label.field', {}, label, h('input', { name, ...more }));
  ask({
    title: 'Add a backend',
    happens: ['It is asked at once what it offers, and gets jobs from then on. It is kept over restarts.'],
    extras: [
      field('Address of its ComfyUI', 'url', { type: 'url', required: true, placeholder: 'http://gpu-1:8188' }),
      field('Name (by default made of the address)', 'name', { autocomplete: 'off' }),
      field('Address of its agent (by default on ComfyUI’s port plus 1000)', 'agent', { type: 'url' }),
    ],
    yes: 'Add',
    act: async (form) => {
      const given = Object.fromEntries([...form].map(([name, text]) => [name, text.trim()]).filter(([, text]) => text));
      const added = await post('backends', given);
      notify(`${added.id} is part of the fleet.`);
    },
  });
}

export function cancel(job) {
  ask({
    title: `Cancel job ${job.id.slice(0, 8)}?`,
    happens: consequences.ofCancelling(job),
    yes: 'Cancel the job',
    danger: true,
    act: async () => {
      const { cancelled } = await post(`jobs/${job.id}/cancel`);
      notify(cancelled ? 'The job is being stopped.' : 'The job had ended already.');
    },
  });
}

export async function retry(job) {
  await told(async () => {
    const { id } = await post(`jobs/${job.id}/retry`);
    location.hash = `#/jobs/${id}`;
    notify('Submitted once more, as a new job.');
  });
}

export async function toFront(job) {
  await told(async () => {
    await post(`jobs/${job.id}/move`, { to: 'front' });
    notify(`Job ${job.id.slice(0, 8)} is put first now.`);
  });
}

export async function prefer(job, priority) {
  await told(async () => {
    await post(`jobs/${job.id}/priority`, { priority });
    notify(`Job ${job.id.slice(0, 8)} has the priority ${priority} now.`);
  });
}

async function told(act) {
  try {
    await act();
  } catch (error) {
    notify(error.message, { bad: true });
  }
}
