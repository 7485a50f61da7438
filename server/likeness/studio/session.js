// Who is asking. The platform hands over a bearer token, here it becomes a cookie that scripts cannot read.

import { at, call } from "./api.js";

let subject = ""; // whose token came last, to tell whether the next one is somebody else's

/** The token in the address (`/#token=...`), which is taken out of it, and of the history, at once. */
export function takeToken() {
  const found = /^#token=(.+)$/.exec(location.hash);
  if (!found) return "";
  history.replaceState(null, "", `${location.pathname}#/`);
  return decodeURIComponent(found[1]);
}

/** Begin a session; raises Problem. Answers whether it is surely the same user's as the one before. @param {string} token */
export async function signIn(token) {
  await call("POST", at("/v1/session"), { headers: { Authorization: `Bearer ${token}` } });
  const before = subject;
  subject = subjectOf(token);
  return before !== "" && before === subject;
}

/** @param {string} token */
function subjectOf(token) {
  try {
    const claims = JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
    return `${claims.iss} ${claims.sub}`;
  } catch {
    return "";
  }
}
