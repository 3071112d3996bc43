/**
 * The estimate of quality: the steps and constants of cfzoo/runtime/adapt/estimate.py, which says
 * why. Tests compare the numbers of both.
 */

const RESAMPLES = 200;
const [CONFIDENCE, NORMAL_QUANTILE] = [0.9, 1.645];
const [LABELS_PER_BIN, MOST_BINS] = [10, 10];
const [MORE, FEWEST_FOR_GAIN] = [10, 20];
const LOWEST_THRESHOLD = 0.01;
const [EXPECTED, STEPS, LAST_LEVEL] = [20, 16, 73];
const LEAST_DISTANCE = 1e-4;

/**
 * @typedef {object} Range
 * @property {number} value
 * @property {number} low
 * @property {number} high
 */

/**
 * Estimate the quality of a head from the predictions of its cross-validation.
 * @param {Lesson & {margins: Float64Array}} lesson with the logits of all candidates
 * @param {Float64Array} z (n, F) standardised features of the labels
 * @param {boolean[]} labels
 * @param {Prior} prior
 * @param {number[]} scale
 * @returns {object|null} auc, f1, calibrationError and logLoss, each a Range; threshold; gain, a
 *   Range or null. Null with fewer than two labels of a class.
 */
function estimateQuality(lesson, z, labels, prior, scale) {
  const n = labels.length;
  const cells = labels.filter(Boolean).length;
  if (Math.min(cells, n - cells) < LEAST_PER_CLASS) return null;
  const margin = lesson.outOfFold;
  const share = weighLabels(margin, lesson.margins);
  const weights = resample(n)
    .map((counts) => counts.map((count, i) => count * share[i]))
    .filter((w) => w.some((v, i) => v && labels[i]) && w.some((v, i) => v && !labels[i]));
  const threshold = chooseThreshold(margin, labels, weights, lesson.margins);
  const bins = Math.min(MOST_BINS, Math.max(2, Math.floor(n / LABELS_PER_BIN)));
  const cut = Math.log(threshold) - Math.log1p(-threshold);
  const order = sortBy(lesson.ranking, (v) => v);
  const bySureness = sortBy(margin, (v) => logistic(v));
  const measure = (f) => findRange(weights.map(f));
  const count = sum(weights[0]) ** 2 / dot(weights[0], 0, weights[0], 0, n); // of equal labels
  return {
    auc: widen(measure((w) => weightedAuc(lesson.ranking, order, labels, w)), count),
    f1: widen(measure((w) => measureF1(margin, labels, w, cut)), count),
    calibrationError: measure((w) => measureCalibration(margin, labels, w, bySureness, bins)),
    logLoss: measure((w) => {
      const losses = w.map((v, i) => v * softplus(labels[i] ? -margin[i] : margin[i]));
      return sum(losses) / sum(w);
    }),
    threshold,
    gain: extrapolate(lesson, order, z, labels, prior, scale, weights),
  };
}

/**
 * Return the probability from which a candidate is best called a cell, by F1: the steps and
 * constants of cfzoo/runtime/adapt/threshold.py.
 * @param {Float64Array} margin logits of the labels, by heads that have not seen them
 * @param {boolean[]} labels
 * @param {Float64Array[]} weights
 * @param {Float64Array} margins logits of all candidates
 */
function chooseThreshold(margin, labels, weights, margins) {
  const last = 2 * LAST_LEVEL;
  const findLevel = (v) => Math.min(Math.floor(v * STEPS) + LAST_LEVEL, last); // -1: below all
  const levels = Array.from(margin, findLevel);
  const [hits, calls] = [new Float64Array(last + 1), new Float64Array(last + 1)]; // expected
  const classified = margins.filter(Number.isFinite);
  const share = EXPECTED / classified.length;
  let cells = 0;
  for (const v of classified) {
    const [level, probability] = [findLevel(v), logistic(v)];
    cells += probability * share;
    if (level < 0) continue;
    hits[level] += probability * share;
    calls[level] += share;
  }
  let total = 0;
  for (const w of weights) {
    const scale = labels.length / sum(w);
    const [ownHits, ownCalls] = [hits.slice(), calls.slice()];
    let allCells = cells;
    w.forEach((v, i) => {
      if (labels[i]) allCells += scale * v;
      if (levels[i] < 0) return;
      ownCalls[levels[i]] += scale * v;
      if (labels[i]) ownHits[levels[i]] += scale * v;
    });
    let [hit, called, best, place] = [0, 0, -1, 0];
    for (let k = last; k >= 0; k--) {
      hit += ownHits[k];
      called += ownCalls[k];
      const score = (2 * hit) / (called + allCells);
      if (score >= best) [best, place] = [score, k]; // of equal ones the lowest, as in numpy
    }
    total += (place - LAST_LEVEL) / STEPS;
  }
  const threshold = logistic(total / weights.length);
  return Math.min(Math.max(threshold, LOWEST_THRESHOLD), 1 - LOWEST_THRESHOLD);
}

/** Return the probability that a cell has a greater logit than a no cell; ties count half. */
function weightedAuc(margin, order, labels, weights) {
  let [wins, below, cells, others] = [0, 0, 0, 0];
  for (let start = 0; start < order.length;) {
    let [tiedCells, tiedOthers, stop] = [0, 0, start];
    for (; stop < order.length && margin[order[stop]] === margin[order[start]]; stop++) {
      if (labels[order[stop]]) tiedCells += weights[order[stop]];
      else tiedOthers += weights[order[stop]];
    }
    wins += tiedCells * (below + tiedOthers / 2);
    below += tiedOthers;
    cells += tiedCells;
    others += tiedOthers;
    start = stop;
  }
  return wins / (cells * others);
}

/** Return the F1 score of calling cells from a logit on. */
function measureF1(margin, labels, weights, cut) {
  let [hits, calls, cells] = [0, 0, 0];
  weights.forEach((w, i) => {
    if (margin[i] >= cut && labels[i]) hits += w;
    if (margin[i] >= cut) calls += w;
    if (labels[i]) cells += w;
  });
  return (2 * hits) / (calls + cells);
}

/** Return the mean distance of probability and share of cells, over bins of equal counts. */
function measureCalibration(margin, labels, weights, order, bins) {
  const [size, rest] = [Math.floor(order.length / bins), order.length % bins];
  let [total, start] = [0, 0];
  for (let bin = 0; bin < bins; bin++) {
    const stop = start + size + (bin < rest ? 1 : 0);
    const part = order.slice(start, stop);
    total += Math.abs(sum(part.map((i) => weights[i] * (logistic(margin[i]) - labels[i]))));
    start = stop;
  }
  return total / sum(weights);
}

/**
 * Extrapolate the AUC by a power law of its distance from 1, through half and all labels.
 * @returns {Range|null} null with too few labels
 */
function extrapolate(lesson, order, z, labels, prior, scale, weights) {
  const [n, ranking, folds] = [labels.length, lesson.ranking, Math.max(...lesson.folds) + 1];
  if (n < FEWEST_FOR_GAIN) return null;
  const width = scale.length;
  const half = new Array(n);
  sortBy(labels, (cell) => (cell ? 0 : 1)).forEach((i, k) => (half[i] = k % 2));
  const fromHalf = new Float64Array(n);
  for (const part of [0, 1]) {
    const rows = [...labels.keys()].filter((i) => half[i] !== part);
    const own = new Float64Array(rows.length * width);
    rows.forEach((i, k) => own.set(z.subarray(i * width, (i + 1) * width), k * width));
    const [some, weight] = [rows.map((i) => labels[i]), rows.map((i) => lesson.weights[i])];
    const fewerLesson = fitHead(own, some, prior, scale, weight);
    const margins = computeMargins(z, { weight: fewerLesson.weight, bias: 0 });
    half.forEach((other, i) => other === part && (fromHalf[i] = margins[i]));
  }
  const halfOrder = sortBy(fromHalf, (v) => v);
  const seen = n * (1 - 1 / folds); // labels behind the margins of cross-validation
  return findRange(weights.map((w) => {
    const fewer = Math.max(1 - weightedAuc(fromHalf, halfOrder, labels, w), LEAST_DISTANCE);
    const full = Math.max(1 - weightedAuc(ranking, order, labels, w), LEAST_DISTANCE);
    const slope = Math.log(fewer / full) / Math.log(seen / (n / 2));
    const power = Math.min(Math.max(slope, 0), 1);
    return full * (1 - ((n + MORE) / n) ** -power);
  }));
}

/**
 * Return how often each of n labels occurs in each resample; at first the labels themselves. The
 * draws come from a hash of their number, lowbias32.
 * @param {number} n
 * @returns {Float64Array[]}
 */
function resample(n) {
  const samples = [new Float64Array(n).fill(1)];
  for (let k = 0; k < RESAMPLES; k++) {
    const counts = new Float64Array(n);
    for (let i = 1; i <= n; i++) {
      let x = k * n + i;
      x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
      x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
      x = (x ^ (x >>> 16)) >>> 0;
      counts[Math.floor(x * (n / 2 ** 32))]++;
    }
    samples.push(counts);
  }
  return samples;
}

/** @returns {Range} the first value, and the interval of all */
function findRange(values) {
  const sorted = Float64Array.from(values).sort();
  const pick = (percent) => {
    const place = (percent / 100) * (sorted.length - 1);
    const below = Math.floor(place);
    const above = Math.min(below + 1, sorted.length - 1);
    return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
  };
  const tail = 50 * (1 - CONFIDENCE);
  return { value: values[0], low: pick(tail), high: pick(100 - tail) };
}

/**
 * Widen the interval of a share to that of Wilson for as many labels.
 * @param {Range} interval
 * @param {number} count
 * @returns {Range}
 */
function widen(interval, count) {
  const [share, square] = [interval.value, NORMAL_QUANTILE ** 2];
  const centre = (share + square / (2 * count)) / (1 + square / count);
  const spread = Math.sqrt((share * (1 - share)) / count + square / (4 * count ** 2));
  const half = (spread * NORMAL_QUANTILE) / (1 + square / count);
  return {
    value: share,
    low: Math.max(0, Math.min(interval.low, centre - half)),
    high: Math.min(1, Math.max(interval.high, centre + half)),
  };
}

/** @returns {number[]} places of values by a key, ascending; equal ones stay in order */
function sortBy(values, key) {
  const keys = Array.from(values, key);
  return [...keys.keys()].sort((a, b) => keys[a] - keys[b] || a - b);
}

/** @returns {number} */
function sum(values) {
  return values.reduce((a, b) => a + b, 0);
}
