"""Measure the page of `cfzoo page` in Chromium: how soon it is ready, and points/s beside Python.

    python benchmarks/page.py [--rounds N]

Needs the ``dev`` extra, Chromium, and the browser parts, which npm builds (web/README.md). A round
opens the page with each model and number of threads, and measures the time until the model is
checked and loaded, and that of classifying the candidates of the synthetic brain, many times over.
Python, with onnxruntime in as many threads, takes its turn in the same round, from the same arrays
to probabilities and with its network loaded, so that other load on the computer affects both. Rates
are by the clock, and by the seconds of the processor that all threads and processes took, which
other load changes less (Linux only). Figures are medians with their range. Writes
results/page.json.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import speed
from stages import summarise

from cfzoo.runtime.cpu_grants import available_threads
from cfzoo.runtime.files import atomic_write
from cfzoo.runtime.job import prepare
from cfzoo.runtime.options import Options
from cfzoo.runtime.pipeline import run
from cfzoo.runtime.sample import VOXEL_SIZE, make_sample
from cfzoo.workflows.try_page import write_try_page

STORED = Path(__file__).parent / "results" / "page.json"
MODELS = ("pyramid3d", "attention3d")
PREPARE = """async ([name, sizes, zyx]) => {
  const select = document.querySelector("#model");
  select.value = [...select.options].findIndex(({ text }) => text.startsWith(name + " "));
  await tryPage.loadModel();
  const load = tryPage.loadTime;
  "zyx".split("").forEach((axis, i) => {
    document.querySelector(`#size-${axis}`).value = sizes[i];
  });
  tryPage.clear();
  tryPage.add(zyx);
  await tryPage.classify(); // the first run builds what the next one uses
  return load;
}"""
CLASSIFY = """async () => {
  await tryPage.classify();
  return [tryPage.runTime, tryPage.job.probabilities];
}"""


@click.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--points", "count", default=2000, show_default=True)
@click.option("--model", "models", multiple=True, default=MODELS, show_default=True)
@click.option("--store/--no-store", default=True, help="Write the results.")
def main(rounds, count, models, store):
    """Measure and store the figures."""
    sample = make_sample()
    zyx = np.resize(sample.zyx, (count, 3))
    threads = sorted({1, available_threads()})
    load = [os.getloadavg()[0]]
    rows: dict[str, dict] = {name: {} for name in models}
    with tempfile.TemporaryDirectory() as folder, open_browser() as (browser, version):
        path = Path(folder, "try.html")
        size = write_try_page(path, models, example=False).bytes / 1e6
        np.save(Path(folder, "signal.npy"), sample.signal)
        for number in range(rounds):
            for name in models:
                for n in threads:
                    native, expected = classify_natively(sample.signal, zyx, name, n)
                    row, answers = visit(browser, f"{path.as_uri()}#threads={n}", name, zyx)
                    for suffix in ("", "_cpu"):
                        row[f"native{suffix}"] = count / native[f"seconds{suffix}"]
                        row[f"page{suffix}"] = count / row.pop(f"seconds{suffix}")
                        row[f"share{suffix}"] = row[f"page{suffix}"] / row[f"native{suffix}"]
                    for key, value in row.items():
                        rows[name].setdefault(str(n), {}).setdefault(key, []).append(value)
                    difference = float(np.nanmax(np.abs(answers - expected)))
                    assert difference < 1e-5, (name, difference)
                    click.echo(f"round {number + 1}, {name}, {n} threads: {row}")
            load.append(os.getloadavg()[0])
    figures = {
        "points": count,
        "page_mb": size,
        "load": summarise(load),
        "computer": {**speed.describe_computer(), "chromium": version},
        "models": {
            name: {
                n: {key: summarise(values) for key, values in row.items()} for n, row in by.items()
            }
            for name, by in rows.items()
        },
    }
    if store:
        with atomic_write(STORED) as file:
            file.write(json.dumps(figures, indent=1) + "\n")


@contextmanager
def open_browser():
    """Start Chromium; give it and its version."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium")
    if program is None:
        raise click.ClickException(
            "Chromium is not installed; on Debian: apt-get install chromium."
        )
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as play:
        options: dict = {"args": ["--no-sandbox"]} if root else {}
        browser = play.chromium.launch(executable_path=program, **options)
        yield browser, browser.version
        browser.close()


def visit(browser, address: str, model: str, zyx: np.ndarray) -> tuple[dict, np.ndarray]:
    """Open the page and classify; return times and probabilities.

    Parameters
    ----------
    browser : playwright's Browser
    address : str
        Of the page; signal.npy is beside it.
    model : str
    zyx : (N, 3) float, voxels

    Returns
    -------
    dict
        ``open_ms``, ``open_cpu_ms``: from the address to the first model being checked and loaded,
        by the clock and the processor. ``load_ms``: to check and load ``model``. ``seconds``,
        ``seconds_cpu``: to classify.
    (N,) float
        Probabilities, NaN where there is none.
    """
    page = browser.new_page()
    page.set_default_timeout(600_000)
    start, before = time.perf_counter(), read_cpu()
    page.goto(address)
    page.evaluate("tryPage.ready")
    opening = {
        "open_ms": 1000 * (time.perf_counter() - start),
        "open_cpu_ms": 1000 * (read_cpu() - before),
    }
    signal = Path(address.partition("#")[0].removeprefix("file://")).with_name("signal.npy")
    page.set_input_files("#signal", signal)
    page.wait_for_selector("#volume-status:has-text('signal.npy:')")
    load = page.evaluate(PREPARE, [model, list(VOXEL_SIZE), zyx.tolist()])
    before = read_cpu()
    milliseconds, answers = page.evaluate(CLASSIFY)
    times = {"seconds": milliseconds / 1000, "seconds_cpu": read_cpu() - before}
    page.close()
    numbers = np.array([np.nan if p is None else p for p in answers], float)
    return {**opening, "load_ms": load, **times}, numbers


def read_cpu() -> float:
    """Return the seconds of the processor that this process's descendants have taken so far."""
    parents, ticks = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        number = int(path.parent.name)
        parents[number], ticks[number] = int(fields[1]), int(fields[11]) + int(fields[12])
    family = {os.getpid()}
    while more := {n for n, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(ticks.get(number, 0) for number in family - {os.getpid()}) / os.sysconf("SC_CLK_TCK")


def classify_natively(
    signal: np.ndarray, zyx: np.ndarray, model: str, threads: int
) -> tuple[dict[str, float], np.ndarray]:
    """Classify with onnxruntime; return seconds by clock and processor, and probabilities."""
    options = Options(device="cpu", backend="onnxruntime", threads=threads)
    job = prepare(zyx, signal, model=model, voxel_size=VOXEL_SIZE, options=options)
    run(job)
    start, before = time.perf_counter(), time.process_time()
    results = run(job)
    times = {
        "seconds": time.perf_counter() - start,
        "seconds_cpu": time.process_time() - before,
    }
    return times, results.probability


if __name__ == "__main__":
    main()
