/** What the estimate means, in words. */

const ENOUGH = 0.01; // of the AUC: a gain by ten labels that is not worth them
const [FEWEST_LABELS, FEWEST_OF_KIND] = [20, 5]; // below which nothing is enough
const GOOD = 0.9; // AUC from which labels have done their work

/**
 * Describe an estimate.
 * @param {object|null} estimate see `estimateQuality`
 * @param {number[]} types of the labels
 * @returns {{headline: (Node|string)[], details: string, verdict: string, isEnough: boolean}}
 */
function describeQuality(estimate, types) {
  const cells = types.filter((type) => type === CELL).length;
  const others = types.length - cells;
  if (!estimate) {
    const headline = "Label two cells and two others; then the page says how good the model is.";
    return { headline: [headline], details: "", verdict: "", isEnough: false };
  }
  const { auc, f1, calibrationError, threshold, gain } = estimate;
  const say = (range) => `${range.low.toFixed(2)} to ${range.high.toFixed(2)}`;
  const number = document.createElement("b");
  number.textContent = auc.value.toFixed(2);
  const headline = ["Expected AUC ", number, ` (${say(auc)})`];
  const details = `F1 ${f1.value.toFixed(2)} (${say(f1)}) from a probability of ` +
    `${threshold.toFixed(2)} on; calibration error ${calibrationError.value.toFixed(2)}. ` +
    "Intervals hold 90 %, by labels that the model had not seen.";
  const missing = Math.max(FEWEST_LABELS - types.length, FEWEST_OF_KIND - cells, FEWEST_OF_KIND - others);
  if (missing > 0 || !gain) {
    const verdict = `Too early to say what is enough: at least ${Math.max(missing, 1)} more, ` +
      `${FEWEST_OF_KIND} of each kind.`;
    return { headline, details, verdict, isEnough: false };
  }
  const more = `Ten more labels would raise the AUC by about ${gain.value.toFixed(3)}, ` +
    `by ${gain.high.toFixed(3)} at most.`;
  if (gain.high > ENOUGH) {
    return { headline, details, verdict: `Go on. ${more}`, isEnough: false };
  }
  if (auc.low < GOOD) {
    const verdict = `More labels will hardly help: ${more} The features of this model do not tell ` +
      "these candidates apart any better; another model, or a training on your labels, may.";
    return { headline, details, verdict, isEnough: false };
  }
  return { headline, details, verdict: `Enough. ${more}`, isEnough: true };
}
