"""cfzoo adapt: from labels to an artifact that classifies, and what it refuses."""

import csv
import dataclasses
import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile

from cfzoo.runtime import classify
from cfzoo.runtime.adapt import LabelledVolume, adapt, match_labels
from cfzoo.runtime.artifact import CARD_KEY, Ensemble, read_artifact, replace_head, seal, verify
from cfzoo.runtime.cellfinder import main as cellfinder_main
from cfzoo.runtime.errors import InputError
from cfzoo.runtime.options import Options
from cfzoo.runtime.points import Points, read_points
from cfzoo.runtime.shift import describe_training, measure_training

SHAPE = (20, 60, 70)
SIZE = ("--voxel-size", 5, 2, 2)


@pytest.fixture(scope="module")
def headed(script):
    return script("tests/headed_artifact.py")


@pytest.fixture(scope="module")
def folder(headed, tmp_path_factory):
    """A model, two brains whose cells are the candidates above a plane of features, labels."""
    folder = tmp_path_factory.mktemp("lab")
    model = read_artifact(headed.write_artifact(folder))
    for number in (1, 2):
        rng = np.random.default_rng(number)
        volume = rng.integers(0, 4000, SHAPE).astype(np.uint16)
        tifffile.imwrite(folder / f"brain{number}.tif", volume)
        zyx = np.unique(rng.integers(0, SHAPE, (250, 3)), axis=0)
        rng.shuffle(zyx)
        # Cells are those of which another head of the same network is sure.
        other = headed.make_head(seed=3)
        features = measure(folder, model, f"brain{number}.tif", zyx)
        cells = other.margin((features - np.median(features, axis=0)) / features.std(axis=0)) > 0
        for name, types in (
            ("candidates", [""] * len(zyx)),
            ("truth", 1 + cells),
            ("some", [1 + c if i < 60 else "" for i, c in enumerate(cells)]),
        ):
            write_csv(folder / f"{name}{number}.csv", zyx, types)
        write_csv(folder / f"labels{number}.csv", zyx[:60], 1 + cells[:60])
    return folder


def write_csv(path, zyx, types):
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["x", "y", "z", "type"])
        rows.writerows([x, y, z, kind] for (z, y, x), kind in zip(zyx, types, strict=True))


def measure(folder, model, volume, zyx):
    from cfzoo.runtime.job import prepare
    from cfzoo.runtime.pipeline import compute_features
    from cfzoo.runtime.volume import open_volume

    with open_volume(folder / volume) as signal:
        job = prepare(zyx.astype(float), signal, model=model, voxel_size=(5, 2, 2))
        return compute_features(job)[0]


def arguments(folder, *options, model="headed-1.0.0.onnx", points="candidates1.csv"):
    inputs = [folder / model, folder / "brain1.tif", folder / points]
    return ["adapt", *inputs, *SIZE, *options]


def labelled(folder, name="some"):
    """Return the two volumes, for the function."""
    volumes = []
    for number in (1, 2):
        points = read_points(folder / f"{name}{number}.csv")
        signal = folder / f"brain{number}.tif"
        volumes.append(LabelledVolume(signal, points, match_labels(points), voxel_size=(5, 2, 2)))
    return volumes


def share_right(folder, model, number, backend="onnxruntime"):
    """Return the share of right types among the candidates without a label."""
    truth = read_points(folder / f"truth{number}.csv")
    results = classify(
        truth.zyx,
        folder / f"brain{number}.tif",
        model=model,
        voxel_size=(5, 2, 2),
        options=Options(backend=backend, threshold=0.5),
    )
    return np.mean(results.types[60:] == truth.types[60:]), results.probability


def test_labels_of_a_file_or_of_the_points_give_the_same_artifact(cfzoo, folder, tmp_path):
    one, other = tmp_path / "one.onnx", tmp_path / "deep" / "other.onnx"
    code, out, _ = cfzoo(*arguments(folder, "-o", one, points="some1.csv"))
    assert code == 0
    assert "cells and" in out and "of 250 candidates" in out and "AUC" in out
    assert cfzoo(*arguments(folder, "-o", other, "--labels", folder / "labels1.csv"))[0] == 0
    assert read_artifact(one).head.weight.tolist() == read_artifact(other).head.weight.tolist()
    assert cfzoo("inspect", "--test", one)[1].count("test        passed") == 1


def test_the_artifact_knows_the_brain_better(cfzoo, folder, tmp_path):
    path = tmp_path / "lab.onnx"
    cfzoo(*arguments(folder, "-o", path, "-q", points="some1.csv"))
    before, _ = share_right(folder, folder / "headed-1.0.0.onnx", 1)
    after, probability = share_right(folder, path, 1)
    assert after > 0.85 > before + 0.1
    assert share_right(folder, path, 2)[0] > 0.8  # a brain without labels
    _, with_openvino = share_right(folder, path, 1, "openvino")
    np.testing.assert_allclose(with_openvino, probability, atol=1e-4)


def test_classify_gives_what_was_learned(folder):
    """The statistics that classify measures are those of the fit, to the last bit."""
    adaptation = adapt(folder / "headed-1.0.0.onnx", labelled(folder))
    card = adaptation.artifact.card
    parent = read_artifact(folder / "headed-1.0.0.onnx")
    assert (card.temperature, card.offset) == (parent.card.temperature, parent.card.offset)
    assert (card.name, card.standardisation) == ("headed-adapted", "volume")
    assert card.parent.split() == ["headed-1.0.0.onnx", parent.card.digest]
    assert card.training["adaptation"]["labels"] == {
        "cells": adaptation.estimate.cells,
        "no_cells": adaptation.estimate.no_cells,
    }
    assert [v["volume"] for v in card.training["adaptation"]["volumes"]] == [
        "brain1.tif",
        "brain2.tif",
    ]
    low, high = card.metrics["adaptation"]["auc"][1:]
    assert low < high
    assert min(share_right(folder, adaptation.artifact, n)[0] for n in (1, 2)) > 0.75


def test_several_volumes(cfzoo, folder, tmp_path):
    path = tmp_path / "lab.onnx"
    also = ["--also", folder / "brain2.tif", folder / "candidates2.csv"]
    labels = [word for n in (1, 2) for word in ("--labels", folder / f"labels{n}.csv")]
    code, out, _ = cfzoo(*arguments(folder, *also, *labels, "-o", path))
    assert code == 0
    count = sum(len(read_points(folder / f"candidates{n}.csv").zyx) for n in (1, 2))
    assert f"of {count} candidates" in out
    expected = adapt(folder / "headed-1.0.0.onnx", labelled(folder)).artifact.head
    assert read_artifact(path).head.weight.tolist() == expected.weight.tolist()
    code, _, err = cfzoo(*arguments(folder, *also, *labels[:2], "-o", tmp_path / "x.onnx"))
    assert code == 2
    assert "There are 2 volumes and 1 --labels" in err


def test_own_name_version_and_overwriting(cfzoo, folder, tmp_path):
    path = tmp_path / "lab.onnx"
    words = arguments(folder, "-o", path, "-q", points="some1.csv")
    own = ("--name", "my-lab", "--model-version", "2.0.0", "--description", "Ours.")
    assert cfzoo(*words, *own) == (0, "", "")
    card = read_artifact(path).card
    assert (card.file_name, card.description) == ("my-lab-2.0.0.onnx", "Ours.")
    content = path.read_bytes()
    code, _, err = cfzoo(*words)
    assert code == 2 and "already holds lab.onnx" in err
    assert path.read_bytes() == content
    assert cfzoo(*words, "--overwrite")[0] == 0
    assert path.read_bytes() != content
    counts = "{cells} cells and {no_cells} no cells".format(
        **read_artifact(path).card.training["adaptation"]["labels"]
    )
    about = f"headed with its head adapted to {counts}."
    lines = cfzoo("inspect", path)[1].splitlines()
    assert f"about       {about}" in lines
    assert cfzoo(*words[:-4], "-o", folder / "headed-1.0.0.onnx", "--overwrite")[0] == 2
    # Adapted once more, it keeps one name.
    again = arguments(folder, "-o", tmp_path / "again.onnx", "-q", points="some1.csv", model=path)
    assert cfzoo(*again)[0] == 0
    assert read_artifact(tmp_path / "again.onnx").card.name == "headed-adapted"


def test_inspect_shows_what_is_its_own_before_the_parents_training(cfzoo, headed, folder, tmp_path):
    model = headed.write_artifact(tmp_path, training={"seed": 7})
    path = tmp_path / "lab.onnx"
    assert cfzoo(*arguments(folder, "-o", path, points="some1.csv", model=model))[0] == 0
    lines = cfzoo("inspect", path)[1].splitlines()
    heads = [lines.index(name) for name in ("adaptation", "metrics", "training of the parent")]
    assert heads == sorted(heads)
    assert lines[heads[-1] + 1] == "  seed: 7"


def write_labels(folder, name, change):
    rows = list(csv.reader((folder / "labels1.csv").open()))
    path = folder / name
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(change(rows))
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [rows[0], *[r for r in rows[1:] if r[3] == "1"]], r"0 labels of cells and "),
        (lambda rows: [rows[0], *[[*r[:3], ""] for r in rows[1:]]], "0 labels of cells and 0 of"),
        (lambda rows: [rows[0], ["1", "2", "2.5", "1"], *rows[1:]], "1 of 61 labels in"),
        (lambda rows: [*rows, [*rows[1][:3], str(3 - int(rows[1][3]))]], "point 61, x "),
        (lambda rows: [*rows, [*rows[1][:3], "7"]], "point 61 has the type 7"),
    ],
)
def test_labels_that_cannot_be_used(cfzoo, folder, tmp_path, change, message):
    labels = write_labels(folder, "bad.csv", change)
    code, _, err = cfzoo(*arguments(folder, "--labels", labels, "-o", tmp_path / "x.onnx"))
    assert code == 2
    assert message in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_points_as_a_detector_writes_them_are_no_labels_of_cells(cfzoo, folder, tmp_path):
    """cellfinder gives all candidates type 1."""
    write_csv(
        folder / "detected.csv", read_points(folder / "truth1.csv").zyx.astype(int), [1] * 250
    )
    code, _, err = cfzoo(*arguments(folder, "-o", tmp_path / "x.onnx", points="detected.csv"))
    assert code == 2
    assert "0 labels of cells and 250 of no cells" in err


def test_models_that_cannot_be_adapted(cfzoo, folder, tmp_path, make_artifact):
    make_artifact(folder)
    words = arguments(
        folder, "-o", tmp_path / "x.onnx", points="some1.csv", model="linear-1.0.0.onnx"
    )
    code, _, err = cfzoo(*words)
    assert code == 3
    assert "gives no features" in err and "cfzoo train" in err
    pair = Ensemble.of([read_artifact(folder / "headed-1.0.0.onnx")] * 2)
    with pytest.raises(InputError, match="Adapt one of its members"):
        adapt(pair, labelled(folder))


def test_labels_where_there_are_no_features_are_counted(folder):
    volume = tifffile.imread(folder / "brain1.tif").astype(np.float32)
    points = read_points(folder / "some1.csv")
    z, y, x = points.zyx[0].astype(int)
    volume[z, y, x] = np.nan
    labelled = LabelledVolume(volume, points, match_labels(points), voxel_size=(5, 2, 2))
    adaptation = adapt(folder / "headed-1.0.0.onnx", [labelled])
    assert adaptation.left_out >= 1
    assert adaptation.estimate.cells + adaptation.estimate.no_cells == 60 - adaptation.left_out
    few = Points(points.zyx, np.where(np.arange(250) == 0, points.types, 0).astype(np.int16), "few")
    few.types[:4] = [2, 2, 1, 1]
    short = LabelledVolume(volume, few, match_labels(few), voxel_size=(5, 2, 2))
    with pytest.raises(InputError, match="other labels lie where there are no features"):
        adapt(folder / "headed-1.0.0.onnx", [short])


def test_it_needs_no_torch_and_no_onnx(folder, tmp_path):
    code = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'scipy', 'sklearn', 'yaml'): sys.modules[name] = None\n"
        "from cfzoo.cli import main; main()"
    )
    words = [str(word) for word in arguments(folder, "-o", tmp_path / "x.onnx", points="some1.csv")]
    process = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "x.onnx").exists()


def test_a_kill_leaves_no_half_file_and_the_labels(folder, tmp_path):
    labels = (folder / "labels1.csv").read_bytes()
    path = tmp_path / "lab.onnx"
    words = arguments(folder, "--labels", folder / "labels1.csv", "-o", path, "--overwrite")
    command = [sys.executable, "-c", "from cfzoo.cli import main; main()", *map(str, words)]
    began = time.monotonic()
    assert subprocess.run(command, capture_output=True).returncode == 0
    seconds, content = time.monotonic() - began, path.read_bytes()
    for share in (0.3, 0.8, 0.95):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(share * seconds)
        process.kill()
        process.wait()
        assert path.read_bytes() == content
        assert (folder / "labels1.csv").read_bytes() == labels
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert [file.name for file in tmp_path.iterdir()] == ["lab.onnx"]


def test_cellfinders_own_step_takes_it(folder):
    cells = pytest.importorskip("brainglobe_utils.cells.cells")
    artifact = adapt(folder / "headed-1.0.0.onnx", labelled(folder)[:1]).artifact
    points = read_points(folder / "truth1.csv").zyx
    candidates = [cells.Cell(p[::-1].astype(int).tolist(), cells.Cell.UNKNOWN) for p in points]
    signal = tifffile.imread(folder / "brain1.tif")
    out = cellfinder_main(
        candidates,
        signal,
        None,
        0,
        *[(5, 2, 2)] * 2,
        16,
        6,
        8,
        4,
        artifact,
        None,
        "50",
        metadata=True,
    )
    expected = classify(
        points, signal, model=artifact, voxel_size=(5, 2, 2), options=Options(edges="drop")
    )
    order = np.argsort(points[:, 0], kind="stable")
    probability = [cell.metadata["probability"] for cell in out]
    typed = [row for row in order if expected.types[row]]
    np.testing.assert_allclose(probability, expected.probability[typed], atol=1e-6)


def test_the_lab_s_next_volume_is_known_to_the_adapted_artifact(folder, headed):
    model = read_artifact(folder / "headed-1.0.0.onnx")
    far = np.random.default_rng(0).normal(50, 1, (80, model.head.features)).astype(np.float32)
    training = measure_training([("far", far, np.arange(80) < 40)])
    card = dataclasses.replace(model.card, features=describe_training(training))
    content = seal(replace_head(model.model, model.head, {CARD_KEY: card.to_json()}))
    parent = verify(content, "foreign.onnx")
    points, labels = (read_points(folder / f"{name}1.csv") for name in ("candidates", "labels"))
    marks = match_labels(points, labels)
    volume = LabelledVolume(folder / "brain1.tif", points, marks, voxel_size=(5, 2, 2))
    adapted = adapt(parent, [volume]).artifact
    verdicts = []
    for artifact in (parent, adapted):
        next_points = read_points(folder / "candidates2.csv").zyx
        results = classify(next_points, folder / "brain2.tif", model=artifact, voxel_size=(5, 2, 2))
        verdicts.append(results.shifts[artifact.card.digest].verdict)
    assert verdicts == ["foreign", "like"]
