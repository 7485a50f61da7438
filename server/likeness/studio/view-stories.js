// The user's stories that can still be seen.

import { at, change, get } from "./api.js";
import { sized } from "./avatars.js";
import { countdown, everySecond, until } from "./clock.js";
import { confirm } from "./dialogs.js";
import { button, fill, h, icon } from "./dom.js";
import { empty } from "./empty.js";
import { linkBox } from "./link-box.js";

/** @returns {import("./types").View} */
export function storiesView() {
  const list = h("ul", { class: "stories" });
  const none = empty("story", "No story is up", "Open one of your avatars and post it to your story.", { href: "#/gallery", label: "Choose from the gallery" });
  const element = h("div", { class: "stories-view" }, h("header", { class: "page-head" }, h("h1", { tabindex: "-1" }, "Stories")), none, list);
  /** @type {{until: string, left: HTMLElement, element: HTMLElement}[]} */
  let shown = [];

  /** @param {import("./types").Story} story */
  function card(story) {
    const left = h("span", null);
    const element = h("li", { class: "story", data: { testid: "story" } },
      h("img", { src: sized(at(`/v1/gallery/${story.avatar}/image`)), alt: story.caption ? "" : "Your story", width: 256, height: 256, decoding: "async" }),
      h("div", { class: "story-words" },
        story.caption ? h("p", { class: "story-caption" }, story.caption) : null,
        h("p", { class: "deadline" }, icon("clock"), left),
        linkBox(story.url),
        button({ label: "Delete", icon: "trash", name: `Delete the story ${story.caption}`.trim() }, () =>
          confirm("Delete this story?", "Its link ends at once. The avatar stays in your gallery.", "Delete", async () => {
            await change("DELETE", at(`/v1/stories/${story.id}`));
            await load();
          }))));
    shown.push({ until: story.until, left, element });
    return element;
  }

  async function load() {
    const { items } = await get(at("/v1/stories?limit=100"));
    shown = [];
    fill(list, items.map(card));
    tick();
  }
  function tick() {
    for (const each of shown) {
      each.element.hidden = until(each.until) <= 0;
      each.left.textContent = `${countdown(until(each.until))} left`;
    }
    none.hidden = shown.some((each) => !each.element.hidden);
    list.hidden = !none.hidden;
  }
  none.hidden = true;
  const destroy = everySecond(() => element.isConnected && shown.length && tick());
  return { element, title: "Stories", load, destroy };
}
