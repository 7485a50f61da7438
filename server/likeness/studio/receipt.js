// A receipt of deletion in plain words. Its signature is not checked here: `likeness receipt verify` does that.

import { find } from "./api.js";
import { count, moment } from "./clock.js";
import { h } from "./dom.js";

/** @typedef {import("./types").Deletion} Deletion */

const WHAT = /** @type {Record<string, (number: number) => string>} */ ({
  "originals": (number) => `${count(number, "photo")} as uploaded`,
  "photos": (number) => `${count(number, "face crop")}, kept for drawing`,
  "discarded avatars": (number) => count(number, "discarded avatar"),
  "avatars": (number) => `${count(number, "avatar")} as drawn`,
  "gallery": (number) => count(number, "saved avatar"),
});

/** What a receipt lists, or null while there is none. @param {string} path @returns {Promise<Deletion[] | null>} */
export async function fetchReceipt(path) {
  const receipt = await find(path);
  return receipt && deletions(receipt.jws);
}

/** @param {string} jws @returns {Deletion[]} */
export function deletions(jws) {
  const part = jws.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  const bytes = Uint8Array.from(atob(part), (letter) => letter.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes)).deletions;
}

/** What was deleted and when, as a list. @param {Deletion[]} all */
export function receiptList(all) {
  return h("ul", { class: "receipt-list", data: { testid: "receipt" } }, all.map((each) =>
    h("li", null,
      h("span", null, (WHAT[each.what] ?? (() => each.what))(each.objects.length)),
      h("time", { datetime: each.deleted_at }, `deleted ${moment(each.deleted_at, true)}`))));
}
