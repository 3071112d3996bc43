/** The candidate in view: its answer, three planes and a map of the reasons. */

import { CubePlanes } from "./picture.js";

const MAP_NAMES = { relevance: "relevance", grad_cam: "Grad-CAM", hires_cam: "HiResCAM" };
const LOOK = { brightness: 0, contrast: 1, shared: false };

/** The part of the page that shows one candidate. */
export class Viewer {
  /**
   * @param {(id: string) => HTMLElement} element
   * @param {(cube: Float32Array) => Promise<object>} explain computes the maps of a cube
   */
  constructor(element, explain) {
    this.element = element;
    this.explain = explain;
    this.isMapOn = true;
    this.turn = 0; // counts what was shown, so that a late map is not laid over another candidate
    this.planes = null;
    this.maps = null;
  }

  /**
   * Make room for what a model takes and gives.
   * @param {object} card
   * @param {string[]} maps names of its maps
   */
  prepare(card, maps) {
    const options = [...maps].reverse().map((name) => new Option(MAP_NAMES[name], name));
    this.element("map").replaceChildren(...options);
    this.hasMaps = maps.length > 0;
    const figures = card.channels.map((name) => {
      const figure = document.createElement("figure");
      const canvas = document.createElement("canvas");
      const caption = document.createElement("figcaption");
      canvas.setAttribute("role", "img");
      canvas.dataset.channel = caption.textContent = name;
      figure.append(canvas, ...(card.channels.length > 1 ? [caption] : []));
      return figure;
    });
    this.element("pictures").replaceChildren(...figures);
  }

  /**
   * Show a candidate, and its map once that is computed.
   * @param {number} row -1 for none
   * @param {number[]|undefined} zyx voxels
   * @param {import("./job.js").Job|null} job null before it is classified
   */
  async show(row, zyx, job) {
    const turn = ++this.turn;
    this.row = row;
    this.describe(row, zyx, job);
    const isShown = Number.isFinite(job?.probabilities[row]);
    this.element("pictures").hidden = !isShown;
    this.element("reasons").hidden = !(isShown && this.hasMaps);
    this.maps = this.planes = null;
    if (!isShown) return;
    const cube = job.cubeOf(row);
    this.planes = new CubePlanes(cube, job.card);
    this.draw();
    if (!this.hasMaps) return;
    const maps = await this.explain(cube);
    if (turn !== this.turn) return;
    this.maps = maps;
    this.draw();
  }

  describe(row, zyx, job) {
    const p = job?.probabilities[row];
    const [z, y, x] = (zyx ?? []).map((n) => Math.round(n * 10) / 10);
    this.element("place").textContent = zyx ? `Candidate ${row + 1} at x ${x} y ${y} z ${z}` : "Candidate";
    const verdict = this.element("verdict");
    if (!Number.isFinite(p)) {
      const reason = job?.flags[row];
      verdict.textContent = reason ? `Not classified: ${reason}.` : "Not classified yet.";
      return;
    }
    const chance = Object.assign(document.createElement("b"), { textContent: p.toFixed(3) });
    const where = job.flags[row] ? ` (${job.flags[row]} of the volume)` : "";
    const type = p >= job.card.threshold ? "cell" : "no cell";
    verdict.replaceChildren("probability of a cell ", chance, `, ${type}${where}`);
  }

  /** Draw the planes, with the map that is chosen. */
  draw() {
    if (!this.planes) return;
    const style = getComputedStyle(document.documentElement);
    const colours = {
      mark: style.getPropertyValue("--cell"),
      text: style.getPropertyValue("--ink"),
      empty: style.getPropertyValue("--void"),
    };
    const name = this.element("map").value;
    const map = this.isMapOn ? this.maps?.[name] : null;
    this.planes.setMap(map ?? null, Number(this.element("cover").value));
    for (const [channel, canvas] of [...this.element("pictures").querySelectorAll("canvas")].entries()) {
      this.planes.draw(canvas, 0, channel, LOOK, colours);
      const label = `Three planes through candidate ${this.row + 1}, ${canvas.dataset.channel}`;
      canvas.setAttribute("aria-label", map ? `${label}, with its map ${MAP_NAMES[name]}` : label);
    }
  }

  toggleMap() {
    this.isMapOn = !this.isMapOn;
    this.draw();
  }
}
