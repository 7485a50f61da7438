// The profile picture as others see it.

import { at, change, find } from "./api.js";
import { sized } from "./avatars.js";
import { moment } from "./clock.js";
import { confirm } from "./dialogs.js";
import { button, fill, h } from "./dom.js";
import { empty } from "./empty.js";
import { linkBox } from "./link-box.js";

/** @returns {import("./types").View} */
export function pictureView() {
  const content = h("div", { data: { testid: "picture" } });
  const element = h("div", { class: "picture-view" }, h("header", { class: "page-head" }, h("h1", { tabindex: "-1" }, "Profile picture")), content);

  async function load() {
    const picture = await find(at("/v1/profile/picture"));
    if (!picture) {
      fill(content, empty("user", "No profile picture is set", "Open one of your avatars and set it as profile picture.", { href: "#/gallery", label: "Choose from the gallery" }));
      return;
    }
    const image = at(`/v1/gallery/${picture.avatar}/image`);
    const round = (/** @type {number} */ side, /** @type {string} */ alt) => h("img", { class: "round", src: sized(image, side > 128 ? "full" : 128), alt, width: side, height: side });
    fill(content, h("div", { class: "portrait" },
      round(256, "Your profile picture"),
      h("div", { class: "portrait-words" },
        h("p", { class: "lead" }, `Set ${moment(picture.set_at)}. Whoever has the link sees it; the link stays the same when you change the picture.`),
        h("div", { class: "sizes", "aria-hidden": "true" }, round(96, ""), round(64, ""), round(40, ""), round(24, "")),
        linkBox(picture.url),
        h("div", { class: "buttons" },
          h("a", { class: "button plain", href: "#/gallery" }, "Choose another"),
          button({ label: "Remove", icon: "trash", test: "remove-picture" }, () =>
            confirm("Remove the profile picture?", "Its link ends at once. The avatar stays in your gallery.", "Remove", async () => {
              await change("DELETE", at("/v1/profile/picture"));
              await load();
            }))))));
  }
  return { element, title: "Profile picture", load };
}
