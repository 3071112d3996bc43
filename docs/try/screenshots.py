"""Take the screenshots of docs/howto/browser.md, in Chromium, of the page's own example.

    python docs/try/screenshots.py [FOLDER]

Writes laptop.png here; into FOLDER, if one is given, screens of three widths, light and dark.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from cfzoo.workflows.try_page import write_try_page

HERE = Path(__file__).parent
SIZES = {"desktop": (1440, 900), "tablet": (768, 1024), "phone": (390, 844)}
VIEWED = 4  # a candidate that shows both signs of the map


def main(folder: Path | None) -> None:
    """Write a page, classify its example and save screenshots."""
    screens = {"laptop": ((1280, 800), "light", HERE)}
    if folder:
        for size, shape in SIZES.items():
            screens |= {f"{size}-{scheme}": (shape, scheme, folder) for scheme in ("light", "dark")}
    with tempfile.TemporaryDirectory() as name, sync_playwright() as play:
        path = Path(name, "try.html")
        write_try_page(path, ["attention3d", "pyramid3d"])
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for screen, ((width, height), scheme, target) in screens.items():
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme
            )
            page = context.new_page()
            page.set_default_timeout(120_000)
            page.goto(path.as_uri())
            page.evaluate("tryPage.ready")
            page.click("#example")
            page.wait_for_selector("#points-status:has-text('candidates.')")
            page.click("#classify")
            page.wait_for_selector("#counts:has-text('of')")
            page.click(f"#list tr:nth-child({VIEWED + 1}) button")
            page.wait_for_selector("#pictures canvas[aria-label$='relevance']")
            page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
            file = target / f"{screen}.png"
            page.screenshot(path=file, full_page=target is not HERE)
            Image.open(file).convert("RGB").quantize(256).save(file, optimize=True)
            context.close()
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
