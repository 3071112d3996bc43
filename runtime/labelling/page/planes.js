/**
 * The pictures: three planes through a candidate, drawn at one scale in um.
 *
 *   y x | y z
 *   z x | scale bar
 */

const GAP = 2; // um between the planes
const LEVELS = 254; // codes of a picture; 0 is a pixel without data
const REACH = 12; // um about a candidate, whose range of intensities its own grey scale spans
const MARGIN = 0.1; // share of that range by which the scale is wider

/**
 * @typedef {object} Contrast
 * @property {number} brightness added to a grey value of 0 to 1
 * @property {number} contrast factor about the middle grey
 * @property {boolean} shared whether all candidates have one black and one white
 */

/** The pictures of all candidates of a page. */
class Planes {
  /** @param {object} page see `readPage` */
  constructor(page) {
    const [z, y, x] = page.frame.pixels;
    this.codes = page.codes;
    this.black = page.black;
    this.white = page.white;
    this.channels = page.channels.length;
    this.pixelSize = page.frame.pixel_size;
    this.shapes = [[y, x], [z, x], [y, z]]; // rows and columns of each plane
    this.bytes = y * x + z * x + y * z;
    this.record = page.frame.record; // characters of base64 of one candidate
    this.range = Array.from({ length: this.channels }, (_, c) => this.findRange(c));
    this.recent = new Map(); // candidate -> bytes
  }

  /**
   * Find a black and a white for all candidates of a channel.
   * @param {number} channel
   * @returns {number[]} intensities
   */
  findRange(channel) {
    const pick = (values, share) => {
      const own = [];
      for (let i = channel; i < values.length; i += this.channels) own.push(values[i]);
      own.sort((a, b) => a - b);
      return own[Math.min(own.length - 1, Math.floor(share * own.length))];
    };
    const low = pick(this.black, 0.5);
    return [low, Math.max(pick(this.white, 0.9), low + 1e-6)];
  }

  /**
   * Find black and white for the surroundings of one candidate.
   * @param {number} row
   * @param {number} channel
   * @returns {number[]} intensities
   */
  findOwnRange(row, channel) {
    const codes = this.read(row);
    const near = [];
    let offset = channel * this.bytes;
    const sizes = [[1, 2], [0, 2], [1, 0]].map((axes) => axes.map((axis) => this.pixelSize[axis]));
    this.shapes.forEach(([height, width], plane) => {
      const [rows, columns] = [height, width].map((n, i) =>
        Math.min(Math.floor((n - 1) / 2), Math.max(1, Math.round(REACH / sizes[plane][i]))));
      const [middle, centre] = [Math.floor(height / 2), Math.floor(width / 2)];
      for (let i = middle - rows; i <= middle + rows; i++) {
        for (let j = centre - columns; j <= centre + columns; j++) {
          const code = codes[offset + i * width + j];
          if (code) near.push(code);
        }
      }
      offset += height * width;
    });
    near.sort((a, b) => a - b);
    const pick = (share) => near[Math.floor(share * (near.length - 1))] ?? 1;
    const [low, high] = [0.01, 0.995].map((share) => this.intensity(row, channel, pick(share)));
    const more = MARGIN * (high - low) || 1e-6;
    return [low - more, high + more];
  }

  /**
   * Return the intensity of a code; see `Planes` in planes.py.
   * @param {number} row
   * @param {number} channel
   * @param {number} code 1 to 255
   * @returns {number}
   */
  intensity(row, channel, code) {
    const place = row * this.channels + channel;
    const black = this.black[place];
    return black + ((code - 1) / LEVELS) ** 2 * (this.white[place] - black);
  }

  /**
   * Decode the codes of a candidate.
   * @param {number} row
   * @returns {Uint8Array}
   */
  read(row) {
    let bytes = this.recent.get(row);
    if (!bytes) {
      bytes = decodeBytes(this.codes.substr(row * this.record, this.record));
      if (this.recent.size > 200) this.recent.clear();
      this.recent.set(row, bytes);
    }
    return bytes;
  }

  /**
   * Make the table from codes to grey values.
   * @param {number} row
   * @param {number} channel
   * @param {Contrast} look
   * @returns {Uint8ClampedArray} 256 values
   */
  greys(row, channel, look) {
    const [low, high] = look.shared ? this.range[channel] : this.findOwnRange(row, channel);
    const greys = new Uint8ClampedArray(256);
    for (let code = 1; code < 256; code++) {
      const share = (this.intensity(row, channel, code) - low) / (high - low);
      greys[code] = 255 * ((share - 0.5) * look.contrast + 0.5 + look.brightness);
    }
    return greys;
  }

  /**
   * Draw one plane in its own pixels; those without data stay transparent.
   * @param {number} row
   * @param {number} channel
   * @param {number} plane 0 for y x, 1 for z x, 2 for y z
   * @param {Contrast} look
   * @returns {HTMLCanvasElement}
   */
  drawPlane(row, channel, plane, look) {
    const [height, width] = this.shapes[plane];
    let offset = channel * this.bytes;
    for (let i = 0; i < plane; i++) offset += this.shapes[i][0] * this.shapes[i][1];
    const codes = this.read(row);
    const greys = this.greys(row, channel, look);
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d");
    const image = context.createImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      const code = codes[offset + i];
      const grey = greys[code];
      const place = 4 * i;
      image.data[place] = image.data[place + 1] = image.data[place + 2] = grey;
      image.data[place + 3] = code ? 255 : 0;
    }
    context.putImageData(image, 0, 0);
    return canvas;
  }

  /**
   * Draw the plane y x, for a list of candidates.
   * @param {HTMLCanvasElement} canvas square
   * @param {number} row
   * @param {Contrast} look
   */
  drawThumbnail(canvas, row, look) {
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(this.drawPlane(row, 0, 0, look), 0, 0, canvas.width, canvas.height);
  }

  /**
   * Draw the three planes and a scale bar into a canvas, as large as it is on the screen.
   * @param {HTMLCanvasElement} canvas
   * @param {number} row
   * @param {number} channel
   * @param {Contrast} look
   * @param {{mark: string, text: string, empty: string}} colours
   */
  draw(canvas, row, channel, look, colours) {
    const [z, y, x] = this.extent();
    const ratio = window.devicePixelRatio || 1;
    const width = Math.max(60, Math.round(canvas.clientWidth * ratio));
    const scale = width / (x + GAP + z); // pixels of the screen per um
    canvas.width = width;
    canvas.height = Math.round(scale * (y + GAP + z));
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    const right = scale * (x + GAP);
    const below = scale * (y + GAP);
    const places = [
      [0, 0, scale * x, scale * y, "y x"],
      [0, below, scale * x, scale * z, "z x"],
      [right, 0, scale * z, scale * y, "y z"],
    ];
    places.forEach(([left, top, w, h, name], plane) => {
      context.fillStyle = colours.empty;
      context.fillRect(left, top, w, h);
      context.drawImage(this.drawPlane(row, channel, plane, look), left, top, w, h);
      drawTicks(context, left, top, w, h, colours.mark, ratio);
      context.font = `${12 * ratio}px system-ui, sans-serif`;
      const [tx, ty] = [left + 6 * ratio, top + h - 7 * ratio];
      context.fillStyle = "#000"; // a shadow, for bright pictures
      context.fillText(name, tx + ratio, ty + ratio);
      context.fillStyle = "#fff";
      context.fillText(name, tx, ty);
    });
    drawBar(context, right, below, scale * z, scale, colours.text, ratio);
  }

  /** @returns {number[]} um along z, y and x */
  extent() {
    const [[y, x], [z]] = this.shapes;
    return [z, y, x].map((n, axis) => n * this.pixelSize[axis]);
  }
}

/**
 * Draw four ticks that point at the middle of a plane and leave it free.
 * @param {CanvasRenderingContext2D} context
 * @param {number} left
 * @param {number} top
 * @param {number} width
 * @param {number} height
 * @param {string} colour
 * @param {number} ratio pixels of the screen per pixel of the page
 */
function drawTicks(context, left, top, width, height, colour, ratio) {
  const [x, y, length] = [left + width / 2, top + height / 2, 0.12 * Math.min(width, height)];
  context.strokeStyle = colour;
  context.lineWidth = 2 * ratio;
  context.beginPath();
  for (const [x0, y0, dx, dy] of [
    [left, y, 1, 0], [left + width, y, -1, 0], [x, top, 0, 1], [x, top + height, 0, -1],
  ]) {
    context.moveTo(x0, y0);
    context.lineTo(x0 + dx * length, y0 + dy * length);
  }
  context.stroke();
}

/**
 * Draw the scale bar, of a round number of um, into the free corner.
 * @param {CanvasRenderingContext2D} context
 * @param {number} left
 * @param {number} top
 * @param {number} side
 * @param {number} scale pixels of the screen per um
 * @param {string} colour
 * @param {number} ratio pixels of the screen per pixel of the page
 */
function drawBar(context, left, top, side, scale, colour, ratio) {
  const length = [100, 50, 20, 10, 5].find((um) => um * scale <= 0.6 * side) || 2;
  const [x, y] = [left + (side - length * scale) / 2, top + side / 2];
  context.fillStyle = colour;
  context.fillRect(x, y, length * scale, 4 * ratio);
  context.textAlign = "center";
  context.font = `${14 * ratio}px system-ui, sans-serif`;
  context.fillText(`${length} \u00b5m`, left + side / 2, y + 22 * ratio);
  context.textAlign = "start";
}
