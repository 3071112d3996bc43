"""Run every shell and Python block of README and docs in order, page by page, on small data.

VOLUME, POINTS and DATA.yaml are files in the folder where the blocks of a page run. A ``text``
block shows what the block before it prints, with numbers to within a tenth; a ``yaml`` block is
written to the file that the page named last.
"""

import contextlib
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
# Blocks that are not run here, by their first line; a comment in the page says so too.
NOT_RUN = {
    "python3 -m venv .venv && .venv/bin/pip install '.[cpu]'": "tests/test_readme.py does",
    "python3 -m venv .venv && .venv/bin/pip install torch": ".ci/run is the same line",
    "python3 -m venv .venv": "tests/test_readme.py installs",
    "pip install torch==2.13.0": ".ci/run installs",
    "cfzoo brainmapper -s SIGNAL": "tests/cli/cellfinder/test_brainmapper.py runs it",
    "brainmapper -s SIGNAL": "tests/cli/cellfinder/test_brainmapper.py runs brainmapper",
    "cp by_hand_classified": "a copy",
    "cfzoo sign --new-key": "it asks for a password; tests/cli/artifacts/test_signing.py signs",
    "cfzoo verify lab.onnx": "tests/cli/artifacts/test_signing.py does",
    "cfzoo sign new.pub": "tests/cli/artifacts/test_signing.py does",
    "pip install '.[cpu,export,analysis,sign]'": "tests/test_readme.py installs",
    "cfzoo page attention3d": "tests/workflows/try_page runs it where npm is installed",
    "npm --prefix web ci": "tests/workflows/try_page builds it where npm is installed",
    "python benchmarks/crossval.py": "takes hours; its results are in benchmarks/crossval",
    "cfzoo train attention3d benchmarks/cfos.yaml": "takes minutes; test_released.py checks it",
}
FILES = {
    "SIGNAL": "sample/signal.tif",
    "VOLUME": "sample/signal.tif",
    "BACKGROUND": "sample/background.tif",
    "POINTS": "sample/candidates.xml",
    "MODEL": "headed.onnx",  # one that can be adapted
}
CROP = DATA / "cellfinder_crop"
PAGE_FILES = {
    "cellfinder.md": {name.upper(): str(CROP / name) for name in ("signal", "background")},
}
SMALL = ["--epochs", "1", "--steps", "2", "--batch-size", "8"]  # added to the options of a page
TESTED_ELSEWHERE = ("import.md", "hub.md", "napari.md")  # below, test_hub_page.py, tests/plugin/
FAST = {
    "README.md",
    "ten_minutes.md",
    "explaining.md",
    "first.md",
    "exit_codes.md",
    "python.md",
    "artifact.md",
}


def blocks(page: Path):
    """Yield (text before it, reason not to run it or None, language, code) of each block."""
    text, end = page.read_text(), 0
    for match in BLOCK.finditer(text):
        yield text[end : match.start()], match[2], match[3], match[4]
        end = match.end()


def pages_with_blocks() -> list[Path]:
    return [p for p in PAGES if any(b[2] in ("bash", "python") for b in blocks(p))]


@pytest.fixture
def folder(tmp_path, monkeypatch, labelled_brains, make_artifact, script):
    """A reader's folder: a clone with labelled brains and a model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CFZOO_CONFIG", str(tmp_path / "config"))  # keys that a page trusts
    shutil.copytree(labelled_brains, tmp_path, dirs_exist_ok=True)
    shutil.copy("data.yaml", "DATA.yaml")
    shutil.copy("data.yaml", "mine.yaml")
    make_artifact(tmp_path).rename("mine.onnx")
    script("tests/headed_artifact.py").write_artifact(tmp_path).rename("headed.onnx")
    for name in ("model_cards", "benchmarks"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def write_counter(path: Path, channels: int) -> None:
    """Write the sample's points as Fiji's Cell Counter does, the cells as its type 1."""
    from cfzoo.runtime import read_points

    points = read_points("sample/truth.xml")
    groups = ""
    for kind, label in ((1, 2), (2, 1)):
        markers = "".join(
            f"<Marker><MarkerX>{x:g}</MarkerX><MarkerY>{y:g}</MarkerY>"
            f"<MarkerZ>{z * channels + 1:g}</MarkerZ></Marker>"
            for z, y, x in points.zyx[points.types == label]
        )
        name = f"<Type>{kind}</Type><Name>Type {kind}</Name>"
        groups += f"<Marker_Type>{name}{markers}</Marker_Type>"
    data = f"<Marker_Data>{groups}</Marker_Data>"
    path.write_text(f"<CellCounter_Marker_File>{data}</CellCounter_Marker_File>")


def write_volumes() -> None:
    """Write the sample in all formats of volumes."""
    import zarr

    signal, background = (tifffile.imread(f"sample/{n}.tif") for n in ("signal", "background"))
    shutil.copy("sample/signal.tif", "brain.tif")
    shutil.copy("sample/candidates.xml", "cells.xml")
    for name, channels in (("brain", 1), ("both", 2)):
        write_counter(Path(f"CellCounter_{name}.xml"), channels)
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


def write_cohort() -> None:
    """Write three brains, and the table that the page shows."""
    page = (ROOT / "docs" / "howto" / "cohorts.md").read_text()
    table = re.search(r"^```{code-block} text\n(.*?)^```$", page, re.M | re.S)[1]
    for number in (1, 2, 3):
        shutil.copy("sample/signal.tif", f"mouse{number}.tif")
        shutil.copy("sample/candidates.xml", f"mouse{number}.xml")
    Path("brains.csv").write_text(table)


def write_labels() -> None:
    """Write labels of the sample's first candidates as the page of ``cfzoo label`` saves them."""
    from cfzoo.runtime import read_points

    positions = read_points("sample/candidates.xml").zyx[:20].tolist()
    rows = [
        f"{x:g},{y:g},{z:g},{kind},{number}"
        for number, ((z, y, x), kind) in enumerate(
            zip(positions, make_sample().types[:20].tolist(), strict=True), 1
        )
    ]
    Path("signal-labels.csv").write_text("\n".join(["x,y,z,type,number", *rows]) + "\n")


def prepare_contribution() -> None:
    """Hold out a brain, and make a lab's key without the password that `cfzoo sign` asks for."""
    text = Path("mine.yaml").read_text().rstrip().removesuffix("}")
    Path("mine.yaml").write_text(text + ", split: validation}\n")
    run_shell("cfzoo sign --new-key lab.key --no-password", {})


def copy_crop() -> None:
    """Lay the cells of cellfinder's own test data where brainmapper has its candidates."""
    Path("by_hand/points").mkdir(parents=True)
    shutil.copy(CROP / "cells.xml", "by_hand/points/cells.xml")


def check_cellfinder(names: dict) -> None:
    """Check that `main` and `Classifier` answer alike for the cells that cellfinder detected."""
    from brainglobe_utils.cells.cells import Cell

    expected = names["cells"]
    assert len(expected) > 20 and {c.type for c in expected} <= {1, 2}
    names["candidates"] = [Cell((c.x, c.y, c.z), Cell.UNKNOWN) for c in expected]
    *_, main_block, classifier_block = (
        b[3] for b in blocks(ROOT / "docs" / "cellfinder.md") if b[2] == "python"
    )
    exec(main_block, names)
    exec(classifier_block, names)
    cells = names["classified"]
    assert [c.type for c in cells] == [c.type for c in expected]
    assert all(0 <= c.metadata["probability"] <= 1 for c in cells)
    answers = {(c.x, c.y, c.z): (c.type, c.metadata["probability"]) for c in cells}
    assert len(names["same_cells"]) == len(cells)
    for cell in names["same_cells"]:
        assert answers[cell.x, cell.y, cell.z] == (cell.type, cell.metadata["probability"])


def check_explaining(names: dict) -> None:
    assert len(list(Path("classified/cams").glob("*.tif"))) == 20
    assert len(names["layers"]) == 12 * 7
    for data, options in names["layers"]:
        assert data.shape == (8, 16, 16) and len(options["scale"]) == len(options["translate"]) == 3


INPUTS: dict[str, Callable] = {
    "volumes.md": write_volumes,
    "cellfinder.md": copy_crop,
    "cohorts.md": write_cohort,
    "label.md": write_labels,
    "contribute.md": prepare_contribution,
}
CHECKS: dict[str, Callable] = {"cellfinder.md": check_cellfinder, "explaining.md": check_explaining}
OUTPUTS = {
    "README.md": (),
    "ten_minutes.md": ("after/points.xml", "lab2.onnx"),
    "first.md": ("classified/points.xml", "labels.html", "looked/cams"),
    "own_model.md": ("run/mine-1.0.0.md", "report/index.html", "brain4_classified/points.csv"),
    "comparing.md": (
        "report/index.html",
        "again/report.md",
        "models/attention3d-calibrated-1.1.1.onnx",
        "ens.json",
        "ensemble-1.0.0.onnx",
    ),
    "cellfinder.md": ("classified.xml", "by_hand_classified/points.xml"),
    "label.md": ("labels.html", "lab/points.csv"),
    "contribute.md": ("proposal/contribution.json", "proposal/mine-1.0.0.onnx.minisig"),
    "cohorts.md": ("cohort/index.html", "cohort/mouse3/points.csv", "spread/run.json"),
    "training.md": ("run/attention3d-1.0.0.onnx", "tuned/curves.png", "prototypes.png"),
    "volumes.md": tuple(
        f"from_{name}/points.csv" for name in ("zarr", "planes", "channel", "counter", "both")
    ),
}


def run_shell(code: str, files: dict) -> str:
    """Run the commands of a block, check their exit codes and return what they print."""
    stdout = io.StringIO()
    for line in code.splitlines():
        program, *words = shlex.split(line, comments=True)
        assert program == "cfzoo", f"cannot run: {line}"
        if words[0] == "train":
            words += SMALL  # of an option given twice, the last counts
        with pytest.raises(SystemExit) as exit_info, contextlib.redirect_stdout(stdout):
            main([files.get(word, word) for word in words])
        assert exit_info.value.code == 0, line
    return stdout.getvalue()


def check_output(expected: str, output: str) -> None:
    """Compare two texts word by word, and numbers to within a tenth."""
    for word, result in zip(expected.split(), output.split(), strict=True):
        try:
            assert float(word) == pytest.approx(float(result), rel=0.1), f"{word} is now {result}"
        except ValueError:
            assert word == result, f"{word} is now {result}"


def run_page(page: Path, names: dict) -> None:
    output, files = "", FILES | PAGE_FILES.get(page.name, {})
    for text, reason, language, code in blocks(page):
        if reason or code.startswith(tuple(NOT_RUN)):
            continue
        if language == "bash":
            output = run_shell(code, files)
        elif language == "text":
            check_output(code, output)
        elif language == "python":
            for name, file in files.items():
                code = code.replace(f'"{name}"', f'"{file}"')
            names["__name__"] = "__main__"
            with contextlib.redirect_stdout(io.StringIO()) as stdout:
                exec(compile(code, str(page), "exec"), names)
            output = stdout.getvalue()
        elif language == "yaml" and (paths := re.findall(r"`(\w+\.yaml)`", text)):
            Path(paths[-1]).write_text(code)
    for name in OUTPUTS.get(page.name, ()):
        assert Path(name).exists(), name


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[] if page.name in FAST else pytest.mark.slow)
        for page in pages_with_blocks()
        if page.name not in TESTED_ELSEWHERE
    ],
    ids=lambda page: page.stem,
)
def test_blocks_run(page, folder):
    if "cfzoo sample sample" not in page.read_text() or page.name == "README.md":
        write_sample(Path("sample"))
    names = INPUTS.get(page.name, dict)() or {}
    run_page(page, names)
    if page.name in CHECKS:
        CHECKS[page.name](names)


@pytest.mark.slow
def test_blocks_of_import_run(folder, cellfinder_resnet, save_keras):
    """With cellfinder's own network, all weights random, saved in the format of its releases."""
    write_sample(Path("sample"))
    save_keras(cellfinder_resnet(18, 2), "legacy", Path("resnet50_tv"))
    run_page(ROOT / "docs" / "howto" / "import.md", {})
    assert Path("classified/points.xml").exists()


def test_blocks_that_are_not_run_are_marked_and_listed():
    marks = []
    for page in PAGES:
        for _, reason, language, code in blocks(page):
            is_generated = page.parent.name == "comparison"
            assert (
                language in ("bash", "python", "yaml", "text")
                or language[:1] == "{"
                or is_generated
            ), f"{page.name}: a block of {language or 'no language'}; name it bash, python or text"
            first = code.splitlines()[0] if code.strip() else ""
            rows = [row for row in NOT_RUN if first.startswith(row)]
            if reason or (rows and page.name == "README.md"):
                assert rows, f"{page.name}: {first} is not run; say why in NOT_RUN"
                marks.append(max(rows, key=len))
    assert set(marks) == set(NOT_RUN)


def test_no_sentence_is_code_by_its_indentation():
    for page in PAGES:
        text = BLOCK.sub("\n", page.read_text())
        assert not re.findall(r"\n\n {4,}\S.*", text), page.name


def test_pages_give_the_counts_of_the_sample():
    sample = make_sample()
    page = (ROOT / "docs" / "tutorials" / "first.md").read_text()
    assert f"{len(sample.types)} candidates, {(sample.types == 2).sum()} of them cells" in page
