/** A volume from a file: a TIFF stack or a NumPy array. */

import { readNpy } from "./npy.js";
import { Problem } from "./problem.js";
import { readTiff } from "./tiff.js";

const MOST_CHANNELS = 2;

/**
 * @typedef {object} Volume
 * @property {string} name of the file
 * @property {{shape: number[], data: ArrayLike<number>}[]} channels of one shape, each z y x
 * @property {number[]|null} voxelSize z y x, um, if the file states it
 */

/**
 * Read a volume.
 * @param {File} file
 * @returns {Promise<Volume>}
 */
export async function readVolume(file) {
  let buffer;
  try {
    buffer = await file.arrayBuffer();
  } catch {
    throw new Error(`${file.name} cannot be read: it has moved, or is too large for the browser. ` +
      "Give a crop of it.");
  }
  const head = String.fromCharCode(...new Uint8Array(buffer.slice(0, 6)));
  try {
    if (head === "\x93NUMPY") return { name: file.name, ...asChannels(readNpy(buffer)) };
    if (/^(II[*+]\0|MM\0[*+])/.test(head)) return { name: file.name, ...(await readTiff(buffer)) };
  } catch (error) {
    const reason = error instanceof Problem ? error.message :
      `The file cannot be decoded (${error.message}). Copy it again, or save it uncompressed.`;
    throw new Error(`${file.name}: ${reason}`);
  }
  throw new Error(`${file.name} is neither a TIFF nor a .npy file. Save the volume as one of these.`);
}

/**
 * Split an array into channels.
 * @param {{shape: number[], data: ArrayLike<number>}} array (z, y, x) or (channel, z, y, x)
 */
export function asChannels({ shape, data }) {
  const sides = shape.length === 5 && shape[0] === 1 ? shape.slice(1) : shape; // a batch of one
  const [count, zyx] = sides.length === 4 ? [sides[0], sides.slice(1)] : [1, sides];
  if (zyx.length !== 3 || count < 1 || count > MOST_CHANNELS || zyx.includes(0)) {
    throw new Problem(`The array is (${shape.join(", ")}); expected (z, y, x), or (channel, z, y, x) ` +
      `with at most ${MOST_CHANNELS} channels.`);
  }
  const size = zyx.reduce((a, b) => a * b, 1);
  const channels = Array.from({ length: count }, (_, channel) =>
    ({ shape: zyx, data: data.subarray(channel * size, (channel + 1) * size) }));
  return { channels, voxelSize: null };
}
