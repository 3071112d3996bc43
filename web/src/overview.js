/** One plane of the volume with its candidates, on which a click or a key adds one. */

const NEAR = 10; // um along z, within which a candidate is drawn
const RADIUS = 7; // pixels of the page
const REACH = 12; // pixels of the page about a candidate in which a click chooses it
const SAMPLED = 50_000; // voxels that decide on black and white

/** The plane, its cross and the marks. */
export class Overview {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {{add: (zyx: number[]) => void, choose: (row: number) => void,
   *   moved: () => void}} actions
   */
  constructor(canvas, actions) {
    this.canvas = canvas;
    this.actions = actions;
    this.volume = null;
    this.cross = [0, 0, 0]; // z y x, voxels
    this.marks = { zyx: [], kinds: [], viewed: -1 };
    canvas.addEventListener("click", (event) => this.click(event));
    canvas.addEventListener("keydown", (event) => this.press(event));
    canvas.addEventListener("wheel", (event) => {
      if (!this.volume || !event.shiftKey) return; // a plain wheel scrolls the page
      event.preventDefault();
      this.move([Math.sign(event.deltaY || event.deltaX), 0, 0]);
    }, { passive: false });
  }

  /**
   * Show a volume.
   * @param {{shape: number[], data: ArrayLike<number>}|null} volume
   */
  setVolume(volume) {
    this.volume = volume;
    if (volume) {
      this.range = findRange(volume.data);
      this.cross = volume.shape.map((n) => Math.floor(n / 2));
    }
    this.draw();
  }

  /**
   * Set the candidates.
   * @param {number[][]} zyx
   * @param {string[]} kinds cell, none or open, of each
   * @param {number} viewed row, or -1
   */
  setMarks(zyx, kinds, viewed) {
    this.marks = { zyx, kinds, viewed };
    this.draw();
  }

  /** @param {number[]} zyx where the cross goes */
  goTo(zyx) {
    if (!this.volume) return;
    this.cross = zyx.map((n, axis) => Math.min(Math.max(Math.round(n), 0), this.volume.shape[axis] - 1));
    this.draw();
    this.actions.moved();
  }

  /** @param {number[]} step z y x, voxels */
  move(step) {
    this.goTo(this.cross.map((n, axis) => n + step[axis]));
  }

  draw() {
    if (!this.volume) return;
    const [, height, width] = this.volume.shape;
    const ratio = window.devicePixelRatio || 1;
    const { canvas } = this;
    canvas.width = Math.max(60, Math.round(canvas.clientWidth * ratio));
    canvas.height = Math.round((canvas.width * height) / width);
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(this.drawPlane(), 0, 0, canvas.width, canvas.height);
    const scale = canvas.width / width;
    const [z, y, x] = this.cross;
    const style = getComputedStyle(document.documentElement);
    const colours = { cell: "#ff9d4d", none: "#5db8f0", open: "#fff" }; // on a dark picture
    this.marks.zyx.forEach((point, row) => {
      if (Math.abs(point[0] - z) * this.depth > NEAR) return;
      const [left, top] = [(point[2] + 0.5) * scale, (point[1] + 0.5) * scale];
      context.strokeStyle = colours[this.marks.kinds[row]];
      context.lineWidth = (row === this.marks.viewed ? 4 : 1.75) * ratio;
      context.beginPath();
      // The shape repeats the colour: a ring for a cell, a square for none, a dashed ring if open.
      context.setLineDash(this.marks.kinds[row] === "open" ? [3 * ratio, 3 * ratio] : []);
      const r = RADIUS * ratio;
      if (this.marks.kinds[row] === "none") context.rect(left - r, top - r, 2 * r, 2 * r);
      else context.arc(left, top, r, 0, 2 * Math.PI);
      context.stroke();
    });
    context.setLineDash([]);
    if (document.activeElement === canvas) {
      context.strokeStyle = style.getPropertyValue("--cell");
      context.lineWidth = ratio;
      context.beginPath();
      const [left, top] = [(x + 0.5) * scale, (y + 0.5) * scale];
      context.moveTo(0, top);
      context.lineTo(canvas.width, top);
      context.moveTo(left, 0);
      context.lineTo(left, canvas.height);
      context.stroke();
    }
  }

  /** Draw the plane in its own voxels. */
  drawPlane() {
    const [, height, width] = this.volume.shape;
    const plane = document.createElement("canvas");
    [plane.width, plane.height] = [width, height];
    const context = plane.getContext("2d");
    const image = context.createImageData(width, height);
    const [low, high] = this.range;
    const first = this.cross[0] * height * width;
    for (let i = 0; i < height * width; i++) {
      const share = (this.volume.data[first + i] - low) / (high - low);
      const grey = 255 * Math.sqrt(Math.min(Math.max(share, 0), 1));
      image.data[4 * i] = image.data[4 * i + 1] = image.data[4 * i + 2] = grey;
      image.data[4 * i + 3] = Number.isFinite(share) ? 255 : 0;
    }
    context.putImageData(image, 0, 0);
    return plane;
  }

  click(event) {
    if (!this.volume) return;
    const [, height, width] = this.volume.shape;
    const box = this.canvas.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * width - 0.5;
    const y = ((event.clientY - box.top) / box.height) * height - 0.5;
    const scale = box.width / width;
    const distances = this.marks.zyx.map(([z, py, px]) =>
      (Math.abs(z - this.cross[0]) * this.depth > NEAR ? Infinity : scale * Math.hypot(py - y, px - x)));
    const nearest = distances.indexOf(Math.min(...distances, Infinity));
    if (nearest >= 0 && distances[nearest] <= REACH) this.actions.choose(nearest);
    else {
      this.goTo([this.cross[0], y, x]);
      this.actions.add(this.cross);
    }
  }

  press(event) {
    if (!this.volume || event.ctrlKey || event.metaKey || event.altKey) return;
    const far = event.shiftKey ? 10 : 1;
    const steps = {
      ArrowUp: [0, -far, 0], ArrowDown: [0, far, 0], ArrowLeft: [0, 0, -far],
      ArrowRight: [0, 0, far], PageUp: [-far, 0, 0], PageDown: [far, 0, 0],
    };
    if (steps[event.key]) this.move(steps[event.key]);
    else if (event.key === "Enter") this.actions.add(this.cross);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

/** Find a black and a white for a volume, from some of its voxels. */
function findRange(data) {
  const step = Math.max(1, Math.floor(data.length / SAMPLED));
  const values = [];
  for (let i = 0; i < data.length; i += step) if (Number.isFinite(data[i])) values.push(data[i]);
  const sorted = Float64Array.from(values.length ? values : [0, 1]).sort();
  const pick = (share) => sorted[Math.floor(share * (sorted.length - 1))];
  return [pick(0.01), Math.max(pick(0.999), pick(0.01) + 1e-6)];
}
