"use strict";
(() => {
const { own, brains } = JSON.parse(document.getElementById("data").textContent);
const shared = document.getElementById("shared");
const slider = document.getElementById("threshold");
const BINS = 25, STEP = 100 / BINS;  // of the hundredths at which counts are known
const number = new Intl.NumberFormat("en");

const percent = (share) => (share === null ? "" : `${(100 * share).toFixed(1)}\u00a0%`);
const whole = (count) => (count === null ? "" : number.format(count));
const fixed = (digits) => (value) => (value === null ? "" : value.toFixed(digits));

// The threshold of a brain now, in hundredths, which its own need not be.
const hundredths = (brain) =>
  shared.checked ? Number(slider.value) : brain.exact === null ? null : 100 * brain.exact;

function cells(brain) {
  if (brain.failure) return null;
  return shared.checked ? brain.reaching[Number(slider.value)] : brain.cells;
}

function share(brain) {
  return brain.failure || !brain.classified ? null : cells(brain) / brain.classified;
}

const columns = [
  { title: "Brain", text: true, value: (b) => b.brain },
  ...own.map((title, n) => ({ title, text: true, value: (b) => b.own[n] })),
  { title: "Points", value: (b) => b.points, show: whole },
  { title: "Cells", value: cells, show: whole },
  { title: "Share", value: share, show: percent },
  { title: "Threshold", value: (b) => (b.failure ? null : hundredths(b) / 100), show: fixed(2) },
  { title: "Probability", text: true, value: mean, draw: histogram },
  { title: "Not classified", value: (b) => b.not_classified, show: whole },
  { title: "Near a face", value: (b) => b.edge, show: whole },
  { title: "Shift", value: (b) => b.shift, show: fixed(2) },
  { title: "Seconds", value: (b) => b.seconds, show: fixed(1) },
  { title: "Stands out", text: true, value: (b) => -b.reasons.length - 99 * !!b.failure, draw: remarks },
];
let sorted = { column: null, direction: 1 };

function mean(brain) {
  if (!brain.classified) return null;
  return brain.reaching.slice(1).reduce((sum, count) => sum + count, 0) / brain.classified;
}

function element(name, content = "", className = "") {
  const node = document.createElement(name);
  node.textContent = content;
  if (className) node.className = className;
  return node;
}

function drawing(name, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

function histogram(brain) {
  if (!brain.classified) return element("span");
  const counts = Array.from({ length: BINS }, (_, n) => {
    const above = n === BINS - 1 ? 0 : brain.reaching[(n + 1) * STEP];
    return brain.reaching[n * STEP] - above;
  });
  const highest = Math.max(...counts), limit = hundredths(brain);
  const svg = drawing("svg", { viewBox: "0 0 250 50", role: "img", preserveAspectRatio: "none" });
  svg.setAttribute("aria-label", `Histogram of the probability; mean ${mean(brain).toFixed(2)}`);
  counts.forEach((count, n) => {
    const height = count ? Math.max(1, 48 * Math.sqrt(count / highest)) : 0;
    const side = (n + 0.5) * STEP >= limit ? "above" : "below";
    svg.append(drawing("rect", { x: n * 10, y: 49 - height, width: 9, height, class: side }));
  });
  svg.append(drawing("line", { x1: 0, x2: 250, y1: 49.5, y2: 49.5, class: "axis" }));
  return svg;
}

function remarks(brain) {
  const box = element("div");
  if (brain.failure) box.append(element("div", `Failed: ${brain.failure}`, "reason"));
  for (const reason of brain.reasons) box.append(element("div", reason, "reason"));
  for (const note of brain.notes) {
    const details = element("details", "", "note");
    details.append(element("summary", "Note"), element("span", note));
    box.append(details);
  }
  return box;
}

function cell(column, brain) {
  const node = element("td", "", column.text ? "text" : "");
  const value = column.value(brain);
  if (column.draw) node.append(column.draw(brain));
  else if (column === columns[0] && brain.link) {
    const link = element("a", brain.brain);
    link.href = brain.link;
    node.append(link);
  } else node.textContent = column.show ? column.show(value) : value;
  return node;
}

function compare(column, a, b) {
  const [first, second] = [column.value(a), column.value(b)];
  if (first === null || second === null) return (first === null) - (second === null);
  if (typeof first === "number") return sorted.direction * (first - second);
  return sorted.direction * first.localeCompare(second, "en", { numeric: true });
}

function show() {
  const rows = sorted.column ? [...brains].sort((a, b) => compare(sorted.column, a, b)) : brains;
  document.getElementById("body").replaceChildren(...rows.map((brain) => {
    const row = element("tr", "", brain.reasons.length || brain.failure ? "out" : "");
    row.append(...columns.map((column) => cell(column, brain)));
    return row;
  }));
  const total = brains.reduce((sum, brain) => sum + (cells(brain) ?? 0), 0);
  document.getElementById("total").textContent = `${number.format(total)} cells in all`;
  document.getElementById("value").textContent = shared.checked
    ? (Number(slider.value) / 100).toFixed(2) : "own";
  slider.disabled = !shared.checked;
}

for (const column of columns) {
  const head = element("th", "", column.text ? "text" : "");
  head.scope = "col";
  const button = element("button", column.title);
  button.type = "button";
  button.addEventListener("click", () => {
    const again = sorted.column === column;
    sorted = { column, direction: again ? -sorted.direction : 1 };
    for (const other of document.querySelectorAll("th")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", sorted.direction > 0 ? "ascending" : "descending");
    show();
  });
  head.append(button);
  document.getElementById("head").append(head);
}
slider.addEventListener("input", show);
shared.addEventListener("change", show);
show();
})();
