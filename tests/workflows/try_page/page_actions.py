"""What a visitor does with the page, for tests of it in a browser."""

import numpy as np

from cfzoo.runtime import Flag
from cfzoo.runtime.artifact import read_artifact
from cfzoo.runtime.sample import VOXEL_SIZE

MODELS = ["attention3d", "pyramid3d", "filters3d-2ch", "wavemix3d"]
LOOK_LIKE_PYTHON = 1e-5  # largest difference of a probability


def released(name):
    """Return the name and version of a bundled model, as the page lists it."""
    return f"{name} {read_artifact(name).card.version}"


def choose_model(page, name):
    page.select_option("#model", label=name)
    page.wait_for_selector("#model-status:has-text('right')")


def give(page, element, path):
    """Choose a file, and wait until the page has read it."""
    page.set_input_files(f"#{element}", path)
    status = {"points": "points-status"}.get(element, "volume-status")
    text = "candidates." if element == "points" else f"{path.name}:"
    page.wait_for_selector(f"#{status}:has-text('{text}')")


def type_voxel_size(page, voxel_size=VOXEL_SIZE):
    for axis, size in zip("zyx", voxel_size, strict=True):
        page.fill(f"#size-{axis}", f"{size:g}")


def run(page):
    """Classify, and return probabilities and flags."""
    page.click("#classify")
    page.wait_for_selector("#counts:has-text('of')")
    answer = page.evaluate("[tryPage.job.probabilities, tryPage.job.flags]")
    return np.array([np.nan if p is None else p for p in answer[0]], float), answer[1]


def compare(answer, results):
    """Compare with `classify`; return the largest difference."""
    probability, flags = answer
    words = {Flag.OK: "", Flag.EDGE: "at the edge", Flag.OUTSIDE: "outside", Flag.NAN: "no data"}
    assert flags == [words[Flag(flag)] for flag in results.flags]
    assert np.array_equal(np.isnan(probability), np.isnan(results.probability))
    return np.nanmax(np.abs(probability - results.probability))
