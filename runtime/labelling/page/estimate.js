function learn(page, rows, types) {
  const width = page.prior.weight.length;
  const z = new Float64Array(rows.length * width);
  rows.forEach((row, i) => z.set(page.features.subarray(row * width, (row + 1) * width), i * width));
  const lesson = fitHead(z, types.map((t) => t === CELL), page.prior, page.constants);
  return { ...lesson, margins: computeMargins(page.features, lesson) };
}
function estimateQuality(page, lesson, rows, types) {
  const cells = [], others = [];
  lesson.outOfFold.forEach((v, i) => (types[i] === CELL ? cells : others).push(v));
  if (cells.length < 2 || others.length < 2) return null;
  let wins = 0;
  for (const c of cells) for (const o of others) wins += c > o ? 1 : c === o ? 0.5 : 0;
  const value = wins / cells.length / others.length;
  const sd = Math.sqrt(value * (1 - value) / Math.min(cells.length, others.length));
  return { auc: { value, low: Math.max(0, value - 2 * sd), high: Math.min(1, value + 2 * sd) } };
}
function describeQuality(page, estimate, types) {
  if (!estimate) return { headline: ["Label two cells and two others to see how good the model is."], verdict: "", isEnough: false };
  const b = document.createElement("b");
  b.textContent = estimate.auc.value.toFixed(2);
  return { headline: ["Expected AUC ", b, ` (${estimate.auc.low.toFixed(2)} to ${estimate.auc.high.toFixed(2)})`], verdict: "Not enough yet.", isEnough: false };
}
