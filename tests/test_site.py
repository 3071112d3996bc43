"""The documentation site builds without warnings or network, and its links are valid."""

import os
import re
import subprocess
import sys
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import matplotlib
import pytest
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Function that builds the site, warnings as errors, with a proxy that refuses connections."""
    folder = tmp_path_factory.mktemp("site")
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", folder / "trees"]

    def run(name, *options):
        words = [*command, *options, DOCS, folder / name]
        process = subprocess.run(words, env=os.environ | proxies, capture_output=True, text=True)
        assert process.returncode == 0, process.stderr[-3000:]
        return folder / name

    return run


@pytest.fixture(scope="module")
def site(build):
    """The site without an address, as people build it for themselves."""
    return build("html")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


@pytest.fixture
def served(build, script, tmp_path):
    """The address of two versions of the site: this one, and a newer 99.0.0 with the same pages."""
    from cfzoo import __version__

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as server:
        address = f"http://127.0.0.1:{server.server_port}/cfzoo"
        pages = build("addressed", "-D", f"cfzoo_site={address}")
        for version in (__version__, "99.0.0"):
            (tmp_path / "releases" / version).mkdir(parents=True)
            with zipfile.ZipFile(tmp_path / "releases" / version / "site.zip", "w") as packed:
                for path in (path for path in pages.rglob("*") if path.is_file()):
                    packed.write(path, path.relative_to(pages))
        script(".ci/versions.py").lay_out(tmp_path / "releases", tmp_path / "cfzoo", address)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield address
        server.shutdown()


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


@pytest.mark.slow
def test_the_search_leads_to_a_page(site, browser):
    """From a disk, without a network."""
    context = browser.new_context(offline=True)
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((site / "howto" / "label.html").as_uri())
    page.locator("button.search-button-field:visible").click()
    page.keyboard.type("revocation of a model")
    page.keyboard.press("Enter")
    results = page.locator("#search-results li a")
    results.first.wait_for()
    assert "signatures" in results.first.inner_text().lower()
    results.first.click()
    page.wait_for_url("**/howto/trust.html*")
    assert set(errors) <= {"Failed to fetch"}  # excerpts, which browsers do not read from a disk
    context.close()


@pytest.mark.slow
def test_the_version_is_on_every_page(site):
    from cfzoo import __version__

    for page in pages_of(site):
        text = page.read_text()
        if 'class="navbar-brand' in text:  # else the page of the comparison, or that to try models
            assert f"cfzoo {__version__}</p>" in text, page.name
            assert "switcher_json_url" not in text, page.name


@pytest.mark.slow
def test_readers_choose_a_version(served, browser):
    """The page of a candidate or old version says so, and leads to the newest version's."""
    from cfzoo import __version__

    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{served}/index.html")
    page.wait_for_url("**/99.0.0/index.html")
    page.goto(f"{served}/{__version__}/howto/label.html")
    button = page.locator(".version-switcher__button:visible")
    button.get_by_text(__version__).wait_for()
    # What the theme calls a candidate, whether a newer version is out or not.
    kind = "unstable development version" if "rc" in __version__ else "old version"
    page.locator("#bd-header-version-warning").get_by_text(kind).wait_for()
    button.click()
    choices = page.locator(".version-switcher__menu:visible a")
    assert choices.all_inner_texts() == ["99.0.0 (newest)", __version__]
    choices.first.click()
    page.wait_for_url("**/99.0.0/howto/label.html")
    assert not errors
    context.close()


@pytest.mark.skipif(
    Version(matplotlib.__version__) < Version("3.11"),
    reason="an older matplotlib draws other bytes",
)
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
