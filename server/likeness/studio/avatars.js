// What can be done with an avatar, wherever it is shown.

import { at, change, send } from "./api.js";
import { count, span } from "./clock.js";
import { toast } from "./notices.js";
import { askCaption } from "./dialogs.js";

/** "pop-art" as people write it. @param {string} name */
export const written = (name) => (name.charAt(0).toUpperCase() + name.slice(1)).replaceAll("-", " ");

/** @param {string} url @param {number | "full"} [side] */
export const sized = (url, side = "full") => `${url}?size=${side}`;

/** @param {string} path a generation's @param {number[] | "all"} avatars @returns {Promise<{index: number, avatar: string}[]>} */
export async function save(path, avatars) {
  const { items } = await change("POST", `${path}/save`, { avatars });
  return items;
}

/** @param {string} path a generation's @param {number[] | "all"} avatars */
export async function discard(path, avatars) {
  const { items } = await change("POST", `${path}/discard`, { avatars });
  toast(`${count(items.length, "avatar")} discarded and deleted.`);
}

/** @param {string} saved */
export async function setPicture(saved) {
  await change("PUT", at("/v1/profile/picture"), { avatar: saved });
  toast("This is your profile picture now.", { href: "#/picture", label: "Look at it" });
}

/** Ask for a caption, then post; answers whether it was posted. @param {string} saved @param {string} image */
export async function postStory(saved, image) {
  return askCaption(image, async (caption) => {
    const story = await change("POST", at("/v1/stories"), { avatar: saved, caption });
    const seconds = Math.round((Date.parse(story.until) - Date.parse(story.posted_at)) / 1000);
    toast(`Posted. Everybody with the link can see it for ${span(seconds)}.`, { href: "#/stories", label: "Your stories" });
  });
}

/** @param {string} saved */
export const deleteSaved = (saved) => change("DELETE", at(`/v1/gallery/${saved}`));

/** @param {import("./types").Shown} shown @param {"jpeg" | "png" | "webp"} format */
export async function download(shown, format) {
  const response = await send("GET", sized(shown.image), { headers: { Accept: `image/${format}` } });
  hand(await response.blob(), `${shown.style}-${shown.look}.${format}`);
}

/** All saved avatars as one file. */
export async function downloadAll() {
  const response = await send("GET", at("/v1/gallery/export"));
  hand(await response.blob(), "avatars.zip");
}

/** Give a file to the browser's downloads. @param {Blob} blob @param {string} name */
export function hand(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
