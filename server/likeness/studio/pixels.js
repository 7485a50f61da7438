// What this browser can see of a photo: a thumbnail, how dark it is, and a smaller copy to have it checked by.

const THUMBNAIL = 256;
// What the server itself looks at: a larger picture would be sent for nothing.
const COPY_SIDE = 2048;
const WORTH_A_COPY = 1_500_000;
const DARK = 50; // mean of 0..255
const TAKEN = ["image/jpeg", "image/png", "image/webp", "image/avif"];
const HEIC = /\.(heic|heif)$/i;

/**
 * @typedef {object} Look
 * @property {HTMLCanvasElement | null} thumbnail null where the browser cannot decode the file
 * @property {boolean} dark
 * @property {Blob} file what to upload: the file itself, or a JPEG of a HEIC that this browser can decode
 * @property {Blob} copy what to have checked
 */

/** @param {File} file @returns {Promise<Look>} */
export async function look(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    return { thumbnail: null, dark: false, file, copy: file };
  }
  try {
    const heic = HEIC.test(file.name) || /hei[cf]/.test(file.type);
    const usable = heic ? await jpeg(bitmap, 4096) : file;
    const large = usable.size > WORTH_A_COPY && Math.max(bitmap.width, bitmap.height) > COPY_SIDE;
    const copied = large && (heic || TAKEN.includes(file.type));
    const thumbnail = cover(bitmap, THUMBNAIL);
    return { thumbnail, dark: light(thumbnail) < DARK, file: usable, copy: copied ? await jpeg(bitmap, COPY_SIDE) : usable };
  } finally {
    bitmap.close();
  }
}

/** Whether a file says that it is a picture; some browsers know no type for HEIC. @param {File} file */
export const isPicture = (file) => file.type.startsWith("image/") || HEIC.test(file.name);

/** @param {number} width @param {number} height */
function canvas(width, height) {
  const element = document.createElement("canvas");
  [element.width, element.height] = [width, height];
  return element;
}

/** The middle square, a little above the middle of tall ones, where faces are. @param {ImageBitmap | HTMLCanvasElement} picture @param {number} side */
function cover(picture, side) {
  const square = canvas(side, side);
  const edge = Math.min(picture.width, picture.height);
  const pen = /** @type {CanvasRenderingContext2D} */ (square.getContext("2d", { willReadFrequently: true }));
  pen.imageSmoothingQuality = "high";
  pen.drawImage(picture, (picture.width - edge) / 2, (picture.height - edge) * 0.35, edge, edge, 0, 0, side, side);
  return square;
}

/** Mean luminance 0..255. @param {HTMLCanvasElement} picture */
function light(picture) {
  const small = cover(picture, 16);
  const pixels = /** @type {CanvasRenderingContext2D} */ (small.getContext("2d")).getImageData(0, 0, 16, 16).data;
  let sum = 0;
  for (let at = 0; at < pixels.length; at += 4) sum += 0.2126 * pixels[at] + 0.7152 * pixels[at + 1] + 0.0722 * pixels[at + 2];
  return sum / 256;
}

/** @param {ImageBitmap} bitmap @param {number} most pixels of the longer side @returns {Promise<Blob>} */
function jpeg(bitmap, most) {
  const scale = Math.min(1, most / Math.max(bitmap.width, bitmap.height));
  const picture = canvas(Math.round(bitmap.width * scale), Math.round(bitmap.height * scale));
  const pen = /** @type {CanvasRenderingContext2D} */ (picture.getContext("2d"));
  pen.fillStyle = "white"; // what the server puts behind transparent parts, too
  pen.fillRect(0, 0, picture.width, picture.height);
  pen.drawImage(bitmap, 0, 0, picture.width, picture.height);
  return new Promise((resolve, reject) =>
    picture.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no JPEG"))), "image/jpeg", 0.92));
}
