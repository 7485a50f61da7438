// One generation: being drawn, then to be chosen from.

import { discard, download, downloadAll, postStory, save, setPicture, written } from "./avatars.js";
import { at, Problem } from "./api.js";
import { count, everySecond } from "./clock.js";
import { confirm, menu } from "./dialogs.js";
import { button, fill, h } from "./dom.js";
import { Generation, isRunning } from "./generation.js";
import { keepingPanel } from "./keeping.js";
import { leftOutPanel } from "./left-out.js";
import { alertBox, guarded, toast } from "./notices.js";
import { leave, replace } from "./router.js";
import { progressPanel } from "./progress.js";
import { tileGrid } from "./tiles.js";
import { actionButtons, Viewer } from "./viewer.js";

/** @param {import("./types").App} app @param {import("./types").Route} route @returns {import("./types").View} */
export function generationView(app, route) {
  const generation = new Generation(route.id);
  const home = `/generations/${route.id}`;
  /** @type {Map<string, string>} */
  let titles = new Map();
  let stopTicking = () => {};
  const alert = alertBox();
  const progress = progressPanel(generation);
  const keeping = keepingPanel(generation);
  const leftOut = leftOutPanel(generation);
  const grid = tileGrid({ href: (index) => `${home}/${index}`, picked: drawBar });
  const bar = h("div", { class: "bar", hidden: true, role: "group", "aria-label": "Chosen avatars", data: { testid: "selection-bar" } });
  const viewer = new Viewer({
    items: shown,
    actions,
    moved: (key) => replace(`${home}/${key}`),
    closed: () => leave(home),
  });
  const element = h("div", { class: "generation" }, progress.element, leftOut.element, keeping.deadlines, alert.element, grid.element, keeping.element, bar, viewer.element);

  generation.addEventListener("change", draw);

  function draw() {
    progress.show();
    leftOut.show();
    grid.show(generation.view, titles);
    keeping.show();
    drawBar();
    viewer.refresh();
  }

  const ready = () => generation.view.avatars.filter((avatar) => avatar.state === "ready").map((avatar) => avatar.index);

  /** @returns {import("./types").Shown[]} in the order of the page */
  function shown() {
    const all = generation.view.avatars.filter((avatar) => avatar.url || avatar.saved_as);
    const order = [...new Set(generation.view.avatars.map((avatar) => avatar.style))];
    return all.sort((a, b) => order.indexOf(a.style) - order.indexOf(b.style) || a.index - b.index)
      .map((avatar) => ({
        key: String(avatar.index), style: avatar.style, look: avatar.look, title: titles.get(avatar.style) ?? written(avatar.style),
        image: avatar.url ?? at(`/v1/gallery/${avatar.saved_as}/image`), saved: avatar.saved_as,
      }));
  }

  function drawBar() {
    const all = ready();
    const chosen = [...grid.picked];
    bar.hidden = all.length === 0 || (isRunning(generation.view) && chosen.length === 0);
    const focused = bar.contains(document.activeElement) ? document.activeElement?.getAttribute("data-testid") : null;
    const every = chosen.length === all.length;
    fill(bar,
      h("p", { "aria-live": "polite" }, chosen.length ? `${chosen.length} selected` : "Select, or keep all"),
      button({ label: every && chosen.length ? "Select none" : "Select all", kind: "quiet", test: "select-all" }, () => grid.pick(every && chosen.length ? [] : all)),
      button({ label: "Discard", name: `Discard ${count(chosen.length || all.length, "avatar")}`, icon: "trash", kind: "plain", test: "discard" }, () => drop(chosen.length ? chosen : all)),
      button({ label: chosen.length ? `Save ${chosen.length}` : `Save all ${all.length}`, icon: "heart", kind: "main", test: "save" }, () => keep(chosen.length ? chosen : all)));
    if (focused) /** @type {HTMLElement | null} */ (bar.querySelector(`[data-testid="${focused}"]`))?.focus();
  }

  /** @param {number[]} indexes */
  const keep = (indexes) => guarded(alert, async () => {
    await save(generation.path, indexes);
    grid.pick([]);
    toast(`${count(indexes.length, "avatar")} saved.`, { href: "#/gallery", label: "Gallery" });
    await generation.load();
  });

  /** @param {number[]} indexes */
  const drop = (indexes) => confirm(`Discard ${count(indexes.length, "avatar")}?`, "They are deleted at once, and cannot be brought back.", "Discard", async () => {
    await discard(generation.path, indexes);
    grid.pick([]);
    await generation.load();
  });

  /** @param {import("./types").Shown} item */
  function actions(item) {
    const box = alertBox();
    const index = Number(item.key);
    /** The avatar's id in the gallery, where it is saved first if need be. */
    const saved = async () => item.saved ?? (await save(generation.path, [index]))[0].avatar;
    const does = {
      save: item.saved ? null : () => guarded(box, async () => {
        await saved();
        toast("Saved to your gallery.");
        await generation.load();
      }),
      picture: () => guarded(box, async () => {
        await setPicture(await saved());
        await generation.load();
      }),
      story: () => guarded(box, async () => {
        await postStory(await saved(), item.image);
        await generation.load();
      }),
    };
    return h("div", null, box.element, h("div", { class: "buttons" }, actionButtons(does, Boolean(item.saved)),
      menu("Download", "down", [
        { label: "WebP", act: () => guarded(box, () => download(item, "webp")) },
        { label: "PNG", act: () => guarded(box, () => download(item, "png")) },
        { label: "JPEG", act: () => guarded(box, () => download(item, "jpeg")) },
        { label: "All saved (zip)", act: () => guarded(box, downloadAll) },
      ]),
      item.saved ? null : button({ label: "Discard", icon: "trash", test: "viewer-discard" }, () => guarded(box, async () => {
        const items = shown();
        const next = items[items.findIndex((each) => each.key === item.key) + 1] ?? items[0];
        await discard(generation.path, [index]);
        if (next.key !== item.key) replace(`${home}/${next.key}`);
        await generation.load();
      }))));
  }

  /** @param {import("./types").Route} now */
  function update(now) {
    if (!generation.view) return;
    viewer.show(now.item);
    if (!now.item && route.item) grid.focus(Number(route.item));
    route = now;
  }
  return {
    element,
    title: "Your avatars",
    async load() {
      const [styles] = await Promise.all([app.styles(), generation.load()]);
      titles = new Map(styles.map((style) => [style.name, style.title]));
      draw();
      stopTicking();
      stopTicking = everySecond(() => (progress.tick(), keeping.tick()));
      generation.follow().catch((error) => error instanceof Problem && error.status === 401 || alert.show(error));
    },
    update,
    destroy() {
      stopTicking();
      generation.stop();
    },
  };
}
