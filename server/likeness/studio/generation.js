// One generation as the server has it, kept up to date by its events.

import { at, get } from "./api.js";
import { now } from "./clock.js";
import { follow } from "./events.js";
import { setLost } from "./notices.js";

/** @typedef {import("./types").GenerationView} GenerationView */

export const isRunning = (/** @type {{status: string}} */ view) => view.status === "queued" || view.status === "rendering";

export class Generation extends EventTarget {
  /** @param {string} id */
  constructor(id) {
    super();
    this.path = at(`/v1/generations/${id}`);
    this.view = /** @type {GenerationView} */ (/** @type {unknown} */ (null)); // until it is loaded
    this.following = false;
    this._ends = new AbortController();
    this._over = new AbortController();
    this._last = 0; // when the last avatar came
  }

  /** Look again; raises Problem. */
  async load() {
    const [before, view] = [this.view, await get(this.path)];
    if (before) keepNewer(before, view);
    this.view = view;
    if (!isRunning(view)) this._over.abort();
    this._tell();
  }

  /**
   * Follow its events until it has ended; raises Problem when it is not ours, or forgotten. What goes after that goes at
   * its deadline, and a browser has few connections for all of its tabs.
   */
  async follow() {
    if (this.following || !isRunning(this.view)) return;
    this.following = true;
    const waiting = setInterval(() => this.view.status === "queued" && this.load().catch(() => null), 3000);
    try {
      const to = { event: this._apply.bind(this), connected: (/** @type {boolean} */ is) => setLost(this, !is) };
      await follow(this.view.events_url, to, AbortSignal.any([this._ends.signal, this._over.signal]));
    } finally {
      this.following = false;
      clearInterval(waiting);
      setLost(this, false);
    }
  }

  stop() {
    this._ends.abort();
    setLost(this, false);
  }

  /** Seconds until all is drawn, by the pace so far, or the server's estimate; null when unknown. */
  get secondsLeft() {
    const { progress: { drawn, of }, started_at, eta_s } = this.view;
    if (!started_at || !this._last || drawn < 3) return eta_s;
    return Math.max(0, ((of - drawn) * (this._last - Date.parse(started_at))) / drawn - (now() - this._last)) / 1000;
  }

  /** @param {import("./events.js").ServerEvent} event */
  _apply({ kind, data }) {
    const view = this.view;
    if (kind === "avatar") {
      const avatar = view.avatars[data.index];
      if (avatar.state !== "pending") return; // told again after a refresh
      Object.assign(avatar, { state: "ready", url: data.url });
      this._last = now();
      if (view.status === "queued") {
        view.status = "rendering";
        this.load().catch(() => null); // it knows when the drawing began
      }
      this._tell();
    } else if (kind === "progress") {
      if (data.drawn > view.progress.drawn) view.progress = { drawn: data.drawn, of: data.of };
      this._tell();
    } else if (kind !== "queued") {
      // It has ended: the deadlines are new.
      this.load().catch(() => setTimeout(() => this._ends.signal.aborted || this.load().catch(() => null), 2000));
    }
  }

  _tell() {
    if (!this._ends.signal.aborted) this.dispatchEvent(new Event("change"));
  }
}

/** An answer may be older than the events that came while it was under way. @param {GenerationView} before @param {GenerationView} view */
function keepNewer(before, view) {
  if (!isRunning(view)) return;
  view.avatars = view.avatars.map((avatar) => (avatar.state === "pending" ? before.avatars[avatar.index] : avatar));
  if (before.progress.drawn > view.progress.drawn) view.progress = before.progress;
  if (before.status === "rendering") view.status = "rendering";
}
