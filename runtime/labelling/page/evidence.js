/**
 * The evidence that a head ranks better than its start: the steps and constants of
 * cfzoo/runtime/adapt/evidence.py, which says why. Tests compare the numbers of both.
 */

const [LEAST_ERRORS, WITHOUT] = [0.75, 0.2];
const TINY = 1e-9;

/**
 * Say how far to go from a start to a taught head.
 * @param {Float64Array} start (n,) logits
 * @param {Float64Array} taught (n,) logits
 * @param {boolean[]} labels at least two of each class
 * @param {ArrayLike<number>} weights (n,)
 * @returns {number} WITHOUT to 1
 */
function weighEvidence(start, taught, labels, weights) {
  const all = [...labels.keys()];
  const [cells, others] = [all.filter((i) => labels[i]), all.filter((i) => !labels[i])];
  const win = (margin, i, j) => (Math.sign(margin[i] - margin[j]) + 1) / 2;
  const rise = (i, j) => win(taught, i, j) - win(start, i, j);
  const average = (rows, f) => {
    const total = rows.reduce((sum, i) => sum + weights[i], 0);
    return rows.reduce((sum, i) => sum + weights[i] * f(i), 0) / total;
  };
  const spread = (rows, f) => {
    const values = new Map(rows.map((i) => [i, f(i)]));
    const mean = average(rows, (i) => values.get(i));
    const total = rows.reduce((sum, i) => sum + weights[i], 0);
    const squares = rows.map((i) => (weights[i] / total) ** 2);
    const count = 1 / squares.reduce((a, b) => a + b);
    const sum = rows.reduce((sum, i, k) => sum + squares[k] * (values.get(i) - mean) ** 2, 0);
    return { mean, variance: (sum * count) / (count - 1) };
  };
  const byCell = spread(cells, (i) => average(others, (j) => rise(i, j)));
  const byOther = spread(others, (j) => average(cells, (i) => rise(i, j)));
  const t = byCell.mean / Math.sqrt(byCell.variance + byOther.variance + TINY);
  return t > LEAST_ERRORS ? Math.max(WITHOUT, 1 - (LEAST_ERRORS / t) ** 2) : WITHOUT;
}

/** Return for how many of all candidates each label stands; their mean is 1. */
function weighLabels(margin, margins) {
  const n = margin.length;
  const order = sortBy(margin, (v) => v);
  const counts = new Float64Array(n);
  const between = order.slice(1).map((i, k) => (margin[i] + margin[order[k]]) / 2);
  for (const v of margins) {
    let [low, high] = [0, between.length]; // the first border that is not below v
    while (low < high) {
      const middle = (low + high) >> 1;
      if (between[middle] < v) low = middle + 1;
      else high = middle;
    }
    counts[low]++;
  }
  const bounded = counts.map((count) => Math.max((count * n) / margins.length, 0.1));
  const total = sum(bounded);
  const weights = new Float64Array(n);
  order.forEach((i, k) => (weights[i] = (bounded[k] * n) / total));
  return weights;
}
