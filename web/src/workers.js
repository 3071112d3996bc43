/**
 * Threads that share the candidates among them.
 *
 * Each is a worker with a single-threaded onnxruntime. The candidates are independent, so nothing
 * has to be shared, and no SharedArrayBuffer is needed, which a page has only if its server sends
 * the headers COOP and COEP, and never from file://.
 */

const BATCH = 16; // candidates at a time

/** Some workers that have loaded one artifact. */
export class Workers {
  /**
   * Start workers; `load` must follow.
   * @param {string} script
   * @param {number} count
   */
  constructor(script, count) {
    this.url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    this.workers = Array.from({ length: count }, () => new Thread(this.url));
  }

  /**
   * Load an artifact in each.
   * @param {Uint8Array} wasm
   * @param {{model: Uint8Array, digest: string|null, operators: string[]}} artifact see `verify`
   * @returns {Promise<{card: object, digest: string, head: object|null, maps: string[]}>}
   */
  async load(wasm, artifact) {
    // The first alone, so that a refusal costs little.
    const content = { wasm, ...artifact };
    const [first, ...others] = this.workers;
    const loaded = await first.ask("load", content);
    await Promise.all(others.map((worker) => worker.ask("load", content)));
    return loaded;
  }

  /**
   * Classify candidates.
   * @param {number[]} rows
   * @param {number} size numbers of one cube
   * @param {(row: number, cube: Float32Array) => void} cut fills a cube
   * @param {(row: number, probability: number, features: Float32Array|null) => void} store
   * @param {(done: number) => void} report
   */
  async classify(rows, size, cut, store, report) {
    let [next, done] = [0, 0];
    const work = async (worker) => {
      while (next < rows.length) {
        const part = rows.slice(next, next + BATCH);
        next += part.length;
        const cubes = new Float32Array(part.length * size);
        part.forEach((row, i) => cut(row, cubes.subarray(i * size, (i + 1) * size)));
        const { probability, features } = await worker.ask("classify", { cubes, count: part.length });
        const width = features ? features.length / part.length : 0;
        part.forEach((row, i) => store(row, probability[2 * i + 1],
          features && features.slice(i * width, (i + 1) * width)));
        done += part.length;
        report(done);
      }
    };
    await Promise.all(this.workers.map(work));
  }

  /** @param {Float32Array} cube of one candidate */
  explain(cube) {
    return this.workers[0].ask("explain", { cube });
  }

  /** End all. */
  stop() {
    for (const { worker } of this.workers) worker.terminate();
    URL.revokeObjectURL(this.url);
  }
}

class Thread {
  constructor(url) {
    this.worker = new Worker(url);
    this.waiting = new Map();
    this.count = 0;
    this.worker.onmessage = ({ data: { id, answer, error } }) => {
      const { resolve, reject } = this.waiting.get(id) ?? {};
      this.waiting.delete(id);
      if (error !== undefined) reject?.(new Error(error));
      else resolve?.(answer);
    };
    this.worker.onerror = (event) => {
      for (const { reject } of this.waiting.values()) {
        reject(new Error(`The classifier stopped: ${event.message ?? "unknown reason"}.`));
      }
      this.waiting.clear();
    };
  }

  ask(action, content) {
    const id = ++this.count;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, action, content });
    });
  }
}
