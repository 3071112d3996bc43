"""The documentation site builds without warnings or network, and its links are valid."""

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built with warnings as errors and a proxy that refuses all connections."""
    folder = tmp_path_factory.mktemp("site")
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", folder / "trees"]
    process = subprocess.run(
        [*command, DOCS, folder / "html"], env=os.environ | proxies, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return folder / "html"


def pages_of(site: Path) -> list[Path]:
    """Return the pages of the site, without the theme's templates in _static."""
    return [page for page in sorted(site.rglob("*.html")) if "_static" not in page.parts]


@pytest.mark.slow
def test_links_between_pages_are_valid(site):
    """Including links in included pages and in HTML, which Sphinx does not check."""
    ids = {p: set(re.findall(r'\bid="([^"]+)"', p.read_text())) for p in pages_of(site)}
    for page in ids:
        for link in re.findall(r'(?:href|src)="([^"]+)"', page.read_text()):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if target.is_dir():
                target = target / "index.html"
            assert target.exists(), f"{page.relative_to(site)}: {link}"
            if parts.fragment and target in ids and page.parent.name != "comparison":
                assert parts.fragment in ids[target], f"{page.relative_to(site)}: {link}"


@pytest.mark.slow
def test_pages_load_nothing_from_the_network(site):
    for page in pages_of(site):
        text = page.read_text()
        assert not re.findall(r'<(?:script|img|link rel="stylesheet")[^>]*"(?:https?:)?//', text)


@pytest.mark.slow
def test_every_command_and_public_name_has_an_entry(site):
    from cfzoo import runtime
    from cfzoo.cli import VERBS
    from cfzoo.runtime import cellfinder

    commands = (site / "reference" / "cli.html").read_text()
    assert all(f'id="cfzoo-{verb}"' in commands for verb in VERBS)
    names = (site / "reference" / "python.html").read_text()
    assert all(f'id="cfzoo.runtime.{name}"' in names for name in runtime.__all__)
    assert all(f'id="cfzoo.runtime.cellfinder.{name}"' in names for name in cellfinder.__all__)


@pytest.mark.slow
def test_pages_fit_phone_and_laptop(site, browser):
    """No page is wider than its window, light or dark, and no script raises an error."""
    for width, scheme in ((390, "light"), (1440, "dark")):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
        )
        page, errors = context.new_page(), []
        page.on("pageerror", lambda error, errors=errors: errors.append(str(error)))
        for path in pages_of(site):
            if path.parent.name == "comparison" or path.name in ("search.html", "genindex.html"):
                continue  # test_page_in_browser.py tests the first
            page.goto(path.as_uri())
            page_width = page.evaluate("document.documentElement.scrollWidth")
            assert page_width <= width, f"{path.relative_to(site)}: {page_width} px in {width}"
        assert not errors
        context.close()


def test_drawings_match_the_networks(tmp_path, monkeypatch, script):
    """The drawings show the shapes of the networks; the same networks give the same bytes."""
    module = script("docs/scripts/drawings.py")
    expected = {p.name: p.read_bytes() for p in (DOCS / "explanation").glob("*.svg")}
    (tmp_path / "explanation").mkdir()
    monkeypatch.setattr(module, "HERE", tmp_path)
    monkeypatch.setattr(module, "RECIPES", ROOT / "benchmarks")
    module.main()
    drawings = {p.name: p.read_bytes() for p in (tmp_path / "explanation").glob("*.svg")}
    assert drawings.keys() == expected.keys()
    assert drawings == expected, "python docs/scripts/drawings.py"


@pytest.fixture(scope="module")
def stored(script):
    return script("docs/scripts/stored.py")


def test_numbers_and_tables_equal_the_stored_results(stored):
    """`python docs/scripts/stored.py --write` corrects them."""
    for page in stored.list_pages():
        text = page.read_text()
        assert stored.renew(text) == text, page.name
        assert not list(stored.find_unsourced(text)), page.name


def test_a_changed_or_unsourced_number_is_detected(stored):
    count = 0
    for page in stored.list_pages():
        text = page.read_text()
        for match in stored.SOURCED.finditer(text):
            last = match.end("number") - 1
            changed = text[:last] + str((int(text[last]) + 1) % 10) + text[last + 1 :]
            assert stored.renew(changed) != changed, match[0]
            count += 1
            unsourced = text[: match.end("unit")] + text[match.end() :]
            assert list(stored.find_unsourced(unsourced)) or "." not in match["number"], match[0]
    assert count > 80
    findings = (DOCS / "findings.md").read_text()
    assert stored.renew(findings.replace("| 0.894 |", "| 0.895 |")) == stored.renew(findings)
    assert findings.replace("| 0.894 |", "| 0.895 |") != stored.renew(findings)
