// What is shown is in the address, behind the #: so back, refresh and bookmarks work.

const PATHS = /** @type {[string, RegExp][]} */ ([
  ["create", /^\/?$/],
  ["generation", /^\/generations\/(\w+)(?:\/(\d+))?$/],
  ["gallery", /^\/gallery()(?:\/(\w+))?$/],
  ["picture", /^\/picture$/],
  ["stories", /^\/stories$/],
  ["styles", /^\/styles$/],
  ["account", /^\/account$/],
]);

let came = 0; // steps that this page itself added to the history

/** @returns {import("./types").Route} */
export function current() {
  const path = location.hash.slice(1);
  for (const [name, pattern] of PATHS) {
    const found = pattern.exec(path);
    if (found) return { name, id: found[1] ?? "", item: found[2] ?? "" };
  }
  return { name: "lost", id: "", item: "" };
}

/** @param {() => unknown} act called whenever the route changes */
export function onRoute(act) {
  window.addEventListener("hashchange", act);
}

/** @param {string} path */
export function go(path) {
  came += 1;
  location.hash = path;
}

/** Go there in place of where we are. @param {string} path */
export function replace(path) {
  history.replaceState(null, "", `#${path}`);
  window.dispatchEvent(new Event("hashchange"));
}

/** Leave an enlarged avatar: one step back if the page itself came here, so that the history does not grow. @param {string} path */
export function leave(path) {
  if (came > 0) {
    came -= 1;
    history.back();
  } else {
    replace(path);
  }
}
