"""``cfzoo brainmapper``: with the installed brainmapper, and without it."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "cellfinder_crop"
needs_brainmapper = pytest.mark.skipif(
    importlib.util.find_spec("brainglobe_workflows") is None,
    reason="brainmapper is not installed: pip install brainglobe-workflows",
)
OPTIONS = ["-v", "5", "2", "2", "--orientation", "asr", "--n-free-cpus", "0"]


def test_says_what_to_install(cfzoo, monkeypatch):
    monkeypatch.setitem(sys.modules, "brainglobe_workflows", None)
    code, out, err = cfzoo("brainmapper", "-s", "signal")
    assert (code, out) == (4, "")
    assert "pip install 'cfzoo[brainmapper]'" in err


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """A brainmapper that keeps the command line it is started with."""
    package = tmp_path / "brainglobe_workflows" / "brainmapper"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    (package / "parser.py").write_text(
        "import argparse\n"
        "def brainmapper_parser():\n"
        "    parser = argparse.ArgumentParser()\n"
        "    for name in ('-s', '-o', '--trained-model'):\n"
        "        parser.add_argument(name)\n"
        "    parser.add_argument('--no-classification', action='store_true')\n"
        "    return parser\n"
    )
    (package / "main.py").write_text(
        "import sys\n"
        "from cfzoo.runtime.cellfinder import is_enabled\n"
        "def main():\n    print(sys.argv, is_enabled())\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name in [n for n in sys.modules if n.startswith("brainglobe_workflows")]:
        monkeypatch.delitem(sys.modules, name)
    yield
    for name in [n for n in sys.modules if n.startswith("brainglobe_workflows")]:
        del sys.modules[name]


@pytest.mark.slow
def test_passes_all_arguments_through_and_enables_artifacts(cfzoo, stub):
    from cfzoo.runtime.cellfinder import is_enabled

    words = ["-shome/h", "-o", "out", "--trained-model", "attention3d"]
    before = sys.argv
    code, out, _ = cfzoo("brainmapper", *words)
    assert code == 0
    assert out.strip() == f"{['cfzoo brainmapper', *words]} True"
    assert sys.argv is before and not is_enabled()


def test_leaves_help_and_errors_to_brainmapper(cfzoo, stub):
    code, out, _ = cfzoo("brainmapper", "-h")
    assert code == 0 and "usage: cfzoo brainmapper" in out and "--trained-model" in out
    code, _, err = cfzoo("brainmapper", "--nonsense")
    assert code == 2 and "unrecognized arguments: --nonsense" in err


@pytest.mark.parametrize("model", ["atention3d", "none.keras", "damaged.onnx"])
def test_refuses_a_model_before_brainmapper_begins(cfzoo, stub, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("damaged.onnx").write_bytes(b"no artifact")
    code, out, err = cfzoo("brainmapper", "--trained-model", model)
    assert code in (2, 3) and out == "" and model in err
    assert len(err.splitlines()) == 1


@needs_brainmapper
@pytest.mark.slow
def test_runs_up_to_the_atlas(tmp_path, script):
    """Registration, detection, classification and counts per region, on cellfinder's test data."""
    import numpy as np
    import tifffile

    stack = np.stack([tifffile.imread(p) for p in sorted((DATA / "background").glob("*.tif"))])
    blocks = stack[:, :, :665].reshape(15, 2, 102, 5, 133, 5)
    template = blocks.mean((1, 3, 5)).astype(np.uint16)
    atlas = script("tests/runtime/cellfinder/stub_atlas.py")
    env = {"BRAINGLOBE_CONFIG_DIR": str(atlas.write_atlas(tmp_path, template, 10))}
    inputs = ["-s", str(DATA / "signal"), "-b", str(DATA / "background"), "-o", "out"]
    code = "import sys\nif __name__ == '__main__':\n    from cfzoo.cli import main\n    main()"
    words = ["brainmapper", *inputs, *OPTIONS, "--atlas", atlas.NAME]
    subprocess.run(
        [sys.executable, "-c", code, *words, "--trained-model", "attention3d"],
        cwd=tmp_path,
        env=os.environ | env,
        check=True,
    )
    (log,) = (tmp_path / "out").glob("*.log")
    assert "Classifying with attention3d" in log.read_text() and "sha256 " in log.read_text()
    summary = (tmp_path / "out" / "analysis" / "summary.csv").read_text()
    assert {line.split(",")[0] for line in summary.splitlines()[1:]} == {"front", "back"}
