// Every request to the server, and what it refuses, as problems with a sentence that can be shown.

import { setClock } from "./clock.js";

const base = new URL("..", import.meta.url).pathname.slice(0, -1);

/** Where a path of ours is: a proxy may serve this server below a path of its own. What the server sends is complete. @param {string} path */
export const at = (path) => `${base}${path}`;

/** Says `ended` when the server knows us no more, `changed` when this or another tab changed something. */
export const signals = new EventTarget();

/** A refusal: the server's own sentence, its code, and each bad photo. Status 0: the server cannot be reached. */
export class Problem extends Error {
  /** @param {number} status @param {any} [body] @param {number} [retryS] */
  constructor(status, body = {}, retryS = 0) {
    super(body.detail ?? (status ? "The server could not do this. Try again." : "The server cannot be reached. Check your connection."));
    this.status = status;
    this.code = body.code ?? (status ? "unknown" : "offline");
    /** @type {{index: number, code: string, message: string}[]} */
    this.photos = body.photos ?? [];
    this.upgradeUrl = body.upgrade_url ?? "";
    this.retryS = retryS;
  }
}

/**
 * The response of a request that was not refused; raises Problem.
 * @param {string} method @param {string} path
 * @param {{json?: unknown, body?: BodyInit, headers?: Record<string, string>, signal?: AbortSignal}} [options]
 */
export async function send(method, path, { json, body, headers = {}, signal } = {}) {
  const typed = json === undefined ? headers : { "Content-Type": "application/json", ...headers };
  let response;
  try {
    response = await fetch(path, { method, headers: typed, body: json === undefined ? body : JSON.stringify(json), signal, cache: "no-store" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0);
  }
  setClock(response.headers.get("Date"));
  if (response.ok) return response;
  throw refusal(response.status, await response.text().catch(() => ""), response.headers.get("Retry-After"));
}

/** What an answer that is no success says. @param {number} status @param {string} text @param {string | null} retry */
export function refusal(status, text, retry) {
  if (status === 401) signals.dispatchEvent(new Event("ended"));
  return new Problem(status, parse(text), Number(retry) || 0);
}

/** JSON of a request. @param {string} method @param {string} path @param {Parameters<typeof send>[2]} [options] @returns {Promise<any>} */
export async function call(method, path, options) {
  const text = await (await send(method, path, options)).text();
  return text ? JSON.parse(text) : null;
}

/** @param {string} path @returns {Promise<any>} */
export const get = (path) => call("GET", path);

/** The same, or null where there is nothing (any more). @param {string} path @returns {Promise<any>} */
export async function find(path) {
  try {
    return await get(path);
  } catch (problem) {
    if (problem instanceof Problem && [404, 410].includes(problem.status)) return null;
    throw problem;
  }
}

// Other tabs of the studio hear what this one changed; without the channel they look again when they are shown.
const channel = openChannel();
if (channel) channel.onmessage = () => signals.dispatchEvent(new Event("changed"));

function openChannel() {
  try {
    return new BroadcastChannel("likeness");
  } catch {
    return null; // none in this browser, or its storage is switched off
  }
}

/** A request that changes something. @param {string} method @param {string} path @param {unknown} [json] @returns {Promise<any>} */
export async function change(method, path, json) {
  const answer = await call(method, path, { json });
  channel?.postMessage("changed");
  return answer;
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
