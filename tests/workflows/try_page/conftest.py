"""The browser parts, built by npm, and a page with them in a browser."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

sys.path.insert(0, str(Path(__file__).parent))
from page_actions import MODELS

from cfzoo.runtime.sample import VOXEL_SIZE, make_sample
from cfzoo.workflows.try_page import try_page, write_try_page

ROOT = Path(__file__).resolve().parents[3]
WEB = ROOT / "web"


def run_npm(*command: str) -> subprocess.CompletedProcess:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed, which builds the page; on Debian: apt-get install npm")
    return subprocess.run([npm, *command], cwd=WEB, capture_output=True, encoding="utf-8")


@pytest.fixture(scope="session")
def built():
    """The file that npm builds, no older than its sources; built here if need be."""
    filelock = pytest.importorskip("filelock")
    shared = ROOT / "runtime" / "labelling" / "page"
    sources = [*WEB.glob("*.*"), *(WEB / "src").iterdir(), *shared.iterdir()]
    target = try_page.BUILT
    target.parent.mkdir(exist_ok=True)
    with filelock.FileLock(target.parent / "lock"):
        if not target.exists() or target.stat().st_mtime < max(f.stat().st_mtime for f in sources):
            if not (WEB / "node_modules" / ".package-lock.json").exists():
                done = run_npm("ci", "--no-audit", "--no-fund")
                if done.returncode:  # of the registry, not of the page
                    pytest.skip(f"npm cannot install what builds the page: {done.stderr[-500:]}")
            done = run_npm("run", "build")
            assert done.returncode == 0, done.stderr[-3000:]
    return target


@pytest.fixture(scope="session")
def page_file(built, tmp_path_factory):
    """A page with four models."""
    path = tmp_path_factory.mktemp("page") / "try.html"
    write_try_page(path, MODELS, example=False)
    return path


@pytest.fixture(scope="session")
def brain(tmp_path_factory):
    """Folder of the sample as TIFF and .npy, with 200 of its candidates as XML and CSV."""
    from cfzoo.runtime.points import as_points
    from cfzoo.runtime.results import Flag, Results, write_xml

    folder = tmp_path_factory.mktemp("brain")
    sample = make_sample()
    # As ImageJ saves it, with its voxel size; and as numpy does, without.
    z, y, x = VOXEL_SIZE
    axes = {"axes": "ZYX", "spacing": z, "unit": "um"}
    resolution = (1 / x, 1 / y)
    tifffile.imwrite(
        folder / "signal.tif", sample.signal, imagej=True, metadata=axes, resolution=resolution
    )
    np.save(folder / "signal.npy", sample.signal)
    np.save(folder / "background.npy", sample.background)
    n = 200
    zyx = np.concatenate([sample.zyx[: n - 3], [[0, 0, 0], [59, 299, 299], [500, 5, 5]]])
    types = np.ones(n, np.int8)
    write_xml(
        folder / "points.xml",
        Results(zyx, types, np.zeros(n, np.float32), np.full(n, Flag.OK, np.uint8)),
    )
    rows = [f"{x!r},{y!r},{z!r}" for z, y, x in zyx.tolist()]
    (folder / "points.csv").write_text("\n".join(["x,y,z", *rows]) + "\n")
    np.save(folder / "zyx.npy", as_points(zyx).zyx)
    return folder


@pytest.fixture(scope="module")
def open_page(browser):
    """Call it with an address for a page that has loaded its model.

    The tests of a file fail on an exception, an error or warning on the console, or any request
    that leaves the page: it asks for itself and for the threads that are in its own text.
    """
    contexts, complaints, requests = [], [], []

    def load(url, **options):
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}} | options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)  # of a browser on a busy computer
        page.on("console", lambda m: m.type in ("error", "warning") and complaints.append(m.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append((request.url, url.split("#")[0])))
        page.goto(url)
        page.evaluate("tryPage.ready")
        return page

    yield load
    for context in contexts:
        context.close()
    assert complaints == []
    assert [
        request
        for request, url in requests
        if request != url and not request.startswith(("blob:", "data:"))
    ] == []
