/**
 * What the candidates of a volume decide together: the statistics by which their features are
 * standardised, and the intercept. See feature_statistics.py and training_features.py.
 */

const PRIOR_CANDIDATES = 50;
const NORMAL_MAD = 1.4826;
const NORMAL_MEAN = 1.2533;
const SMALLEST_SPREAD = 1e-3;
const FEWEST = 50; // candidates that decide on an intercept
const NEAR = 0.05;
const DOUBT = 0.01;
const SMALLEST_RANGE = 1e-4;

const sum = (values) => values.reduce((a, b) => a + b, 0);
const mean = (values) => sum(values) / values.length;

/**
 * Answer all candidates of a volume together, where the card asks for it.
 * @param {object} card
 * @param {object|null} head from `readHead`
 * @param {number[]} probabilities of the graph, NaN where there is none
 * @param {Array<Float32Array|null>} features of each candidate
 * @returns {number[]} probabilities of a cell
 */
export function answerTogether(card, head, probabilities, features) {
  const rows = features.filter((row) => row && row.every(Number.isFinite));
  const temperature = card.temperature ?? 1;
  if (card.standardisation === "volume") {
    const { centre, spread } = measureFeatures(rows, head);
    return features.map((row) => {
      if (!row) return NaN;
      let margin = head.bias;
      row.forEach((value, j) => {
        margin += ((value - centre[j]) / spread[j]) * head.weight[j];
      });
      return Math.fround(1 / (1 + Math.exp(-(margin / temperature + (card.offset ?? 0)))));
    });
  }
  if (!card.features?.blocks?.some((block) => block.intercept)) return probabilities;
  const shift = chooseIntercept(card.features, rows) / temperature;
  return probabilities.map((p) =>
    Math.fround(1 / (1 + Math.exp(-(Math.log(p) - Math.log1p(-p) + shift)))));
}

/** Measure centre and spread of features; see `measure_features`. */
function measureFeatures(rows, head) {
  const share = rows.length / (rows.length + PRIOR_CANDIDATES);
  const [centre, spread] = [Float32Array.from(head.centre), Float32Array.from(head.spread)];
  for (let j = 0; j < centre.length && rows.length; j++) {
    const values = rows.map((row) => row[j]);
    const median = findMedian(values);
    const deviations = values.map((value) => Math.abs(value - median));
    const own = Math.max(NORMAL_MAD * findMedian(deviations), 0.5 * NORMAL_MEAN * mean(deviations));
    centre[j] = share * median + (1 - share) * centre[j];
    if (own > SMALLEST_SPREAD * spread[j]) {
      spread[j] = Math.exp(share * Math.log(own) + (1 - share) * Math.log(spread[j]));
    }
  }
  return { centre, spread };
}

function findMedian(values) {
  const sorted = Float64Array.from(values).sort();
  const half = sorted.length / 2;
  return (sorted[Math.ceil(half) - 1] + sorted[Math.floor(half)]) / 2;
}

/**
 * Choose what is added to the logit, before the temperature; see `choose_intercept`.
 * @param {object} training the card's field `features`
 * @param {Float32Array[]} rows features of the candidates
 * @returns {number}
 */
export function chooseIntercept(training, rows) {
  const split = (text) => text.split(" ").map(Number);
  const edges = training.edges.map((text) => Float32Array.from(split(text)));
  const intercepts = training.blocks.map((block) => block.intercept ?? 0);
  const average = mean(intercepts);
  if (rows.length < FEWEST) return average;
  const varies = edges.map((row) =>
    row[row.length - 1] - row[0] > SMALLEST_RANGE * Math.max(...row.map(Math.abs)));
  const flat = (table) => table.filter((_, j) => varies[j]).flat();
  const shares = flat(edges.map((row, j) => Array.from(row, (edge) =>
    rows.reduce((n, features) => n + (features[j] <= edge), 0) / rows.length)));
  const weights = training.blocks.map((block) => {
    const read = (key) => flat(block[key].map((text) => split(text).map((n) => n / 1000)));
    const distance = measureDistance(block, read("cells_below"), read("no_cells_below"), shares,
      rows.length);
    return Math.exp(-0.5 * (distance / NEAR) ** 2);
  });
  const weighed = sum(weights.map((weight, i) => weight * intercepts[i]));
  return (weighed + DOUBT * average) / (sum(weights) + DOUBT);
}

/** Measure how far candidates lie from those of a block; see `TrainingBlock.measure_distance`. */
function measureDistance(block, cells, others, shares, candidates) {
  const error = (values, n) => (n > 1 ? mean(values.map((p) => p * (1 - p))) / (n - 1) : 0);
  const gap = cells.map((a, i) => a - others[i]);
  const squares = Math.max(sum(gap.map((g) => g * g)), 1e-12);
  let weight = sum(gap.map((g, i) => (shares[i] - others[i]) * g)) / squares;
  weight = Math.min(block.cells, block.no_cells) < 2
    ? Number(block.no_cells < 2)
    : Math.min(Math.max(weight, 0), 1);
  const rest = shares.map((c, i) => (c - weight * cells[i] - (1 - weight) * others[i]) ** 2);
  const square = mean(rest) - error(shares, candidates) -
    weight ** 2 * error(cells, block.cells) - (1 - weight) ** 2 * error(others, block.no_cells);
  return Math.sqrt(Math.max(square, 0));
}
