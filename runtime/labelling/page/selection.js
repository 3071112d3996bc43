/**
 * The selection of the next candidate: the steps of cfzoo/runtime/adapt/selection.py, which says
 * why. Tests compare the choices of both.
 */

const QUANTILES = [0.9, 0.1, 0.5, 0.7, 0.3];
const HALF_PART = 0.1;

/** The candidates to choose from, and how alike they are. */
class Pool {
  /** @param {object} page see `readPage` */
  constructor(page) {
    this.rows = page.pool.rows;
    this.width = page.pool.width;
    this.size = page.scale.length;
    this.placeOf = new Map(this.rows.map((row, place) => [row, place]));
    this.features = page.features;
    this.scale = page.scale;
    this.places = new Float32Array(this.rows.length * this.size);
    this.rows.forEach((row, i) => this.places.set(this.locate(row), i * this.size));
    this.kernel = this.rows.map((row) => this.compare(row));
  }

  /** @returns {Float32Array} features of a candidate, divided by their scale */
  locate(row) {
    const own = this.features.subarray(row * this.size, (row + 1) * this.size);
    return own.map((v, k) => v / this.scale[k]);
  }

  /**
   * Compare a candidate to all of the pool.
   * @param {number} row
   * @returns {Float32Array} 1 for the same place, 0 for a far one
   */
  compare(row) {
    const own = this.locate(row);
    const alike = new Float32Array(this.rows.length);
    for (let j = 0; j < alike.length; j++) {
      let squares = 0;
      for (let k = 0; k < this.size; k++) squares += (own[k] - this.places[j * this.size + k]) ** 2;
      alike[j] = Math.exp(-squares / this.width);
    }
    return alike;
  }

  /**
   * Choose the candidate to label next.
   * @param {Float64Array} margins logits of all candidates of the page
   * @param {number[]} done rows of the labelled and the skipped candidates
   * @param {boolean[]} labels whether each labelled one is a cell
   * @returns {number|null} a row; null if none is left in the pool
   */
  choose(margins, done, labels) {
    const m = this.rows.length;
    const hasBoth = labels.some(Boolean) && !labels.every(Boolean);
    const covered = new Float32Array(m);
    for (const row of done) {
      const alike = this.kernel[this.placeOf.get(row)] ?? this.compare(row);
      for (let j = 0; j < m; j++) if (alike[j] > covered[j]) covered[j] = alike[j];
    }
    const isDone = new Set(done);
    const own = Float64Array.from(this.rows, (row) => margins[row]);
    const order = [...own.keys()].sort((a, b) => own[a] - own[b] || a - b);
    const quantile = new Float64Array(m);
    order.forEach((place, rank) => (quantile[place] = (rank + 0.5) / m));
    const middle = QUANTILES[done.length % QUANTILES.length];
    let [best, most] = [null, -1];
    for (let i = 0; i < m; i++) {
      if (isDone.has(this.rows[i])) continue;
      let gain = 0;
      for (let j = 0; j < m; j++) gain += Math.max(this.kernel[i][j] - covered[j], 0);
      gain /= m;
      const p = logistic(own[i]);
      const isInPart = Math.abs(quantile[i] - middle) <= HALF_PART;
      const score = hasBoth ? p * (1 - p) * gain : gain + (isInPart ? 1 : 0);
      if (score > most) [best, most] = [this.rows[i], score];
    }
    return best;
  }
}
