/** What is shown. */

const SUREST = 6; // candidates shown of each kind
const NARROW = 640; // pixels of the page, up to which one channel is shown at a time

/** The elements that show a session of labelling. */
class View {
  /**
   * @param {LabelPage} session
   * @param {object} page see `readPage`
   */
  constructor(session, page) {
    this.session = session;
    this.page = page;
    this.planes = new Planes(page);
    this.element = (id) => document.getElementById(id);
    this.look = { brightness: 0, contrast: 1, shared: false };
    this.channel = this.planes.channels; // all of them, where there is room
    this.thumbnails = new Map(); // candidate -> button; it stands in one list at a time
    this.build();
  }

  /** Make a canvas for each channel. */
  build() {
    const isNarrow = window.innerWidth <= NARROW;
    const hasTwo = this.planes.channels > 1;
    if (hasTwo && isNarrow) this.channel = 0;
    for (const name of this.page.channels) {
      const figure = document.createElement("figure");
      const canvas = document.createElement("canvas");
      const caption = document.createElement("figcaption");
      canvas.setAttribute("role", "img");
      canvas.title = caption.textContent = name;
      figure.append(canvas, ...(hasTwo ? [caption] : []));
      this.element("pictures").append(figure);
    }
    this.element("channel").hidden = !hasTwo;
    this.element("looks").open = !isNarrow;
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
      this.planes.draw(canvas, this.session.viewed, channel, this.look, colours);
    });
  }

  /** Say which candidate is in view. */
  showPlace() {
    const { history, probabilities, suggestion, viewed: row } = this.session;
    const number = history.numbers[row];
    const [x, y, z] = this.page.xyz[row].map((v) => Math.round(v * 10) / 10);
    const type = history.types().get(row);
    const words = { [CELL]: "you said cell", [NO_CELL]: "you said no cell", [SKIPPED]: "skipped" };
    const label = type === undefined ? "" : `, ${words[type]}`;
    const chance = `, the model says cell with probability ${probabilities[row].toFixed(2)}`;
    const opinion = this.element("opinion").checked ? chance : "";
    const end = suggestion === null ? " All candidates of this page have an answer." : "";
    this.element("place").textContent =
      `Candidate ${number} at x ${x} y ${y} z ${z}${label}${opinion}.${end}`;
    for (const canvas of this.element("pictures").querySelectorAll("canvas")) {
      const name = `Three planes through candidate ${number}, ${canvas.title}`;
      canvas.setAttribute("aria-label", name);
    }
    for (const button of document.querySelectorAll(".strip button")) {
      button.setAttribute("aria-current", String(Number(button.dataset.row) === row));
    }
  }

  /** @param {string} text what the last step did */
  showVerdict(text) {
    this.element("verdict").textContent = text;
  }

  /**
   * Show the counts, the quality to expect and whether that is enough.
   * @param {number[]} types of the labels
   */
  showProgress(types) {
    const { curve, history } = this.session;
    const cells = types.filter((type) => type === CELL).length;
    const skipped = history.types().size - types.length;
    this.element("counts").textContent = `${types.length} labelled: ${cells} cell` +
      `${cells === 1 ? "" : "s"}, ${types.length - cells} others` +
      (skipped ? `, ${skipped} skipped` : "");
    const points = [...curve].sort(([a], [b]) => a - b);
    const { headline, details, verdict, isEnough } =
      describeQuality(points.map(([, each]) => each), cells, types.length - cells);
    this.element("quality").replaceChildren(...headline);
    this.element("details").textContent = details;
    this.element("enough").textContent = verdict;
    this.element("enough").hidden = !verdict;
    this.element("enough").classList.toggle("yes", isEnough);
    this.element("curve").replaceChildren(drawCurve(points.map(([n, e]) => ({ n, ...e.auc }))));
    this.element("undo").disabled = !history.steps.length;
    for (const id of ["save-csv", "save-state"]) this.element(id).disabled = !types.length;
  }

  /** Show what the model believes of all candidates of the page. */
  showBelief() {
    const { history, lesson: { margins }, probabilities } = this.session;
    const share = sum(probabilities) / probabilities.length;
    const [count, all] = [Math.round(share * this.page.candidates), this.page.candidates];
    this.element("belief").textContent = `About ${count} of ${all} candidates are cells.`;
    this.element("histogram").replaceChildren(drawHistogram(probabilities));
    const types = history.types();
    const open = [...probabilities.keys()].filter((row) => !types.has(row));
    open.sort((a, b) => margins[b] - margins[a] || a - b);
    const cells = open.slice(0, SUREST);
    const others = open.slice(cells.length).slice(-SUREST).reverse();
    const say = (row) => probabilities[row].toFixed(2);
    const show = (rows) => rows.map((row) => this.thumbnail(row, "", say(row)));
    this.element("surest-cells").replaceChildren(...show(cells));
    this.element("surest-others").replaceChildren(...show(others));
  }

  /** Show the labels, the latest first. */
  showLabels() {
    const marks = { [CELL]: ["cell", "C"], [NO_CELL]: ["no-cell", "X"], [SKIPPED]: ["", "S"] };
    const steps = [...this.session.history.types()].reverse();
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
      button.addEventListener("click", () => this.session.goTo(row));
      this.thumbnails.set(row, button);
    }
    button.className = kind;
    button.lastChild.textContent = text;
    button.setAttribute("aria-label", `Candidate ${this.session.history.numbers[row]}, ${text}`);
    return button;
  }

  /**
   * Say where the labels are kept.
   * @param {string} before a sentence before it
   */
  showStorage(before = "") {
    const n = this.session.history.labels().rows.length;
    const { works } = this.session.store;
    const storage = "This browser keeps each answer at once. Save a file to use the labels.";
    this.element("storage").textContent = works ? before + storage : "";
    const lost = "This browser keeps nothing for this page (a private window, or its storage is " +
      `full): your ${n} labels are lost when the tab closes. Save them often.`;
    this.showProblem(works ? "" : lost);
  }

  /** @param {string} text "" for none */
  showProblem(text) {
    this.element("problem").textContent = text;
    this.element("problem").hidden = !text;
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
    if (this.planes.channels < 2) return;
    const isWide = window.innerWidth > NARROW;
    this.channel = (this.channel + 1) % (this.planes.channels + (isWide ? 1 : 0));
    this.drawPictures();
  }
}
