/** TIFF stacks, decoded by geotiff.js; what their pages are is read here, as in dialects/. */

import { fromArrayBuffer } from "geotiff";
import { swapBytes } from "./npy.js";
import { Problem } from "./problem.js";

const UM = {
  nm: 1e-3, nanometer: 1e-3, um: 1, micron: 1, microns: 1, micrometer: 1, mm: 1e3,
  millimeter: 1e3, cm: 1e4, centimeter: 1e4, m: 1e6, meter: 1e6,
};
const PLAUSIBLE = [0.05, 100]; // um; outside, a wrong entry is likelier than such a microscope
const TIFFFILE = "1.11a"; // the version of ImageJ that tifffile's text names
const MOST_CHANNELS = 2;

/**
 * @typedef {object} Stack
 * @property {{shape: number[], data: ArrayLike<number>}[]} channels each z y x
 * @property {number[]|null} voxelSize z y x, um, if the file states it
 */

/**
 * Read a TIFF of one or two channels.
 * @param {ArrayBuffer} buffer
 * @returns {Promise<Stack>}
 */
export async function readTiff(buffer) {
  const tiff = await fromArrayBuffer(buffer);
  const count = await tiff.getImageCount();
  const first = await tiff.getImage(0);
  const text = String((await readTag(first, "ImageDescription")) ?? "").replace(/\0+$/, "");
  const [width, height] = [first.getWidth(), first.getHeight()];
  if (first.getSamplesPerPixel() !== 1) {
    throw new Problem(`The TIFF has ${first.getSamplesPerPixel()} values for each pixel, as colour ` +
      "pictures have; expected one. Save one channel.");
  }
  const pixels = await readPixelSize(first);
  const { lengths, order, images, voxelSize } = describePages(text, count, pixels);
  if (lengths.T > 1 || lengths.C > MOST_CHANNELS) {
    throw new Problem(`The TIFF has ${lengths.T} times and ${lengths.C} channels; expected one time ` +
      `and at most ${MOST_CHANNELS} channels. Save the one to be classified.`);
  }
  const data = count === 1 && images > 1
    ? await readContiguous(first, buffer, images)
    : await readPages(tiff, buffer.byteLength, images, width, height);
  const [depth, plane] = [images / lengths.C, width * height];
  const channels = Array.from({ length: lengths.C }, (_, channel) => {
    if (lengths.C === 1) return { shape: [depth, height, width], data };
    const part = new data.constructor(depth * plane);
    for (let z = 0; z < depth; z++) {
      const page = order === "CZ" ? channel * depth + z : z * lengths.C + channel;
      part.set(data.subarray(page * plane, (page + 1) * plane), z * plane);
    }
    return { shape: [depth, height, width], data: part };
  });
  return { channels, voxelSize };
}

async function readPages(tiff, size, count, width, height) {
  let data = null;
  for (let page = 0; page < count; page++) {
    const image = await tiff.getImage(page);
    if (image.getWidth() !== width || image.getHeight() !== height) {
      throw new Problem(`Page ${page + 1} of the TIFF has ${image.getHeight()} x ${image.getWidth()} ` +
        `pixels, the first ${height} x ${width}; expected planes of one size.`);
    }
    await checkExtent(image, size, page);
    const [values] = await image.readRasters();
    data ??= new values.constructor(count * width * height);
    if (values.constructor !== data.constructor) {
      throw new Problem(`Page ${page + 1} of the TIFF has another type than the first.`);
    }
    data.set(values, page * width * height);
  }
  return data;
}

/** Check that the data lie in the file: geotiff.js would read what is missing as zeros. */
async function checkExtent(image, size, page) {
  const kind = image.fileDirectory.hasTag("TileOffsets") ? "Tile" : "Strip";
  const [offsets, counts] = await Promise.all(
    ["Offsets", "ByteCounts"].map((name) => readTag(image, `${kind}${name}`)),
  );
  const ends = Array.from(offsets ?? [], (offset, i) => Number(offset) + Number(counts?.[i] ?? 0));
  if (!ends.length || ends.some((end) => end > size)) {
    throw new Problem(`Page ${page + 1} of the TIFF lies beyond the end of the file: it was cut ` +
      "short. Copy it again.");
  }
}

/** ImageJ gives only the first plane a page when the file exceeds 4 GB; so does tifffile on request. */
async function readContiguous(image, buffer, images) {
  const offsets = await readTag(image, "StripOffsets");
  const compression = (await readTag(image, "Compression")) ?? 1;
  const { BYTES_PER_ELEMENT: size } = image.getArrayForSample(0, 1, 1);
  const length = images * image.getWidth() * image.getHeight() * size;
  const start = Number(offsets?.[0] ?? 0);
  if (compression !== 1 || !offsets || start + length > buffer.byteLength) {
    throw new Problem(`The TIFF says that it has ${images} planes and holds one. Copy it again.`);
  }
  const bytes = new Uint8Array(buffer.slice(start, start + length));
  if (!image.littleEndian) swapBytes(bytes, size);
  return new (image.getArrayForSample(0, 1, 1).constructor)(bytes.buffer);
}

/**
 * Read what the pages are from the text of ImageJ, of OME or of tifffile.
 * @param {string} text
 * @param {number} count pages
 * @param {{size: number[], unit: string}|null} pixels from the tags
 */
function describePages(text, count, pixels) {
  const plain = { T: 1, Z: count, C: 1 };
  const check = (images, source) => {
    if (images !== count && count !== 1) {
      throw new Problem(`The TIFF's ${source} speaks of ${images} planes, and it holds ${count}. ` +
        "Copy it again.");
    }
  };
  if (/^(ImageJ|SCIFIO)=/.test(text)) {
    const fields = Object.fromEntries([...text.matchAll(/^(\w+)=(.*?)\r?$/gm)].map((m) => [m[1], m[2]]));
    const [T, C] = [Number(fields.frames ?? 1), Number(fields.channels ?? 1)];
    const images = Number(fields.images ?? T * C * Number(fields.slices ?? count));
    check(images, "ImageJ text");
    const isBare = images !== 1 && fields.ImageJ !== TIFFFILE;
    const spacing = fields.spacing ?? (isBare ? "1" : null); // ImageJ leaves out a spacing of 1
    const voxelSize = pixels && spacing
      ? stateSize([spacing, ...pixels.size], [fields.zunit ?? fields.unit,
        ...(pixels.unit === "cm" ? ["cm", "cm"] : [fields.yunit ?? fields.unit, fields.unit])])
      : null;
    return { lengths: { T, C, Z: images / T / C }, order: "ZC", images, voxelSize };
  }
  if (/<OME[\s>]/.test(text)) {
    const pixel = new DOMParser().parseFromString(text, "text/xml").getElementsByTagName("Pixels")[0];
    const read = (name, other) => pixel?.getAttribute(name) ?? other;
    const lengths = { T: +read("SizeT", 1), C: +read("SizeC", 1), Z: +read("SizeZ", count) };
    const images = lengths.T * lengths.C * lengths.Z;
    check(images, "OME text");
    if (images !== count) throw new Problem("The OME-TIFF is a part of a set of files; expected one.");
    const order = /^XYZ/.test(read("DimensionOrder", "XYZCT")) ? "CZ" : "ZC";
    const voxelSize = stateSize(["Z", "Y", "X"].map((axis) => read(`PhysicalSize${axis}`)),
      ["Z", "Y", "X"].map((axis) => read(`PhysicalSize${axis}Unit`, "\u00b5m")));
    return { lengths, order, images, voxelSize };
  }
  if (text.startsWith("{") && /"shape":\s*\[/.test(text)) { // until 2025 the shape stood last
    const { shape, axes } = JSON.parse(text);
    const pages = shape.slice(0, -2).filter((n) => n > 1);
    if (pages.length > 1) {
      throw new Problem(`The TIFF has the shape ${shape.join(" x ")}${axes ? ` (${axes})` : ""}; ` +
        "expected z y x. Save one channel.");
    }
    const images = pages[0] ?? 1;
    check(images, "tifffile text");
    return { lengths: { ...plain, Z: images }, order: "ZC", images, voxelSize: null };
  }
  return { lengths: plain, order: "ZC", images: count, voxelSize: null };
}

async function readPixelSize(image) {
  const [x, y, unit] = await Promise.all(
    ["XResolution", "YResolution", "ResolutionUnit"].map((name) => readTag(image, name)),
  );
  const divide = (value) => (value?.length === 2 ? value[1] / value[0] : NaN);
  if (!x || !y) return null;
  return { size: [divide(y), divide(x)], unit: unit === 3 ? "cm" : "" };
}

async function readTag(image, name) {
  const directory = image.fileDirectory;
  return directory.hasTag(name) ? directory.loadValue(name) : undefined;
}

function stateSize(values, units) {
  const sizes = values.map((value, i) => {
    const unit = String(units[i]).replace(/\\u00B5/gi, "u").replace(/[\u00b5\u03bc]/g, "u").trim();
    return Number(value) * (UM[unit.toLowerCase().replace(/metre$/, "meter")] ?? NaN);
  });
  const isPlausible = sizes.every((size) => size >= PLAUSIBLE[0] && size <= PLAUSIBLE[1]);
  return isPlausible ? sizes : null;
}
