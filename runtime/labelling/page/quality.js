/** What the estimate means, in words, and when labels are enough. */

const ENOUGH = 0.01; // of the AUC: a gain by ten labels that is not worth them
const STEADY = 5; // estimates in turn that must say so
const [FEWEST_LABELS, FEWEST_OF_KIND] = [20, 5]; // below which nothing is enough
const GOOD = 0.9; // AUC below which it is the features that limit

/**
 * Describe the latest estimate.
 * @param {object[]} estimates of growing numbers of labels; see `estimateQuality`
 * @param {number} cells number of labels
 * @param {number} others number of labels
 * @returns {{headline: (Node|string)[], details: string, verdict: string, isEnough: boolean}}
 */
function describeQuality(estimates, cells, others) {
  const last = estimates[estimates.length - 1];
  if (!last) {
    const headline = "Label two cells and two others; then the page says how good the model is.";
    return { headline: [headline], details: "", verdict: "", isEnough: false };
  }
  const { auc, f1, calibrationError, threshold } = last;
  const say = (range) => `${range.low.toFixed(2)} to ${range.high.toFixed(2)}`;
  const number = document.createElement("b");
  number.textContent = auc.value.toFixed(2);
  const details = `F1 ${f1.value.toFixed(2)} (${say(f1)}) from a probability of ` +
    `${threshold.toFixed(2)} on; calibration error ${calibrationError.value.toFixed(2)}. ` +
    "By labels that the model had not seen; the intervals hold 90 %.";
  const headline = ["Expected AUC ", number, ` (${say(auc)})`];
  return { headline, details, ...judge(estimates, cells, others) };
}

/**
 * Say whether more labels are worth it: not if the last five estimates all say that ten more would
 * raise the AUC by 0.01 at most, by the upper end of their intervals.
 * @returns {{verdict: string, isEnough: boolean}}
 */
function judge(estimates, cells, others) {
  const { auc, gain } = estimates[estimates.length - 1];
  const lacks = [
    [FEWEST_LABELS - cells - others, "labels"],
    [FEWEST_OF_KIND - cells, "cells"],
    [FEWEST_OF_KIND - others, "others"],
  ].filter(([n]) => n > 0).map(([n, what]) => `${n} ${n === 1 ? what.slice(0, -1) : what}`);
  if (lacks.length || !gain) {
    const more = lacks.join(" and ");
    return { verdict: `Too early to say what is enough: ${more} more.`, isEnough: false };
  }
  const effect = `Ten more labels would raise the AUC by ${gain.high.toFixed(3)} at most`;
  if (gain.high > ENOUGH) return { verdict: `Go on. ${effect}.`, isEnough: false };
  const recent = estimates.slice(-STEADY);
  if (!recent.every((each) => each.gain && each.gain.high <= ENOUGH)) {
    const rest = "A few more will show whether that holds.";
    return { verdict: `Perhaps enough. ${effect}. ${rest}`, isEnough: false };
  }
  if (auc.value < GOOD) {
    const cause = "The features of this model tell these candidates apart no better; another " +
      "model, or a training on your labels, may.";
    return { verdict: `More labels will hardly help. ${effect}. ${cause}`, isEnough: false };
  }
  const rest = "More would only show its quality more exactly.";
  return { verdict: `Enough. ${effect}. ${rest}`, isEnough: true };
}
