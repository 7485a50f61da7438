// Leaving: everything is deleted, and the answer is the receipt.

import { at, change, get } from "./api.js";
import { hand } from "./avatars.js";
import { moment } from "./clock.js";
import { button, fill, h, setEnabled } from "./dom.js";
import { alertBox, guarded } from "./notices.js";
import { deletions, receiptList } from "./receipt.js";

const WORD = "delete everything";

/** @param {import("./types").App} app @returns {import("./types").View} */
export function accountView(app) {
  const today = h("p", { class: "lead" });
  const policy = h("p", null);
  const alert = alertBox();
  const field = h("input", { id: "typed", autocomplete: "off", autocapitalize: "off", spellcheck: "false", oninput: () => setEnabled(leave, typed()) });
  const typed = () => field.value.trim().toLowerCase() === WORD;
  const leave = button({ label: "Delete everything", icon: "trash", kind: "danger", test: "delete-account" }, () => typed() && guarded(alert, async () => {
    const { jws } = await change("DELETE", at("/v1/account"));
    app.draft.clear();
    gone(jws);
  }).finally(() => queueMicrotask(() => setEnabled(leave, typed()))));
  setEnabled(leave, false);
  const end = h("section", { class: "card danger-zone", "aria-labelledby": "leaving", data: { testid: "leaving" } },
    h("h2", { id: "leaving", tabindex: "-1" }, "Delete everything"),
    h("p", null, "Photos, avatars, your gallery, the profile picture and stories: all of it, at once and for good. You get a signed receipt. What you have used of today's quota stays used."),
    h("label", { for: "typed" }, `To be sure, type “${WORD}”`), field, alert.element, h("div", { class: "buttons" }, leave));
  const element = h("div", { class: "account-view" },
    h("header", { class: "page-head" }, h("h1", { tabindex: "-1" }, "Account")),
    h("section", { class: "card", "aria-labelledby": "plan" }, h("h2", { id: "plan" }, "Plan and policy"), today, policy), end);

  /** @param {string} jws */
  function gone(jws) {
    const all = deletions(jws);
    const receipt = new Blob([JSON.stringify({ generation: "account", jws })], { type: "application/json" });
    fill(end, h("h2", { id: "leaving", tabindex: "-1" }, "Everything is deleted"),
      h("p", null, "This receipt is the only trace, and it is not kept here: download it if you want to have proof."),
      all.length ? receiptList(all) : h("p", { class: "hint" }, "There was nothing to delete."),
      h("div", { class: "buttons" }, button({ label: "Download the receipt", icon: "down", kind: "main", test: "account-receipt" }, () => hand(receipt, "receipt.json"))));
    /** @type {HTMLElement} */ (end.querySelector("h2")).focus();
  }
  return {
    element,
    title: "Account",
    async load() {
      const [quota, found] = await Promise.all([get(at("/v1/quota")), get(at("/v1/policy"))]);
      const tier = quota.tier.charAt(0).toUpperCase() + quota.tier.slice(1);
      today.textContent = `${tier}: ${quota.remaining} of ${quota.limit} left today, new from ${moment(quota.resets_at)}.`;
      policy.textContent = `${found.text} (Version ${found.version})`;
    },
  };
}
