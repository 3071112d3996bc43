"""Take the screenshots of docs/howto/label.md, in Chromium.

    python docs/label/screenshots.py FOLDER MODEL

FOLDER holds signal.tif, candidates.xml and labelled.xml of a block of DELiVR, MODEL is an artifact
with a head. Thirty candidates are labelled by key as the people did who annotated the block; those
without an annotation are skipped.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from cfzoo.runtime.labelling import write_label_page
from cfzoo.runtime.points import CELL, NO_CELL, read_points
from cfzoo.runtime.volume import open_volume

VOXEL_SIZE = (6, 1.62, 1.62)  # z y x, um
LABELS = 30
HERE = Path(__file__).parent
SCREENS = {
    "laptop": {"viewport": {"width": 1280, "height": 800}},
    "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    "phone": {
        "viewport": {"width": 390, "height": 780},
        "device_scale_factor": 1.5,
        "is_mobile": True,
        "has_touch": True,
    },
}
KEYS = {CELL: "c", NO_CELL: "x"}


def main(folder: Path, model: Path) -> None:
    """Write a page, label on it and save screenshots."""
    candidates, labelled = (read_points(folder / f"{n}.xml") for n in ("candidates", "labelled"))
    types = dict(zip(map(tuple, labelled.zyx.tolist()), labelled.types.tolist(), strict=True))
    truth = [types.get(tuple(zyx), 0) for zyx in candidates.zyx.tolist()]
    with tempfile.TemporaryDirectory() as name, open_volume(folder / "signal.tif") as signal:
        path = Path(name, "labels.html")
        write_label_page(path, candidates, [signal], model, voxel_size=VOXEL_SIZE)
        with sync_playwright() as play:
            browser = play.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            for screen, options in SCREENS.items():
                page = browser.new_context(**options).new_page()
                page.goto(path.as_uri())
                page.evaluate("labelPage.ready")
                label(page, truth)
                save_screenshot(page, screen)
            browser.close()


def label(page: Page, truth: list[int]) -> None:
    """Label by key what the page asks for; a skipped candidate does not count."""
    done = 0
    while done < LABELS:
        kind = truth[page.evaluate("labelPage.history.numbers[labelPage.viewed]") - 1]
        page.keyboard.press(KEYS.get(kind, "s"))
        done += kind in KEYS


def save_screenshot(page: Page, name: str) -> None:
    """Save what the window shows."""
    file = HERE / f"{name}.png"
    page.screenshot(path=file)
    Image.open(file).convert("RGB").quantize(256).save(file, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
