/** What the page does with files, keys and buttons. */

import { decodeBytes } from "labelling:data.js";
import { readCandidates, writeCsv } from "./candidates.js";
import { connect } from "./controls.js";
import { Job } from "./job.js";
import { Models } from "./models.js";
import { Overview } from "./overview.js";
import { Results } from "./results.js";
import { Viewer } from "./viewer.js";
import { asChannels, readVolume } from "./volume.js";

const AXES = ["z", "y", "x"];

const element = (id) => document.getElementById(id);

/** Decompress the gzip that an element holds in base64. */
async function unpack(id) {
  const stream = new Blob([decodeBytes(element(id).textContent)]).stream();
  const plain = stream.pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(plain).arrayBuffer());
}

/** The page: inputs, one artifact, and what came out. */
export class TryPage {
  constructor() {
    this.facts = JSON.parse(element("facts").textContent);
    this.volumes = { signal: null, background: null };
    this.zyx = [];
    this.job = null;
    this.viewed = -1;
    this.artifact = null;
    this.overview = new Overview(element("slice"), {
      add: (zyx) => this.add([zyx.slice()]),
      choose: (row) => this.view(row),
      moved: () => this.showCross(),
    });
    this.results = new Results(element, (row) => this.view(row));
    this.viewer = new Viewer(element, (cube) => this.workers.explain(cube));
  }

  /** Connect everything and load the first model. */
  start() {
    const script = new TextDecoder().decode(decodeBytes(element("worker").textContent));
    this.models = new Models(element("model"), this.facts, unpack, script);
    element("example").hidden = !this.facts.example;
    connect(this, element);
    this.results.show(this.zyx, null, -1);
    return this.loadModel();
  }

  /** Load the chosen model; none is in use until it is accepted. */
  async loadModel() {
    this.artifact = null;
    this.forget();
    this.workers?.stop();
    element("model-status").textContent = "The model is being checked.";
    try {
      await this.startModel();
    } catch (error) {
      element("model-status").textContent = "Refused.";
      this.complain(error.message);
    }
  }

  /**
   * Load a model of the user's own; the one before stays in use until it is accepted.
   * @param {File} file
   */
  async openModel(file) {
    const takeBack = await this.models.add(file);
    const status = element("model-status").textContent;
    element("model-status").textContent = `${file.name} is being checked.`;
    try {
      await this.startModel();
    } catch (error) {
      takeBack();
      if (this.artifact) element("model-status").textContent = status;
      else await this.loadModel(); // the file came before that model was ready
      throw error;
    }
  }

  async startModel() {
    const began = performance.now();
    const workers = await this.models.start();
    if (!workers) return; // another was chosen meanwhile
    this.workers?.stop();
    Object.assign(this, { workers, artifact: workers.artifact });
    this.loadTime = performance.now() - began; // ms
    this.forget();
    const { card, digest, maps } = this.artifact;
    const count = workers.workers.length;
    element("model-status").textContent =
      `Digest ${digest.slice(0, 12)} and test vector are right. ${count} thread${count > 1 ? "s" : ""}.`;
    element("second").hidden = card.channels.length < 2;
    this.viewer.prepare(card, maps);
    this.update();
  }

  /** @param {File} file @param {string} channel signal or background */
  async openVolume(file, channel) {
    this.forget();
    element("volume-status").textContent = `Reading ${file.name}\u2026`;
    this.setVolume(await readVolume(file), channel);
  }

  setVolume(volume, channel) {
    this.volumes[channel] = volume;
    if (channel === "signal") {
      if (volume.channels.length > 1) this.volumes.background = null;
      this.overview.setVolume(volume.channels[0]);
      element("depth").max = volume.channels[0].shape[0] - 1;
      AXES.forEach((axis, i) => {
        element(`size-${axis}`).value = volume.voxelSize?.[i].toPrecision(6).replace(/\.?0+$/, "") ?? "";
      });
      element("size-status").textContent = volume.voxelSize ? "As the file states it." :
        "The file states none: type it.";
      this.clear();
    }
    element("empty").hidden = true;
    element("plane").hidden = false;
    this.showCross();
    this.update();
  }

  /** @returns {{shape: number[], data: ArrayLike<number>}[]} */
  get channels() {
    const { signal, background } = this.volumes;
    return [...(signal?.channels ?? []), ...(background?.channels ?? [])];
  }

  /** @returns {number[]} z y x, um; NaN where none is typed */
  get voxelSize() {
    return AXES.map((axis) => {
      const size = Number(element(`size-${axis}`).value.trim().replace(",", ".") || NaN);
      return size > 0 && size < 1e4 ? size : NaN;
    });
  }

  /**
   * Open dropped files: a model, a signal, perhaps a background after it, and candidates.
   * @param {File[]} files
   */
  async openFiles(files) {
    const isPoints = ({ name }) => /\.(xml|csv|tsv|txt)$/i.test(name);
    const isModel = ({ name }) => /\.onnx$/i.test(name);
    const volumes = files.filter((file) => !isPoints(file) && !isModel(file))
      .sort((a, b) => /background/i.test(a.name) - /background/i.test(b.name));
    if (volumes.length > 2) throw new Error(`Got ${volumes.length} volumes; expected a signal and a background.`);
    for (const file of files.filter(isModel)) await this.openModel(file);
    if (volumes[0]) await this.openVolume(volumes[0], "signal");
    if (volumes[1]) await this.openVolume(volumes[1], "background");
    for (const file of files.filter(isPoints)) await this.openPoints(file);
  }

  /** @param {File} file */
  async openPoints(file) {
    const zyx = readCandidates(await file.text(), file.name);
    this.clear();
    this.add(zyx);
  }

  openExample() {
    const { example } = this.facts;
    return unpack("example-voxels").then((bytes) => {
      const array = asChannels({ shape: example.shape, data: new Uint16Array(bytes.buffer) });
      this.setVolume({ name: "Synthetic example", ...array, voxelSize: example.voxel_size }, "signal");
      this.add(example.zyx);
    });
  }

  /** @param {number[][]} zyx further candidates */
  add(zyx) {
    this.job = null;
    this.zyx = [...this.zyx, ...zyx];
    this.view(this.zyx.length - zyx.length);
  }

  remove() {
    this.job = null;
    this.zyx = this.zyx.filter((_, row) => row !== this.viewed);
    this.view(Math.min(this.viewed, this.zyx.length - 1));
  }

  clear() {
    this.zyx = [];
    this.job = null;
    this.view(-1);
  }

  /** Classify all candidates. */
  async classify() {
    if (element("classify").disabled) return;
    this.forget();
    const progress = element("progress");
    element("classify").disabled = true;
    progress.hidden = false;
    const began = performance.now();
    try {
      const job = new Job(this.artifact, this.channels, this.voxelSize, this.zyx);
      await job.run(this.workers, (done, total) => { progress.value = total ? done / total : 1; });
      if (job.zyx === this.zyx) this.job = job; // else candidates were changed meanwhile
      this.runTime = performance.now() - began; // ms
      const rate = job.zyx.length / (this.runTime / 1000);
      element("details").textContent = `${this.artifact.card.name} ${this.artifact.card.version}, ` +
        `threshold ${this.artifact.card.threshold}; ${this.runTime.toFixed(0)} ms, ` +
        `${rate < 10 ? rate.toFixed(1) : Math.round(rate)} candidates a second.`;
    } catch (error) {
      this.complain(error.message);
    }
    progress.hidden = true;
    this.view(Math.max(0, this.viewed));
  }

  /**
   * Show a candidate.
   * @param {number} row -1 for none
   */
  view(row) {
    this.viewed = row;
    if (row >= 0) this.overview.goTo(this.zyx[row]);
    this.update();
    return this.show();
  }

  /** Show the candidate in view. */
  show() {
    return this.viewer.show(this.viewed, this.zyx[this.viewed], this.job)
      .catch((error) => this.complain(error.message));
  }

  /** Bring states of buttons, marks and lists up to date. */
  update() {
    const { signal, background } = this.volumes;
    const sizes = this.voxelSize;
    AXES.forEach((axis, i) => element(`size-${axis}`).setAttribute("aria-invalid", String(!!signal && !sizes[i])));
    element("classify").disabled = !(this.artifact && signal && sizes.every(Boolean) && this.zyx.length);
    element("clear").disabled = !this.zyx.length;
    element("centre").disabled = !signal;
    const hasView = this.viewed >= 0;
    element("remove").disabled = !hasView;
    for (const id of ["back", "forward"]) element(id).disabled = this.zyx.length < 2;
    const names = [signal, background].filter(Boolean).map(({ name, channels: [first] }) =>
      `${name}: ${first.shape.join(" \u00d7 ")} voxels (z y x)`);
    element("volume-status").textContent =
      names.join("; ") || "Drop files anywhere on this page, or choose them.";
    element("points-status").textContent = this.zyx.length ? `${this.zyx.length} candidates.` :
      "Or click into the picture.";
    const open = () => "open";
    this.overview.depth = sizes[0] || 1;
    this.overview.setMarks(this.zyx, this.job?.kinds ?? this.zyx.map(open), this.viewed);
    this.results.show(this.zyx, this.job, this.viewed);
  }

  showCross() {
    const [z, y, x] = this.overview.cross;
    element("depth").value = z;
    element("cross").textContent = `x ${x} y ${y} z ${z}`;
  }

  /** @param {number} step along the order of the list */
  move(step) {
    const { order } = this.results;
    if (!order.length) return;
    const place = order.indexOf(this.viewed) + step;
    this.view(order[(place + order.length) % order.length]);
  }

  complain(text) {
    element("problem").textContent = text;
    element("problem").hidden = false;
  }

  /** Forget answers to other inputs, and what was wrong with those. */
  forget() {
    element("problem").hidden = true;
    this.job = null;
    element("details").textContent = "";
    this.update();
    this.show();
  }

  save() {
    const link = document.createElement("a");
    const text = writeCsv(this.zyx, this.job.probabilities, this.job.card.threshold);
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = `${this.volumes.signal.name.replace(/\.\w+$/, "")}-classified.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }
}

window.tryPage = new TryPage(); // for those who test it
window.tryPage.ready = window.tryPage.start();
