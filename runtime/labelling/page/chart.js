/** Two small charts, as SVG. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element of SVG.
 * @param {string} name
 * @param {object} attributes
 * @param {Array<Node|string>} children
 * @returns {SVGElement}
 */
function svg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/**
 * Draw the expected AUC over the number of labels, with its interval.
 * @param {{n: number, value: number, low: number, high: number}[]} points by n
 * @returns {SVGElement}
 */
function drawCurve(points) {
  const [width, height, left, bottom] = [360, 120, 30, 18];
  const most = Math.max(20, ...points.map((p) => p.n));
  const x = (n) => left + (n / most) * (width - left - 8);
  const y = (v) => 6 + (1 - Math.max(v, 0.5)) * 2 * (height - bottom - 6);
  const last = points[points.length - 1];
  const say = ({ n, value, low, high }) =>
    `Expected AUC after ${n} labels: ${value.toFixed(2)}, ${low.toFixed(2)} to ${high.toFixed(2)}`;
  const title = svg("title", {}, last ? say(last) : "Expected AUC, without labels of both kinds");
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" }, title);
  for (const v of [0.5, 0.75, 1]) {
    chart.append(
      svg("line", { class: "axis", x1: left, x2: width - 8, y1: y(v), y2: y(v) }),
      svg("text", { x: left - 4, y: y(v) + 4, "text-anchor": "end" }, String(v)),
    );
  }
  for (const n of [0, Math.round(most / 2), most]) {
    const place = { x: x(n), y: height - 4, "text-anchor": "middle" };
    chart.append(svg("text", place, n ? `${n}` : "0 labels"));
  }
  if (last) {
    const edge = (key) => points.map((p) => `${x(p.n)},${y(p[key])}`);
    const band = [...edge("high"), ...edge("low").reverse()].join(" ");
    chart.append(
      svg("polygon", { class: "band", points: band }),
      svg("polyline", { class: "line", points: edge("value").join(" ") }),
      svg("circle", { class: "others", cx: x(last.n), cy: y(last.value), r: 3.5 }),
    );
  }
  return chart;
}

/**
 * Draw how many candidates have which probability of a cell.
 * @param {number[]} probabilities
 * @param {number} threshold at and above which a candidate is a cell
 * @returns {SVGElement}
 */
function drawHistogram(probabilities, threshold = 0.5) {
  const [width, height, bins] = [360, 84, 20];
  const counts = new Array(bins).fill(0);
  for (const p of probabilities) counts[Math.min(bins - 1, Math.floor(p * bins))]++;
  const cells = probabilities.filter((p) => p >= threshold).length;
  const least = threshold === 0.5 ? "one half" : String(threshold);
  const title = svg("title", {},
    `${cells} of ${probabilities.length} candidates have a probability of at least ${least}`);
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" }, title);
  const most = Math.max(...counts, 1);
  counts.forEach((count, i) => {
    const size = (count / most) * (height - 20);
    chart.append(svg("rect", {
      class: (i + 0.5) / bins < threshold ? "others" : "cells",
      x: (i * width) / bins + 1, width: width / bins - 2, y: height - 18 - size, height: size,
    }));
  });
  chart.append(
    svg("text", { x: 0, y: height - 3 }, "surely no cell"),
    svg("text", { x: width / 2, y: height - 3, "text-anchor": "middle" }, "0.5"),
    svg("text", { x: width, y: height - 3, "text-anchor": "end" }, "surely a cell"),
  );
  return chart;
}
