// Questions that wait for an answer. <dialog> keeps the focus inside and closes by Escape.

import { button, h, icon } from "./dom.js";
import { alertBox, guarded } from "./notices.js";

const CAPTION = 500;
let number = 0;

/**
 * @param {string} title @param {(Node | string)[]} content @param {{label: string, kind?: string, act: () => Promise<unknown>}} yes
 * @returns {Promise<boolean>} whether it was done
 */
function ask(title, content, yes) {
  const id = `dialog-${++number}`;
  const box = alertBox();
  let done = false;
  const dialog = h("dialog", { class: "dialog", "aria-labelledby": id },
    h("h2", { id }, title), content, box.element,
    h("div", { class: "buttons" },
      button({ label: "Not now", kind: "plain" }, () => dialog.close()),
      button({ label: yes.label, kind: yes.kind ?? "main", test: "confirm" }, async () => {
        done = await guarded(box, yes.act);
        if (done) dialog.close();
      })));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => (dialog.remove(), resolve(done))));
}

/** @param {string} title @param {string} words @param {string} label @param {() => Promise<unknown>} act */
export const confirm = (title, words, label, act) => ask(title, [h("p", null, words)], { label, kind: "danger", act });

/** @param {string} image @param {(caption: string) => Promise<unknown>} post */
export function askCaption(image, post) {
  const left = h("span", { class: "hint", id: "caption-left" });
  const field = h("textarea", { id: "caption", maxlength: CAPTION, rows: 3, "aria-describedby": "caption-left", oninput: tell });
  function tell() {
    left.textContent = `${field.value.length} of ${CAPTION} letters. Everybody with the link can see a story.`;
  }
  tell();
  const content = [
    h("div", { class: "caption" }, h("img", { src: `${image}?size=256`, alt: "", width: 256, height: 256 }),
      h("div", null, h("label", { for: "caption" }, "Caption, if you like"), field, left)),
  ];
  return ask("Post to your story", content, { label: "Post", act: () => post(field.value.trim()) });
}

/**
 * A small menu below a button: a list of things to do, closed by Escape, a choice, or a press elsewhere.
 * @param {string} label @param {string} symbol @param {{label: string, act: () => unknown}[]} choices
 */
export function menu(label, symbol, choices) {
  const details = h("details", { class: "menu", onkeydown: (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "Escape" && details.open) {
      event.preventDefault();
      event.stopPropagation();
      close();
    }
  } },
  h("summary", { class: "button plain" }, icon(symbol), h("span", null, label)),
  h("div", { class: "menu-list" }, choices.map((choice) =>
    button({ label: choice.label, kind: "quiet" }, async () => (await choice.act(), close())))));
  function close() {
    details.open = false;
    details.querySelector("summary")?.focus();
  }
  details.addEventListener("focusout", (/** @type {FocusEvent} */ event) => {
    if (event.relatedTarget && !details.contains(/** @type {Node} */ (event.relatedTarget))) details.open = false;
  });
  return details;
}
