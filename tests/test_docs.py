"""The commands of the pages under docs, as they are written, on small data."""

import hashlib
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cfzoo.cli import main

ROOT = Path(__file__).resolve().parent.parent
CROP = ROOT.parent / "shared" / "data" / "cellfinder_crop"
PAGE = (ROOT / "docs" / "comparing.md").read_text()


@pytest.mark.slow
def test_commands_of_comparing(labelled_brains, make_artifact, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(labelled_brains, tmp_path, dirs_exist_ok=True)
    shutil.move("data.yaml", "DATA.yaml")
    make_artifact(tmp_path).rename("mine.onnx")
    blocks = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines()]
    commands += re.findall(r"`(cfzoo (?:compare --pred|classify --model ens|export)[^`]*)`", PAGE)
    assert len(commands) == 7
    for command in commands:
        words = shlex.split(command)[1:]
        places = {"VOLUME": "a.tif", "POINTS": "a.csv"}
        if "classify" in words:
            words += ["--voxel-size", "5", "2", "2", "--overwrite"]
            words += [] if "POINTS" in words else ["VOLUME", "POINTS"]
        with pytest.raises(SystemExit) as stopped:
            main([places.get(word, word) for word in words])
        assert stopped.value.code == 0, command
    for made in ("report/index.html", "again/report.md", "ens.json", "ensemble-1.0.0.onnx"):
        assert Path(made).is_file(), made
    assert Path("models/attention3d-calibrated-1.1.0.onnx").is_file()


@pytest.mark.slow
def test_python_of_cellfinder(tmp_path, monkeypatch):
    """On the crop of cellfinder's own tests; its detection finds the candidates."""
    from brainglobe_utils.cells.cells import Cell

    folders = (CROP / "signal", CROP / "background")
    signal, background = (
        np.stack([tifffile.imread(p) for p in sorted(f.glob("*.tif"))]) for f in folders
    )
    page = (ROOT / "docs" / "cellfinder.md").read_text()
    monkeypatch.chdir(tmp_path)
    first, own, second = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names = {"signal": signal, "background": background}
    exec(second, names)
    found = names["cells"]
    assert len(found) > 20 and {c.type for c in found} <= {1, 2}
    candidates = [Cell((c.x, c.y, c.z), Cell.UNKNOWN) for c in found]
    names = {"signal": signal, "background": background, "candidates": candidates}
    exec(first, names)
    assert [c.type for c in names["cells"]] == [c.type for c in found]
    assert all(0 <= c.metadata["probability"] <= 1 for c in names["cells"])
    cells = names["cells"]
    names = {"signal": signal, "candidates": candidates}
    exec(own, names)
    places = {(c.x, c.y, c.z): (c.type, c.metadata["probability"]) for c in cells}
    assert len(names["same_cells"]) == len(cells)
    for cell in names["same_cells"]:
        assert places[cell.x, cell.y, cell.z] == (cell.type, cell.metadata["probability"])
    assert Path("classified.xml").is_file()


def test_commands_and_python_of_explaining(tmp_path, monkeypatch):
    """On the sample; the Python lays the maps where the points are."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "explaining.md").read_text()
    with pytest.raises(SystemExit):
        main(["sample", "."])
    places = {"VOLUME": "signal.tif", "POINTS": "candidates.xml"}
    commands = re.findall(r"```bash\n(.*?)\n```", page, re.DOTALL)
    assert len(commands) == 2
    for command in commands:
        with pytest.raises(SystemExit) as stopped:
            main([places.get(word, word) for word in shlex.split(command)[1:]])
        assert stopped.value.code == 0, command
    assert len(list(Path("classified/cams").glob("*.tif"))) == 20
    (script,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names = {}
    exec(script, names)
    assert len(names["layers"]) == 12 * 7
    for data, options in names["layers"]:
        assert data.shape == (8, 16, 16) and len(options["scale"]) == len(options["translate"]) == 3


@pytest.mark.slow
def test_commands_of_hub(cfzoo_web, tmp_path, monkeypatch):
    """As written, and the verbs of which the page says that they take an address."""
    web, places, run = cfzoo_web
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "hub.md").read_text()
    commands = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    commands = [line for block in commands for line in block.splitlines()]
    assert len(commands) == 5
    more = ["inspect ADDRESS", "explain VOLUME POINTS --model ADDRESS --point 1 --no-torch"]
    more += [
        f"{verb} ADDRESS --data DATA.yaml" for verb in ("calibrate", "compare --no-cost --no-shake")
    ]
    more += ["ensemble fit ADDRESS wavemix3d --data DATA.yaml -o ens.json"]
    for command in [*commands, *(f"cfzoo {line}" for line in more)]:
        for name, place in places.items():
            command = command.replace(name, place)
        words = shlex.split(command)[1:]
        if words[0] in ("classify", "explain"):
            words += ["--voxel-size", "5", "2", "2", "--overwrite"]
        run(words)
    assert Path("attention3d-bioimageio.zip").is_file()
    assert Path("attention3d-hf/SHA256SUMS").is_file() and Path("ens.json").is_file()
    assert len(web.asked) == 2  # one file, of two names
    run(
        ["classify", "--model", "ens.json", "a.tif", "a.csv", "--voxel-size", *"522", "--overwrite"]
    )


@pytest.fixture
def cfzoo_web(web, labelled_brains, tmp_path, monkeypatch):
    shutil.copytree(labelled_brains, tmp_path, dirs_exist_ok=True)
    content = (ROOT / "model_cards" / "attention3d-1.1.0.onnx").read_bytes()
    web.files["/attention3d.onnx"] = content
    web.files["/lab/net/resolve/1.1.0/other.onnx"] = content
    monkeypatch.setenv("HF_ENDPOINT", web.root)
    pin = hashlib.sha256(content).hexdigest()
    places = {
        "https://HOST": web.root,
        "OWNER/NAME@REVISION/attention3d": "lab/net@1.1.0/other",
        "ADDRESS": f"{web.root}/attention3d.onnx#sha256={pin}",
        "HEX": pin,
        "VOLUME": "a.tif",
        "POINTS": "a.csv",
        "DATA.yaml": "data.yaml",
    }

    def run(words):
        with pytest.raises(SystemExit) as stopped:
            main(words)
        assert stopped.value.code == 0, words

    return web, places, run
