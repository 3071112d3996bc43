/**
 * NumPy's format of arrays:
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */

import { Problem } from "./problem.js";

const TYPES = {
  b1: Uint8Array, u1: Uint8Array, i1: Int8Array, u2: Uint16Array, i2: Int16Array, u4: Uint32Array,
  i4: Int32Array, u8: BigUint64Array, i8: BigInt64Array, f4: Float32Array, f8: Float64Array,
};

/**
 * Read an array.
 * @param {ArrayBuffer} buffer
 * @returns {{shape: number[], data: ArrayLike<number>}} in C order
 */
export function readNpy(buffer) {
  const bytes = new Uint8Array(buffer);
  if (String.fromCharCode(...bytes.subarray(0, 6)) !== "\x93NUMPY") {
    throw new Problem("This is no .npy file: it does not begin with \\x93NUMPY.");
  }
  const view = new DataView(buffer);
  const [first, size] = bytes[6] === 1 ? [10, view.getUint16(8, true)] : [12, view.getUint32(8, true)];
  const header = new TextDecoder().decode(bytes.subarray(first, first + size));
  const type = header.match(/'descr':\s*'([<>|=])([a-z]\d+)'/);
  const shape = header.match(/'shape':\s*\(([\d\s,]*)\)/)?.[1].split(",").filter((n) => n.trim());
  const Type = type && TYPES[type[2]];
  if (!Type || !shape) {
    const text = header.match(/'descr':\s*('[^']*'|\[.*?\])/)?.[1] ?? "unknown";
    throw new Problem(`The array's type is ${text.slice(0, 40)}; expected whole numbers, float32 or ` +
      "float64. Save it again with .astype('float32').");
  }
  const sides = shape.map(Number);
  const count = sides.reduce((a, b) => a * b, 1);
  const end = first + size + count * Type.BYTES_PER_ELEMENT;
  if (end !== bytes.length) {
    throw new Problem(`The file has ${bytes.length} bytes; its header promises ${end}. Copy it again.`);
  }
  const copy = bytes.slice(first + size); // aligned for the type
  if (type[1] === ">") swapBytes(copy, Type.BYTES_PER_ELEMENT);
  let data = new Type(copy.buffer);
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) {
    data = Float64Array.from(data, Number);
  }
  const isFortran = /'fortran_order':\s*True/.test(header);
  return { shape: sides, data: isFortran ? reverseAxes(data, sides) : data };
}

/**
 * Turn the order of the bytes of each number.
 * @param {Uint8Array} bytes changed
 * @param {number} size of a number
 */
export function swapBytes(bytes, size) {
  for (let i = 0; size > 1 && i < bytes.length; i += size) bytes.subarray(i, i + size).reverse();
}

/** Copy numbers from Fortran order to C order. */
function reverseAxes(data, shape) {
  const out = new data.constructor(data.length);
  const steps = shape.map((_, axis) => shape.slice(0, axis).reduce((a, b) => a * b, 1));
  const place = shape.map(() => 0);
  for (let i = 0; i < out.length; i++) {
    out[i] = data[place.reduce((sum, n, axis) => sum + n * steps[axis], 0)];
    for (let axis = shape.length - 1; axis >= 0 && ++place[axis] === shape[axis]; axis--) {
      place[axis] = 0;
    }
  }
  return out;
}
