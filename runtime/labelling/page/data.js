/**
 * The data of the page: numbers in base64 and one JSON text, each in a script element of its own.
 */

/** Types of a candidate, as cellfinder writes them; 0 stands for skipped. */
const CELL = 2;
const NO_CELL = 1;
const SKIPPED = 0;

/**
 * Decode base64.
 * @param {string} text
 * @returns {Uint8Array}
 */
function decodeBytes(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/**
 * Decode little-endian float32 numbers.
 * @param {string} text base64
 * @returns {Float32Array}
 */
function decodeFloats(text) {
  const bytes = decodeBytes(text);
  const view = new DataView(bytes.buffer);
  const numbers = new Float32Array(bytes.length / 4);
  for (let i = 0; i < numbers.length; i++) numbers[i] = view.getFloat32(4 * i, true);
  return numbers;
}

/**
 * Read the facts and the numbers of the page.
 * @param {Document} root
 * @returns {object} the facts of `page.py`, with arrays in place of their base64
 */
function readPage(root) {
  const text = (id) => root.getElementById(id).textContent;
  const page = JSON.parse(text("facts"));
  for (const name of page.arrays) page[name] = decodeFloats(text(name));
  page.codes = text("codes"); // decoded one candidate at a time
  return page;
}
