"""The house rules that a machine can check."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ["runtime", "zoo", "export", "analysis", "cli"]  # each may import those before it
BESIDE = {"plugin": "cli"}  # as high as another, and neither imports the other
SOURCES = sorted(p for layer in [*LAYERS, *BESIDE] for p in (ROOT / layer).rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def imports(path: Path):
    """(level, dotted name) of every import, also those inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from ((node.level, name) for name in names)


def test_packages_listed_are_those_on_disk():
    folders = {p.parent for p in ROOT.glob("**/__init__.py") if ".venv" not in p.parts}
    found = {".".join(["cfzoo", *f.relative_to(ROOT).parts]) for f in folders}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == {f for f in found if "build" not in f}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_dependencies_point_down(path):
    parts = path.relative_to(ROOT).parts
    below = LAYERS[: LAYERS.index(BESIDE.get(parts[0], parts[0]))]
    for level, name in imports(path):
        top = name.split(".")[0]
        assert top != "cfzoo", f"{path} imports {name} absolutely; use a relative import"
        if level >= len(parts):  # leaves its own folder
            assert level == len(parts)
            if top == "__version__" or name is None:
                continue
            assert top in [*below, parts[0]], f"{path} imports {name}, which lies above it"


@pytest.mark.parametrize(
    "module", ["cfzoo", "cfzoo.runtime", "cfzoo.runtime.pipeline", "cfzoo.cli"]
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
    long = {str(p.relative_to(ROOT)) for p in SOURCES if len(p.read_text().splitlines()) > 300}
    assert not long


def test_ci_runs_the_readmes_test_command():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    lines = [line for line in lines if line and not line.startswith(("#", "set ", "cd "))]
    system = [line for line in lines if line.startswith("command -v")]
    commands = [line for line in lines if line not in system]
    # Which the README asks people to install.
    assert [line.split()[2] for line in system] == ["chromium", "Xvfb"]
    assert "\n".join(commands) in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff_has_nothing_to_say(command):
    ruff = [sys.executable, "-m", "ruff", *command, "-q", ROOT]
    done = subprocess.run(ruff, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
