"""cellfinder 1.11 on Python 3.13, in a folder with another Debian, which takes minutes to make.

Made where root has debootstrap, or taken from CFZOO_TRIXIE, a folder that make_trixie.sh has made.
"""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from cfzoo.cli import main

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
N_POINTS = 300
DEPTH = 18  # of the ResNet
NOT_TO_BE_HAD = 3  # exit status of make_trixie.sh

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """Folder with Debian trixie and cellfinder 1.11; skips, with the reason, where it cannot be."""
    reason = "cellfinder 1.11 is not tested:"
    if not hasattr(os, "geteuid") or os.geteuid() or shutil.which("unshare") is None:
        pytest.skip(f"{reason} that needs root and unshare")
    if earlier := os.environ.get("CFZOO_TRIXIE"):
        yield Path(earlier)
        return
    if shutil.which("debootstrap") is None:
        pytest.skip(f"{reason} that needs debootstrap; on Debian: apt-get install debootstrap")
    folder = tmp_path_factory.mktemp("trixie")
    begin = time.monotonic()
    process = subprocess.run(
        [HERE / "make_trixie.sh", folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    log = process.stdout.decode(errors="replace")[-4000:]
    try:
        if process.returncode == NOT_TO_BE_HAD:
            pytest.skip(f"{reason} Debian trixie or its packages cannot be had here")
        assert process.returncode == 0, log
        print(f"made the environment in {time.monotonic() - begin:.0f} s")
        yield folder
    finally:
        subprocess.run(["umount", folder / "proc"], stderr=subprocess.DEVNULL)  # if left mounted
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def trixie(environment):
    """The folder, and in /opt of it the package, its tests and their data."""
    folder = environment
    package = folder / "opt" / "cfzoo"
    shutil.rmtree(package, ignore_errors=True)
    for name in ("__init__.py", "cli", "model_cards", "runtime", "tests", "pyproject.toml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        package.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, package / name)
    data = Path("shared", "data", "cellfinder_crop")
    shutil.copytree(ROOT.parent / data, folder / "opt" / data, dirs_exist_ok=True)
    return folder


@pytest.fixture
def run(trixie):
    """Return a function that runs Python inside, with the package, and returns what it prints."""

    def python(*words) -> str:
        environment = ["env", "-C", "/opt/cfzoo", "PYTHONPATH=/opt", "HOME=/root"]
        command = [HERE / "in_trixie.sh", trixie, *environment, "/opt/venv/bin/python", *words]
        process = subprocess.run(command, capture_output=True, text=True)
        assert process.returncode == 0, process.stdout[-4000:] + process.stderr[-4000:]
        return process.stdout

    return python


FILES = ("installed_signature", "classify_step", "patch")


def test_the_tests_of_this_folder_pass(run):
    """Signature, classify step and patch; the network of the second is not imported there."""
    files = [f"tests/runtime/cellfinder/test_{n}.py" for n in FILES]
    out = run("-m", "pytest", "-q", "-m", "", "-W", "ignore", "-p", "no:cacheprovider", *files)
    assert " passed" in out and " skipped" not in out


def test_same_answers_by_position_and_by_name(
    run, trixie, crop, cellfinder_resnet, save_keras, spread_logits, script
):
    """Networks of cellfinder, 3D and 2D, and the artifacts made from them, at 300 points each."""
    folder = trixie / "tmp" / "parity"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    np.save(folder / "signal.npy", crop[0])
    np.save(folder / "background.npy", crop[1])
    rng = np.random.default_rng(11)
    margin = np.array([10, 13, 13])  # of half a cube
    points = rng.integers(margin, np.array(crop[0].shape) - margin, (N_POINTS, 3))
    np.save(folder / "points.npy", points)
    cases = script("tests/runtime/cellfinder/parity.py").CASES
    for name, channels, flat in cases:
        model = cellfinder_resnet(DEPTH, channels, 11, 1 if flat else 20)
        # Its answers have to vary here; twice each voxel is close enough to resampled ones.
        before, after = (0, 1) if flat else (10, 10)
        cubes = [
            [
                channel[z - before : z + after, y - 12 : y + 13, x - 12 : x + 13]
                for channel in crop[:channels]
            ]
            for z, y, x in points[:60]
        ]
        spread_logits(model, np.float32(cubes).repeat(2, axis=3).repeat(2, axis=4))
        weights = save_keras(model, "weights", folder / name)
        words = ["import", weights, "--name", f"r{name}", "-o", folder]
        with pytest.raises(SystemExit) as exit_info:
            main([str(word) for word in words])
        assert exit_info.value.code == 0
        (folder / f"r{name}-1.0.0.onnx").replace(folder / f"{name}.onnx")
    report = json.loads(run("tests/runtime/cellfinder/parity.py", "/tmp/parity", str(DEPTH)))
    print(report)
    assert report["cellfinder"].startswith("1.11.") and report["same signature"]
    assert report["positional"] == "taken by both"
    for name, _, flat in cases:
        for case in (name, f"{name} (y, x)") if flat else (name,):
            answers = report[case]
            assert answers["points"] == N_POINTS and answers["batches"]
            assert answers["same labels"] and answers["largest difference"] <= 1e-5, case
            assert 0 < answers["cells"] < answers["points"]
