// How loved each style is; numbers of all users together, about nobody.

import { h, fill } from "./dom.js";
import { PERIODS, periodSwitch, preview, score, tint } from "./style-section.js";

/** @param {import("./types").App} app @returns {import("./types").View} */
export function trendsView(app) {
  let period = /** @type {import("./types").Period} */ ("week");
  /** @type {import("./types").Style[]} */
  let styles = [];
  const list = h("ol", { class: "trends" });
  const element = h("div", { class: "trends-view" },
    h("header", { class: "page-head" }, h("div", null, h("h1", { tabindex: "-1" }, "Styles"), h("p", { class: "lead" }, "What everybody chooses, saves and shows. Counted together; nothing here is about one person.")),
      periodSwitch("trend-period", (value) => ((period = value), draw()))),
    list);

  function draw() {
    const ranked = [...styles].sort((a, b) => score(b.trend[period]) - score(a.trend[period]));
    const most = Math.max(1, ...ranked.map((style) => score(style.trend[period])));
    const when = PERIODS.find(([value]) => value === period)?.[2];
    fill(list, ranked.map((style) => {
      const { chosen, saved, published } = style.trend[period];
      return h("li", { class: "trend", vars: { "--tint": tint(style.name), "--share": score(style.trend[period]) / most }, data: { testid: `trend-${style.name}` } },
        preview(style),
        h("div", { class: "trend-words" },
          h("h2", null, style.title), h("p", null, style.description),
          h("div", { class: "trend-bar", "aria-hidden": "true" }, h("span")),
          h("p", { class: "hint" }, `${when === "today" ? "Today" : when === "this week" ? "This week" : "So far"}: chosen ${chosen}, saved ${saved}, shown ${published}. By ${style.author}.`)));
    }));
  }
  return {
    element,
    title: "Styles",
    async load() {
      styles = await app.styles();
      draw();
    },
  };
}
