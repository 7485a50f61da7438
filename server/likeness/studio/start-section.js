// Step 3: what happens with the photos, consent, today's quota, and the one button; then the upload's progress.

import { Problem } from "./api.js";
import { countdown, count, everySecond, moment, now, span, until } from "./clock.js";
import { button, fill, h, icon, setEnabled, setText } from "./dom.js";
import { alertBox, say } from "./notices.js";
import { FEWEST } from "./photos.js";
import { newKey, send } from "./upload.js";

/** @param {import("./draft.js").Draft} draft @param {(generation: import("./types").GenerationView) => void} accepted @param {() => unknown} changed the policy */
export function startSection(draft, accepted, changed) {
  /** @type {import("./types").Policy | null} */
  let policy = null;
  /** @type {import("./types").Quota | null} */
  let quota = null;
  /** @type {AbortController | null} */
  let sending = null;
  const facts = h("ol", { class: "facts" });
  const whole = h("p", null);
  const box = h("input", { type: "checkbox", id: "consent", data: { testid: "consent" }, onchange: () => tell() });
  const hint = h("p", { class: "hint", id: "start-hint", data: { testid: "start-hint" } });
  const left = h("span", { data: { testid: "quota" } });
  const alert = alertBox();
  const go = button({ label: "Draw my avatars", kind: "main large", test: "start" }, start);
  const goWords = go.querySelector("span");
  go.setAttribute("aria-describedby", "start-hint");
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Sending photos" });
  const sent = h("p", { class: "sent" });
  const stop = button({ label: "Cancel" }, () => sending?.abort());
  const progress = h("div", { class: "sending", hidden: true, data: { testid: "sending" } }, sent, stop, bar);
  const element = h("section", { class: "step start", "aria-labelledby": "step-start" },
    h("div", { class: "promise" },
      h("h2", { id: "step-start", tabindex: "-1" }, "Agree and start"), facts,
      h("details", null, h("summary", null, "The policy in full"), whole)),
    h("div", { class: "launch" },
      h("label", { class: "consent", for: "consent" }, box, h("span", null, "I agree to the policy. The photos show me, or somebody who has agreed.")),
      alert.element, h("div", { class: "launch-button" }, go, progress), hint, h("p", { class: "quota" }, icon("clock"), left)));

  /** What is missing, and where. @returns {[string, string] | null} */
  function missing() {
    const short = FEWEST - draft.photos.usable.length;
    if (short > 0) return [`Add ${draft.photos.items.length ? `${short} more` : `at least ${FEWEST}`} ${short === 1 ? "photo" : "photos"}.`, "step-photos"];
    if (draft.photos.items.some((photo) => photo.state === "reading")) return ["Wait until the photos are open.", "step-photos"];
    if (!draft.styles?.size) return ["Choose at least one style.", "step-styles"];
    if (!policy) return ["Wait until the policy is here.", "step-start"];
    if (!box.checked) return ["Agree to the policy.", "consent"];
    return null;
  }

  function tell() {
    const out = quota?.remaining === 0;
    const lack = missing();
    setText(goWords, out ? "Used up for today" : "Draw my avatars");
    setEnabled(go, !out && !sending);
    const ready = `${count(draft.photos.usable.length, "photo")}, ${count(draft.styles?.size ?? 0, "style")}.`;
    setText(hint, out ? "" : lack ? lack[0] : ready);
    if (quota) {
      const again = `${moment(quota.resets_at)}, in ${countdown(until(quota.resets_at))}`;
      setText(left, out
        ? `You have used today's ${quota.limit === 1 ? "generation" : `${quota.limit} generations`}. New ones at ${again}.`
        : `${quota.remaining} of ${count(quota.limit, "generation")} left today. New ones at ${again}.`);
    }
  }

  async function start() {
    alert.clear();
    const lack = missing();
    if (lack || !policy) {
      alert.show(lack?.[0] ?? "");
      document.getElementById(lack?.[1] ?? "")?.focus();
      return;
    }
    const photos = draft.photos.usable;
    const upload = { photos: photos.map((each) => each.look?.file ?? each.file), styles: [...(draft.styles ?? [])], consent: policy.version, key: (draft.key ||= newKey()) };
    sending = new AbortController();
    show(true);
    /** @type {unknown} */
    let failure = null;
    try {
      accepted(await send(upload, follow, sending.signal));
    } catch (error) {
      failure = error;
    }
    sending = null;
    show(false);
    if (failure) refused(failure, photos);
  }

  /** @param {number} share */
  function follow(share) {
    bar.value = share;
    const words = share < 1 ? `Sending photos: ${Math.floor(share * 100)}%` : "Photos sent. Looking for the face in each…";
    sent.textContent = words;
    if (share === 1) bar.removeAttribute("value"), say(words);
  }

  /** @param {boolean} is */
  function show(is) {
    window.onbeforeunload = is ? (event) => event.preventDefault() : null;
    go.hidden = is;
    progress.hidden = !is;
    if (is) (follow(0), stop.focus());
    for (const step of document.querySelectorAll(".step")) if (step !== element) step.toggleAttribute("inert", is);
    box.disabled = is;
    tell();
    if (!is && element.isConnected) go.focus();
  }

  /** @param {unknown} error @param {import("./photos.js").Photo[]} photos */
  function refused(error, photos) {
    if (error instanceof DOMException || (error instanceof Problem && error.status === 401)) return;
    if (error instanceof Problem && error.photos.length) {
      draft.photos.refuse(photos, error);
      alert.show(`${error.photos.length === 1 ? "One photo" : `${error.photos.length} photos`} cannot be used. See the words next to ${error.photos.length === 1 ? "it" : "them"}, then start again.`);
      document.getElementById("step-photos")?.focus();
    } else if (error instanceof Problem && error.code === "consent_required") {
      box.checked = false;
      changed();
      alert.show("The policy has changed since you agreed. Read it, and agree again.");
    } else {
      alert.show(error);
      if (error instanceof Problem && error.code === "quota_exceeded" && quota) quota = { ...quota, remaining: 0 };
      tell();
    }
  }

  draft.addEventListener("change", tell);
  const stopTicking = everySecond(() => {
    if (quota && now() > Date.parse(quota.resets_at)) quota = { ...quota, remaining: quota.limit, resets_at: new Date(Date.parse(quota.resets_at) + 86400000).toISOString() };
    tell();
  });
  return {
    element,
    busy: () => sending !== null,
    /** @param {import("./types").Policy} found @param {import("./types").Quota} today */
    show(found, today) {
      [policy, quota] = [found, today];
      const gone = found.photos_deleted_after_s ? `${span(found.photos_deleted_after_s)} after the drawing` : "As soon as all is drawn";
      fill(facts,
        found.faces_compared && fact("user", "Before the drawing", "the faces in your photos are compared with each other, to leave out photos of somebody else. Nothing of that is stored."),
        fact("shield", gone, `your photos are deleted, and within ${span(found.photos_live_at_most_s)} of the upload whatever happens. Until then they are encrypted.`),
        fact("heart", `${span(found.unsaved_avatars_live_s)} later`, "avatars that you have not saved are deleted. Saved ones stay in your gallery."),
        fact("receipt", "At any time", "you can delete everything. You get a signed receipt for what was deleted, and when."));
      whole.textContent = `${found.text} (Version ${found.version})`;
      tell();
    },
    destroy() {
      sending?.abort();
      stopTicking();
      draft.removeEventListener("change", tell);
    },
  };
}

/** @param {string} symbol @param {string} when @param {string} what */
const fact = (symbol, when, what) => h("li", null, icon(symbol), h("p", null, h("strong", null, when), " ", what));
