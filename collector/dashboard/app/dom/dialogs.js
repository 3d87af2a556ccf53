// Questions and notices. A question says what will happen before it is answered.

import { button, h } from './h.js';

/**
 * Asks before something is done. `happens` are sentences; `extras` are form fields; `act` is given the form's data, and
 * what it throws is shown in the dialog, which stays open.
 */
export function ask({ title, happens = [], extras = [], yes, danger = false, act }) {
  const problem = h('p.problem', { role: 'alert' });
  const go = h(`button.${danger ? 'danger' : 'primary'}`, { type: 'submit' }, yes);
  const no = h('button.button', { type: 'button', onclick: () => dialog.close() }, 'Leave it');
  const form = h(
    'form',
    { method: 'dialog' },
    h('h2', { id: 'question' }, title),
    happens.length > 0 && h('ul.what-happens', {}, happens.map((sentence) => h('li', {}, sentence))),
    extras,
    problem,
    h('div.actions', {}, no, go),
  );
  const dialog = h('dialog', { 'aria-labelledby': 'question' }, form);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    go.disabled = true;
    problem.textContent = '';
    try {
      await act(new FormData(form));
      dialog.close();
    } catch (error) {
      problem.textContent = error.message;
    }
    go.disabled = false;
  });
  open(dialog);
}

/** Opens a dialog that is gone once it is closed. */
export function open(dialog) {
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

const SHOWN_MILLIS = 6000;

/** Says what came of something. */
export function notify(text, { bad = false } = {}) {
  const toasts = document.getElementById('toasts');
  const toast = h(`div.toast${bad ? '.bad' : ''}`, bad ? { role: 'alert' } : {}, text);
  if (bad) toast.append(' ', button('close', 'Close this notice', () => toast.remove()));
  else setTimeout(() => toast.remove(), SHOWN_MILLIS);
  toasts.append(toast);
}
