// Step 2: choosing styles, by pictures, with how loved each is.

import { written } from "./avatars.js";
import { count } from "./clock.js";
import { fill, h, icon } from "./dom.js";

/** @typedef {import("./types").Style} Style @typedef {import("./types").Period} Period */

export const PERIODS = /** @type {[Period, string, string][]} */ ([
  ["day", "Today", "today"], ["week", "Week", "this week"], ["all", "All time", "so far"],
]);

/** Colours of the built-in styles; others get one by their name. */
const TINTS = /** @type {Record<string, string>} */ ({
  comic: "#e4572e", sketch: "#8a8178", neon: "#a24bff", watercolour: "#3f9bd8", oil: "#b8862f",
});

/** @param {string} style */
export function tint(style) {
  const hue = [...style].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 360, 7);
  return TINTS[style] ?? `hsl(${hue} 60% 52%)`;
}

/** What styles are ranked by, as the server does. @param {import("./types").Trend} trend */
export const score = (trend) => trend.chosen + 2 * trend.saved + 3 * trend.published;

/**
 * A small switch between today, this week and all time.
 * @param {string} name @param {(period: Period) => void} chosen
 */
export function periodSwitch(name, chosen) {
  return h("fieldset", { class: "switch" }, h("legend", { class: "visually-hidden" }, "How loved: period"),
    PERIODS.map(([value, label]) => h("label", null,
      h("input", { type: "radio", name, value, checked: value === "week", onchange: () => chosen(value) }), h("span", null, label))));
}

/** @param {import("./draft.js").Draft} draft */
export function styleSection(draft) {
  let period = /** @type {Period} */ ("week");
  /** @type {Style[]} */
  let styles = [];
  const cards = h("div", { class: "styles" }, Array.from({ length: 5 }, () => h("div", { class: "style-card empty" })));
  const tally = h("p", { class: "hint" });
  const element = h("section", { class: "step", "aria-labelledby": "step-styles" },
    h("div", { class: "step-head" }, h("h2", { id: "step-styles", tabindex: "-1" }, "Choose styles"), tally,
      periodSwitch("period", (value) => ((period = value), hearts()))),
    cards);

  /** @param {Style} style */
  function card(style) {
    const box = h("input", { type: "checkbox", name: "style", value: style.name, checked: draft.styles?.has(style.name), onchange: () => {
      draft.styles?.[box.checked ? "add" : "delete"](style.name);
      draft.changed();
      tell();
    } });
    return h("label", { class: "style-card", vars: { "--tint": tint(style.name) }, data: { testid: `style-${style.name}` } },
      box, preview(style),
      h("span", { class: "style-mark" }, icon("check")),
      h("span", { class: "style-words" }, h("strong", null, style.title),
        h("span", { class: "loved", data: { style: style.name } })));
  }
  function hearts() {
    const when = PERIODS.find(([value]) => value === period)?.[2];
    for (const style of styles) {
      const trend = style.trend[period];
      const place = /** @type {HTMLElement} */ (cards.querySelector(`.loved[data-style="${CSS.escape(style.name)}"]`));
      fill(place, icon("heart"), h("span", { "aria-hidden": "true" }, trend.saved),
        h("span", { class: "visually-hidden" }, `, saved ${count(trend.saved, "time")} ${when}`));
      place.title = `Chosen ${trend.chosen}, saved ${trend.saved}, shown ${trend.published} ${when}`;
    }
  }
  function tell() {
    tally.textContent = styles.length ? `${draft.styles?.size ?? 0} of ${styles.length}` : "";
  }
  return {
    element,
    /** @param {Style[]} found */
    show(found) {
      const same = styles.length > 0 && styles.map((each) => each.name).join() === found.map((each) => each.name).join();
      styles = found;
      if (!same) {
        const builtIn = found.filter((style) => style.name in TINTS);
        draft.styles ??= new Set((builtIn.length ? builtIn : found).map((style) => style.name));
        fill(cards, styles.map(card));
      }
      hearts();
      tell();
    },
  };
}

/** A style's picture, or its colour. @param {Style} style */
export function preview(style) {
  return style.preview_url
    ? h("img", { src: style.preview_url, alt: "", width: 256, height: 256, decoding: "async" })
    : h("span", { class: "no-preview" }, written(style.title).charAt(0));
}
