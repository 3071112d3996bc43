/**
 * What a model may hold that the page does not carry: plain nodes of known operators.
 *
 * `cfzoo page` inspects the models that it puts into a page, node by node with their shapes and
 * costs (onnx_guard.py). One of the user's own files has only its digest, which is no signature.
 * So the fields that onnx_guard.py accepts are checked here, and the operators, whose list is that
 * of Python. Shapes, memory and time are not: the browser bounds what a worker can do.
 */

import { decodeText, readFields } from "./protobuf.js";

// Field numbers of onnx.proto3, and what the messages in them may hold.
const ATTRIBUTE = { 1: null, 2: null, 3: null, 4: null, 8: null, 20: null };
const NODE = { 1: null, 2: null, 3: null, 4: null, 5: ATTRIBUTE, 7: null };
const TENSOR = { 1: null, 2: null, 8: null, 9: null };
const GRAPH = { 1: NODE, 2: null, 5: TENSOR, 11: null, 12: null };
const MODEL = { 1: null, 2: null, 3: null, 7: GRAPH, 8: null, 14: null };
const NAMES = new Map([[MODEL, "file"], [GRAPH, "graph"], [NODE, "node"], [TENSOR, "weight tensor"],
  [ATTRIBUTE, "attribute"]]);
const FLOAT = 1; // TensorProto.DataType

/**
 * Refuse a model that holds anything else.
 * @param {Uint8Array} bytes of an artifact whose digest is right
 * @param {string[]} operators that are accepted
 */
export function inspect(bytes, operators) {
  checkFields(bytes, MODEL);
  const graph = readFields(readFields(bytes).get(7)[0]);
  for (const raw of graph.get(1) ?? []) {
    const node = readFields(raw);
    const text = (number) => (node.has(number) ? decodeText(node.get(number)[0]) : "");
    if (text(7)) throw new Error(`The model's operator ${text(4)} is of a custom domain; refused.`);
    if (!operators.includes(text(4))) {
      throw new Error(`The model uses the operator "${text(4)}", which cfzoo does not run.`);
    }
  }
  for (const raw of graph.get(5) ?? []) {
    const tensor = readFields(raw);
    const numbers = tensor.get(9)?.[0] ?? new Uint8Array();
    if (tensor.get(2)?.[0] !== FLOAT) continue;
    if (!new Float32Array(numbers.slice().buffer).every(Number.isFinite)) {
      throw new Error(`The model's weight ${decodeText(tensor.get(8)[0])} is not finite; refused.`);
    }
  }
  const inputs = (graph.get(11) ?? []).map((raw) => decodeText(readFields(raw).get(1)[0]));
  if (String(inputs) !== "cubes") {
    throw new Error(`The model's inputs are ${inputs.join(", ")}; expected cubes alone.`);
  }
}

function checkFields(bytes, accepted) {
  for (const [number, values] of readFields(bytes)) {
    if (!(number in accepted)) {
      throw new Error(`The model's ${NAMES.get(accepted)} has a field ${number}, which cfzoo does not run.`);
    }
    if (accepted[number]) for (const value of values) checkFields(value, accepted[number]);
  }
}
