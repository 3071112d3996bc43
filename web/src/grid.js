/**
 * Where a candidate's cube lies in the data, and how it reaches the network's grid: the geometry
 * of grid.py, which is cellfinder's.
 */

const MOST_VOXELS = 4096; // of data along an axis of a cube
const { fround } = Math;

/** Round to the nearest whole number, halves to the even one, as Python does. */
export function roundEven(value) {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** The geometry of a card's cubes in data of one voxel size. */
export class Grid {
  /**
   * @param {object} card
   * @param {number[]} voxelSize z y x, um
   */
  constructor(card, voxelSize) {
    this.cubeShape = card.cube_shape;
    this.padding = card.padding ?? "edge";
    this.dataShape = card.cube_shape.map((n, axis) =>
      roundEven((n * card.voxel_size[axis]) / voxelSize[axis]));
    if (card.cube_shape[0] === 1) this.dataShape[0] = 1; // one plane is taken as it is, for 2D
    if (this.dataShape.some((n) => !(n >= 1 && n <= MOST_VOXELS))) {
      throw new Error(`With voxels of ${voxelSize.join(" x ")} \u00b5m (z y x) a cube would take ` +
        `${this.dataShape.join(" x ")} voxels of data. Check the voxel size: z y x, in micrometres.`);
    }
    this.weights = this.dataShape.map((n, axis) =>
      n === this.cubeShape[axis] ? null : resamplingRows(n, this.cubeShape[axis], card.resampling));
  }

  /**
   * @param {number[]} zyx a point, voxels
   * @returns {number[]} first voxel of its cube; it may lie outside the volume
   */
  start([z, y, x]) {
    const [nz, ny, nx] = this.dataShape;
    return [Math.trunc(z - Math.floor(nz / 2)), roundEven(y - ny / 2), roundEven(x - nx / 2)];
  }

  /** Whether a cube that begins at `start` lies wholly inside a volume. */
  isInside(start, shape) {
    return start.every((n, axis) => n >= 0 && n + this.dataShape[axis] <= shape[axis]);
  }

  /** Whether it holds at least one voxel of the volume. */
  overlaps(start, shape) {
    return start.every((n, axis) => n < shape[axis] && n + this.dataShape[axis] > 0);
  }

  /**
   * Cut a cube and resample it.
   * @param {{shape: number[], data: ArrayLike<number>}} volume one channel
   * @param {number[]} start first voxel
   * @param {{mean: number, std: number}|null} scale for a normalisation over the volume
   * @param {Float32Array} out of the network's shape, overwritten
   * @returns {boolean} whether all its voxels are finite; else the network has no answer
   */
  cut(volume, start, scale, out) {
    const [nz, ny, nx] = this.dataShape;
    const [depth, height, width] = volume.shape;
    const isZero = this.padding === "zero";
    let voxels = new Float32Array(nz * ny * nx);
    let place = 0;
    for (let z = start[0]; z < start[0] + nz; z++) {
      for (let y = start[1]; y < start[1] + ny; y++) {
        const row = (clamp(z, depth) * height + clamp(y, height)) * width;
        const isOut = isZero && (z < 0 || z >= depth || y < 0 || y >= height);
        for (let x = start[2]; x < start[2] + nx; x++) {
          const isVoid = isOut || (isZero && (x < 0 || x >= width));
          voxels[place++] = isVoid ? 0 : volume.data[row + clamp(x, width)];
        }
      }
    }
    if (!voxels.every(Number.isFinite)) return false;
    if (scale) {
      const [mean, std] = [fround(scale.mean), fround(scale.std)];
      for (let i = 0; i < voxels.length; i++) voxels[i] = fround(voxels[i] - mean) / std;
    }
    let shape = [nz, ny, nx];
    for (const axis of [2, 1, 0]) {
      if (!this.weights[axis]) continue;
      voxels = resampleAxis(voxels, shape, axis, this.weights[axis]);
      shape = shape.map((n, i) => (i === axis ? this.cubeShape[axis] : n));
    }
    out.set(voxels);
    return true;
  }
}

const clamp = (place, length) => Math.min(Math.max(place, 0), length - 1);

/**
 * The rows of `resampling_matrix` in grid.py, each without its zeros.
 * @param {number} dataSide
 * @param {number} cubeSide
 * @param {string} rule trilinear or antialias
 * @returns {{first: number, weights: number[]}[]}
 */
export function resamplingRows(dataSide, cubeSide, rule = "trilinear") {
  return Array.from({ length: cubeSide }, (_, i) => {
    const row = new Float32Array(dataSide);
    if (rule === "antialias" && dataSide > cubeSide) {
      const ratio = dataSide / cubeSide;
      const centre = (i + 0.5) * ratio - 0.5;
      const weights = Array.from(row, (_, k) => Math.max(0, 1 - Math.abs(k - centre) / ratio));
      const sum = weights.reduce((a, b) => a + b, 0);
      weights.forEach((weight, k) => { row[k] = weight / sum; });
    } else {
      // In float32, as torch and grid.py compute it.
      const ratio = fround(fround(dataSide) / fround(cubeSide));
      const centre = Math.min(Math.max(fround(fround(fround(i + 0.5) * ratio) - 0.5), 0), dataSide - 1);
      for (let k = 0; k < dataSide; k++) row[k] = Math.max(0, 1 - Math.abs(k - centre));
    }
    const first = row.findIndex((weight) => weight !== 0);
    const last = row.findLastIndex((weight) => weight !== 0);
    return { first, weights: Array.from(row.subarray(first, last + 1)) };
  });
}

function resampleAxis(voxels, shape, axis, rows) {
  const step = shape.slice(axis + 1).reduce((a, b) => a * b, 1); // between voxels of the axis
  const count = shape.slice(0, axis).reduce((a, b) => a * b, 1);
  const out = new Float32Array(count * rows.length * step);
  for (let outer = 0; outer < count; outer++) {
    rows.forEach(({ first, weights }, i) => {
      const to = (outer * rows.length + i) * step;
      const from = (outer * shape[axis] + first) * step;
      for (let inner = 0; inner < step; inner++) {
        let sum = 0;
        for (let k = 0; k < weights.length; k++) {
          sum += weights[k] * voxels[from + k * step + inner];
        }
        out[to + inner] = sum;
      }
    });
  }
  return out;
}

/**
 * Mean and sample standard deviation of a volume, as `measure_scale` in scale.py measures them.
 * @param {{shape: number[], data: ArrayLike<number>}} volume
 * @returns {{mean: number, std: number}}
 */
export function measureScale(volume) {
  const [depth, height, width] = volume.shape;
  const step = depth <= 50 ? 1 : Math.floor(depth / 50);
  const plane = height * width;
  let [sum, count] = [0, 0];
  const each = (visit) => {
    for (let z = 0; z < depth; z += step) {
      for (let i = z * plane; i < (z + 1) * plane; i++) visit(volume.data[i]);
    }
  };
  each((value) => { sum += value; count++; });
  const mean = sum / count;
  let squares = 0;
  each((value) => { squares += (value - mean) ** 2; });
  const std = Math.sqrt(squares / Math.max(count - 1, 1));
  if (!(std > 0 && Number.isFinite(std))) {
    throw new Error("The volume is constant, or holds NaN or infinite voxels, so it cannot be " +
      "normalised as this model requires.");
  }
  return { mean, std };
}
