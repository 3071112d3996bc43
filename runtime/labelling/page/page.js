/** What keys and buttons do. */

const RETRACED = 10; // points of the curve of an earlier visit

/** A session of labelling. */
class LabelPage {
  /** @param {Document} root */
  constructor(root) {
    this.page = readPage(root);
    this.view = new View(this, this.page);
    this.pool = new Pool(this.page);
    this.history = new History(this.page.numbers, this.page.digest);
    this.store = new Store(this.page.digest);
    this.curve = new Map(); // number of labels -> estimate
    this.viewed = 0; // row of the candidate in view
    this.suggestion = null; // row that the model asks for; null if all have an answer
  }

  /** Take up the labels of an earlier visit and begin. */
  async start() {
    const state = await this.store.open();
    const isBack = state !== null && this.adopt(state);
    this.update();
    this.goTo(this.suggestion ?? this.viewed);
    if (isBack) this.view.showStorage("Your labels of an earlier visit are back. ");
    else if (!state) this.view.showStorage();
    this.connect();
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
    this.view.showVerdict(`Candidate ${this.history.numbers[row]}: ${word}; ${opinion}.`);
    this.goTo(this.suggestion ?? row);
  }

  /** Take the last step back, and show its candidate again. */
  undo() {
    const row = this.history.undo();
    if (row === null) return;
    this.keep();
    this.update();
    this.view.showVerdict(`The answer to candidate ${this.history.numbers[row]} is undone.`);
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
    this.view.drawPictures();
    this.view.showPlace();
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
    if (!this.curve.size) this.retrace(rows, labels);
    this.assess(this.lesson, rows, labels);
    this.view.showProgress(types);
    this.view.showBelief();
    this.view.showLabels();
  }

  /**
   * Estimate the quality of a head, for the curve.
   * @param {Lesson & {margins: Float64Array}} lesson
   * @param {number[]} rows of its labels
   * @param {boolean[]} labels
   */
  assess(lesson, rows, labels) {
    const { prior, scale } = this.page;
    this.estimate = estimateQuality(lesson, this.takeFeatures(rows), labels, prior, scale);
    if (this.estimate) this.curve.set(rows.length, this.estimate);
  }

  /**
   * Draw the curve of labels of an earlier visit again, at a few points.
   * @param {number[]} rows
   * @param {boolean[]} labels
   */
  retrace(rows, labels) {
    for (let part = 1; part < RETRACED; part++) {
      const n = Math.floor((part * rows.length) / RETRACED);
      const [some, own] = [rows.slice(0, n), labels.slice(0, n)];
      this.assess(this.refit(some, own), some, own);
    }
  }

  /**
   * Fit the head to labels.
   * @param {number[]} rows
   * @param {boolean[]} labels
   * @returns {Lesson & {margins: Float64Array}} with the logits of all candidates of the page
   */
  refit(rows, labels) {
    const { features, prior, scale } = this.page;
    this.before ??= computeMargins(features, prior);
    const weights = weighLabels(rows.map((row) => this.before[row]), this.before);
    const lesson = fitHead(this.takeFeatures(rows), labels, prior, scale, weights);
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
    await this.store.save(state);
    if (state.revision === this.history.revision) this.view.showStorage();
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
      this.view.showProblem("");
      return true;
    } catch (error) {
      this.view.showProblem(error.message);
      return false;
    }
  }

  /** Offer a text as a file. */
  download(text, suffix, type) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = `${this.page.stem}${suffix}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  /** Connect keys, buttons and the window. */
  connect() {
    const listen = (id, name, action) => this.view.element(id).addEventListener(name, action);
    const click = (id, action) => listen(id, "click", action);
    click("cell", () => this.answer(CELL));
    click("no-cell", () => this.answer(NO_CELL));
    click("skip", () => this.answer(SKIPPED));
    click("undo", () => this.undo());
    click("back", () => this.move(-1));
    click("forward", () => this.move(1));
    click("channel", () => this.view.toggleChannel());
    click("save-csv", () => {
      this.download(writeCsv(this.history, this.page.xyz), "-labels.csv", "text/csv");
    });
    click("save-state", () => {
      this.download(JSON.stringify(this.history.save()), "-labels.json", "application/json");
    });
    for (const id of ["brightness", "contrast", "shared"]) {
      listen(id, "input", () => this.view.readLook());
    }
    listen("opinion", "input", () => this.view.showPlace());
    listen("open-state", "change", (event) => this.openState(event.target));
    document.addEventListener("keydown", (event) => this.press(event));
    window.addEventListener("resize", () => this.view.drawPictures());
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", () => this.view.drawPictures());
    window.addEventListener("beforeunload", (event) => {
      if (!this.store.works && this.history.steps.length) event.preventDefault();
    });
    // Another tab with this page: its labels are these.
    window.addEventListener("storage", (event) => {
      const state = event.key === this.store.key ? parseState(event.newValue) : null;
      if (state && state.revision > this.history.revision && this.adopt(state)) {
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
    const revision = this.history.revision;
    if (!this.adopt(parseState(await file.text()))) return;
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
      v: () => this.view.toggleChannel(),
      g: () => this.view.element("shared").click(),
      m: () => this.view.element("opinion").click(),
      "+": () => this.view.adjust(0, 1),
      "=": () => this.view.adjust(0, 1),
      "-": () => this.view.adjust(0, -1),
      0: () => this.view.adjust(null, null),
      ...(isSlider ? {} : {
        ArrowLeft: () => this.move(-1),
        ArrowRight: () => this.move(1),
        ArrowUp: () => this.view.adjust(1, 0),
        ArrowDown: () => this.view.adjust(-1, 0),
      }),
    };
    const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    const isHeld = event.repeat && "cxsu".includes(event.key.toLowerCase());
    if (!action) return;
    event.preventDefault();
    if (!isHeld) action(); // a key that is held would label candidates unseen
  }
}

// Begin, and give the page to those who test it.
window.labelPage = new LabelPage(document);
window.labelPage.ready = window.labelPage.start();
