// Step 1: choosing photos, with a word on each next to its thumbnail.

import { count } from "./clock.js";
import { fill, h, icon } from "./dom.js";
import { say } from "./notices.js";
import { FEWEST, MOST } from "./photos.js";

const SYMBOLS = { good: "check", fair: "alert", bad: "close", unchecked: "clock" };

/** @param {import("./photos.js").Photos} photos */
export function photoSection(photos) {
  const camera = picker("camera-input", { capture: "user" });
  const files = picker("photo-input", { multiple: true });
  const list = h("ul", { class: "photos", "aria-label": "Chosen photos" });
  const tally = h("p", { class: "hint", data: { testid: "photo-count" } });
  const note = h("p", { class: "note", role: "status", data: { testid: "photo-note" } });
  const zone = h("div", { class: "drop", data: { testid: "drop-zone" } },
    h("span", { class: "drop-mark" }, icon("photos")),
    h("p", { class: "drop-words" }, `Drop ${FEWEST} to ${MOST} photos here, or`),
    h("div", { class: "buttons" },
      h("label", { class: "button main", for: "photo-input" }, icon("photos"), h("span", null, "Choose photos")),
      h("label", { class: "button plain camera-only", for: "camera-input" }, icon("camera"), h("span", null, "Take a photo"))),
    files, camera);
  const element = h("section", { class: "step", "aria-labelledby": "step-photos" },
    h("div", { class: "step-head" }, h("h2", { id: "step-photos", tabindex: "-1" }, "Choose photos"), tally),
    h("p", { class: "lead" }, "One face in each, well lit, of the same person. Different sides and moods help."),
    zone, note, list,
    h("p", { class: "hint" }, "Each photo is checked by our server as soon as you choose it, and is not kept there."));
  dropOn(element, zone, (dropped) => photos.add(dropped));

  /** @param {string} id @param {Record<string, unknown>} kind */
  function picker(id, kind) {
    return h("input", { type: "file", accept: "image/*", id, class: "visually-hidden", ...kind, data: { testid: id }, onchange: (/** @type {any} */ event) => {
      photos.add([...event.target.files]);
      event.target.value = ""; // so that the same file can be chosen again
    } });
  }

  /** @type {Map<import("./photos.js").Photo, ReturnType<typeof photoCard>>} */
  const cards = new Map();
  function draw() {
    photos.items.forEach((photo, index) => {
      const card = cards.get(photo) ?? photoCard(photo, () => photos.remove(photo));
      cards.set(photo, card);
      card.draw(index + 1);
      if (list.children[index] !== card.element) list.insertBefore(card.element, list.children[index] ?? null);
    });
    for (const [photo, card] of cards) if (!photos.items.includes(photo)) (card.element.remove(), cards.delete(photo));
    element.toggleAttribute("data-filled", photos.items.length > 0);
    list.hidden = photos.items.length === 0;
    note.textContent = photos.note;
    tally.textContent = photos.items.length ? `${photos.usable.length} of ${MOST}` : "";
    if (photos.items.length && photos.settled) say(`${count(photos.usable.length, "usable photo")}.`);
  }
  photos.addEventListener("change", draw);
  draw();
  return { element, destroy: () => photos.removeEventListener("change", draw) };
}

/** @param {import("./photos.js").Photo} photo @param {() => void} remove */
function photoCard(photo, remove) {
  const picture = h("div", { class: "photo-picture" });
  const words = h("p", { class: "photo-words" });
  const close = h("button", { type: "button", class: "photo-remove", onclick: remove }, icon("trash"));
  const element = h("li", { class: "photo", data: { testid: "photo" } }, picture, words, close);
  let drawn = "";
  return {
    element,
    /** @param {number} number */
    draw(number) {
      close.setAttribute("aria-label", `Remove photo ${number}`);
      const now = `${photo.state} ${photo.words} ${Boolean(photo.look)}`;
      if (now === drawn) return;
      drawn = now;
      element.dataset.state = photo.state;
      const symbol = SYMBOLS[/** @type {keyof typeof SYMBOLS} */ (photo.state)];
      fill(words, symbol ? icon(symbol) : h("span", { class: "spinner", "aria-hidden": "true" }),
        h("span", { role: photo.state === "bad" ? "alert" : null }, photo.words));
      if (photo.look?.thumbnail) fill(picture, canvasOf(photo.look.thumbnail, photo.file.name));
      else if (photo.look) fill(picture, h("span", { class: "photo-unseen" }, icon("photos"), h("span", null, photo.file.name)));
    },
  };
}

/** @param {HTMLCanvasElement} canvas @param {string} name */
function canvasOf(canvas, name) {
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", name);
  return canvas;
}

/** @param {HTMLElement} area where files may be dropped @param {HTMLElement} zone what lights up @param {(files: File[]) => void} take */
function dropOn(area, zone, take) {
  const lit = (/** @type {boolean} */ is) => (/** @type {DragEvent} */ event) => {
    event.preventDefault();
    zone.toggleAttribute("data-over", is);
  };
  area.addEventListener("dragover", lit(true));
  area.addEventListener("dragleave", lit(false));
  area.addEventListener("drop", (event) => {
    lit(false)(event);
    take([...(event.dataTransfer?.files ?? [])]);
  });
}
