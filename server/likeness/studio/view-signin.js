// Signing in again, when the session has ended or never was.

import { button, h } from "./dom.js";
import { alertBox, guarded } from "./notices.js";
import { signIn } from "./session.js";

/** @param {(same: boolean) => void} done called with whether it is surely the same user as before */
export function signInView(done) {
  const alert = alertBox();
  const field = h("textarea", { id: "token", rows: 3, autocomplete: "off", spellcheck: "false" });
  const go = button({ label: "Sign in", kind: "main", test: "sign-in" }, () => guarded(alert, async () => {
    const token = field.value.trim().replace(/^Bearer\s+/i, "");
    if (!token) return alert.show("Paste a token first.");
    try {
      done(await signIn(token));
    } catch (error) {
      alert.show(error);
    }
  }));
  const element = h("section", { class: "sign-in card", "aria-labelledby": "sign-in", data: { testid: "sign-in-screen" } },
    h("h1", { id: "sign-in", tabindex: "-1" }, "Sign in"),
    h("p", { class: "lead" }, "Your session has ended, or has not begun. Open the studio again from the app that brought you here. What you chose stays on this page."),
    h("details", null, h("summary", null, "I have a token"),
      h("label", { for: "token" }, "Token"), field, h("div", { class: "buttons" }, go)),
    alert.element);
  return { element, title: "Sign in", alert };
}
