/** The wire format of protobuf, as far as an artifact uses it. */

/**
 * Read the fields of a message.
 * @param {Uint8Array} bytes
 * @returns {Map<number, Array<number|Uint8Array>>} by number; numbers for varints, views of the
 *   bytes for all else
 */
export function readFields(bytes) {
  const fields = new Map();
  let place = 0;
  const readVarint = () => {
    let [value, factor] = [0, 1];
    for (let n = 0; n < 10; n++) {
      if (place >= bytes.length) throw new Error("The file ends inside a field.");
      const byte = bytes[place++];
      value += (byte & 127) * factor; // exact up to 2 ** 53; sizes and types are less
      factor *= 128;
      if (byte < 128) return value;
    }
    throw new Error("A number of the file has more than ten bytes.");
  };
  while (place < bytes.length) {
    const tag = readVarint();
    const [number, type] = [Math.floor(tag / 8), tag % 8];
    let value;
    if (type === 0) value = readVarint();
    else {
      const size = { 1: () => 8, 2: readVarint, 5: () => 4 }[type];
      if (!size) throw new Error(`The file has a field of the unknown type ${type}.`);
      const length = size();
      if (place + length > bytes.length) throw new Error("The file ends inside a field.");
      value = bytes.subarray(place, place + length);
      place += length;
    }
    if (!fields.has(number)) fields.set(number, []);
    fields.get(number).push(value);
  }
  return fields;
}

/**
 * Write a message whose fields are all views of bytes or varints.
 * @param {Array<[number, number|Uint8Array]>} fields in order
 * @returns {Uint8Array}
 */
export function writeFields(fields) {
  const parts = [];
  for (const [number, value] of fields) {
    const isBytes = value instanceof Uint8Array;
    parts.push(varint(8 * number + (isBytes ? 2 : 0)), varint(isBytes ? value.length : value));
    if (isBytes) parts.push(value);
  }
  const message = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let place = 0;
  for (const part of parts) {
    message.set(part, place);
    place += part.length;
  }
  return message;
}

/**
 * @param {Uint8Array} bytes
 * @returns {string}
 */
export function decodeText(bytes) {
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
}

function varint(value) {
  const bytes = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Uint8Array.from([...bytes, rest]);
    bytes.push((rest % 128) + 128);
  }
}
