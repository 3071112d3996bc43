"""Run the fast tests with the oldest version that pyproject.toml allows of each dependency.

    python .ci/floors.py [--apart | --newest] [--python 3.11] [--keep torch==2.13.0+cpu]
                         [--only-install] [--folder DIR] [PYTEST OPTIONS]

It makes a fresh environment by uv (`pip install uv`), which takes the oldest of what cfzoo itself
asks for and the newest of what those need. First it lists the versions. One above its floor is
marked: another package asks for more, so that these tests say nothing about the floor. --apart
leaves out those others (torch, cellfinder, napari), and tests what runs without them at the floors
that they hide. --keep sets a version by hand, such as that of a torch without CUDA in the folder
UV_FIND_LINKS.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
MARKS = {True: "", False: "  above its floor"}
ALL = ("cpu", "dev")
APART = ("cpu", "openvino", "zarr", "remote", "codecs", "hub", "sign", "analysis", "dask")
TOOLS = ("hypothesis", "moto", "pytest", "pytest-httpserver", "pytest-timeout")  # beside APART
TESTS_APART = (
    "tests/analysis/test_measures.py",
    "tests/analysis/test_predictions.py",
    "tests/analysis/test_significance.py",
    "tests/runtime/artifact",
    "tests/runtime/remote",
    "tests/runtime/volume/ome_zarr",
    "tests/workflows/cohort",
)


def read_needs(project: dict, extras: Iterable[str]) -> Iterator[Requirement]:
    """Yield what a project asks for with its extras, and with those that these name."""
    own, optional = canonicalize_name(project["name"]), project["optional-dependencies"]
    texts, waiting, seen = list(project["dependencies"]), list(extras), set()
    while waiting:
        extra = waiting.pop()
        if extra in seen:
            continue
        seen.add(extra)
        for text in optional[extra]:
            need = Requirement(text)
            if canonicalize_name(need.name) == own:
                waiting += need.extras
            else:
                texts.append(text)
    for text in texts:
        need = Requirement(text)
        if need.marker is None or need.marker.evaluate():
            yield need


def read_floors(needs: Iterable[Requirement]) -> dict[str, Version]:
    """Return the oldest allowed version of each package that has one, by its canonical name."""
    floors: dict[str, Version] = {}
    for need in needs:
        name = canonicalize_name(need.name)
        for one in need.specifier:
            if one.operator in (">=", "=="):
                floors[name] = max(floors.get(name, Version("0")), Version(one.version))
    return floors


def write_table(floors: dict[str, Version], installed: dict[str, Version]) -> str:
    """Return a line for each package: its floor, what is installed, and whether they agree."""
    lines = []
    for name, floor in sorted(floors.items()):
        version = installed[name]
        # A floor of 8.2 is met by 8.2.0, and by 8.2.1 where there is no 8.2.0.
        at_floor = version.release[: len(floor.release)] == floor.release or version == floor
        lines.append(f"{name:24} {floor!s:12} {version!s:14}{MARKS[at_floor]}".rstrip())
    return "\n".join(lines)


def find_site_packages(folder: Path) -> Path:
    """Return where an environment has its packages."""
    return next(iter([*folder.glob("lib/python*/site-packages"), folder / "Lib/site-packages"]))


def main() -> None:
    """Make the environment, list its versions and run the tests."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--apart", action="store_true", help="without what hides other floors")
    way.add_argument("--newest", action="store_true", help="the newest versions instead")
    parser.add_argument("--python", default="3.11")
    parser.add_argument("--keep", action="append", default=[], metavar="PACKAGE==VERSION")
    parser.add_argument("--only-install", action="store_true", help="do not run the tests")
    parser.add_argument("--folder", type=Path, help="where the environment is made, and stays")
    choice, words = parser.parse_known_args()
    resolution = "highest" if choice.newest else "lowest-direct"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needs = list(read_needs(project, APART if choice.apart else ALL))
    if choice.apart:
        tools = (need for need in read_needs(project, ["dev"]) if need.name in TOOLS)
        needs += [need for need in tools if need not in needs]
        words = words or list(TESTS_APART)
    uv = [sys.executable, "-m", "uv"]
    with tempfile.TemporaryDirectory(prefix="cfzoo-floors-") as temporary:
        folder = (choice.folder or Path(temporary) / "environment").resolve()
        python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
        constraints = Path(temporary) / "constraints.txt"
        constraints.write_text("\n".join(choice.keep), encoding="utf-8")
        subprocess.run([*uv, "venv", "--python", choice.python, folder], check=True)
        options = ["--python", python, "--resolution", resolution, "--constraint", constraints]
        command = [*uv, "pip", "install", *options, "-e", ".", *map(str, needs)]
        subprocess.run(command, cwd=ROOT, check=True)
        installed = {
            canonicalize_name(each.name): Version(each.version)
            for each in distributions(path=[str(find_site_packages(folder))])
        }
        print(write_table(read_floors(needs), installed), flush=True)
        if choice.only_install:
            return
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        done = subprocess.run([python, "-m", "pytest", *words], cwd=ROOT, env=environment)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
