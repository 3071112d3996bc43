"""Lay the sites of all releases beside each other, with the list from which readers choose.

    python .ci/versions.py RELEASES -o site --site https://OWNER.github.io/cfzoo

RELEASES has a folder for each version, as RELEASES/1.0.0 or RELEASES/1.1.0rc1, with the site.zip
that `.ci/release.py --site` has packed. The output gets a folder for each, switcher.json, which the
pages of all versions read, so that those of an old one list the new ones, and an index.html that
leads to the newest version, or to the newest candidate where there are only those. It needs only
Python.
"""

import argparse
import html
import json
import re
import sys
import zipfile
from pathlib import Path

VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:rc(\d+))?")
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="refresh" content="0; url={0}/index.html">
<link rel="canonical" href="{1}">
<title>cfzoo</title>
<p><a href="{0}/index.html">cfzoo {0}</a></p>
</html>
"""


def sort_versions(names: list[str]) -> list[str]:
    """Return versions from the newest to the oldest; candidates follow all versions."""
    keys = {}
    for name in names:
        if match := VERSION.fullmatch(name):
            *numbers, candidate = match.groups()
            keys[name] = (candidate is None, *map(int, numbers), int(candidate or 0))
    if unknown := [name for name in names if name not in keys]:
        sys.exit(f"{', '.join(unknown)}: expected folders that are versions, such as 1.0.0.")
    return sorted(keys, key=keys.__getitem__, reverse=True)


def list_versions(versions: list[str], site: str) -> list[dict]:
    """Return what the theme's switcher reads: versions with their addresses, the newest first."""
    rows: list[dict] = [{"version": each, "url": f"{site}/{each}/"} for each in versions]
    rows[0] |= {"name": f"{versions[0]} (newest)", "preferred": True}
    return rows


def lay_out(releases: Path, output: Path, site: str) -> list[str]:
    """Unpack the sites of all releases, and write the list and the page in front.

    Parameters
    ----------
    releases : Path
        Folder with VERSION/site.zip.
    output : Path
        Folder of the whole site; it must not exist.
    site : str
        Address where it will be.

    Returns
    -------
    list of str
        The versions, the newest first.
    """
    site = site.rstrip("/")
    versions = sort_versions([path.name for path in releases.iterdir() if path.is_dir()])
    if not versions:
        sys.exit(f"{releases} has no folder of a version; expected one, such as 1.0.0/site.zip.")
    output.mkdir(parents=True)
    for version in versions:
        with zipfile.ZipFile(releases / version / "site.zip") as packed:
            packed.extractall(output / version)
    rows = json.dumps(list_versions(versions, site), indent=1)
    (output / "switcher.json").write_text(rows + "\n", encoding="utf-8", newline="\n")
    page = PAGE.format(versions[0], html.escape(f"{site}/{versions[0]}/index.html"))
    (output / "index.html").write_text(page, encoding="utf-8", newline="\n")
    return versions


def main() -> None:
    """Lay the site out."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("releases", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--site", required=True, help="address of the site, https://...")
    choice = parser.parse_args()
    print(*lay_out(choice.releases, choice.output, choice.site), sep="\n")


if __name__ == "__main__":
    main()
