/** Files, buttons and keys. */

/**
 * Connect them to a page.
 * @param {import("./page.js").TryPage} page
 * @param {(id: string) => HTMLElement} element
 */
export function connect(page, element) {
  const attempt = async (action) => {
    try {
      await action();
    } catch (error) {
      page.complain(error.message);
      page.update();
    }
  };
  const listen = (id, name, action) =>
    element(id).addEventListener(name, (event) => attempt(() => action(event)));
  const click = (id, action) => listen(id, "click", action);
  const openFile = (id, action) => listen(id, "change", async ({ target }) => {
    const [file] = target.files;
    target.value = ""; // so that the same file can be chosen again, also after an error
    if (file) await action(file);
  });
  openFile("signal", (file) => page.openVolume(file, "signal"));
  openFile("background", (file) => page.openVolume(file, "background"));
  openFile("points", (file) => page.openPoints(file));
  openFile("own", (file) => page.openModel(file));
  click("example", () => page.openExample());
  click("centre", () => {
    page.add([page.volumes.signal.channels[0].shape.map((n) => n / 2)]);
  });
  click("clear", () => page.clear());
  click("remove", () => page.remove());
  click("classify", () => page.classify());
  click("back", () => page.move(-1));
  click("forward", () => page.move(1));
  click("save", () => page.save());
  listen("model", "change", () => page.loadModel());
  listen("order", "change", () => page.update());
  listen("map", "change", () => page.viewer.draw());
  listen("cover", "input", () => page.viewer.draw());
  listen("depth", "input", ({ target }) => {
    const [, y, x] = page.overview.cross;
    page.overview.goTo([Number(target.value), y, x]);
  });
  for (const axis of "zyx") listen(`size-${axis}`, "input", () => page.forget());
  for (const name of ["focus", "blur"]) listen("slice", name, () => page.overview.draw());
  connectDrop(page, attempt);
  const redraw = () => {
    page.overview.draw();
    page.viewer.draw();
  };
  window.addEventListener("resize", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  document.addEventListener("keydown", (event) => press(page, element, event, attempt));
}

/** Take files that are dropped anywhere: models, volumes, candidates, told apart by their names. */
function connectDrop(page, attempt) {
  const { body } = document;
  body.addEventListener("dragover", (event) => {
    event.preventDefault();
    body.classList.add("over");
  });
  body.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) body.classList.remove("over");
  });
  body.addEventListener("drop", (event) => {
    event.preventDefault();
    body.classList.remove("over");
    attempt(() => page.openFiles([...event.dataTransfer.files]));
  });
}

function press(page, element, event, attempt) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea")) return;
  const actions = {
    ArrowLeft: () => page.move(-1),
    ArrowRight: () => page.move(1),
    m: () => page.viewer.toggleMap(),
    c: () => element("classify").click(),
  };
  const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  attempt(action);
}
