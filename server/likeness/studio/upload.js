// Sending the photos. XMLHttpRequest, since fetch does not tell how much has been sent.

import { at, Problem, refusal } from "./api.js";
import { pause } from "./events.js";
import { setLost } from "./notices.js";

const TRIES = 6;

/** @typedef {{photos: Blob[], styles: string[], consent: string, key: string}} Upload */

/**
 * The generation that an upload makes; raises Problem. It is sent again after a lost connection: the key, which the
 * server knows it by, makes sure that there is one generation in the end.
 * @param {Upload} upload @param {(share: number) => void} progress @param {AbortSignal} signal @returns {Promise<any>}
 */
export async function send(upload, progress, signal) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await sendOnce(upload, progress, signal);
    } catch (error) {
      if (!(error instanceof Problem) || tries === TRIES || !passing(error)) throw error;
      setLost(upload, error.status === 0);
      await pause(error.retryS * 1000 || tries * 1500, signal);
    } finally {
      if (signal.aborted || tries === TRIES) setLost(upload, false);
    }
  }
}

/** A key for one attempt. */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Whether the same upload may do better in a moment: no connection, or the one before has not quite ended. @param {Problem} problem */
function passing(problem) {
  return problem.status === 0 || ["request_in_progress", "upload_in_progress"].includes(problem.code);
}

/** @param {Upload} upload @param {(share: number) => void} progress @param {AbortSignal} signal @returns {Promise<any>} */
function sendOnce(upload, progress, signal) {
  const form = new FormData();
  upload.photos.forEach((photo, index) => form.append("photos", photo, `photo-${index + 1}`)); // names are nobody's business
  upload.styles.forEach((style) => form.append("styles", style));
  form.append("consent", upload.consent);
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(new DOMException("given up", "AbortError"));
    const request = new XMLHttpRequest();
    request.open("POST", at("/v1/generations"));
    request.setRequestHeader("Idempotency-Key", upload.key);
    request.upload.onprogress = (event) => progress(event.loaded / (event.total || 1));
    request.onload = () => {
      setLost(upload, false);
      if (request.status === 202) resolve(JSON.parse(request.responseText));
      else reject(refusal(request.status, request.responseText, request.getResponseHeader("Retry-After")));
    };
    request.onerror = () => reject(new Problem(0));
    request.onabort = () => reject(new DOMException("given up", "AbortError"));
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(form);
  });
}
