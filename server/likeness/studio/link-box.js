// A public link, and a button that copies it.

import { button, h } from "./dom.js";
import { toast } from "./notices.js";

/** @param {string} url */
export function linkBox(url) {
  const link = h("a", { class: "button quiet", href: url, target: "_blank", rel: "noopener" }, "Open the link");
  const copy = button({ label: "Copy link", icon: "link", kind: "quiet" }, async () => {
    try {
      await navigator.clipboard.writeText(url);
      toast("Link copied.");
    } catch {
      toast(url); // not allowed here: then it can at least be read
    }
  });
  return h("p", { class: "link-box" }, link, copy);
}
