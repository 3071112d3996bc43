/**
 * The learner: the steps and constants of cfzoo/runtime/adapt/learner.py, which says why. Tests
 * compare the weights of both.
 */

const DEVIATIONS = [0.125, 0.25, 0.5, 1, 2, 4];
const INTERCEPT = 0.1;
const TEMPERATURE = 8;
const [LOWEST_FACTOR, ROOT] = [0.1, 0.5];
const [MOST_FOLDS, FEW_LABELS, FEWEST_FOLDS] = [10, 40, 5];
const LEAST_PER_CLASS = 2;
const [TOLERANCE, MOST_STEPS, HALVINGS] = [1e-6, 50, 30];

/**
 * @typedef {object} Prior
 * @property {Float64Array} weight (F,)
 * @property {number} bias
 */

/**
 * @typedef {object} Lesson
 * @property {Float64Array} weight (F,)
 * @property {number} bias
 * @property {number[]} folds number of the fold of each label
 * @property {Float64Array} outOfFold logit of each label from heads that have not seen it
 * @property {Float64Array} ranking the same with the intercept of the fit to all labels
 * @property {Float64Array} weights how much each label counts as evidence
 * @property {Float64Array} shares what each strength counts in the mean; the start counts the rest
 */

/**
 * Fit a head to labels.
 * @param {Float64Array} z (n, F) standardised features of the labelled candidates
 * @param {boolean[]} labels whether each is a cell
 * @param {Prior} prior
 * @param {ArrayLike<number>} scale (F,) root mean square of each feature, at least 1
 * @param {Float64Array} weights (n,) how much each label counts as evidence; see `weighLabels`
 * @returns {Lesson}
 */
function fitHead(z, labels, prior, scale, weights) {
  const [n, width] = [labels.length, prior.weight.length];
  const folds = assignFolds(labels);
  const margin = new Float64Array(n);
  for (let i = 0; i < n; i++) margin[i] = dot(z, i * width, prior.weight, 0, width) + prior.bias;
  const cells = labels.filter(Boolean).length;
  const shares = new Float64Array(DEVIATIONS.length);
  if (Math.min(cells, n - cells) < LEAST_PER_CLASS) {
    const every = [new Float64Array(n).fill(1)];
    const [step] = fitOffset(new Float64Array(0), 0, labels, margin, every, 1, null);
    const head = { weight: prior.weight, bias: prior.bias + step[0] };
    return { ...head, outOfFold: margin, ranking: margin, folds, weights, shares };
  }
  const { axes, places, rank } = reduceFeatures(z.map((v, i) => v / scale[i % width]), n, width);
  const counts = leaveOut(folds);
  const turned = margin.map((v) => v - prior.bias); // what the temperature turns
  const start = fitOffset(turned, 1, labels, margin, counts, TEMPERATURE, null);
  for (const theta of start) theta[0] = Math.max(theta[0], LOWEST_FACTOR - 1);
  const fits = [predict(turned, 1, margin, start, folds)];
  const size = rank + 1;
  const x = new Float64Array(n * size);
  for (let i = 0; i < n; i++) {
    x.set(places.subarray(i * rank, (i + 1) * rank), i * size);
    x[i * size + rank] = turned[i];
  }
  const heads = [new Float64Array(size + 1)];
  heads[0].set(start[start.length - 1], rank);
  let solution = null;
  for (const deviation of DEVIATIONS) {
    const strengths = new Float64Array(size).fill(width / deviation ** 2);
    strengths[rank] = TEMPERATURE;
    solution = fitOffset(x, size, labels, margin, counts, strengths, solution);
    heads.push(solution[solution.length - 1]);
    fits.push(predict(x, size, margin, solution, folds));
  }
  const losses = fits.slice(1).map((fit) => sumLosses(fit.margins, labels));
  const least = Math.min(...losses);
  losses.forEach((loss, i) => (shares[i] = Math.exp(ROOT * (least - loss))));
  const total = shares.reduce((a, b) => a + b);
  const taught = mixRows(fits.slice(1).map((fit) => fit.ranking), shares.map((v) => v / total));
  const evidence = weighEvidence(margin, taught, labels, weights);
  shares.forEach((share, i) => (shares[i] = (evidence * share) / total));
  const all = [1 - evidence, ...shares];
  const mean = mixRows(heads, all);
  const weight = prior.weight.map((v) => (1 + mean[rank]) * v);
  for (let j = 0; j < rank; j++) {
    for (let k = 0; k < width; k++) weight[k] += (axes[j * width + k] * mean[j]) / scale[k];
  }
  const outOfFold = mixRows(fits.map((fit) => fit.margins), all);
  const ranking = mixRows(fits.map((fit) => fit.ranking), all);
  return { weight, bias: prior.bias + mean[size], outOfFold, ranking, folds, weights, shares };
}

/**
 * Say how often each label counts: without each fold in turn, then once each.
 * @param {number[]} folds
 * @returns {Float64Array[]}
 */
function leaveOut(folds) {
  const counts = [];
  for (let fold = 0; fold <= Math.max(...folds); fold++) {
    counts.push(Float64Array.from(folds, (own) => (own === fold ? 0 : 1)));
  }
  counts.push(new Float64Array(folds.length).fill(1));
  return counts;
}

/**
 * Return the logit of each label by heads that have not seen it; ranking has the last intercept.
 * @returns {{margins: Float64Array, ranking: Float64Array}}
 */
function predict(x, size, margin, solution, folds) {
  const last = solution[solution.length - 1][size];
  const rests = folds.map((fold) => solution[fold]);
  const ranking = margin.map((v, i) => v + dot(x, i * size, rests[i], 0, size) + last);
  return { margins: ranking.map((v, i) => v - last + rests[i][size]), ranking };
}

/**
 * Deal labels into folds in their order, class by class.
 * @param {boolean[]} labels
 * @returns {number[]} number of the fold of each label
 */
function assignFolds(labels) {
  const n = labels.length;
  const count = n <= FEW_LABELS ? Math.max(1, Math.min(n, MOST_FOLDS)) : FEWEST_FOLDS;
  const order = [...labels.keys()].sort((a, b) => labels[b] - labels[a] || a - b); // cells first
  const folds = new Array(n);
  order.forEach((label, i) => (folds[label] = i % count));
  return folds;
}

/**
 * Fit what is added to given logits, for several selections of labels.
 * @param {Float64Array} places (n, r)
 * @param {number} rank r
 * @param {boolean[]} labels
 * @param {Float64Array} start (n,) logits to which places @ u + v is added
 * @param {Float64Array[]} counts how often each label counts in each fit
 * @param {number|Float64Array} strength precision of u
 * @param {Float64Array[]|null} solution where to start
 * @returns {Float64Array[]} u and v of each fit
 */
function fitOffset(places, rank, labels, start, counts, strength, solution) {
  const [n, size] = [labels.length, rank + 1];
  const x = new Float64Array(n * size).fill(1);
  for (let i = 0; i < n; i++) x.set(places.subarray(i * rank, (i + 1) * rank), i * size);
  const precision = new Float64Array(size).fill(INTERCEPT);
  for (let k = 0; k < rank; k++) precision[k] = strength[k] ?? strength;
  return counts.map((count, fit) => {
    let theta = solution ? Float64Array.from(solution[fit]) : new Float64Array(size);
    let cost = measureCost(x, labels, start, count, precision, theta);
    for (let step = 0; step < MOST_STEPS; step++) {
      const { slope, curvature } = differentiate(x, labels, start, count, precision, theta);
      const change = solvePositive(curvature, slope);
      const gain = dot(slope, 0, change, 0, size);
      let [length, ahead, aheadCost] = [1, theta, cost];
      for (let i = 0; i < HALVINGS; i++) {
        ahead = theta.map((v, k) => v - length * change[k]);
        aheadCost = measureCost(x, labels, start, count, precision, ahead);
        if (aheadCost <= cost + 1e-12 * Math.abs(cost)) break;
        length /= 2;
      }
      [theta, cost] = [ahead, aheadCost];
      if (gain < TOLERANCE) break;
    }
    return theta;
  });
}

/** Slope and curvature of the cost; see `fitOffset`. */
function differentiate(x, labels, start, count, precision, theta) {
  const size = theta.length;
  const slope = precision.map((p, k) => p * theta[k]);
  const curvature = new Float64Array(size * size);
  for (let k = 0; k < size; k++) curvature[k * size + k] = precision[k];
  for (let i = 0; i < labels.length; i++) {
    if (!count[i]) continue;
    const probability = logistic(start[i] + dot(x, i * size, theta, 0, size));
    const excess = count[i] * (probability - labels[i]);
    const bend = count[i] * probability * (1 - probability);
    for (let k = 0; k < size; k++) {
      const value = x[i * size + k];
      slope[k] += excess * value;
      const scaled = bend * value;
      for (let l = 0; l <= k; l++) curvature[k * size + l] += scaled * x[i * size + l];
    }
  }
  return { slope, curvature };
}

/** The cost that a fit minimises; see `fitOffset`. */
function measureCost(x, labels, start, count, precision, theta) {
  const size = theta.length;
  let cost = 0;
  for (let k = 0; k < size; k++) cost += 0.5 * precision[k] * theta[k] ** 2;
  for (let i = 0; i < labels.length; i++) {
    if (!count[i]) continue;
    const margin = start[i] + dot(x, i * size, theta, 0, size);
    cost += count[i] * (softplus(margin) - labels[i] * margin);
  }
  return cost;
}

/**
 * Give fewer labels than features an axis each.
 * @param {Float64Array} z (n, width)
 * @param {number} n
 * @param {number} width
 * @returns {{axes: Float64Array, places: Float64Array, rank: number}} see `findAxes`
 */
function reduceFeatures(z, n, width) {
  if (n < width) return findAxes(z, n, width);
  const axes = new Float64Array(width * width);
  for (let k = 0; k < width; k++) axes[k * width + k] = 1;
  return { axes, places: z, rank: width };
}

/** @returns {number} the log-loss of logits */
function sumLosses(margins, labels) {
  return margins.reduce((sum, v, i) => sum + softplus(labels[i] ? -v : v), 0);
}

/** @returns {Float64Array} the mean of rows, weighted by shares */
function mixRows(rows, shares) {
  const mean = new Float64Array(rows[0].length);
  rows.forEach((row, i) => row.forEach((v, k) => (mean[k] += shares[i] * v)));
  return mean;
}

/**
 * Return the logits of all candidates.
 * @param {Float64Array|Float32Array} standard (N, F)
 * @param {Prior} head
 * @returns {Float64Array} (N,)
 */
function computeMargins(standard, head) {
  const width = head.weight.length;
  const margins = new Float64Array(standard.length / width);
  for (let i = 0; i < margins.length; i++) {
    margins[i] = dot(standard, i * width, head.weight, 0, width) + head.bias;
  }
  return margins;
}
