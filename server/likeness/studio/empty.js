// A page with nothing on it yet.

import { h, icon } from "./dom.js";

/** @param {string} symbol @param {string} title @param {string} words @param {{href: string, label: string}} [link] */
export function empty(symbol, title, words, link) {
  return h("div", { class: "empty-page", data: { testid: "empty" } }, h("span", { class: "drop-mark" }, icon(symbol)), h("h2", null, title), h("p", null, words),
    link && h("a", { class: "button main", href: link.href }, link.label));
}
