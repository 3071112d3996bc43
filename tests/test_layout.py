"""The house rules that a machine can check."""

import ast
import re
import shutil
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = ("runtime", "zoo", "export", "analysis", "workflows", "cli", "plugin")
SOURCES = sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def lint_imports(folder: Path) -> subprocess.CompletedProcess:
    """Check the contracts of pyproject.toml on the package ``folder``, whose name is cfzoo."""
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", code, "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder.parent), "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def house(tmp_path):
    """A copy of the package, to be changed."""
    folder = tmp_path / "cfzoo"
    ignore = shutil.ignore_patterns("__pycache__", "*.onnx", "*.safetensors")
    for floor in FLOORS:
        shutil.copytree(ROOT / floor, folder / floor, ignore=ignore)
    for file in ("__init__.py", "pyproject.toml"):
        shutil.copy(ROOT / file, folder)
    return folder


def test_imports_keep_the_contracts(house):
    result = lint_imports(house)
    assert result.returncode == 0, result.stdout[-3000:]
    assert " 0 broken." in result.stdout


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("zoo/recipe.py", "from ..export import release", "Floors of the house"),
        ("plugin/sample.py", "from ..cli import sample", "Floors of the house"),
        ("runtime/points/limits.py", "from ..session import Session", "Floors of runtime"),
        ("zoo/data/entry.py", "from ..registry import MODELS", "Floors of zoo"),
        ("runtime/cubes/grid.py", "from .reader import read_batches", "No circles, in no room"),
        ("cli/cubes.py", "from ..runtime.points.limits import LIMIT", "The face of runtime.points"),
    ],
)
def test_an_import_that_breaks_a_contract_is_noticed(house, file, line, contract):
    path = house / file
    path.write_text(path.read_text() + f"\n{line}\n")
    result = lint_imports(house)
    assert result.returncode == 1
    assert f"{contract} BROKEN" in result.stdout


def test_packages_listed_are_those_on_disk():
    folders = {path.parent for path in SOURCES if path.name == "__init__.py"}
    names = {".".join(["cfzoo", *folder.relative_to(ROOT).parts]) for folder in folders}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == {"cfzoo", *names}


def test_every_room_has_a_face_and_a_contract_that_keeps_it():
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    faces = {c["allowed_importers"][0] for c in contracts if c["type"] == "protected"}
    rooms = [path.parent for path in SOURCES if path.name == "__init__.py"]
    rooms = [room for room in rooms if room.parent != ROOT]
    assert faces == {".".join(["cfzoo", *room.relative_to(ROOT).parts]) for room in rooms}
    for room in rooms:
        assert "__all__ = [" in (room / "__init__.py").read_text(), room


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_of_the_package_are_relative(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert not [alias for alias in node.names if alias.name.startswith("cfzoo")]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            assert not str(node.module).startswith("cfzoo")


@pytest.mark.parametrize(
    "module",
    ["cfzoo", "cfzoo.runtime", "cfzoo.runtime.adapt", "cfzoo.runtime.pipeline", "cfzoo.cli"],
)
def test_light_modules_load_nothing_heavy(module):
    heavy = ["torch", "keras", "onnx", "onnxruntime", "zarr", "scipy", "cellfinder", "pandas"]
    heavy += ["pooch", "requests"]
    heavy += ["napari", "qtpy", "magicgui", "cfzoo.plugin"]
    code = f"import sys, {module}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_comparing_needs_no_torch():
    code = "import sys, cfzoo.workflows.compare; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_files_hold_one_noun_each():
    lines = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in SOURCES}
    assert not {path: count for path, count in lines.items() if count > 300}
    assert statistics.median(lines.values()) <= 150


def test_folders_hold_at_most_15_files():
    tests = [path for path in (ROOT / "tests").rglob("*.py")]
    folders = [path.parent for path in [*SOURCES, *tests]]
    assert not {folder for folder in folders if folders.count(folder) > 15}


BENCHMARKED = ("test_benchmarks.py", "test_gpu_benchmark.py", "test_figures.py", "test_layout.py")


def test_tests_stand_on_nothing_of_the_benchmarks():
    """But for the test of the benchmarks themselves, and of the pages that they write."""
    for path in (ROOT / "tests").rglob("*.py"):
        if path.name not in BENCHMARKED:
            assert '"benchmarks/' not in path.read_text(), path


def test_ci_runs_the_readmes_test_command():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    lines = [line for line in lines if line and not line.startswith(("#", "set ", "cd "))]
    system = [line for line in lines if line.startswith("command -v")]
    commands = [line for line in lines if line not in system]
    # Which the README asks people to install.
    programs = [
        "chromium",
        "npm",
        "Xvfb",
        "debootstrap",
        "g++",
        "slurmctld",
        "minisign",
        "snakemake",
    ]
    assert [line.split()[2] for line in system] == programs
    assert "\n".join(commands) in (ROOT / "README.md").read_text()


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "-q", "."],
        ["ruff", "format", "--check", "-q", "."],
        ["codespell_lib", "."],
        ["numpydoc", "lint", *(str(path) for path in SOURCES)],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_linters_have_nothing_to_say(command):
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_the_page_of_extras_lists_all_of_them():
    page = (ROOT / "docs" / "reference" / "extras.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|.*\| (yes )?\|$", page, re.M)
    extras = PROJECT["project"]["optional-dependencies"]
    assert sorted(name for name, _ in rows) == sorted(extras)

    def needs_torch(name):
        return any(
            package.startswith(("torch>", "cellfinder>"))
            or any(map(needs_torch, re.findall(r"\w+", package.partition("cfzoo[")[2])))
            for package in extras[name]
        )

    assert {name: bool(mark) for name, mark in rows} == {name: needs_torch(name) for name in extras}
