// Reads an artifact without cfzoo, checks it, and classifies cubes: node reader.mjs MODEL [CUBES]
//
// CUBES holds raw little-endian float32 numbers (n, channel, z, y, x) on the card's grid, in the
// order of the graph's input. Prints the model's name and version, the largest difference from its
// test vector, and for each cube the probability of a cell. Needs onnxruntime-web, whose
// WebAssembly runs in Node and in browsers alike. Exit codes as cfzoo's: 2 for wrong input, 3 for
// an artifact that is refused. What it does not do is the guard of "The artifact": the digest is no
// signature, so give it files that you trust.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import * as ort from "onnxruntime-web";

const SEAL = Buffer.from("\x72\x50\x0a\x0ccfzoo.digest\x12\x40", "latin1");
const [REFUSED, WRONG_INPUT] = [3, 2];
const TOLERANCE = 1e-4, MAX_TOLERANCE = 1e-2;

function fail(code, reason) {
  console.error(reason);
  process.exit(code);
}

// The fields of a protobuf message as pairs of number and value; bytes for length-delimited ones.
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0n, shift = 0n, byte;
    do {
      if (at >= bytes.length || shift > 63n) throw new RangeError("a number is cut short");
      byte = bytes[at++];
      value |= BigInt(byte & 127) << shift;
      shift += 7n;
    } while (byte > 127);
    return Number(value);
  };
  while (at < bytes.length) {
    const tag = varint(), kind = tag & 7;
    if (kind === 0) {
      yield [tag >>> 3, varint()];
      continue;
    }
    const size = kind === 2 ? varint() : kind === 1 ? 8 : kind === 5 ? 4 : NaN;
    if (!(at + size <= bytes.length)) throw new RangeError("a field is cut short");
    yield [tag >>> 3, bytes.subarray(at, at + size)];
    at += size;
  }
}

// The metadata of a model, field 14 of its top level; onnxruntime's JavaScript does not give it.
function metadata(bytes) {
  const entries = new Map();
  for (const [number, value] of fields(bytes)) {
    if (number !== 14) continue;
    const entry = Object.fromEntries(fields(value));
    const key = String(entry[1]);
    if (entries.has(key)) throw new RangeError(`the key ${key} is there twice`);
    entries.set(key, String(entry[2]));
  }
  return entries;
}

// The card and the test vector of an artifact whose digest is right.
function open(bytes) {
  const end = bytes.length - 64;
  if (end < SEAL.length || !bytes.subarray(end - SEAL.length, end).equals(SEAL))
    fail(REFUSED, "The file does not end in a digest: it is no artifact, or incomplete.");
  const digest = createHash("sha256").update(bytes.subarray(0, end)).digest("hex");
  if (digest !== bytes.toString("latin1", end))
    fail(REFUSED, "The digest does not fit the file: it was changed or damaged.");
  try {
    const entries = metadata(bytes);
    const card = JSON.parse(entries.get("cfzoo.card"));
    const test = JSON.parse(entries.get("cfzoo.test"));
    const shape = [card.channels.length, ...card.cube_shape];
    const raw = Buffer.from(test.cube, "base64");
    const size = shape.reduce((product, n) => product * n, 1);
    if (String(card.schema).split(".")[0] !== "1") throw new RangeError("another schema");
    if (raw.length !== 2 * size || test.output.length !== 2)
      throw new RangeError("the test vector has another size than the card's cube");
    const cube = Float32Array.from({ length: size }, (_, i) => raw.readUInt16LE(2 * i));
    return { card, shape, size, cube, output: test.output };
  } catch (error) {
    fail(REFUSED, `The card or the test vector cannot be read: ${error.message}.`);
  }
}

const [model, path] = process.argv.slice(2);
if (!model) fail(WRONG_INPUT, "Usage: node reader.mjs MODEL [CUBES]");
let bytes, raw = Buffer.alloc(0);
try {
  bytes = readFileSync(model);
  if (path) raw = readFileSync(path);
} catch (error) {
  fail(WRONG_INPUT, error.message);
}
const { card, shape, size, cube, output } = open(bytes);
if (raw.length % (4 * size))
  fail(WRONG_INPUT, `${path} has ${raw.length} bytes; expected cubes of ${4 * size} bytes.`);

ort.env.logLevel = "error";
ort.env.wasm.numThreads = 1;
let session;
const ask = async (values) => {
  const cubes = new ort.Tensor("float32", values, [values.length / size, ...shape]);
  return (await session.run({ cubes }, ["probability"])).probability.data;
};
let difference;
try {
  session = await ort.InferenceSession.create(bytes);
  const answer = await ask(cube);
  difference = Math.max(...output.map((value, i) => Math.abs(value - answer[i])));
} catch (error) {
  fail(REFUSED, `onnxruntime does not run the model: ${error.message}`);
}
const stated = Number(card.metrics?.parity?.tolerance) || 0;
if (!(difference <= Math.min(Math.max(TOLERANCE, stated), MAX_TOLERANCE)))
  fail(REFUSED, `The answer to the test vector differs by ${difference}: it is not reproduced here.`);
console.log(`${card.name} ${card.version}`);
console.log(`test vector: ${difference.toExponential(1)}`);
const values = Float32Array.from({ length: raw.length / 4 }, (_, i) => raw.readFloatLE(4 * i));
for (let start = 0; start < values.length; start += 32 * size) {
  const answers = await ask(values.subarray(start, start + 32 * size));
  for (let i = 1; i < answers.length; i += 2) console.log(answers[i].toPrecision(9));
}
