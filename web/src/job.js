/** One classification: volumes, voxel size and candidates, cut for one artifact. */

import { Grid, measureScale } from "./grid.js";
import { answerTogether } from "./statistics.js";

export const [OK, EDGE, OUTSIDE, EMPTY] = ["", "at the edge", "outside", "no data"];

/** The candidates of a volume and their answers. */
export class Job {
  /**
   * @param {{card: object, head: object|null}} artifact
   * @param {{shape: number[], data: ArrayLike<number>}[]} channels
   * @param {number[]} voxelSize z y x, um
   * @param {number[][]} zyx candidates, voxels
   */
  constructor({ card, head }, channels, voxelSize, zyx) {
    const needed = card.channels.length;
    if (channels.length < needed) {
      throw new Error("This model takes signal and background. Give the background too.");
    }
    const [first, second] = channels;
    if (needed > 1 && String(first.shape) !== String(second.shape)) {
      throw new Error(`The signal has ${first.shape.join(" x ")} voxels, the background ` +
        `${second.shape.join(" x ")} (z y x); expected the same.`);
    }
    Object.assign(this, { card, head, zyx });
    this.channels = channels.slice(0, needed);
    this.grid = new Grid(card, voxelSize);
    this.size = needed * card.cube_shape.reduce((a, b) => a * b, 1);
    this.starts = zyx.map((point) => this.grid.start(point));
    this.scales = this.channels.map((channel) =>
      (card.normalisation === "dataset" ? measureScale(channel) : null));
    this.flags = this.starts.map((start, row) => this.judge(start, zyx[row], first.shape));
    this.probabilities = zyx.map(() => NaN);
  }

  judge(start, point, shape) {
    if (this.grid.isInside(start, shape)) return OK;
    const isOutside = point.some((n, axis) => {
      const nearest = Math.floor(n + 0.5);
      return nearest < 0 || nearest >= shape[axis];
    });
    return isOutside && !this.grid.overlaps(start, shape) ? OUTSIDE : EDGE;
  }

  /**
   * Cut the cube of a candidate, for the network.
   * @param {number} row
   * @param {Float32Array} out overwritten
   */
  cut(row, out) {
    const size = this.size / this.channels.length;
    const isFinite = this.channels.map((channel, i) =>
      this.grid.cut(channel, this.starts[row], this.scales[i], out.subarray(i * size, (i + 1) * size)));
    if (!isFinite.every(Boolean)) this.flags[row] = EMPTY;
  }

  /** @param {number} row */
  cubeOf(row) {
    const cube = new Float32Array(this.size);
    this.cut(row, cube);
    return cube;
  }

  /**
   * Classify all candidates.
   * @param {import("./workers.js").Workers} workers
   * @param {(done: number, total: number) => void} report
   */
  async run(workers, report) {
    const rows = [...this.zyx.keys()].filter((row) => this.flags[row] !== OUTSIDE);
    const features = this.zyx.map(() => null);
    await workers.classify(rows, this.size, (row, cube) => this.cut(row, cube),
      (row, probability, numbers) => {
        if (this.flags[row] === EMPTY) return;
        this.probabilities[row] = probability;
        features[row] = numbers;
      }, (done) => report(done, rows.length));
    this.probabilities = answerTogether(this.card, this.head, this.probabilities, features);
  }

  /** @returns {string[]} cell, none or open, of each candidate */
  get kinds() {
    return this.probabilities.map((p) =>
      (Number.isFinite(p) ? (p >= this.card.threshold ? "cell" : "none") : "open"));
  }
}
