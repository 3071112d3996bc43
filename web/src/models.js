/** The models of a page: those that it carries, and those of the user's own files. */

import { Workers } from "./workers.js";

const MOST_BYTES = 200e6; // of a file, as `cfzoo page` allows for all that it carries
const MOST_WORKERS = 8;

/** The models, in the order in which they are listed, and the start of one. */
export class Models {
  /**
   * @param {HTMLSelectElement} select
   * @param {{models: {name: string, digest: string}[], operators: string[]}} facts
   * @param {(id: string) => Promise<Uint8Array>} unpack returns what an element holds, compressed
   * @param {string} script of the workers
   */
  constructor(select, facts, unpack, script) {
    Object.assign(this, { select, operators: facts.operators, unpack, script });
    this.models = facts.models.map((model, number) => ({ ...model, number }));
    select.append(...this.models.map(({ name }, i) => new Option(name, i)));
    this.starting = null;
  }

  /** @returns {{name: string, digest: string|null}} digest is null for a file of the user's own */
  get chosen() {
    return this.models[Number(this.select.value)];
  }

  /**
   * Verify and load the chosen model, in as many threads as the computer has.
   * @returns {Promise<Workers|null>} with their `artifact`; null if another was chosen meanwhile
   */
  async start() {
    const asked = Number(location.hash.match(/^#threads=(\d+)$/)?.[1] ?? navigator.hardwareConcurrency);
    const count = Math.min(MOST_WORKERS, Math.max(1, asked || 1));
    this.starting?.stop(); // which may never come to an end by itself
    const workers = this.starting = new Workers(this.script, count);
    const { bytes, digest, number } = this.chosen;
    try {
      this.wasm ??= await this.unpack("wasm");
      const model = bytes ?? await this.unpack(`model-${number}`);
      workers.artifact = await workers.load(this.wasm, { model, digest, operators: this.operators });
    } catch (error) {
      workers.stop();
      if (workers !== this.starting) return null;
      throw new Error(`The model was refused: ${error.message}`);
    }
    if (workers !== this.starting) return null;
    this.starting = null;
    this.label(workers.artifact.card);
    return workers;
  }

  /**
   * Add a file and choose it.
   * @param {File} file
   * @returns {Promise<() => void>} takes it back and chooses the model before
   */
  async add(file) {
    if (file.size > MOST_BYTES) {
      throw new Error(`${file.name} has ${Math.round(file.size / 1e6)} MB; the page takes ` +
        `${MOST_BYTES / 1e6} MB.`);
    }
    const bytes = new Uint8Array(await file.arrayBuffer());
    const before = this.select.value;
    const option = new Option(file.name, this.models.length);
    this.models.push({ name: file.name, digest: null, bytes, file: file.name });
    this.select.append(option);
    this.select.value = option.value;
    return () => {
      if (option.selected) this.select.value = before;
      option.remove();
    };
  }

  /** Name a file of the user's own by its card. */
  label(card) {
    const { file } = this.chosen;
    if (file) this.select.selectedOptions[0].text = `${card.name} ${card.version} (${file})`;
  }
}
