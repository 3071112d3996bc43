/**
 * What the user did, in order. The labels follow from it, undo takes the last step back, and it is
 * what is stored.
 */

const FORMAT = "cfzoo labels";
const VERSION = 1;

/** Steps of a user: a candidate and its type. */
class History {
  /**
   * @param {number[]} numbers number of each candidate in its file of points, from 1
   * @param {string} digest of the page's candidates
   */
  constructor(numbers, digest) {
    this.numbers = numbers;
    this.digest = digest;
    this.rowOf = new Map(numbers.map((number, row) => [number, row]));
    this.steps = []; // [row, type]
    this.revision = 0; // grows with every change, so that the newer of two copies is known
  }

  /**
   * Add a step.
   * @param {number} row
   * @param {number} type CELL, NO_CELL or SKIPPED
   */
  add(row, type) {
    this.steps.push([row, type]);
    this.revision++;
  }

  /**
   * Take the last step back.
   * @returns {number|null} its candidate
   */
  undo() {
    const step = this.steps.pop();
    if (!step) return null;
    this.revision++;
    return step[0];
  }

  /**
   * Return the last type of each candidate that has one, in the order of their first step.
   * @returns {Map<number, number>}
   */
  types() {
    return new Map(this.steps);
  }

  /**
   * Return the labels, without the skipped.
   * @returns {{rows: number[], types: number[]}} in the order of their first step
   */
  labels() {
    const pairs = [...this.types()].filter(([, type]) => type !== SKIPPED);
    return { rows: pairs.map(([row]) => row), types: pairs.map(([, type]) => type) };
  }

  /** @returns {object} for JSON */
  save() {
    return {
      format: FORMAT,
      version: VERSION,
      candidates: this.digest,
      revision: this.revision,
      steps: this.steps.map(([row, type]) => [this.numbers[row], type]),
    };
  }

  /**
   * Take over what `save` returned, if it is of the same candidates.
   * @param {unknown} state
   * @throws {Error} it is something else; nothing has changed then
   */
  load(state) {
    if (!state || state.format !== FORMAT) {
      throw new Error("This is no file of labels of cfzoo. Choose one that this page saved.");
    }
    if (state.version !== VERSION) {
      throw new Error(`The file has version ${Number(state.version)}; expected ${VERSION}.`);
    }
    if (state.candidates !== this.digest) {
      throw new Error("The file belongs to a page with other candidates. Open it there.");
    }
    const isStep = (step) =>
      Array.isArray(step) && step.length === 2 && this.rowOf.has(step[0]) &&
      [CELL, NO_CELL, SKIPPED].includes(step[1]);
    const isValid = Array.isArray(state.steps) && state.steps.every(isStep);
    if (!isValid || !Number.isSafeInteger(state.revision)) {
      throw new Error("The file is damaged: a step is no candidate of this page with a type.");
    }
    this.steps = state.steps.map(([number, type]) => [this.rowOf.get(number), type]);
    this.revision = state.revision;
  }
}

/**
 * Write the labels as a table that cfzoo reads as points.
 * @param {History} history
 * @param {number[][]} xyz voxels of each candidate
 * @returns {string}
 */
function writeCsv(history, xyz) {
  const { rows, types } = history.labels();
  const lines = rows.map((row, i) => [...xyz[row], types[i], history.numbers[row]].join(","));
  return ["x,y,z,type,number", ...lines, ""].join("\n");
}

/**
 * @param {string|null} text
 * @returns {unknown} what the JSON says; null if it is none
 */
function parseState(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
