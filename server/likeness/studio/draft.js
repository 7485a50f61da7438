// What is chosen for the next generation; it outlives pages, not the tab.

import { Photos } from "./photos.js";

export class Draft extends EventTarget {
  photos = new Photos();
  /** @type {Set<string> | null} names; null until the styles are known */
  styles = null;
  key = "";

  constructor() {
    super();
    this.photos.addEventListener("change", () => this.changed());
  }

  /** Another upload from here on: it gets its own key. */
  changed() {
    this.key = "";
    this.dispatchEvent(new Event("change"));
  }

  clear() {
    this.photos.clear();
    this.changed();
  }
}
