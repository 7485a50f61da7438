// A generation's events, read with fetch: unlike EventSource it tells why it ended, and resumes after the last one seen.

import { Problem, send } from "./api.js";

const PAUSES_MS = [300, 1000, 2000, 4000, 8000, 15000];
// The server sends a comment every 15 seconds: a longer silence is a dead connection.
const SILENCE_MS = 40000;

/** @typedef {{number: number, kind: string, data: any}} ServerEvent */

/**
 * Follow the events of a generation until nothing more comes, through lost connections and restarts of the server.
 * @param {string} url
 * @param {{event: (event: ServerEvent) => void, connected: (is: boolean) => void}} to
 * @param {AbortSignal} signal
 */
export async function follow(url, to, signal) {
  let seen = 0;
  let failures = 0;
  while (!signal.aborted) {
    try {
      const headers = /** @type {Record<string, string>} */ (seen ? { "Last-Event-ID": String(seen) } : {});
      const response = await send("GET", url, { headers, signal });
      to.connected(true);
      if (response.status === 204) return;
      for await (const event of events(/** @type {ReadableStream<Uint8Array>} */ (response.body), signal)) {
        failures = 0;
        seen = event.number;
        to.event(event);
      }
    } catch (error) {
      if (signal.aborted) return;
      const status = error instanceof Problem ? error.status : 0;
      if (status === 400) seen = 0; // the server was put back to before that event
      else if (status >= 401 && status < 429) throw error;
      to.connected(false);
    }
    failures += 1;
    await pause(PAUSES_MS[Math.min(failures, PAUSES_MS.length) - 1], signal);
  }
}

/** Wait, but no longer than until the device says that it is online again or the page is looked at. @param {number} ms @param {AbortSignal} signal */
export function pause(ms, signal) {
  return new Promise((resolve) => {
    const ends = new AbortController();
    const done = () => (ends.abort(), clearTimeout(timer), resolve(null));
    const timer = setTimeout(done, ms * (0.8 + 0.4 * Math.random()));
    signal.addEventListener("abort", done, { signal: ends.signal });
    window.addEventListener("online", done, { signal: ends.signal });
    document.addEventListener("visibilitychange", done, { signal: ends.signal });
  });
}

/** @param {ReadableStream<Uint8Array>} body @param {AbortSignal} signal @returns {AsyncGenerator<ServerEvent>} */
async function* events(body, signal) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  try {
    while (true) {
      const { done, value } = await inTime(reader.read());
      if (done || signal.aborted) return;
      text += decoder.decode(value, { stream: true });
      const blocks = text.split("\n\n");
      text = blocks.pop() ?? "";
      for (const event of blocks.map(parse)) if (event) yield event;
    }
  } finally {
    reader.cancel().catch(() => null);
  }
}

/** @param {string} block @returns {ServerEvent | null} */
function parse(block) {
  const fields = Object.fromEntries(block.split("\n").map((line) => [line.split(": ", 1)[0], line.slice(line.indexOf(": ") + 2)]));
  return fields.id ? { number: Number(fields.id), kind: fields.event, data: JSON.parse(fields.data) } : null;
}

/** @template T @param {Promise<T>} work @returns {Promise<T>} */
function inTime(work) {
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Problem(0)), SILENCE_MS)));
  return /** @type {Promise<T>} */ (Promise.race([work, late])).finally(() => clearTimeout(timer));
}
