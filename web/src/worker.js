/** A thread that runs one artifact: onnxruntime's WebAssembly, one session for each use. */

import * as ort from "onnxruntime-web/wasm";
import { keepOutputs, MAPS, readHead, verify } from "./artifact.js";

let artifact = null;
let answers = null; // session without maps
let maps = null; // session with all outputs, made when it is first needed

const create = (bytes) => ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });

const actions = {
  /** Verify the artifact, load it and run its test vector. */
  async load({ wasm, model, digest, operators }) {
    ort.env.wasm.wasmBinary = wasm;
    ort.env.wasm.numThreads = 1; // see workers.js
    ort.env.logLevel = "error";
    artifact = verify(model, digest, operators);
    const rest = artifact.outputs.filter((name) => !MAPS.includes(name));
    answers = await create(keepOutputs(artifact.bytes, rest));
    maps = null;
    const { cube, output, tolerance } = artifact.test;
    const { probability } = await answers.run({ cubes: tensor(cube, 1) });
    const gap = Math.max(...output.map((value, i) => Math.abs(value - probability.data[i])));
    if (!(gap <= tolerance)) {
      throw new Error(`The model's answer to its test vector is off by ${gap.toPrecision(2)}; ` +
        `expected at most ${tolerance}. This browser computes wrongly.`);
    }
    return {
      card: artifact.card,
      digest: artifact.digest,
      head: readHead(artifact.bytes),
      maps: MAPS.filter((name) => artifact.outputs.includes(name)),
    };
  },

  /** Answer some cubes. */
  async classify({ cubes, count }) {
    const { probability, features } = await answers.run({ cubes: tensor(cubes, count) });
    return { probability: probability.data.slice(), features: features?.data.slice() ?? null };
  },

  /** Compute the maps of one cube. */
  async explain({ cube }) {
    maps ??= await create(artifact.bytes);
    const outputs = await maps.run({ cubes: tensor(cube, 1) });
    return Object.fromEntries(MAPS.filter((name) => outputs[name])
      .map((name) => [name, outputs[name].data.slice()]));
  },
};

function tensor(cubes, count) {
  const { card } = artifact;
  return new ort.Tensor("float32", cubes, [count, card.channels.length, ...card.cube_shape]);
}

self.onmessage = async ({ data: { id, action, content } }) => {
  try {
    self.postMessage({ id, answer: await actions[action](content) });
  } catch (error) {
    self.postMessage({ id, error: error.message ?? String(error) });
  }
};
self.postMessage({ id: 0 }); // it has started
