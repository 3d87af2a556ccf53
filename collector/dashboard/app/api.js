// The collector's own API, and what its refusals say. All addresses are relative, so that it works behind any proxy.

const ROOT = new URL('.', document.baseURI);

/** A refusal in the collector's words, or that it cannot be reached. */
export class ApiError extends Error {
  constructor(message, { status = 0, document } = {}) {
    super(message);
    this.status = status;
    this.document = document;
  }
}

/** An address under `/orchestrator/v1/`. */
export function own(path, query = {}) {
  const url = new URL(`v1/${path}`, ROOT);
  for (const [name, value] of Object.entries(query)) {
    if (value != null && value !== '') url.searchParams.set(name, value);
  }
  return url.href;
}

/** Where a file is that a job made or loads. */
export function fileUrl(file, more = {}) {
  const url = new URL('../view', ROOT);
  const { filename, subfolder = '', type = 'output' } = file;
  for (const [name, value] of Object.entries({ filename, subfolder, type, ...more })) url.searchParams.set(name, value);
  return url.href;
}

export const get = (path, query) => call('GET', own(path, query));
export const remove = (path, query) => call('DELETE', own(path, query));
export const post = (path, body = {}) => call('POST', own(path), JSON.stringify(body), 'application/json');
/** A body that is sent as it is: a file, or JSON whose digits nobody may round. */
export const postRaw = (path, body, type) => call('POST', own(path), body, type);

async function call(method, url, body, type) {
  const headers = type ? { 'content-type': type } : {};
  let answer;
  try {
    answer = await fetch(url, { method, body, headers });
  } catch {
    throw new ApiError('The collector cannot be reached.');
  }
  const document = await answer.json().catch(() => null);
  if (!answer.ok) throw new ApiError(words(document, answer.status), { status: answer.status, document });
  return document;
}

/** What a refusal says to a person. */
export function words(document, status) {
  const error = document?.error ?? {};
  const details = error.details && error.details !== error.message ? `: ${error.details}` : '';
  return error.message ? sentence(`${error.message}${details}`) : `The collector answers ${status}.`;
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
