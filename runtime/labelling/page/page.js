/** The page: what is shown, and what keys and buttons do. */

const SUREST = 6; // candidates shown of each kind

/** A session of labelling, and the elements that show it. */
class LabelPage {
  /** @param {Document} root */
  constructor(root) {
    this.element = (id) => root.getElementById(id);
    this.page = readPage(root);
    this.planes = new Planes(this.page);
    this.pool = new Pool(this.page);
    this.history = new History(this.page.numbers, this.page.digest);
    this.store = new Store(this.page.digest);
    this.look = { brightness: 0, contrast: 1, shared: false };
    this.channel = this.planes.channels; // all of them, where there is room
    this.curve = new Map(); // number of labels -> estimate
    this.thumbnails = new Map(); // candidate -> button; it stands in one list at a time
    this.viewed = 0;
    this.suggestion = null;
    this.isSaved = true; // whether the last step is kept by the browser
  }

  /** Take up the labels of an earlier visit and begin. */
  async start() {
    this.connect();
    const state = await this.store.open();
    if (state) this.adopt(state);
    this.showStorage(state ? "Your labels of an earlier visit are back. " : "");
    this.update();
    this.goTo(this.suggestion ?? this.viewed);
  }

  /**
   * Label the candidate in view, and go on to the next.
   * @param {number} type CELL, NO_CELL or SKIPPED
   */
  answer(type) {
    const row = this.viewed;
    const before = this.probabilities[row];
    this.history.add(row, type);
    this.keep();
    this.update();
    const word = { [CELL]: "cell", [NO_CELL]: "no cell", [SKIPPED]: "skipped" }[type];
    const opinion = `the model had said cell with probability ${before.toFixed(2)}`;
    this.element("verdict").textContent = `Candidate ${this.history.numbers[row]}: ${word}; ${opinion}.`;
    this.goTo(this.suggestion ?? row);
  }

  /** Take the last step back, and show its candidate again. */
  undo() {
    const row = this.history.undo();
    if (row === null) return;
    this.keep();
    this.update();
    this.element("verdict").textContent = `The last answer, of candidate ${this.history.numbers[row]}, is undone.`;
    this.goTo(row);
  }

  /**
   * Look at the candidate before or after, along the steps taken and then the suggestion.
   * @param {number} direction -1 or 1
   */
  move(direction) {
    const path = [...this.history.types().keys()];
    if (this.suggestion !== null) path.push(this.suggestion);
    const place = path.indexOf(this.viewed);
    const next = place < 0 ? path.length - 1 : place + direction;
    if (path[next] !== undefined) this.goTo(path[next]);
  }

  /**
   * Show a candidate.
   * @param {number} row
   */
  goTo(row) {
    this.viewed = row;
    this.drawPictures();
    this.showPlace();
  }

  /** Refit, choose the next candidate and show both. */
  update() {
    const { rows, types } = this.history.labels();
    const labels = types.map((type) => type === CELL);
    const began = performance.now();
    this.lesson = this.refit(rows, labels);
    this.suggestion = this.suggest(labels);
    this.refitTime = performance.now() - began; // ms
    this.probabilities = Array.from(this.lesson.margins, logistic);
    for (const n of this.curve.keys()) if (n > rows.length) this.curve.delete(n);
    const { prior, scale } = this.page;
    this.estimate = estimateQuality(this.lesson, this.takeFeatures(rows), labels, prior, scale);
    if (this.estimate) this.curve.set(rows.length, this.estimate);
    this.showProgress(types);
    this.showBelief();
    this.showLabels();
  }

  /**
   * Fit the head to labels.
   * @param {number[]} rows
   * @param {boolean[]} labels
   * @returns {Lesson & {margins: Float64Array}} with the logits of all candidates of the page
   */
  refit(rows, labels) {
    const { features, prior, scale } = this.page;
    const lesson = fitHead(this.takeFeatures(rows), labels, prior, scale);
    return { ...lesson, margins: computeMargins(features, lesson) };
  }

  /**
   * @param {number[]} rows
   * @returns {Float64Array} their standardised features
   */
  takeFeatures(rows) {
    const { features, scale } = this.page;
    const width = scale.length;
    const z = new Float64Array(rows.length * width);
    rows.forEach((row, i) => z.set(features.subarray(row * width, (row + 1) * width), i * width));
    return z;
  }

  /**
   * Choose the next candidate.
   * @param {boolean[]} labels
   * @returns {number|null} null if all have an answer
   */
  suggest(labels) {
    const types = this.history.types();
    const margins = this.lesson.margins;
    const next = this.pool.choose(margins, [...types.keys()], labels);
    if (next !== null) return next;
    // The pool is smaller than the page: the most doubtful of the others.
    let best = null;
    margins.forEach((margin, row) => {
      if (types.has(row)) return;
      if (best === null || Math.abs(margin) < Math.abs(margins[best])) best = row;
    });
    return best;
  }

  /** Keep the labels in the browser. */
  async keep() {
    const state = this.history.save();
    this.isSaved = await this.store.save(state);
    if (state.revision === this.history.revision) this.showStorage();
  }

  /**
   * Take over a state; see `History.load`.
   * @param {unknown} state
   * @returns {boolean} whether it fits
   */
  adopt(state) {
    try {
      this.history.load(state);
      this.curve.clear();
      this.showProblem("");
      return true;
    } catch (error) {
      this.showProblem(error.message);
      return false;
    }
  }

  /** Draw the candidate in view, in the channels that are chosen. */
  drawPictures() {
    const style = getComputedStyle(document.documentElement);
    const colours = {
      mark: style.getPropertyValue("--cell"),
      text: style.getPropertyValue("--ink"),
      empty: style.getPropertyValue("--void"),
    };
    const figures = this.element("pictures").children;
    [...figures].forEach((figure, channel) => {
      figure.hidden = this.channel < figures.length && channel !== this.channel;
      if (figure.hidden) return;
      const canvas = figure.querySelector("canvas");
      this.planes.draw(canvas, this.viewed, channel, this.look, colours);
    });
  }

  /** Say which candidate is in view. */
  showPlace() {
    const [number, row] = [this.history.numbers[this.viewed], this.viewed];
    const [x, y, z] = this.page.xyz[row];
    const type = this.history.types().get(row);
    const label = { [CELL]: ", you said cell", [NO_CELL]: ", you said no cell", [SKIPPED]: ", skipped" };
    const chance = this.probabilities[row].toFixed(2);
    const opinion = this.element("opinion").checked ? `, the model says cell with ${chance}` : "";
    const isOver = this.suggestion === null ? " All candidates of this page have an answer." : "";
    this.element("place").textContent =
      `Candidate ${number} at x ${x} y ${y} z ${z}${label[type] ?? ""}${opinion}.${isOver}`;
    for (const canvas of this.element("pictures").querySelectorAll("canvas")) {
      canvas.setAttribute("aria-label", `Three planes through candidate ${number}, ${canvas.title}`);
    }
    for (const button of document.querySelectorAll(".strip button")) {
      button.setAttribute("aria-current", String(Number(button.dataset.row) === row));
    }
  }

  /** Show the counts, the quality to expect and whether that is enough. */
  showProgress(types) {
    const cells = types.filter((type) => type === CELL).length;
    const skipped = this.history.types().size - types.length;
    this.element("counts").textContent =
      `${types.length} labelled: ${cells} cell${cells === 1 ? "" : "s"}, ${types.length - cells} others` +
      (skipped ? `, ${skipped} skipped` : "");
    const { headline, details, verdict, isEnough } = describeQuality(this.estimate, types);
    this.element("quality").replaceChildren(...headline);
    this.element("details").textContent = details;
    this.element("enough").textContent = verdict;
    this.element("enough").hidden = !verdict;
    this.element("enough").classList.toggle("yes", isEnough);
    const points = [...this.curve].map(([n, e]) => ({ n, ...e.auc })).sort((a, b) => a.n - b.n);
    this.element("curve").replaceChildren(drawCurve(points));
    this.element("undo").disabled = !this.history.steps.length;
    for (const id of ["save-csv", "save-state"]) this.element(id).disabled = !types.length;
  }

  /** Show what the model believes of all candidates of the page. */
  showBelief() {
    this.element("histogram").replaceChildren(drawHistogram(this.probabilities));
    const labelled = this.history.types();
    const open = [...this.probabilities.keys()].filter((row) => !labelled.has(row));
    open.sort((a, b) => this.lesson.margins[b] - this.lesson.margins[a] || a - b);
    const say = (row) => this.probabilities[row].toFixed(2);
    const cells = open.slice(0, SUREST);
    const others = open.slice(cells.length).slice(-SUREST).reverse();
    this.element("surest-cells").replaceChildren(...cells.map((row) => this.thumbnail(row, "", say(row))));
    this.element("surest-others").replaceChildren(...others.map((row) => this.thumbnail(row, "", say(row))));
  }

  /** Show the labels, the latest first. */
  showLabels() {
    const marks = { [CELL]: ["cell", "C"], [NO_CELL]: ["no-cell", "X"], [SKIPPED]: ["", "S"] };
    const steps = [...this.history.types()].reverse();
    this.element("labels").replaceChildren(
      ...steps.map(([row, type]) => this.thumbnail(row, ...marks[type])),
    );
  }

  /**
   * Make a button with a small picture that leads to a candidate.
   * @param {number} row
   * @param {string} kind class
   * @param {string} text in its corner
   * @returns {HTMLButtonElement}
   */
  thumbnail(row, kind, text) {
    let button = this.thumbnails.get(row);
    if (!button) {
      button = document.createElement("button");
      button.type = "button";
      button.dataset.row = row;
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = 64;
      this.planes.drawThumbnail(canvas, row, this.look);
      button.append(canvas, document.createElement("span"));
      button.addEventListener("click", () => this.goTo(row));
      this.thumbnails.set(row, button);
    }
    button.className = kind;
    button.lastChild.textContent = text;
    button.setAttribute("aria-label", `Candidate ${this.history.numbers[row]}, ${text}`);
    return button;
  }

  /**
   * Say where the labels are kept.
   * @param {string} before a sentence before it
   */
  showStorage(before = "") {
    const n = this.history.labels().rows.length;
    this.element("storage").textContent = before + (this.store.works
      ? "Each answer is kept in this browser at once; save a file to use the labels or to move on."
      : "");
    this.showProblem(this.store.works ? "" :
      `This browser keeps nothing for this page (a private window, or its storage is full): your ${n} labels are lost when the tab closes. Save them often.`);
  }

  /** @param {string} text "" for none */
  showProblem(text) {
    this.element("problem").textContent = text;
    this.element("problem").hidden = !text;
  }

  /** Offer a text as a file. */
  download(text, suffix, type) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = `${this.page.stem}${suffix}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  /** Change brightness and contrast by steps of their sliders, or reset them. */
  adjust(brightness, contrast) {
    const [first, second] = [this.element("brightness"), this.element("contrast")];
    first.value = brightness === null ? 0 : Number(first.value) + brightness * Number(first.step);
    second.value = contrast === null ? 0 : Number(second.value) + contrast * Number(second.step);
    this.readLook();
  }

  /** Draw with the values of the sliders. */
  readLook() {
    this.look = {
      brightness: Number(this.element("brightness").value),
      contrast: 2 ** Number(this.element("contrast").value),
      shared: this.element("shared").checked,
    };
    this.drawPictures();
    clearTimeout(this.redraw);
    this.redraw = setTimeout(() => { // not with each step of a slider
      for (const [row, button] of this.thumbnails) {
        this.planes.drawThumbnail(button.firstChild, row, this.look);
      }
    }, 150);
  }

  /** Show the next channel; after the last one all, where the window has room for them. */
  toggleChannel() {
    const isWide = window.innerWidth > 640;
    this.channel = (this.channel + 1) % (this.planes.channels + (isWide ? 1 : 0));
    this.drawPictures();
  }

  /** Connect keys, buttons and the window. */
  connect() {
    if (this.planes.channels > 1 && window.innerWidth <= 640) this.channel = 0;
    for (const name of this.page.channels) {
      const figure = document.createElement("figure");
      const canvas = document.createElement("canvas");
      const caption = document.createElement("figcaption");
      canvas.setAttribute("role", "img");
      canvas.title = caption.textContent = name;
      figure.append(canvas, ...(this.planes.channels > 1 ? [caption] : []));
      this.element("pictures").append(figure);
    }
    this.element("channel").hidden = this.planes.channels < 2;
    this.element("looks").open = window.innerWidth > 640;
    const click = (id, action) => this.element(id).addEventListener("click", action);
    click("cell", () => this.answer(CELL));
    click("no-cell", () => this.answer(NO_CELL));
    click("skip", () => this.answer(SKIPPED));
    click("undo", () => this.undo());
    click("back", () => this.move(-1));
    click("forward", () => this.move(1));
    click("channel", () => this.toggleChannel());
    click("save-csv", () => this.download(writeCsv(this.history, this.page.xyz), "-labels.csv", "text/csv"));
    click("save-state", () => this.download(JSON.stringify(this.history.save()), "-labels.json", "application/json"));
    for (const id of ["brightness", "contrast", "shared"]) {
      this.element(id).addEventListener("input", () => this.readLook());
    }
    this.element("opinion").addEventListener("input", () => this.showPlace());
    this.element("open-state").addEventListener("change", (event) => this.openState(event.target));
    document.addEventListener("keydown", (event) => this.press(event));
    window.addEventListener("resize", () => this.drawPictures());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.drawPictures());
    window.addEventListener("beforeunload", (event) => {
      if (!this.store.works && this.history.steps.length) event.preventDefault();
    });
    // Another tab with this page: its labels are these.
    window.addEventListener("storage", (event) => {
      if (event.key !== this.store.key || !event.newValue) return;
      const state = JSON.parse(event.newValue);
      if (state.revision > this.history.revision && this.adopt(state)) {
        this.update();
        this.goTo(this.suggestion ?? this.viewed);
      }
    });
  }

  /**
   * Open a file that `save-state` wrote.
   * @param {HTMLInputElement} input
   */
  async openState(input) {
    const [file] = input.files;
    input.value = ""; // so that the same file can be chosen again
    if (!file) return;
    let state = null;
    try {
      state = JSON.parse(await file.text());
    } catch {} // `adopt` says that it is no state
    const revision = this.history.revision;
    if (!this.adopt(state)) return;
    this.history.revision = Math.max(revision, this.history.revision) + 1; // newer than both
    await this.keep();
    this.update();
    this.goTo(this.suggestion ?? this.viewed);
  }

  /**
   * Do what a key says.
   * @param {KeyboardEvent} event
   */
  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const isSlider = event.target instanceof HTMLInputElement && event.target.type === "range";
    const actions = {
      c: () => this.answer(CELL),
      x: () => this.answer(NO_CELL),
      s: () => this.answer(SKIPPED),
      u: () => this.undo(),
      n: () => this.goTo(this.suggestion ?? this.viewed),
      v: () => this.planes.channels > 1 && this.toggleChannel(),
      g: () => this.element("shared").click(),
      m: () => this.element("opinion").click(),
      "+": () => this.adjust(0, 1),
      "=": () => this.adjust(0, 1),
      "-": () => this.adjust(0, -1),
      0: () => this.adjust(null, null),
      ...(isSlider ? {} : {
        ArrowLeft: () => this.move(-1),
        ArrowRight: () => this.move(1),
        ArrowUp: () => this.adjust(1, 0),
        ArrowDown: () => this.adjust(-1, 0),
      }),
    };
    const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    const isHeld = event.repeat && "cxsu".includes(event.key.toLowerCase());
    if (!action) return;
    event.preventDefault();
    if (!isHeld) action(); // a key that is held would label candidates unseen
  }
}
