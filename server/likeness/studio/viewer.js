// One avatar large, and the way to its neighbours: arrows, swipe, Escape. The address says which one is shown.

import { sized, written } from "./avatars.js";
import { button, fill, h, icon } from "./dom.js";

const SWIPE = 48;

/**
 * @typedef {object} Host what the viewer is opened over
 * @property {() => import("./types").Shown[]} items
 * @property {(item: import("./types").Shown, after: () => void) => Node} actions what can be done with one
 * @property {(key: string) => void} moved
 * @property {() => void} closed
 */

export class Viewer {
  /** @param {Host} host */
  constructor(host) {
    this.host = host;
    this._key = "";
    this._image = h("img", { alt: "", draggable: "false", data: { testid: "viewer-image" }, onload: () =>
      this._image.style.setProperty("--most", `${2 * this._image.naturalWidth}px`) });
    this._words = h("div", { class: "viewer-words", "aria-live": "polite" });
    this._actions = h("div", { class: "viewer-actions" });
    const step = (/** @type {number} */ by, /** @type {string} */ name, /** @type {string} */ symbol) =>
      h("button", { type: "button", class: `viewer-step ${symbol}`, "aria-label": name, onclick: () => this._step(by) }, icon(symbol));
    this.element = h("dialog", { class: "viewer", "aria-label": "Avatar", data: { testid: "viewer" }, onkeydown: this._keys.bind(this) },
      h("button", { type: "button", class: "viewer-close", "aria-label": "Close", onclick: () => this.element.close() }, icon("close")),
      step(-1, "Previous avatar", "left"),
      h("div", { class: "viewer-stage" }, this._image),
      step(1, "Next avatar", "right"),
      h("div", { class: "viewer-foot" }, this._words, this._actions),
      h("div", { class: "toasts", role: "status" }));
    this.element.addEventListener("close", () => {
      if (this._key) this.host.closed();
      this._key = "";
    });
    this._swipes(this.element.querySelector(".viewer-stage"));
  }

  /** Show an avatar, or none. @param {string} key */
  show(key) {
    const items = this.host.items();
    const item = items.find((each) => each.key === key);
    if (!item) {
      this._key = "";
      this.element.close();
      return;
    }
    if (key !== this._key) this._draw(item, items);
    this._key = key;
    if (!this.element.open) this.element.showModal();
  }

  /** Draw what is shown anew, after something was done with it. */
  refresh() {
    const items = this.host.items();
    const item = items.find((each) => each.key === this._key);
    if (item) this._draw(item, items);
    else if (this._key) this.element.close();
  }

  /** @param {import("./types").Shown} item @param {import("./types").Shown[]} items */
  _draw(item, items) {
    const place = items.indexOf(item);
    const name = `${item.title}, ${written(item.look).toLowerCase()}`;
    if (this._image.getAttribute("src") !== sized(item.image)) this._image.src = sized(item.image);
    this._image.alt = `Avatar: ${name}`;
    fill(this._words, h("strong", null, item.title), h("span", null, written(item.look)),
      h("span", { class: "hint" }, `${place + 1} of ${items.length}`, item.saved && " · saved"));
    const focused = this._actions.contains(document.activeElement);
    fill(this._actions, this.host.actions(item, () => this.refresh()));
    if (focused) /** @type {HTMLElement | null} */ (this._actions.querySelector("button, summary"))?.focus();
    for (const by of [-1, 1]) if (items[place + by]) new Image().src = sized(items[place + by].image);
  }

  /** @param {number} by */
  _step(by) {
    const items = this.host.items();
    const place = items.findIndex((each) => each.key === this._key);
    const next = items[(place + by + items.length) % items.length];
    if (next && next.key !== this._key) this.host.moved(next.key);
  }

  /** @param {KeyboardEvent} event */
  _keys(event) {
    if (/** @type {Element} */ (event.target).matches("input, textarea")) return;
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    this._step(by);
  }

  /** @param {HTMLElement} stage */
  _swipes(stage) {
    let from = 0;
    stage.addEventListener("pointerdown", (event) => (from = event.clientX));
    stage.addEventListener("pointerup", (event) => {
      const moved = event.clientX - from;
      if (Math.abs(moved) > SWIPE) this._step(moved < 0 ? 1 : -1);
    });
  }
}

/** The usual actions, for a place that says how each is done. @param {Record<string, (() => unknown) | null>} does @param {boolean} saved */
export function actionButtons(does, saved) {
  const entries = /** @type {[string, string, string, string][]} */ ([
    ["save", "Save", "heart", "main"],
    ["picture", "Set as profile picture", "user", saved ? "main" : "plain"],
    ["story", "Post to story", "story", "plain"],
  ]);
  return entries.filter(([name]) => does[name]).map(([name, label, symbol, kind]) =>
    button({ label, icon: symbol, kind, test: `viewer-${name}` }, () => does[name]?.()));
}
