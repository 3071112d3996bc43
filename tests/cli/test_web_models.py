"""An address serves wherever a model is named."""

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
    web.expect_request("/attention3d.onnx").respond_with_data(content)
    checksum = hashlib.sha256(content).hexdigest()
    return f"{web.url_for('/attention3d.onnx')}#sha256={checksum}"


def run_classify(cfzoo, sample, out, *models):
    words = [word for model in models for word in ("--model", model)]
    return cfzoo("classify", *words, sample / "signal.tif", sample / "candidates.xml", "-o", out)


def test_classifies_as_with_the_file(cfzoo, sample, web, address, tmp_path):
    code, out, err = run_classify(cfzoo, sample, tmp_path / "web", address)
    assert (code, err) == (0, "") and "(attention3d 1.1.1, threshold 0.5)" in out
    assert run_classify(cfzoo, sample, tmp_path / "file", "attention3d")[0] == 0
    for name in ("points.csv", "points.xml", "points.yml"):
        assert (tmp_path / "web" / name).read_bytes() == (tmp_path / "file" / name).read_bytes()
    run = json.loads((tmp_path / "web" / "run.json").read_text())
    assert address in json.dumps(run)  # how to do it again
    web.stop()
    assert run_classify(cfzoo, sample, tmp_path / "offline", address)[0] == 0
    assert len(web.log) == 1


def test_an_address_may_be_a_member_of_an_ensemble(cfzoo, sample, web, address, tmp_path):
    models = (f"{address}=0.25", "wavemix3d=0.75")
    assert run_classify(cfzoo, sample, tmp_path / "web", *models)[0] == 0
    models = ("attention3d=0.25", "wavemix3d=0.75")
    assert run_classify(cfzoo, sample, tmp_path / "file", *models)[0] == 0
    csv = [(tmp_path / folder / "points.csv").read_bytes() for folder in ("web", "file")]
    assert csv[0] == csv[1]


def test_python_takes_addresses(web, address):
    from brainglobe_utils.cells.cells import Cell

    sample = make_sample()
    with Classifier(address) as classifier:
        results = classifier.classify(sample.zyx, sample.signal, voxel_size=(5, 2, 2))
    assert np.isin(results.types, (1, 2)).all()
    cells = [Cell((x, y, z), Cell.UNKNOWN) for z, y, x in sample.zyx]
    arguments = (2, (5, 2, 2), (5, 1, 1), 32, 50, 50, 20, address, None, "50")
    typed_cells = classify_main(cells, sample.signal, sample.signal, *arguments)
    assert len(typed_cells) > 100 and {cell.type for cell in typed_cells} == {1, 2}
    assert len(web.log) == 1


def test_cellfinder_takes_an_address_as_trained_model(web, address):
    """`enable` replaces the address by the file; all else is as for files."""
    path = find_artifact(address)
    assert path and path.read_bytes() == bundled()["attention3d"].read_bytes()


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (lambda a: a.partition("#")[0], 2, "has no checksum"),
        (lambda a: a.replace("attention3d", "other"), 2, "answers 404"),
        (lambda a: a[:-4] + "0000", 3, "is not the file with that checksum"),
        (lambda a: re.sub(r":\d+/", ":9/", a), 4, "be reached"),
    ],
)
def test_faults_have_exit_codes(cfzoo, sample, web, address, tmp_path, change, code, message):
    exit_code, out, err = run_classify(cfzoo, sample, tmp_path / "out", change(address))
    assert (exit_code, out) == (code, "") and message in err
    assert len(err.splitlines()) == 1 and err.startswith("Error: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("quiet", [False, True])
def test_shows_a_bar_on_a_terminal_unless_quiet(sample, web, address, tmp_path, quiet):
    reader, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 120))
    words = ["classify", "--model", address, "signal.tif", "candidates.xml", "-o", tmp_path / "out"]
    command = [sys.executable, "-c", "from cfzoo.cli import main; main()", *words]
    process = subprocess.run([*command, *["-q"] * quiet], cwd=sample, stderr=terminal)
    os.write(terminal, b"end\n")
    output = ""
    while "end" not in output:
        output += os.read(reader, 10_000).decode()
    for end in (reader, terminal):
        os.close(end)
    assert process.returncode == 0
    assert ("attention3d.onnx: 100%" in output) is not quiet
