/** The list of candidates, and what they are together. */

import { drawHistogram } from "labelling:chart.js";

const MOST_ROWS = 200; // in the document at a time

/** Results beside the pictures. */
export class Results {
  /**
   * @param {(id: string) => HTMLElement} element
   * @param {(row: number) => void} choose
   */
  constructor(element, choose) {
    this.element = element;
    this.choose = choose;
    this.order = [];
  }

  /**
   * Show candidates.
   * @param {number[][]} zyx
   * @param {import("./job.js").Job|null} job null before they are classified
   * @param {number} viewed row, or -1
   */
  show(zyx, job, viewed) {
    this.order = this.sort(zyx, job);
    const answers = job ? job.probabilities.filter(Number.isFinite) : [];
    const cells = answers.filter((p) => p >= job.card.threshold).length;
    this.element("counts").textContent = job
      ? `${cells} cell${cells === 1 ? "" : "s"} of ${zyx.length} candidate${zyx.length === 1 ? "" : "s"}`
      : `${zyx.length} candidate${zyx.length === 1 ? "" : "s"}, not classified`;
    this.element("histogram").replaceChildren(
      ...(answers.length ? [drawHistogram(answers, job.card.threshold)] : []));
    this.element("save").disabled = !job;
    this.list(zyx, job, viewed);
  }

  sort(zyx, job) {
    const rows = [...zyx.keys()];
    const key = { high: (p) => -p, doubt: (p) => Math.abs(p - job?.card.threshold) }[
      this.element("order").value];
    if (!job || !key) return rows;
    const values = job.probabilities.map((p) => (Number.isFinite(p) ? key(p) : Infinity));
    return rows.sort((a, b) => values[a] - values[b] || a - b);
  }

  list(zyx, job, viewed) {
    const place = Math.max(0, this.order.indexOf(viewed));
    const first = Math.max(0, Math.min(place - MOST_ROWS / 2, this.order.length - MOST_ROWS));
    const rows = this.order.slice(first, first + MOST_ROWS);
    const make = (name, text, attributes = {}) => {
      const element = Object.assign(document.createElement(name), { textContent: text });
      for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
      return element;
    };
    const table = document.createElement("table");
    const head = document.createElement("tr");
    head.append(...["", "x", "y", "z", "probability"].map((text) => make("th", text, { scope: "col" })));
    table.append(head);
    for (const row of rows) {
      const line = make("tr", "", { "aria-current": String(row === viewed) });
      const button = make("button", String(row + 1), { type: "button", "aria-label": `Candidate ${row + 1}` });
      button.addEventListener("click", () => this.choose(row));
      const cell = make("td", "");
      cell.append(button);
      const [z, y, x] = zyx[row].map((n) => Math.round(n * 10) / 10);
      const p = job?.probabilities[row];
      const word = Number.isFinite(p) ? `${p.toFixed(3)} ${p >= job.card.threshold ? "cell" : "no cell"}`
        : job?.flags[row] || "";
      const kind = Number.isFinite(p) ? { class: p >= job.card.threshold ? "cell" : "no-cell" } : {};
      line.append(cell, make("td", x), make("td", y), make("td", z), make("td", word, kind));
      table.append(line);
    }
    const box = this.element("list");
    const rest = this.order.length - rows.length;
    const note = rest ? `${rows.length} of ${this.order.length} candidates about the one in view; ` +
      "the file has all." : "";
    box.replaceChildren(...(zyx.length ? [table] : []), ...(note ? [make("p", note, { class: "quiet" })] : []));
    const current = box.querySelector('[aria-current="true"]');
    if (current) box.scrollTop = current.offsetTop - box.clientHeight / 2;
  }
}
