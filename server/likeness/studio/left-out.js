// Which of the photos that were sent are not used, and why.

import { h, fill } from "./dom.js";

/** @param {import("./generation.js").Generation} generation */
export function leftOutPanel(generation) {
  const element = h("ul", { class: "note left-out", role: "status", "aria-label": "Photos that were left out", data: { testid: "left-out" } });
  let shown = false;
  return {
    element,
    show() {
      if (shown) return; // it does not change any more, and is to be read out once
      shown = true;
      fill(element, generation.view.photos.filter((photo) => !photo.accepted).map((photo) =>
        h("li", null, `Photo ${photo.index + 1} was left out. ${photo.message}`)));
    },
  };
}
