// The avatars of a generation by style: coloured places first, then pictures, in the same places.

import { at } from "./api.js";
import { sized, written } from "./avatars.js";
import { fill, h, icon } from "./dom.js";
import { tint } from "./style-section.js";

const RETRY_MS = 2500;
const TRIES = 4;

/** @typedef {import("./types").Avatar} Avatar @typedef {import("./types").GenerationView} GenerationView */

/**
 * @param {{href: (index: number) => string, picked: () => void}} host
 */
export function tileGrid(host) {
  const element = h("div", { class: "groups" });
  /** @type {Map<number, ReturnType<typeof tile>>} */
  const tiles = new Map();
  /** @type {Set<number>} */
  const picked = new Set();

  /** @param {GenerationView} view @param {Map<string, string>} titles */
  function build(view, titles) {
    const styles = [...new Set(view.avatars.map((avatar) => avatar.style))];
    fill(element, styles.map((style) => {
      const places = view.avatars.filter((avatar) => avatar.style === style).map((avatar) => {
        const made = tile(avatar, titles.get(style) ?? written(style), host.href(avatar.index), (is) => {
          picked[is ? "add" : "delete"](avatar.index);
          host.picked();
        });
        tiles.set(avatar.index, made);
        return made.element;
      });
      return h("section", { class: "group", vars: { "--tint": tint(style) }, "aria-label": titles.get(style) ?? written(style) },
        h("h2", null, titles.get(style) ?? written(style)), h("ul", { class: "tiles" }, places));
    }));
  }

  /** @param {GenerationView} view @param {Map<string, string>} titles */
  function show(view, titles) {
    if (!tiles.size) build(view, titles);
    const ended = !["queued", "rendering"].includes(view.status);
    for (const avatar of view.avatars) {
      tiles.get(avatar.index)?.show(avatar, ended);
      if (avatar.state !== "ready") picked.delete(avatar.index);
    }
    element.toggleAttribute("data-settled", ended && !view.avatars.some((avatar) => avatar.state === "ready"));
    for (const group of element.querySelectorAll(".group")) {
      /** @type {HTMLElement} */ (group).hidden = !group.querySelector(".tile:not([hidden])");
    }
  }

  /** @param {number[]} indexes those to be picked, and no others */
  function pick(indexes) {
    picked.clear();
    for (const [index, each] of tiles) {
      each.box.checked = indexes.includes(index);
      if (each.box.checked) picked.add(index);
    }
    host.picked();
  }
  return { element, show, pick, picked, focus: (/** @type {number} */ index) => tiles.get(index)?.link.focus() };
}

/** @param {Avatar} avatar @param {string} title @param {string} href @param {(is: boolean) => void} pick */
function tile(avatar, title, href, pick) {
  const name = `${title}, ${written(avatar.look).toLowerCase()}`;
  const picture = h("img", { alt: name, width: 256, height: 256, decoding: "async", draggable: "false" });
  const link = h("a", { class: "tile-link", href: `#${href}`, "aria-label": `${name}: enlarge` }, picture);
  const box = h("input", { type: "checkbox", "aria-label": `Select ${name}`, onchange: () => pick(box.checked) });
  const mark = h("span", { class: "tile-mark" }, icon("heart"), h("span", null, "Saved"));
  const element = h("li", { class: "tile", data: { testid: "tile", index: avatar.index, style: avatar.style } },
    h("span", { class: "visually-hidden tile-state" }), link, h("label", { class: "tile-pick" }, box, icon("check")), mark);
  let source = "";
  let failures = 0;
  picture.addEventListener("load", () => element.setAttribute("data-shown", ""));
  picture.addEventListener("error", () => {
    failures += 1;
    if (failures < TRIES) setTimeout(() => source && element.isConnected && (picture.src = source), RETRY_MS);
  });

  /** @param {Avatar} now @param {boolean} ended */
  function show(now, ended) {
    const url = now.url ?? (now.saved_as && at(`/v1/gallery/${now.saved_as}/image`));
    element.dataset.state = now.state;
    element.hidden = ended && !url;
    link.hidden = !url;
    box.hidden = now.state !== "ready";
    if (now.state !== "ready") box.checked = false;
    element.firstElementChild.textContent = now.state === "pending" ? `${name}: not drawn yet` : "";
    const wanted = url ? sized(url, 256) : "";
    if (wanted === source && failures < TRIES) return;
    [source, failures] = [wanted, 0];
    if (source) picture.src = source;
    else picture.removeAttribute("src");
  }
  return { element, link, box, show };
}
