/**
 * The artifact, checked before onnxruntime sees it: see docs/artifact.md and artifact.py.
 *
 * Of a model that the page carries, `cfzoo page` has inspected the whole file as the runtime does,
 * node by node, and written its digest into the page. Here the seal and the digest are checked by
 * the same rules, and that the digest is the one that was written down: so the file is the one
 * inspected, bit for bit. Of a file of the user's own, seal and digest are checked by the same
 * rules, and `guard.js` inspects it.
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { readCard, readTest } from "./card.js";
import { inspect } from "./guard.js";
import { decodeText, readFields, writeFields } from "./protobuf.js";

const SEAL = "\x72\x50\x0a\x0ccfzoo.digest\x12\x40"; // before the 64 hexadecimal digits
const IR_VERSION = 10;
const OPSET = 18;
// Field numbers of onnx.proto3.
const [MODEL_IR, MODEL_GRAPH, MODEL_OPSETS, MODEL_METADATA] = [1, 7, 8, 14];
const [GRAPH_NODES, GRAPH_WEIGHTS, GRAPH_INPUTS, GRAPH_OUTPUTS] = [1, 5, 11, 12];

export const MAPS = ["grad_cam", "hires_cam", "relevance"]; // as in artifact.py

/**
 * @typedef {object} Artifact
 * @property {Uint8Array} bytes of the whole file
 * @property {string} digest SHA-256, hexadecimal
 * @property {object} card
 * @property {string[]} outputs names
 * @property {{cube: Float32Array, output: number[], tolerance: number}} test
 */

/**
 * Check the bytes of an artifact.
 * @param {Uint8Array} bytes
 * @param {string|null} expected digest that the page was written for; null for a user's own file
 * @param {string[]} operators that such a file may use
 * @returns {Artifact}
 */
export function verify(bytes, expected, operators) {
  const latin = (start, end) => String.fromCharCode(...bytes.subarray(start, end));
  const digest = latin(Math.max(0, bytes.length - 64), bytes.length);
  const size = SEAL.length + 64;
  if (bytes.length < size || latin(bytes.length - size, bytes.length - 64) !== SEAL) {
    throw new Error("The file does not end with its digest: bytes were added or lost after its " +
      "export. Get it again from its source.");
  }
  const sum = sha256(bytes.subarray(0, -64));
  if (Array.from(sum, (byte) => byte.toString(16).padStart(2, "0")).join("") !== digest) {
    throw new Error("The digest does not fit the content: the file was damaged or changed after " +
      "its export. Get it again from its source.");
  }
  if (expected !== null && digest !== expected) {
    throw new Error(`This is another model than the page was written for: its digest is ` +
      `${digest.slice(0, 12)}; expected ${expected.slice(0, 12)}. Write the page again.`);
  }
  const model = readFields(bytes);
  const opset = readFields(model.get(MODEL_OPSETS)?.[0] ?? new Uint8Array());
  if (model.get(MODEL_IR)?.[0] !== IR_VERSION || opset.get(2)?.[0] !== OPSET) {
    throw new Error(`The model is not of ONNX IR version ${IR_VERSION} and opset ${OPSET}.`);
  }
  if (expected === null) inspect(bytes, operators);
  const metadata = readMetadata(model);
  const card = readCard(metadata.get("cfzoo.card"));
  const test = readTest(metadata.get("cfzoo.test"), card);
  const outputs = readGraph(bytes).get(GRAPH_OUTPUTS).map(readName);
  return { bytes, digest, card, outputs, test };
}

function readMetadata(model) {
  const metadata = new Map();
  for (const raw of model.get(MODEL_METADATA) ?? []) {
    const entry = readFields(raw);
    const key = decodeText(entry.get(1)[0]);
    if (metadata.has(key)) throw new Error(`The model's metadata has ${key} twice.`);
    metadata.set(key, decodeText(entry.get(2)[0]));
  }
  return metadata;
}

const readGraph = (bytes) => readFields(readFields(bytes).get(MODEL_GRAPH)[0]);
const readName = (raw) => decodeText(readFields(raw).get(1)[0]);

/**
 * Return a model without the nodes and weights that only other outputs need, as onnx_prune.py
 * does: onnxruntime computes every output of a graph, requested or not.
 * @param {Uint8Array} bytes of an artifact
 * @param {string[]} outputs names of those that stay
 * @returns {Uint8Array} ONNX without metadata
 */
export function keepOutputs(bytes, outputs) {
  const model = readFields(bytes);
  const graph = readGraph(bytes);
  const names = new Set(outputs);
  const nodes = [];
  for (const raw of [...graph.get(GRAPH_NODES)].reverse()) { // a node uses values before it
    const node = readFields(raw);
    if (!(node.get(2) ?? []).some((name) => names.has(decodeText(name)))) continue;
    for (const name of node.get(1) ?? []) names.add(decodeText(name));
    nodes.unshift(raw);
  }
  const weights = graph.get(GRAPH_WEIGHTS) ?? [];
  const parts = [
    ...nodes.map((raw) => [GRAPH_NODES, raw]),
    ...(graph.get(2) ?? []).map((raw) => [2, raw]), // the graph's name
    ...weights.filter((raw) => names.has(weightName(raw))).map((raw) => [GRAPH_WEIGHTS, raw]),
    ...graph.get(GRAPH_INPUTS).map((raw) => [GRAPH_INPUTS, raw]),
    ...graph.get(GRAPH_OUTPUTS).filter((raw) => outputs.includes(readName(raw)))
      .map((raw) => [GRAPH_OUTPUTS, raw]),
  ];
  return writeFields([
    [MODEL_IR, model.get(MODEL_IR)[0]],
    [MODEL_GRAPH, writeFields(parts)],
    [MODEL_OPSETS, model.get(MODEL_OPSETS)[0]],
  ]);
}

const weightName = (raw) => decodeText(readFields(raw).get(8)[0]);

/**
 * Read the head over the features; see docs/artifact.md.
 * @param {Uint8Array} bytes of an artifact
 * @returns {{weight: Float32Array, bias: number, centre: Float32Array, spread: Float32Array}|null}
 */
export function readHead(bytes) {
  const head = {};
  for (const raw of readGraph(bytes).get(GRAPH_WEIGHTS) ?? []) {
    const tensor = readFields(raw);
    const [, part] = decodeText(tensor.get(8)[0]).match(/^head\.(weight|bias|centre|spread)$/) ?? [];
    if (part) head[part] = new Float32Array(tensor.get(9)[0].slice().buffer);
  }
  if (!head.weight) return null;
  return { ...head, bias: head.bias[0] };
}
