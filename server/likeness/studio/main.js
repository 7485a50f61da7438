// The studio: which page is shown, and what all pages share.

import { at, get, Problem, signals } from "./api.js";
import { fill, h } from "./dom.js";
import { Draft } from "./draft.js";
import { empty } from "./empty.js";
import { pause } from "./events.js";
import { alertBox, sentence, setLost } from "./notices.js";
import { current, onRoute } from "./router.js";
import { signIn, takeToken } from "./session.js";
import { accountView } from "./view-account.js";
import { createView } from "./view-create.js";
import { galleryView } from "./view-gallery.js";
import { generationView } from "./view-generation.js";
import { pictureView } from "./view-picture.js";
import { signInView } from "./view-signin.js";
import { storiesView } from "./view-stories.js";
import { trendsView } from "./view-trends.js";

/** @typedef {import("./types").View} View @typedef {import("./types").App} App */

const VIEWS = /** @type {Record<string, (app: App, route: import("./types").Route) => View>} */ ({
  create: createView, generation: generationView, gallery: galleryView, picture: pictureView,
  stories: storiesView, styles: trendsView, account: accountView, lost: lostView,
});
const QUICK_MS = 300;

class Studio {
  constructor() {
    this.main = /** @type {HTMLElement} */ (document.getElementById("main"));
    this.stage = h("div"); // the page; hidden, but kept, while somebody signs in
    this.gate = h("div");
    fill(this.main, this.stage, this.gate);
    this.app = this._app();
    /** @type {View | null} */
    this.view = null;
    /** @type {View | null} */
    this.kept = null;
    this.place = "";
    this.signing = false;
  }

  async run() {
    const token = takeToken();
    signals.addEventListener("ended", () => this.signIn());
    signals.addEventListener("changed", () => this.again());
    document.addEventListener("visibilitychange", () => document.hidden || this.again());
    onRoute(() => this.route());
    document.getElementById("skip")?.addEventListener("click", (event) => {
      event.preventDefault(); // the # is the router's
      this.main.focus();
    });
    if (token) await this.exchange(token);
    if (!this.signing) await this.route();
  }

  /** @param {string} token */
  async exchange(token) {
    try {
      this.signed(await signIn(token), false);
    } catch (error) {
      this.signIn(sentence(error));
    }
  }

  /** Show what the address says. @returns {Promise<void>} */
  async route() {
    const token = takeToken();
    if (token) await this.exchange(token);
    const route = current();
    const place = `${route.name} ${route.id}`;
    this._mark(route.name);
    if (this.signing) return;
    if (this.view && place === this.place) return this.view.update?.(route);
    this._leave();
    this.place = place;
    const view = route.name === "create" && this.kept?.busy?.() ? this.kept : VIEWS[route.name](this.app, route);
    this.view = view;
    const first = !this.stage.querySelector("h1");
    const loading = this._load(view);
    await Promise.race([loading, pause(QUICK_MS, new AbortController().signal)]);
    if (this.view !== view) return;
    fill(this.stage, view.element);
    if (this.signing) return;
    document.title = `${view.title} · Likeness`;
    if (!first) this._focus();
    await loading;
    if (this.view === view) view.update?.(current());
  }

  /** Ask the server again: something may have changed. */
  again() {
    if (this.view && !this.signing) this._load(this.view);
  }

  /** @param {string} [why] */
  signIn(why) {
    if (this.signing && !why) return;
    this.signing = true;
    const screen = signInView((same) => this.signed(same, true));
    if (why) screen.alert.show(why);
    this.stage.hidden = true;
    fill(this.gate, screen.element);
    document.title = `${screen.title} · Likeness`;
    this._focus(this.gate);
  }

  /** @param {boolean} same @param {boolean} show */
  signed(same, show) {
    this.signing = false;
    this.stage.hidden = false;
    fill(this.gate);
    if (same && this.view) {
      this.again();
    } else {
      // Perhaps somebody else: nothing of the user before may stay on the page.
      this._leave();
      fill(this.stage);
      this.kept?.destroy?.();
      [this.kept, this.app] = [null, this._app()];
      if (show) this.route();
    }
  }

  _app() {
    return { draft: new Draft(), styles: async () => (await get(at("/v1/styles"))).items };
  }

  _leave() {
    const view = this.view;
    [this.view, this.place] = [null, ""];
    if (view?.busy?.()) this.kept = view;
    else view?.destroy?.();
  }

  /** Load, again and again while the server cannot be reached. @param {View} view */
  async _load(view) {
    const alert = alertBox();
    for (let tries = 1; this.view === view && !this.signing; tries += 1) {
      try {
        await view.load();
        return setLost(view, false);
      } catch (error) {
        const status = error instanceof Problem ? error.status : -1;
        if (status === 401) return;
        if (status !== 0 && status < 500) {
          if (status !== 404) (alert.show(error), this.stage.prepend(alert.element));
          else if (this.view === view) fill(this.stage, lostView().element);
          return setLost(view, false);
        }
        setLost(view, this.view === view);
        await pause(Math.min(15000, 500 * 2 ** tries), new AbortController().signal);
      }
    }
    setLost(view, false);
  }

  /** @param {string} name */
  _mark(name) {
    const shown = name === "generation" ? "create" : name;
    for (const link of document.querySelectorAll("#nav a")) {
      if (/** @type {HTMLElement} */ (link).dataset.route === shown) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  /** @param {Element} [place] */
  _focus(place = this.stage) {
    window.scrollTo(0, 0);
    /** @type {HTMLElement | null} */ (place.querySelector("h1"))?.focus({ preventScroll: true });
  }
}

/** @returns {View} */
function lostView() {
  const page = empty("alert", "There is nothing here", "The page or the avatars that this address was for are gone, or never were.", { href: "#/", label: "To the start page" });
  return { element: h("div", null, h("h1", { tabindex: "-1", class: "visually-hidden" }, "Nothing here"), page), title: "Nothing here", load: async () => null };
}

new Studio().run();
