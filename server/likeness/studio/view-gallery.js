// The saved avatars.

import { at, get } from "./api.js";
import { deleteSaved, download, downloadAll, postStory, setPicture, sized, written } from "./avatars.js";
import { count } from "./clock.js";
import { confirm, menu } from "./dialogs.js";
import { button, fill, h } from "./dom.js";
import { empty } from "./empty.js";
import { alertBox, guarded } from "./notices.js";
import { leave, replace } from "./router.js";
import { actionButtons, Viewer } from "./viewer.js";

const PAGE = 60;

/** @param {import("./types").App} app @param {import("./types").Route} route @returns {import("./types").View} */
export function galleryView(app, route) {
  /** @type {import("./types").SavedAvatar[]} */
  let items = [];
  /** @type {string | null} */
  let next = null;
  /** @type {Map<string, string>} */
  let titles = new Map();
  const alert = alertBox();
  const tally = h("p", { class: "lead" });
  const list = h("ul", { class: "tiles gallery" });
  const zip = button({ label: "Download all (zip)", icon: "down", test: "export" }, () => guarded(alert, downloadAll));
  const more = button({ label: "Show more" }, () => guarded(alert, async () => {
    const page = await get(at(`/v1/gallery?limit=${PAGE}&cursor=${encodeURIComponent(next ?? "")}`));
    items.push(...page.items);
    next = page.next;
    draw();
  }));
  const none = empty("heart", "No avatar is saved yet", "Avatars that you save stay here until you delete them.", { href: "#/", label: "Make avatars" });
  const viewer = new Viewer({ items: shown, actions, moved: (key) => replace(`/gallery/${key}`), closed: () => leave("/gallery") });
  const element = h("div", { class: "gallery-view" },
    h("header", { class: "page-head" }, h("div", null, h("h1", { tabindex: "-1" }, "Gallery"), tally), h("div", { class: "buttons" }, zip)),
    alert.element, none, list, h("div", { class: "buttons more" }, more), viewer.element);

  /** @returns {import("./types").Shown[]} */
  function shown() {
    return items.map((item) => ({
      key: item.avatar, style: item.style, look: item.look, title: titles.get(item.style) ?? written(item.style), image: item.url, saved: item.avatar,
    }));
  }

  function draw() {
    none.hidden = items.length > 0;
    zip.hidden = more.parentElement.hidden = items.length === 0;
    more.hidden = !next;
    tally.textContent = items.length ? `${count(items.length, "saved avatar")}${next ? " and more" : ""}, yours until you delete them.` : "";
    const known = new Map([...list.children].map((each) => [/** @type {HTMLElement} */ (each).dataset.key, each]));
    fill(list, shown().map((item) => known.get(item.key) ?? tile(item)));
    viewer.refresh();
  }

  /** @param {import("./types").Shown} item */
  function tile(item) {
    const name = `${item.title}, ${written(item.look).toLowerCase()}`;
    const element = h("li", { class: "tile", data: { testid: "saved", key: item.key, state: "saved" } },
      h("a", { class: "tile-link", href: `#/gallery/${item.key}`, "aria-label": `${name}: enlarge` },
        h("img", { src: sized(item.image, 256), alt: name, width: 256, height: 256, loading: "lazy", decoding: "async", onload: () => element.setAttribute("data-shown", "") })));
    return element;
  }

  /** @param {import("./types").Shown} item */
  function actions(item) {
    const box = alertBox();
    const does = {
      save: null,
      picture: () => guarded(box, () => setPicture(item.key)),
      story: () => guarded(box, () => postStory(item.key, item.image)),
    };
    return h("div", null, box.element, h("div", { class: "buttons" }, actionButtons(does, true),
      menu("Download", "down", [
        { label: "WebP", act: () => guarded(box, () => download(item, "webp")) },
        { label: "PNG", act: () => guarded(box, () => download(item, "png")) },
        { label: "JPEG", act: () => guarded(box, () => download(item, "jpeg")) },
      ]),
      button({ label: "Delete", icon: "trash", test: "viewer-delete" }, () =>
        confirm("Delete this avatar?", "Also as profile picture and in stories, where its links end at once.", "Delete", async () => {
          await deleteSaved(item.key);
          const place = items.findIndex((each) => each.avatar === item.key);
          items.splice(place, 1);
          const after = items[Math.min(place, items.length - 1)];
          replace(after ? `/gallery/${after.avatar}` : "/gallery");
          draw();
        }))));
  }

  /** @param {import("./types").Route} now */
  function update(now) {
    viewer.show(now.item);
    if (!now.item && route.item) /** @type {HTMLElement | null} */ (list.querySelector(`[data-key="${CSS.escape(route.item)}"] a`))?.focus();
    route = now;
  }
  return {
    element,
    title: "Gallery",
    async load() {
      const [styles, page] = await Promise.all([app.styles(), get(at(`/v1/gallery?limit=${PAGE}`))]);
      titles = new Map(styles.map((style) => [style.name, style.title]));
      [items, next] = [page.items, page.next];
      draw();
    },
    update,
  };
}
