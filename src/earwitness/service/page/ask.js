// Asking the service: uploads with progress, problems as sentences, "busy" by waiting.

const KEY_NAME = "earwitness-key";
const BUSY_TRIES = 20;

/** What the service said when it could not do what was asked. */
export class Problem extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

/** The key that goes with every request, for as long as this tab is open. */
export const key = {
  get: () => sessionStorage.getItem(KEY_NAME),
  set: (value) => sessionStorage.setItem(KEY_NAME, value),
};

/** The JSON of an address. */
export async function ask(path) {
  const headers = key.get() ? { Authorization: `Bearer ${key.get()}` } : {};
  let answer;
  try {
    answer = await fetch(path, { headers });
  } catch {
    throw new Problem(0, "The service cannot be reached; is it still running?");
  }
  const values = await answer.json();
  if (!answer.ok) throw new Problem(answer.status, values.detail);
  return values;
}

/**
 * Send a file, and get the answer as a blob. Waits and tries again while the service is busy.
 * on.sent(share), on.busy(seconds): tell how it goes; signal: an AbortSignal.
 */
export async function send(path, parameters, file, { on = {}, signal } = {}) {
  for (let attempt = 1; ; attempt++) {
    const answer = await sendOnce(`${path}?${new URLSearchParams(parameters)}`, file, on.sent, signal);
    if (answer.status === 200) return answer.blob;
    const { detail, failure_kind } = await answer.blob.text().then(JSON.parse).catch(() => ({}));
    if (failure_kind !== "busy" || attempt === BUSY_TRIES) {
      throw new Problem(answer.status, detail ?? `The service answered with status ${answer.status}.`);
    }
    const seconds = Math.min(answer.retryAfter || 2, 30);
    on.busy?.(seconds);
    await waited(seconds, signal);
  }
}

function sendOnce(address, file, onSent, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch tells nothing of how much was sent
    request.open("POST", address);
    request.responseType = "blob";
    request.setRequestHeader("Content-Type", "application/octet-stream");
    if (key.get()) request.setRequestHeader("Authorization", `Bearer ${key.get()}`);
    if (onSent) request.upload.onprogress = (event) => onSent(event.loaded / Math.max(event.total, 1));
    request.onload = () =>
      resolve({ status: request.status, blob: request.response, retryAfter: Number(request.getResponseHeader("Retry-After")) });
    request.onerror = () => reject(new Problem(0, "The connection broke off: is the service still running, or did the file change?"));
    request.onabort = () => reject(new DOMException("stopped", "AbortError"));
    signal?.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

function waited(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("stopped", "AbortError"));
    });
  });
}
