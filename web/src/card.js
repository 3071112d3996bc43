/** The card and the test vector of an artifact, checked as card.py does. */

import { decodeBytes } from "labelling:data.js";

const TOLERANCE = 1e-4; // of the test vector
const MOST_TOLERANCE = 1e-2; // that a card may ask for
const MOST_SIDE = 256;
const LARGEST = 2 ** 63;
const CHANNELS = ["signal", "signal,background"];
const CHOICES = { // the first is meant where a card has none
  resampling: ["trilinear", "antialias"],
  padding: ["edge", "zero"],
  standardisation: ["training", "volume"],
};
const NORMALISATIONS = ["none", "cube", "dataset", "percentile"];

const isPositive = (value) => typeof value === "number" && value > 0 && value < LARGEST;
const areThree = (value, test) => Array.isArray(value) && value.length === 3 && value.every(test);

/**
 * Read a card.
 * @param {string|undefined} text JSON
 * @returns {object}
 */
export function readCard(text) {
  const card = parse(text, "card");
  if (!/^1\.\d+$/.test(card.schema)) {
    throw new Error(`The model card has schema ${card.schema}; this page reads 1.x.`);
  }
  const check = (name, isRight, expected) => {
    if (isRight) return;
    const value = JSON.stringify(card[name])?.slice(0, 200) ?? "missing";
    throw new Error(`The model card's ${name} is ${value}; expected ${expected}.`);
  };
  check("name", /^[a-z][a-z0-9_-]{0,63}$/.test(card.name), "lower-case letters, digits, '_' and '-'");
  check("version", /^\d{1,6}\.\d{1,6}\.\d{1,6}$/.test(card.version), "a semantic version such as 1.0.0");
  check("cube_shape", areThree(card.cube_shape, (n) => Number.isInteger(n) && n >= 1 && n <= MOST_SIDE),
    `three integers from 1 to ${MOST_SIDE}`);
  check("voxel_size", areThree(card.voxel_size, isPositive), "three positive numbers, um");
  check("channels", Array.isArray(card.channels) && CHANNELS.includes(String(card.channels)),
    "signal, or signal and background");
  check("normalisation", NORMALISATIONS.includes(card.normalisation), NORMALISATIONS.join(", "));
  for (const [name, choices] of Object.entries(CHOICES)) {
    check(name, choices.includes(card[name] ?? choices[0]), choices.join(", "));
  }
  check("threshold", isPositive(card.threshold) && card.threshold < 1, "a number between 0 and 1");
  check("temperature", isPositive(card.temperature ?? 1), "a positive number");
  check("offset", Math.abs(card.offset ?? 0) < LARGEST, "a number");
  return card;
}

/**
 * Read a test vector.
 * @param {string|undefined} text JSON
 * @param {object} card
 * @returns {{cube: Float32Array, output: number[], tolerance: number}}
 */
export function readTest(text, card) {
  const { cube: code, output } = parse(text, "test vector");
  const codes = decodeBytes(String(code));
  const size = card.cube_shape.reduce((a, b) => a * b, card.channels.length);
  if (codes.length !== 2 * size) {
    throw new Error(`The test vector's cube has ${codes.length / 2} voxels; expected ${size}.`);
  }
  if (!Array.isArray(output) || output.length !== 2 || !output.every(Number.isFinite)) {
    throw new Error("The test vector's answer is not two probabilities.");
  }
  const cube = new Float32Array(size);
  for (let i = 0; i < size; i++) cube[i] = codes[2 * i] + 256 * codes[2 * i + 1];
  const ask = Number(card.metrics?.parity?.tolerance) || 0;
  return { cube, output, tolerance: Math.min(Math.max(ask, TOLERANCE), MOST_TOLERANCE) };
}

function parse(text, what) {
  if (text === undefined) throw new Error(`The file has no ${what}: it is no artifact of cfzoo.`);
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`The ${what} cannot be read (${error.message}). Export the model again.`);
  }
  if (value === null || typeof value !== "object") throw new Error(`The ${what} is no JSON object.`);
  return value;
}
