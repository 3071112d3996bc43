"""A model by its address, wherever a model is named."""

import hashlib
import json
import os
import pty
import re
import subprocess
import sys
import termios

import numpy as np
import pytest

from cfzoo.runtime import Classifier
from cfzoo.runtime.artifact import bundled
from cfzoo.runtime.cellfinder import main as classify_main
from cfzoo.runtime.cellfinder.patch import find_artifact
from cfzoo.runtime.sample import make_sample, write_sample


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder)
    return folder


@pytest.fixture
def address(web):
    content = bundled()["attention3d"].read_bytes()
    web.files["/attention3d.onnx"] = content
    return f"{web.root}/attention3d.onnx#sha256={hashlib.sha256(content).hexdigest()}"


def classified(cfzoo, sample, out, *models):
    words = [word for model in models for word in ("--model", model)]
    return cfzoo("classify", *words, sample / "signal.tif", sample / "candidates.xml", "-o", out)


def test_classify_as_with_the_file(cfzoo, sample, web, address, tmp_path):
    code, out, err = classified(cfzoo, sample, tmp_path / "web", address)
    assert (code, err) == (0, "") and "(attention3d 1.1.0, threshold 0.5)" in out
    assert classified(cfzoo, sample, tmp_path / "file", "attention3d")[0] == 0
    for name in ("points.csv", "points.xml", "points.yml"):
        assert (tmp_path / "web" / name).read_bytes() == (tmp_path / "file" / name).read_bytes()
    run = json.loads((tmp_path / "web" / "run.json").read_text())
    assert address in json.dumps(run)  # how to do it again
    web.close()
    assert classified(cfzoo, sample, tmp_path / "offline", address)[0] == 0
    assert len(web.asked) == 1


def test_members_of_an_ensemble(cfzoo, sample, web, address, tmp_path):
    models = (f"{address}=0.25", "wavemix3d=0.75")
    assert classified(cfzoo, sample, tmp_path / "web", *models)[0] == 0
    models = ("attention3d=0.25", "wavemix3d=0.75")
    assert classified(cfzoo, sample, tmp_path / "file", *models)[0] == 0
    csv = [(tmp_path / where / "points.csv").read_bytes() for where in ("web", "file")]
    assert csv[0] == csv[1]


def test_from_python(web, address):
    from brainglobe_utils.cells.cells import Cell

    sample = make_sample()
    with Classifier(address) as classifier:
        results = classifier.classify(sample.zyx, sample.signal, voxel_size=(5, 2, 2))
    assert np.isin(results.types, (1, 2)).all()
    cells = [Cell((x, y, z), Cell.UNKNOWN) for z, y, x in sample.zyx]
    plan = (2, (5, 2, 2), (5, 1, 1), 32, 50, 50, 20, address, None, "50")
    found = classify_main(cells, sample.signal, sample.signal, *plan)
    assert len(found) > 100 and {c.type for c in found} == {1, 2}
    assert len(web.asked) == 1


def test_cellfinders_trained_model(web, address):
    """What `enable` makes of it; the rest is as for files."""
    path = find_artifact(address)
    assert path and path.read_bytes() == bundled()["attention3d"].read_bytes()


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (lambda a: a.partition("#")[0], 2, "has no checksum"),
        (lambda a: a.replace("attention3d", "other"), 2, "answers 404"),
        (lambda a: a[:-4] + "0000", 3, "is another file than asked for"),
        (lambda a: re.sub(r":\d+/", ":9/", a), 4, "be reached"),
    ],
)
def test_exit_codes(cfzoo, sample, web, address, tmp_path, change, code, message):
    found, out, err = classified(cfzoo, sample, tmp_path / "out", change(address))
    assert (found, out) == (code, "") and message in err
    assert len(err.splitlines()) == 1 and err.startswith("Error: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("quiet", [False, True])
def test_a_bar_on_a_terminal_unless_quiet(sample, web, address, tmp_path, quiet):
    here, there = pty.openpty()
    termios.tcsetwinsize(there, (24, 120))
    words = ["classify", "--model", address, "signal.tif", "candidates.xml", "-o", tmp_path / "out"]
    command = [sys.executable, "-c", "from cfzoo.cli import main; main()", *words]
    done = subprocess.run([*command, *["-q"] * quiet], cwd=sample, stderr=there)
    os.write(there, b"end\n")
    shown = ""
    while "end" not in shown:
        shown += os.read(here, 10_000).decode()
    for end in (here, there):
        os.close(end)
    assert done.returncode == 0
    assert ("attention3d.onnx: 100%" in shown) is not quiet
