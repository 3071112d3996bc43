"""The gallery of explanations in a real browser."""

import pytest

from cfzoo.runtime.sample import VOXEL_SIZE, write_sample
from cfzoo.workflows.explain import PointChoice, explain_points

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gallery")
    write_sample(folder, overwrite=True)
    paths = (folder / "signal.tif", folder / "candidates.xml", folder / "out")
    choice = PointChoice(confident=2)
    page, notes = explain_points("pipnet3d", *paths, choice, voxel_size=VOXEL_SIZE)
    assert notes == ()
    return page.as_uri()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_any_screen(visit, width, scheme):
    page = visit(viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert page.locator("figure").count() == 4
    # Every picture is loaded, and described; the page itself does not scroll sideways.
    for image in page.locator("figure img").all():
        assert image.evaluate("i => i.complete && i.naturalWidth > 500")
        assert image.get_attribute("alt")
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0
    assert page.locator("dt", has_text="Prototypes").count() == 1
    assert page.locator("figcaption", has_text="prototype ").count() > 0


def test_links_lead_to_the_maps(visit, address):
    from pathlib import Path
    from urllib.parse import urljoin, urlparse

    page = visit()
    links = [urljoin(address, a.get_attribute("href")) for a in page.locator("figure a").all()]
    assert len(links) == 4
    assert all(Path(urlparse(link).path).is_file() for link in links)
