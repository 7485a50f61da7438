// The head of a generation's page: what is happening, how far it is, and the way out.

import { change } from "./api.js";
import { count, moment } from "./clock.js";
import { confirm } from "./dialogs.js";
import { button, h, setText } from "./dom.js";
import { isRunning } from "./generation.js";
import { say } from "./notices.js";

const REASONS = /** @type {Record<string, string>} */ ({
  too_few_avatars: "Too few avatars could be drawn.",
  too_late: "The drawing took longer than photos may be kept, so they were deleted.",
  gave_up: "The drawing was begun several times and did not end.",
});

/** @param {import("./generation.js").Generation} generation */
export function progressPanel(generation) {
  const title = h("h1", { tabindex: "-1" }, "Your avatars");
  const words = h("p", { class: "lead", data: { testid: "progress-words" } });
  const bar = h("progress", { "aria-label": "Avatars drawn", value: 0, max: 1, data: { testid: "progress" } });
  const cancel = button({ label: "Cancel", kind: "plain", test: "cancel" }, () =>
    confirm("Cancel this drawing?", "Photos and avatars are deleted at once. Before the first avatar, today's generation is given back.", "Cancel the drawing", async () => {
      await change("DELETE", generation.path);
      await generation.load();
    }));
  const again = h("a", { class: "button plain", href: "#/" }, "Make more avatars");
  const gallery = h("a", { class: "button plain", href: "#/gallery" }, "Gallery");
  const element = h("header", { class: "progress-head" }, h("div", null, title, words), h("div", { class: "buttons" }, cancel, gallery, again), bar);
  let told = -1;

  function tick() {
    const { view } = generation;
    const { drawn, of } = view.progress;
    const seconds = generation.secondsLeft;
    const left = seconds === null ? "" : seconds < 1 ? ", almost done" : `, about ${about(seconds)} left`;
    if (view.status === "rendering") set("Drawing your avatars", `${drawn} of ${of}${left}`);
    else if (view.status === "queued") set("Waiting for your turn", `${turn(view.position)}${seconds ? `, all drawn in about ${about(seconds)}` : ""}`);
    else set(...ended(view));
    document.title = view.status === "rendering" ? `${drawn} of ${of} · Likeness` : `${title.textContent} · Likeness`;
  }

  /** @param {string} heading @param {string} text */
  function set(heading, text) {
    setText(title, heading);
    setText(words, text);
  }

  function show() {
    const { view } = generation;
    const running = isRunning(view);
    bar.max = view.progress.of;
    bar.value = view.progress.drawn;
    element.toggleAttribute("data-running", running);
    cancel.hidden = !running;
    again.hidden = running;
    gallery.hidden = running || !view.avatars.some((avatar) => avatar.saved_as);
    tick();
    // A word at every third and at the end, not at every avatar.
    const third = Math.floor((3 * view.progress.drawn) / view.progress.of);
    if (running && third !== told) say(`${title.textContent}: ${view.progress.drawn} of ${view.progress.of}.`);
    if (!running && told >= 0) say(words.textContent);
    told = running ? third : -1;
  }
  return { element, show, tick: () => generation.view && tick() };
}

/** @param {import("./types").GenerationView} view @returns {[string, string]} */
function ended(view) {
  const kept = view.avatars.filter((avatar) => avatar.state === "ready").length;
  const saved = view.avatars.filter((avatar) => avatar.saved_as).length;
  const lost = view.avatars.filter((avatar) => avatar.state === "failed" || avatar.state === "refused").length;
  const without = lost ? ` ${count(lost, "avatar")} could not be drawn.` : "";
  if (view.status === "failed") return ["The drawing failed", `${REASONS[view.reason ?? ""] ?? "Something failed on our side."} ${kept ? "Those that were drawn are here." : "Try again with other photos."}`];
  if (view.status === "cancelled") return ["Cancelled", "Photos and unsaved avatars are deleted."];
  if (view.status === "expired") return ["These avatars have gone", saved ? "Their time is over. Those that you saved are here and in your gallery." : "Their time is over, and none was saved."];
  if (kept) return ["Your avatars", `${count(kept + saved, "avatar")}, drawn at ${moment(view.ended_at ?? view.created_at)}. Keep the ones that you like.${without}`];
  return ["Your avatars", saved ? `All is chosen: ${count(saved, "avatar")} saved.` : "All avatars are discarded."];
}

/** @param {number | null} ahead */
const turn = (ahead) => (ahead ? `${count(ahead, "generation")} before yours` : "Yours is next");

/** @param {number} seconds */
const about = (seconds) => (seconds < 90 ? `${Math.max(1, Math.round(seconds))} s` : `${Math.round(seconds / 60)} min`);
