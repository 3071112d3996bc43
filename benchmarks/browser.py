"""Measure the page of ``cfzoo page`` in Chromium: size, time to load, candidates a second, answers.

    python benchmarks/browser.py [--rounds N] [--threads N]...

Each round opens the page from a file in a fresh browser context, classifies the same 200 candidates
of the sample several times with each number of threads, and lets onnxruntime's own CPU build
compute the same cubes in one thread in between, so that a busy computer slows both. Writes
results/browser.json; needs the ``dev`` extra, Chromium, and the built parts (``web/README.md``).
"""

import json
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import click
import numpy as np

from cfzoo.runtime import Options, classify, read_points
from cfzoo.runtime.artifact import INPUT, OUTPUT, bundled, read_artifact
from cfzoo.runtime.files import atomic_write
from cfzoo.runtime.sample import VOXEL_SIZE, write_sample
from cfzoo.runtime.session import load_onnxruntime
from cfzoo.workflows.try_page import write_try_page
from cfzoo.workflows.try_page.try_page import BUILT

STORED = Path(__file__).parent / "results" / "browser.json"
MODELS = ("attention3d", "pyramid3d")
POINTS = 200
REPEATS = 3  # classifications in each round
BATCH = 16  # as in web/src/workers.js
TIME_MAPS = """async () => {
  const cube = tryPage.job.cubeOf(0);
  await tryPage.workers.explain(cube); // the first makes the session
  const began = performance.now();
  await tryPage.workers.explain(cube);
  return performance.now() - began;
}"""


def measure(rounds: int, threads: tuple[int, ...], say=print) -> dict:
    """Measure all models; see the module's docstring."""
    from playwright.sync_api import sync_playwright  # here, since `browser_table` needs none

    results: dict = {"computer": {"cpus": os.cpu_count(), "load": os.getloadavg()[0]}}
    with tempfile.TemporaryDirectory() as name, sync_playwright() as play:
        folder = Path(name)
        write_sample(folder, overwrite=True)
        points = folder / "points.csv"
        zyx = read_points(folder / "candidates.xml").zyx[:POINTS]
        rows = [f"{x!r},{y!r},{z!r}" for z, y, x in zyx.tolist()]
        points.write_text("\n".join(["x,y,z", *rows]) + "\n", encoding="utf-8")
        arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        results["chromium"] = browser.version
        results["bytes"] = {"built": BUILT.stat().st_size}
        results["models"] = {}
        for model in MODELS:
            path = folder / f"{model}.html"
            results["bytes"][model] = write_try_page(path, [model], example=False).bytes
            results["models"][model] = row = measure_model(browser, path, model, rounds, threads)
            say(model, json.dumps(row))
        browser.close()
    return results


def measure_model(browser, path: Path, model: str, rounds: int, threads: tuple[int, ...]) -> dict:
    """Measure one page; seconds to load, candidates a second, and the largest difference."""
    folder = path.parent
    points = read_points(folder / "points.csv")
    options = Options(outside="flag")
    truth = classify(
        points, folder / "signal.tif", model=model, voxel_size=VOXEL_SIZE, options=options
    )
    native = _native(model)
    load_s: list[float] = []
    rates: dict[str, list[float]] = {"native": [], **{str(n): [] for n in threads}}
    difference = map_ms = 0.0
    for number in range(rounds * len(threads)):
        count = threads[number % len(threads)]
        context = browser.new_context()
        page = context.new_page()
        page.set_default_timeout(120_000)
        began = time.perf_counter()
        page.goto(f"{path.as_uri()}#threads={count}")
        page.evaluate("tryPage.ready")
        if count == min(threads):
            load_s.append(time.perf_counter() - began)
        _give_inputs(page, folder)
        for _ in range(REPEATS):
            rates["native"].append(native())
            page.evaluate("tryPage.classify()")
            rates[str(count)].append(POINTS / page.evaluate("tryPage.runTime / 1000"))
        answer = np.array(page.evaluate("tryPage.job.probabilities"), float)
        difference = max(difference, float(np.abs(answer - truth.probability).max()))
        map_ms = page.evaluate(TIME_MAPS)
        context.close()
    medians = {key: round(statistics.median(values), 1) for key, values in rates.items()}
    return {
        "points_per_s": medians,
        "share_of_native": {
            key: round(value / medians["native"], 3) for key, value in medians.items()
        },
        "load_s": round(statistics.median(load_s), 2),
        "fastest_load_s": round(min(load_s), 2),
        "maps_ms": round(map_ms, 1),
        "largest_difference": difference,
    }


def _give_inputs(page, folder: Path) -> None:
    page.set_input_files("#signal", folder / "signal.tif")
    page.wait_for_selector("#volume-status:has-text('signal.tif:')")
    for axis, size in zip("zyx", VOXEL_SIZE, strict=True):
        page.fill(f"#size-{axis}", str(size))
    page.set_input_files("#points", folder / "points.csv")
    page.wait_for_selector(f"#points-status:has-text('{POINTS} candidates')")


def _native(model: str):
    """Return a function that measures onnxruntime in one thread, cubes of its test vector."""
    onnxruntime = load_onnxruntime()
    artifact = read_artifact(bundled()[model])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(artifact.model_with_maps(), options)
    cubes = np.repeat(artifact.test_cube, BATCH, axis=0)

    def run() -> float:
        began = time.perf_counter()
        for _ in range(0, POINTS, BATCH):
            session.run([OUTPUT], {INPUT: cubes})
        return POINTS / (time.perf_counter() - began)

    return run


def browser_table(results: dict) -> str:
    """Return size, time to load and speed of each page, in Markdown."""
    threads = [key for key in results["models"][MODELS[0]]["points_per_s"] if key != "native"]
    names = [f"{n} thread{'s' if n != '1' else ''}" for n in threads]
    heads = ["page with", "file, MB", "loads in, s", *(f"candidates/s, {n}" for n in names)]
    heads += ["share of onnxruntime's CPU build, 1 thread", "largest difference to Python"]
    lines = [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    for model, row in results["models"].items():
        cells = [model, f"{results['bytes'][model] / 1e6:.1f}", f"{row['load_s']:.1f}"]
        cells += [f"{row['points_per_s'][n]:,.0f}" for n in threads]
        cells += [f"{100 * row['share_of_native']['1']:.0f} %", f"{row['largest_difference']:.0e}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


@click.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--threads", multiple=True, type=int, default=(1, 2), show_default=True)
def main(rounds, threads):
    """Write results/browser.json."""
    results = measure(rounds, tuple(threads))
    with atomic_write(STORED, "w") as file:
        file.write(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
