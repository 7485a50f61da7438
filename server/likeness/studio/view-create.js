// The start page: photos, styles, consent; or straight to the generation that is being drawn, or was today's.

import { at, get } from "./api.js";
import { moment } from "./clock.js";
import { fill, h, icon } from "./dom.js";
import { isRunning } from "./generation.js";
import { toast } from "./notices.js";
import { photoSection } from "./photo-section.js";
import { go, replace } from "./router.js";
import { startSection } from "./start-section.js";
import { preview, styleSection } from "./style-section.js";

/** @param {import("./types").App} app @returns {import("./types").View} */
export function createView(app) {
  const { draft } = app;
  const photos = photoSection(draft.photos);
  const styles = styleSection(draft);
  const start = startSection(draft, accepted, () => view.load());
  /** @param {import("./types").GenerationView} generation */
  function accepted(generation) {
    draft.clear();
    const path = `/generations/${generation.id}`;
    if (element.isConnected) go(path);
    else toast("Your photos are there, and the drawing begins.", { href: `#${path}`, label: "Look" });
  }
  const fan = h("div", { class: "fan", "aria-hidden": "true" }, Array.from({ length: 5 }, () => h("span")));
  const newest = h("p", { class: "newest" });
  const element = h("div", { class: "create" },
    h("div", { class: "hero" },
      h("div", null,
        h("h1", { tabindex: "-1" }, h("span", null, "A few photos in."), " ", h("span", null, "A wall of avatars out.")),
        h("p", { class: "lead" }, "Choose photos of yourself and the styles that you like. Keep the avatars that you want; your photos are deleted."),
        newest),
      fan),
    photos.element, styles.element, start.element);
  const view = {
    element,
    title: "Create avatars",
    busy: start.busy,
    async load() {
      const [list, quota, policy, found] = await Promise.all(
        [get(at("/v1/generations?limit=1")), get(at("/v1/quota")), get(at("/v1/policy")), app.styles()]);
      const [last] = list.items;
      if (last && (isRunning(last) || (quota.remaining === 0 && ["done", "failed"].includes(last.status)))) {
        return replace(`/generations/${last.id}`);
      }
      if (last?.status === "done") {
        fill(newest, h("a", { href: `#/generations/${last.id}` }, `See your avatars from ${moment(last.created_at)}`, icon("right")));
      }
      const pictured = found.filter((style) => style.preview_url).slice(0, 5);
      if (!fan.querySelector("img")) [...fan.children].forEach((place, index) => pictured[index] && fill(place, preview(pictured[index])));
      styles.show(found);
      start.show(policy, quota);
    },
    destroy() {
      photos.destroy();
      start.destroy();
    },
  };
  return view;
}
