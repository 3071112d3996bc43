"""Every shell and Python block of README and docs, in order, page by page, on small real data.

What a page calls VOLUME, POINTS or DATA.yaml lies in the folder that its blocks are run in. A
``text`` block after another is what that prints, numbers within a tenth; a ``yaml`` block is
written to the file that was named last before it.
"""

import contextlib
import hashlib
import io
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cfzoo.cli import main
from cfzoo.runtime.sample import make_sample, write_sample

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"(<!-- not run: ([^>]*) -->\n\n?)?^```([^\n]*)\n(.*?)^```$", re.M | re.S)

# Blocks that nothing here runs, by their first line; the page says so, too, in a comment.
NOT_RUN = {
    "python3 -m venv .venv && .venv/bin/pip install '.[cpu]'": "tests/test_readme.py does",
    "python3 -m venv .venv && .venv/bin/pip install torch": ".ci/run is the same line",
    "python3 -m venv .venv": "tests/test_readme.py installs",
    "pip install torch==2.13.0": ".ci/run installs",
    'python -c "from cfzoo.runtime.cellfinder import enable': "test_cellfinder.py makes its calls",
    "python benchmarks/crossval.py": "takes hours; benchmarks/crossval holds what it made",
    "cfzoo train attention3d benchmarks/cfos.yaml": "takes minutes; test_released.py holds it",
}
PLACES = {
    "VOLUME": "sample/signal.tif",
    "BACKGROUND": "sample/background.tif",
    "POINTS": "sample/candidates.xml",
}
SMALL = ["--epochs", "1", "--steps", "2", "--batch-size", "8"]  # in place of a page's own
OTHERS = ("import.md", "hub.md", "napari.md")  # tests of their own, below and in plugin/
FAST = {"README.md", "explaining.md", "first.md", "exit_codes.md", "python.md", "artifact.md"}


def blocks(page: Path):
    """(text before it, reason not to run it or None, language, code) of each block."""
    text, end = page.read_text(), 0
    for found in BLOCK.finditer(text):
        yield text[end : found.start()], found[2], found[3], found[4]
        end = found.end()


def with_blocks() -> list[Path]:
    return [p for p in PAGES if any(b[2] in ("bash", "python") for b in blocks(p))]


@pytest.fixture
def folder(tmp_path, monkeypatch, labelled_brains, make_artifact):
    """Where a reader might be: a clone, with a sample, some labelled brains and a model."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(labelled_brains, tmp_path, dirs_exist_ok=True)
    shutil.copy("data.yaml", "DATA.yaml")
    shutil.copy("data.yaml", "mine.yaml")
    make_artifact(tmp_path).rename("mine.onnx")
    for name in ("model_cards", "benchmarks"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def volumes() -> None:
    """The sample in all the ways that volumes come."""
    import zarr

    signal, background = (tifffile.imread(f"sample/{n}.tif") for n in ("signal", "background"))
    shutil.copy("sample/signal.tif", "brain.tif")
    shutil.copy("sample/candidates.xml", "cells.xml")
    tifffile.imwrite("bare.tif", signal)
    axes = {"axes": "ZCYX"}
    tifffile.imwrite("both.tif", np.stack([signal, background], 1), imagej=True, metadata=axes)
    Path("planes").mkdir()
    for z, plane in enumerate(signal):
        tifffile.imwrite(f"planes/z{z}.tif", plane)
    group = zarr.open_group("brain.zarr", mode="w", zarr_format=2)
    group.create_array("0", data=signal, chunks=(16, 64, 64))
    scale = [{"type": "scale", "scale": [5.0, 2.0, 2.0]}]
    group.attrs["multiscales"] = [
        {
            "version": "0.4",
            "axes": [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"],
            "datasets": [{"path": "0", "coordinateTransformations": scale}],
        }
    ]


def crop() -> dict:
    """signal, background and candidates of cellfinder's own test data."""
    from brainglobe_utils.cells.cells import Cell

    from cfzoo.runtime import read_points

    names = {}
    for channel in ("signal", "background"):
        files = sorted((DATA / "cellfinder_crop" / channel).glob("*.tif"))
        names[channel] = np.stack([tifffile.imread(file) for file in files])
    zyx = read_points(DATA / "cellfinder_crop" / "cells.xml").zyx
    names["candidates"] = [Cell((x, y, z), Cell.UNKNOWN) for z, y, x in zyx]
    return names


def after_cellfinder(names: dict) -> None:
    """What cellfinder found by the last block, `main` and `Classifier` call and rate the same."""
    from brainglobe_utils.cells.cells import Cell

    found = names["cells"]
    assert len(found) > 20 and {c.type for c in found} <= {1, 2}
    names["candidates"] = [Cell((c.x, c.y, c.z), Cell.UNKNOWN) for c in found]
    first, own, _ = (b[3] for b in blocks(ROOT / "docs" / "cellfinder.md") if b[2] == "python")
    exec(first, names)
    exec(own, names)
    cells = names["cells"]
    assert [c.type for c in cells] == [c.type for c in found]
    assert all(0 <= c.metadata["probability"] <= 1 for c in cells)
    places = {(c.x, c.y, c.z): (c.type, c.metadata["probability"]) for c in cells}
    assert len(names["same_cells"]) == len(cells)
    for cell in names["same_cells"]:
        assert places[cell.x, cell.y, cell.z] == (cell.type, cell.metadata["probability"])


def after_explaining(names: dict) -> None:
    assert len(list(Path("classified/cams").glob("*.tif"))) == 20
    assert len(names["layers"]) == 12 * 7
    for data, options in names["layers"]:
        assert data.shape == (8, 16, 16) and len(options["scale"]) == len(options["translate"]) == 3


BEFORE: dict[str, Callable] = {"volumes.md": volumes, "cellfinder.md": crop}
AFTER: dict[str, Callable] = {"cellfinder.md": after_cellfinder, "explaining.md": after_explaining}
MADE = {
    "README.md": (),
    "first.md": ("classified/points.xml", "looked/cams"),
    "own_model.md": ("run/mine-1.0.0.md", "report/index.html", "classified/points.csv"),
    "comparing.md": (
        "report/index.html",
        "again/report.md",
        "models/attention3d-calibrated-1.1.0.onnx",
        "ens.json",
        "ensemble-1.0.0.onnx",
    ),
    "cellfinder.md": ("classified.xml",),
    "training.md": ("run/attention3d-1.0.0.onnx", "tuned/curves.png", "prototypes.png"),
    "volumes.md": ("from_zarr/points.csv", "from_planes/points.csv", "from_channel/points.csv"),
}


def run_shell(code: str) -> str:
    """What its commands print; each must end with 0."""
    said = io.StringIO()
    for line in code.splitlines():
        program, *words = shlex.split(line, comments=True)
        assert program == "cfzoo", f"do not know how to run: {line}"
        if words[0] == "train":
            words += SMALL  # the last of an option given twice counts
        with pytest.raises(SystemExit) as stopped, contextlib.redirect_stdout(said):
            main([PLACES.get(word, word) for word in words])
        assert stopped.value.code == 0, line
    return said.getvalue()


def alike(shown: str, said: str) -> None:
    """Word by word, numbers within a tenth."""
    pairs = list(zip(shown.split(), said.split(), strict=True))
    for one, other in pairs:
        try:
            assert float(one) == pytest.approx(float(other), rel=0.1), f"{one} is now {other}"
        except ValueError:
            assert one == other, f"{one} is now {other}"


def run_page(page: Path, names: dict) -> None:
    said = ""
    for before, reason, language, code in blocks(page):
        if reason or code.startswith(tuple(NOT_RUN)):
            continue
        if language == "bash":
            said = run_shell(code)
        elif language == "text":
            alike(code, said)
        elif language == "python":
            for name, place in PLACES.items():
                code = code.replace(f'"{name}"', f'"{place}"')
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile(code, str(page), "exec"), names)
            said = printed.getvalue()
        elif language == "yaml" and (named := re.findall(r"`(\w+\.yaml)`", before)):
            Path(named[-1]).write_text(code)
    for name in MADE.get(page.name, ()):
        assert Path(name).exists(), name


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[] if page.name in FAST else pytest.mark.slow)
        for page in with_blocks()
        if page.name not in OTHERS
    ],
    ids=lambda page: page.stem,
)
def test_blocks_run(page, folder):
    if "cfzoo sample sample" not in page.read_text() or page.name == "README.md":
        write_sample(Path("sample"))
    names = BEFORE.get(page.name, dict)() or {}
    run_page(page, names)
    if page.name in AFTER:
        AFTER[page.name](names)


@pytest.mark.slow
def test_blocks_of_import_run(folder, cellfinder_resnet, save_keras):
    """cellfinder's own network, random throughout, saved as its published weights were."""
    write_sample(Path("sample"))
    save_keras(cellfinder_resnet(18, 2), "legacy", Path("resnet50_tv"))
    run_page(ROOT / "docs" / "howto" / "import.md", {})
    assert Path("classified/points.xml").exists()


def test_what_is_not_run_is_marked_and_listed():
    marked = []
    for page in PAGES:
        for _, reason, language, code in blocks(page):
            made = page.parent.name == "comparison"
            assert language in ("bash", "python", "yaml", "text") or language[:1] == "{" or made, (
                f"{page.name}: a block of {language or 'no language'}; name it bash, python or text"
            )
            first = code.splitlines()[0] if code.strip() else ""
            rows = [row for row in NOT_RUN if first.startswith(row)]
            if reason or (rows and page.name == "README.md"):
                assert rows, f"{page.name}: {first} is not run; say why in NOT_RUN"
                marked.append(max(rows, key=len))
    assert set(marked) == set(NOT_RUN)


def test_the_sample_that_pages_speak_of_is_the_one_that_is_made():
    sample = make_sample()
    page = (ROOT / "docs" / "tutorials" / "first.md").read_text()
    assert f"{len(sample.types)} candidates, {(sample.types == 2).sum()} of them cells" in page


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
    assert len(web.log) == 2  # one file, of two names
    run(
        ["classify", "--model", "ens.json", "a.tif", "a.csv", "--voxel-size", *"522", "--overwrite"]
    )


@pytest.fixture
def cfzoo_web(web, labelled_brains, tmp_path, monkeypatch):
    shutil.copytree(labelled_brains, tmp_path, dirs_exist_ok=True)
    content = (ROOT / "model_cards" / "attention3d-1.1.0.onnx").read_bytes()
    web.expect_request("/attention3d.onnx").respond_with_data(content)
    web.expect_request("/lab/net/resolve/1.1.0/other.onnx").respond_with_data(content)
    root = web.url_for("").rstrip("/")
    monkeypatch.setenv("HF_ENDPOINT", root)
    pin = hashlib.sha256(content).hexdigest()
    places = {
        "https://HOST": root,
        "OWNER/NAME@REVISION/attention3d": "lab/net@1.1.0/other",
        "ADDRESS": f"{root}/attention3d.onnx#sha256={pin}",
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
