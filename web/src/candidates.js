/** Candidates from a file: cellfinder's XML, or a CSV with the columns of csv_header.py. */

const AXES = [ // names of z y x in a CSV
  ["z", "y", "x"],
  ["axis-0", "axis-1", "axis-2"],
  ["coordinate_raw_axis_0", "coordinate_raw_axis_1", "coordinate_raw_axis_2"],
];
const LARGEST = 1e7; // voxels
const ROOT = "CellCounter_Marker_File";

/**
 * Read candidates.
 * @param {string} text of the file
 * @param {string} name of the file
 * @returns {number[][]} z y x, voxels from 0
 */
export function readCandidates(text, name) {
  const zyx = /^\s*(\ufeff)?\s*</.test(text) ? readXml(text, name) : readCsv(text, name);
  const wrong = zyx.findIndex((point) => !point.every((n) => n >= -LARGEST && n <= LARGEST));
  if (wrong >= 0) {
    throw new Error(`${name}: candidate ${wrong + 1} is at ${zyx[wrong].join(", ")} (z y x); ` +
      "expected three numbers, in voxels.");
  }
  if (!zyx.length) throw new Error(`${name} holds no candidates.`);
  return zyx;
}

function readXml(text, name) {
  if (/<!DOCTYPE/i.test(text)) throw new Error(`${name} has a DTD; expected none. Remove it.`);
  if (text.includes(`<${ROOT}`) && !text.trimEnd().endsWith(`</${ROOT}>`)) {
    throw new Error(`${name} is cut short: it does not end with </${ROOT}>. Write it again.`);
  }
  const root = new DOMParser().parseFromString(text, "text/xml").documentElement;
  if (root.ownerDocument.getElementsByTagName("parsererror").length) {
    throw new Error(`${name} is not valid XML. Write it again.`);
  }
  if (root.nodeName !== ROOT) {
    throw new Error(`${name} is no XML of cellfinder: its root is ${root.nodeName.slice(0, 40)}; ` +
      `expected ${ROOT}.`);
  }
  const hasTraits = root.querySelector("Marker_Type > Name, Image_Properties > X_Calibration");
  if (hasTraits || root.getElementsByTagName("Marker_Type").length >= 4) {
    throw new Error(`${name} looks like a file of Fiji's Cell Counter, which counts slices from 1. ` +
      "Convert it with cfzoo classify --points-from cell-counter, or give a CSV.");
  }
  const read = (marker, axis) => {
    const leaf = marker.getElementsByTagName(`Marker${axis}`);
    return leaf.length === 1 && leaf[0].textContent.trim() ? Number(leaf[0].textContent) : NaN;
  };
  return [...root.getElementsByTagName("Marker")].map((marker) =>
    ["Z", "Y", "X"].map((axis) => read(marker, axis)));
}

function readCsv(text, name) {
  const lines = text.replace(/^\ufeff/, "").split(/\r?\n/).filter((line) => line.trim());
  const separator = lines[0]?.match(/^"?sep=([,;\t|])"?$/i);
  if (separator) lines.shift();
  const title = (lines[0] ?? "").replace(/^#\s*/, "");
  for (const delimiter of separator ? [separator[1]] : [",", ";", "\t"]) {
    const split = (line) => line.split(delimiter).map((cell) => cell.trim().replace(/^"(.*)"$/, "$1"));
    const names = split(title).map((cell) => cell.toLowerCase());
    const axes = AXES.filter((each) => each.every((axis) => names.includes(axis)));
    if (axes.length === 1) {
      const columns = axes[0].map((axis) => names.indexOf(axis));
      const parse = (cell) => (cell ? Number(cell) : NaN);
      return lines.slice(1).filter((line) => !line.startsWith("#"))
        .map((line) => split(line)).map((cells) => columns.map((i) => parse(cells[i])));
    }
  }
  throw new Error(`${name}: the header is "${title.slice(0, 80)}"; expected columns x, y and z in ` +
    "voxels, or those of napari or brainmapper.");
}

/**
 * Write results as the CSV that every command of cfzoo reads as points.
 * @param {number[][]} zyx
 * @param {number[]} probabilities NaN for a candidate without an answer
 * @param {number} threshold
 * @returns {string}
 */
export function writeCsv(zyx, probabilities, threshold) {
  const rows = zyx.map(([z, y, x], i) => {
    const p = probabilities[i];
    const isKnown = Number.isFinite(p);
    return [x, y, z, isKnown ? (p >= threshold ? 2 : 1) : "", isKnown ? p.toPrecision(8) : ""].join(",");
  });
  return `${["x,y,z,type,probability", ...rows].join("\n")}\n`;
}
