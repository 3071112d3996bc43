/** A candidate in three planes, as the network sees it, with a map of its reasons laid over. */

import { Planes } from "labelling:planes.js";

const ENDS = [0.001, 0.999]; // shares of the voxels that are below black and above white
const FOR = [230, 97, 0]; // orange, for a cell; told apart from blue with every kind of sight
const AGAINST = [26, 133, 255];
const MOST_COVER = 0.85; // of the strongest voxel

/** The planes through the middle of one cube on the network's grid. */
export class CubePlanes extends Planes {
  /**
   * @param {Float32Array} cube (channel, z, y, x)
   * @param {object} card
   */
  constructor(cube, card) {
    const codes = [];
    const ends = card.channels.map((_, channel) => {
      const size = cube.length / card.channels.length;
      const own = cube.subarray(channel * size, (channel + 1) * size);
      const { values, black, white } = encodePlanes(takePlanes(own, card.cube_shape));
      codes.push(...values);
      return [black, white];
    });
    super({
      frame: { pixels: card.cube_shape, pixel_size: card.voxel_size, record: 0 },
      channels: card.channels,
      codes: "",
      black: ends.map(([black]) => black),
      white: ends.map(([, white]) => white),
    });
    this.recent.set(0, Uint8Array.from(codes));
    this.map = null;
    this.cover = 1;
    this.shape = card.cube_shape;
  }

  /**
   * Lay a map over the planes.
   * @param {Float32Array|null} map (z, y, x)
   * @param {number} cover 0 to 1
   */
  setMap(map, cover) {
    this.map = map && takePlanes(map, this.shape);
    this.strongest = map ? map.reduce((most, v) => Math.max(most, Math.abs(v)), 0) || 1 : 1;
    this.cover = cover * MOST_COVER;
  }

  drawPlane(row, channel, plane, look) {
    const canvas = super.drawPlane(row, channel, plane, look);
    if (!this.map) return canvas;
    const context = canvas.getContext("2d");
    const image = context.getImageData(0, 0, canvas.width, canvas.height);
    this.map[plane].forEach((value, i) => {
      const share = this.cover * Math.sqrt(Math.abs(value) / this.strongest);
      const colour = value > 0 ? FOR : AGAINST;
      for (let c = 0; c < 3; c++) {
        image.data[4 * i + c] = (1 - share) * image.data[4 * i + c] + share * colour[c];
      }
    });
    context.putImageData(image, 0, 0);
    return canvas;
  }
}

/**
 * Take the planes y x, z x and y z through the middle voxel.
 * @param {Float32Array} voxels
 * @param {number[]} shape z y x
 * @returns {number[][]}
 */
export function takePlanes(voxels, [depth, height, width]) {
  const [z, y, x] = [depth, height, width].map((n) => Math.floor(n / 2));
  const at = (k, j, i) => voxels[(k * height + j) * width + i];
  const plane = (rows, columns, pick) =>
    Array.from({ length: rows * columns }, (_, n) => pick(Math.floor(n / columns), n % columns));
  return [
    plane(height, width, (j, i) => at(z, j, i)),
    plane(depth, width, (k, i) => at(k, y, i)),
    plane(height, depth, (j, k) => at(k, j, x)),
  ];
}

/** Encode pixels as `planes.py` does: 1 to 255, by the square root between black and white. */
function encodePlanes(planes) {
  const pixels = planes.flat();
  const sorted = Float64Array.from(pixels).sort();
  const pick = (share) => sorted[Math.round(share * (sorted.length - 1))];
  const black = pick(ENDS[0]);
  const white = Math.max(pick(ENDS[1]), black + Math.max(1e-6 * Math.abs(black), 1e-30));
  const values = pixels.map((pixel) =>
    1 + Math.round(254 * Math.sqrt(Math.min(Math.max((pixel - black) / (white - black), 0), 1))));
  return { values, black, white };
}
