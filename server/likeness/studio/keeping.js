// What goes when, counted down, and the receipt for what has gone.

import { at, change } from "./api.js";
import { countdown, span, until } from "./clock.js";
import { confirm } from "./dialogs.js";
import { button, fill, h, icon } from "./dom.js";
import { isRunning } from "./generation.js";
import { fetchReceipt, receiptList } from "./receipt.js";

/** @param {import("./generation.js").Generation} generation */
export function keepingPanel(generation) {
  const photos = h("p", { class: "deadline", data: { testid: "photos-deadline" } });
  const avatars = h("p", { class: "deadline", data: { testid: "avatars-deadline" } });
  const list = h("div", { class: "receipt" });
  const link = h("a", { href: `${generation.path}/receipt`, target: "_blank", rel: "noopener" }, "Signed receipt (JSON)");
  const keys = h("a", { href: at("/v1/receipts/keys"), target: "_blank", rel: "noopener" }, "Keys to check it with");
  const receipt = h("details", { class: "receipt-box", id: "receipt", hidden: true, data: { testid: "receipt-box" } },
    h("summary", null, icon("receipt"), "Receipt: what has been deleted"), list, h("p", { class: "hint" }, "What you have saved lives on in your gallery, under a key of your own."), h("p", { class: "links" }, link, keys));
  const purge = button({ label: "Delete photos and unsaved avatars now", icon: "trash", kind: "quiet", test: "purge" }, () =>
    confirm("Delete now?", "Photos and avatars that are not saved are deleted at once. Saved avatars stay in your gallery.", "Delete", async () => {
      await change("DELETE", generation.path);
      await generation.load();
    }));
  let signed = "";
  let due = 0;

  /** Every second: the words, and a look at the server once something was due. */
  function tick() {
    const { deadlines } = generation.view;
    const running = isRunning(generation.view);
    const photosLeft = until(deadlines.photos);
    line(photos, "shield", deadlines.photos_deleted_at
      ? [h("a", { href: "#receipt", onclick: open }, "Photos deleted, receipt")]
      : [photosLeft > 0 ? `Photos: deleted in ${countdown(photosLeft)}${running ? " at the latest" : ""}` : "Photos: being deleted"]);
    const left = until(deadlines.avatars);
    const kept = generation.view.avatars.some((avatar) => avatar.state === "ready");
    avatars.hidden = !running && !kept;
    line(avatars, "clock", [`Unsaved avatars go ${running ? `${span((left - photosLeft) / 1000)} later` : `in ${countdown(left)}`}`]);
    const over = (!deadlines.photos_deleted_at && photosLeft <= 0) || (kept && left <= 0);
    due = over ? due + 1 : 0;
    if (due % 5 === 2) generation.load().catch(() => null); // its events may have ended before
  }

  /** @param {HTMLElement} place @param {string} symbol @param {(Node | string)[]} content */
  function line(place, symbol, content) {
    const text = content.map((each) => (typeof each === "string" ? each : each.textContent)).join("");
    if (place.dataset.text === text) return;
    place.dataset.text = text;
    fill(place, icon(symbol), h("span", null, content));
  }

  /** @param {Event} event */
  function open(event) {
    event.preventDefault(); // the # is the router's
    receipt.open = true;
    receipt.scrollIntoView({ block: "center" });
    receipt.querySelector("summary").focus({ preventScroll: true });
  }

  /** Look for a longer receipt when something was deleted. */
  async function show() {
    tick();
    purge.hidden = isRunning(generation.view) || Boolean(generation.view.deadlines.avatars_deleted_at);
    const { deadlines, avatars: all } = generation.view;
    const state = JSON.stringify([deadlines.photos_deleted_at, deadlines.avatars_deleted_at, all.filter((each) => each.state === "discarded").length]);
    if (state === signed) return;
    signed = state;
    const deletions = await fetchReceipt(`${generation.path}/receipt`).catch(() => ((signed = ""), null));
    receipt.hidden = !deletions;
    if (deletions) fill(list, receiptList(deletions));
  }
  return {
    deadlines: h("div", { class: "deadlines" }, photos, avatars),
    element: h("aside", { class: "keeping", "aria-label": "Deletion" }, receipt, purge),
    show, tick,
  };
}
