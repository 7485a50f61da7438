// What the page says by itself: short messages, the lost connection, refusals where they belong, words for screen readers.

import { Problem } from "./api.js";
import { fill, h, icon, setText } from "./dom.js";

const SHOWN_MS = 7000;
const byId = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** A message that goes by itself, with a link if there is more to see. @param {string} text @param {{href: string, label: string}} [link] */
export function toast(text, link) {
  const message = h("p", { class: "toast", data: { testid: "toast" } }, icon("check"), h("span", null, text),
    link && h("a", { href: link.href }, link.label));
  // While a dialog is open, the rest of the page is out of reach.
  const place = [...document.querySelectorAll("dialog[open] .toasts")].at(-1) ?? byId("toasts");
  place.replaceChildren(message);
  const leave = () => (message.matches(":hover, :focus-within") ? setTimeout(leave, SHOWN_MS) : message.remove());
  setTimeout(leave, SHOWN_MS);
}

/** Words for screen readers alone; said once. @param {string} text */
export function say(text) {
  setText(byId("voice"), text);
}

const lost = new Set();

/** The quiet bar; each part of the page says for itself whether it has its connection. @param {object} who @param {boolean} is */
export function setLost(who, is) {
  if (is) lost.add(who);
  else lost.delete(who);
  const bar = byId("connection");
  bar.hidden = lost.size === 0;
  bar.textContent = lost.size ? "Connection lost. Trying again." : "";
}

/** A place for refusals: `show` puts the words in, and they are read out. */
export function alertBox() {
  const element = h("div", { class: "alert", role: "alert", hidden: true });
  return {
    element,
    /** @param {unknown} error a Problem, or any sentence */
    show(error) {
      const link = error instanceof Problem && /^https?:/.test(error.upgradeUrl)
        ? h("a", { href: error.upgradeUrl, rel: "noopener" }, "Upgrade") : null;
      fill(element, icon("alert"), h("p", null, sentence(error), link && " ", link));
      element.hidden = false;
    },
    clear() {
      element.hidden = true;
      fill(element);
    },
  };
}

/** @param {unknown} error */
export function sentence(error) {
  if (typeof error === "string") return error;
  if (error instanceof Problem) return error.code === "not_found" ? "It is not there any more." : error.message;
  console.error(error);
  return "Something failed on this page. Load it again.";
}

/** Run something, and show its refusal in a box; answers whether it went well. @param {ReturnType<typeof alertBox>} box @param {() => unknown} act */
export async function guarded(box, act) {
  box.clear();
  try {
    await act();
    return true;
  } catch (error) {
    if (!(error instanceof Problem && error.status === 401)) box.show(error);
    return false;
  }
}
