// The photos that are chosen, each with what the browser and the server say of it.

import { at, call, Problem } from "./api.js";
import { isPicture, look } from "./pixels.js";

export const FEWEST = 3;
export const MOST = 10;
const FAIR = 0.45;

/**
 * @typedef {object} Photo
 * @property {number} id
 * @property {File} file
 * @property {import("./pixels.js").Look | null} look
 * @property {"reading" | "checking" | "good" | "fair" | "unchecked" | "bad"} state
 * @property {string} words
 */

const WORDS = {
  reading: "Opening…",
  checking: "Checking…",
  good: "Good photo",
  dark: "Works, but a brighter photo gives better avatars.",
  weak: "Works, but a sharper photo, taken from nearer, gives better avatars.",
  unchecked: "Not checked yet. It is checked when you start.",
};

export class Photos extends EventTarget {
  constructor() {
    super();
    /** @type {Photo[]} */
    this.items = [];
    this.note = "";
    /** @type {File[]} */
    this._waiting = [];
    this._number = 0;
    this._checking = false;
  }

  /** Those that would be uploaded. */
  get usable() {
    return this.items.filter((photo) => photo.state !== "bad");
  }

  get settled() {
    return this.items.every((photo) => photo.state !== "reading" && photo.state !== "checking");
  }

  /** Take as many as there is room for; the others step in for those that are refused. @param {File[]} files */
  add(files) {
    const known = new Set(this.items.map((photo) => identity(photo.file)));
    const pictures = files.filter((file) => isPicture(file) && !known.has(identity(file)) && known.add(identity(file)));
    const others = files.filter((file) => !isPicture(file)).length;
    const room = MOST - this.usable.length;
    this.note = [
      others ? `${others === 1 ? "One file is not a picture and was" : `${others} files are not pictures and were`} left out.` : "",
      pictures.length > room ? `${MOST} photos are the most: of these ${files.length} files, the first usable ones are taken.` : "",
    ].join(" ").trim();
    this._waiting = pictures;
    this._fill();
  }

  /** @param {Photo} photo */
  remove(photo) {
    this._waiting = [];
    this.note = "";
    this.items = this.items.filter((each) => each !== photo);
    this._tell();
  }

  clear() {
    this.items = [];
    this._waiting = [];
    this.note = "";
    this._tell();
  }

  /** What an upload's refusal says of photos, by their place in it. @param {Photo[]} sent @param {Problem} problem */
  refuse(sent, problem) {
    for (const bad of problem.photos) if (sent[bad.index]) this._settle(sent[bad.index], "bad", bad.message);
  }

  _fill() {
    while (this._waiting.length && this.usable.length < MOST) {
      const file = /** @type {File} */ (this._waiting.shift());
      const photo = /** @type {Photo} */ ({ id: ++this._number, file, look: null, state: "reading", words: WORDS.reading });
      this.items.push(photo);
      this._read(photo);
    }
    this._tell();
  }

  /** @param {Photo} photo */
  async _read(photo) {
    await (this._reading = (this._reading ?? Promise.resolve()).then(async () => (photo.look = await look(photo.file)))
      .catch(() => (photo.look = { thumbnail: null, dark: false, file: photo.file, copy: photo.file })));
    this._settle(photo, "checking", WORDS.checking);
    if (!this._checking) this._check();
  }

  /** One after the other: so the server wants it. */
  async _check() {
    this._checking = true;
    for (let photo; (photo = this.items.find((each) => each.state === "checking" && each.look)); ) {
      try {
        const body = photo.look?.copy ?? photo.file;
        const headers = { "Content-Type": body.type.startsWith("image/") ? body.type : "application/octet-stream" };
        const { quality } = await call("POST", at("/v1/photos/check"), { body, headers });
        const weak = photo.look?.dark ? WORDS.dark : quality < FAIR ? WORDS.weak : "";
        this._settle(photo, weak ? "fair" : "good", weak || WORDS.good);
      } catch (error) {
        const refused = error instanceof Problem && (error.status === 422 || error.status === 413);
        this._settle(photo, refused ? "bad" : "unchecked", refused ? error.message : WORDS.unchecked);
      }
    }
    this._checking = false;
  }

  /** @param {Photo} photo @param {Photo["state"]} state @param {string} words */
  _settle(photo, state, words) {
    Object.assign(photo, { state, words });
    if (state === "bad") this._fill();
    else this._tell();
  }

  _tell() {
    this.dispatchEvent(new Event("change"));
  }
}

/** @param {File} file */
const identity = (file) => `${file.name} ${file.size} ${file.lastModified}`;
