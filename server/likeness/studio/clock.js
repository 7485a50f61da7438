// The server's time, whatever this device's clock says, and what runs out, in words.

let ahead = 0; // milliseconds by which the server's clock is ahead of ours
/** @type {Set<() => unknown>} */
const ticking = new Set();

/** Set our clock by a Date header, which has whole seconds. @param {string | null} header */
export function setClock(header) {
  const difference = Date.parse(header ?? "") - Date.now();
  ahead = Math.abs(difference) > 2000 ? difference : 0;
}

/** Milliseconds since 1970. */
export const now = () => Date.now() + (Number.isNaN(ahead) ? 0 : ahead);

/** Milliseconds until a time of the server's. @param {string} time */
export const until = (time) => Date.parse(time) - now();

/** Call something every second from now on. @param {() => unknown} act @returns {() => void} stops it */
export function everySecond(act) {
  ticking.add(act);
  act();
  return () => ticking.delete(act);
}

setInterval(() => ticking.forEach((act) => act()), 1000);

/** "4:12" under an hour, "23 h 59 min" under two days, then days. @param {number} ms */
export function countdown(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}:${String(seconds % 60).padStart(2, "0")}`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} days`;
}

/** "5 minutes", "24 hours", "2 days". @param {number} seconds */
export function span(seconds) {
  seconds = Math.round(seconds);
  for (const [size, name] of /** @type {[number, string][]} */ ([[172800, "day"], [3600, "hour"], [60, "minute"]])) {
    const unit = size === 172800 ? 86400 : size;
    if (seconds >= size && seconds % unit === 0) return count(seconds / unit, name);
  }
  return count(seconds, "second");
}

/** "1 photo", "3 photos". @param {number} number @param {string} thing @param {string} [things] */
export const count = (number, thing, things = `${thing}s`) => `${number} ${number === 1 ? thing : things}`;

/** The time of day, with the day unless it is today. @param {string} time @param {boolean} [seconds] */
export function moment(time, seconds = false) {
  const date = new Date(time);
  const today = date.toDateString() === new Date().toDateString();
  const day = today ? {} : /** @type {const} */ ({ day: "numeric", month: "short" });
  const exact = seconds ? /** @type {const} */ ({ second: "2-digit" }) : {};
  return date.toLocaleString("en-GB", { ...day, hour: "2-digit", minute: "2-digit", ...exact });
}
