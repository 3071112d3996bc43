"""Comparison with the installed cellfinder: its network, its data path and its labels."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cfzoo.cli import main
from cfzoo.runtime.artifact import read_artifact
from cfzoo.runtime.cellfinder import enabled
from cfzoo.runtime.cubes import read_batches
from cfzoo.runtime.job import prepare
from cfzoo.runtime.options import Options
from cfzoo.runtime.pipeline import run
from cfzoo.runtime.results import Flag
from cfzoo.zoo.weights import load_keras_weights

CROP = Path(__file__).resolve().parents[3] / "shared" / "data" / "cellfinder_crop"
VOXEL_SIZES = [(5, 2, 2), (5, 1, 1), (3.9, 3.9, 3.9), (6, 1.62, 1.62)]
FORMATS = ("legacy", "weights", "keras")
N_POINTS = 500


@lru_cache(maxsize=1)
def crop():
    """Signal and background of cellfinder's own test brain, (30, 510, 667) uint16."""
    folders = (CROP / "signal", CROP / "background")
    return tuple(np.stack([tifffile.imread(p) for p in sorted(f.glob("*.tif"))]) for f in folders)


def random_points(seed):
    """Draw points (N, 3), z y x, a tenth of them on faces."""
    rng = np.random.default_rng(seed)
    shape = np.array(crop()[0].shape)
    points = rng.integers(0, shape, (N_POINTS, 3))
    for i in range(0, N_POINTS, 10):
        axis = rng.integers(3)
        points[i, axis] = rng.choice([0, shape[axis] - 1])
    return points.astype(float)


@dataclass
class CellfinderAnswers:
    """The points that cellfinder keeps, in its order, with their cubes and answers."""

    index: np.ndarray
    cubes: np.ndarray  # (n, c, z, y, x)
    probability: np.ndarray  # empty without a model


def run_cellfinder(model, arrays, points, voxel_size) -> CellfinderAnswers:
    """Cut cubes as cellfinder does and, if there is a model, let it answer."""
    import torch
    from brainglobe_utils.cells.cells import Cell
    from cellfinder.core.classify.cube_generator import CuboidArrayDataset, CuboidBatchSampler

    cells = [Cell((int(x), int(y), int(z)), Cell.UNKNOWN) for z, y, x in points]
    dataset = CuboidArrayDataset(
        signal_array=arrays[0],
        background_array=arrays[1] if len(arrays) > 1 else None,
        points=cells,
        data_voxel_sizes=list(map(float, voxel_size)),
        network_voxel_sizes=[5, 1, 1],
        network_cuboid_voxels=(20, 50, 50),
        axis_order=("z", "y", "x"),
        max_axis_0_cuboids_buffered=1,
    )
    index, cubes, probability = [], [], []
    with torch.inference_mode():
        for batch in CuboidBatchSampler(dataset, batch_size=32, sort_by_axis="z"):
            data = dataset[batch]
            if model is not None:
                probability.append(model(data, training=False).cpu().numpy()[:, 1])
            cubes.append(data.permute(0, 4, 3, 1, 2).numpy())  # cellfinder's axes are b y x z c
            index.extend(int(i) for i in dataset.points_arr[batch, 4])
    answers = np.concatenate(probability) if probability else np.empty(0)
    return CellfinderAnswers(np.array(index), np.concatenate(cubes), answers)


@dataclass(frozen=True)
class Case:
    """A random network of cellfinder's, and the artifact that `cfzoo import` makes from it."""

    model: object
    weights: dict  # format -> path
    artifact: object
    path: Path  # of the artifact


@pytest.fixture(scope="module", params=["raw-2", "normalised-1"])
def case(request, cellfinder_resnet, spread_logits, save_keras, tmp_path_factory):
    """ResNet-50 with answers that vary on the crop, imported through the command line."""
    folder = tmp_path_factory.mktemp("imported")
    kind, channels = request.param.split("-")
    channels, normalised = int(channels), kind == "normalised"
    model = cellfinder_resnet(50, channels, 10 + normalised)
    inputs = normalise(crop()[:channels]) if normalised else crop()[:channels]
    if normalised:
        # Its batch normalisations expect raw intensities; with deviations of 1 their outputs
        # would be almost constant, and the comparison one of rounding errors.
        conv1 = model.get_layer("conv1")
        conv1.set_weights([conv1.get_weights()[0] * crop()[0].std()])
    cubes = run_cellfinder(None, inputs, random_points(9)[:200], (5, 2, 2)).cubes
    spread_logits(model, cubes[:100])
    weights = {fmt: save_keras(model, fmt, folder / fmt) for fmt in FORMATS}
    # Each format goes through the whole command for one of the cases ...
    fmt = FORMATS[(channels + 2 * normalised) % 3]
    args = ["import", weights[fmt], "--depth", 50, "-o", folder]
    args += ["--normalisation", "dataset" if normalised else "none"]
    with pytest.raises(SystemExit) as exit_info:
        main([str(a) for a in args])
    assert exit_info.value.code == 0
    path = folder / "resnet50-1.0.0.onnx"
    return Case(model, weights, read_artifact(path), path)


def normalise(arrays):
    """Apply the formula of cellfinder's normalize_channels, which 1.10.1 lacks, to all planes."""
    floats = [a.astype(np.float64) for a in arrays]
    return [((a - a.mean()) / a.std(ddof=1)).astype(np.float32) for a in floats]


@pytest.mark.slow
def test_all_formats_hold_the_same_weights(case):
    """... and the others are read as the very same numbers."""
    states = [load_keras_weights(path, 50).state for path in case.weights.values()]
    assert case.artifact.head is not None and case.artifact.n_features == 2048
    for state in states[1:]:
        assert state.keys() == states[0].keys()
        assert all((state[name] == states[0][name]).all() for name in state)


@pytest.mark.slow
@pytest.mark.parametrize("voxel_size", VOXEL_SIZES, ids=str)
def test_same_points_cubes_and_probabilities(case, voxel_size):
    channels = len(case.artifact.card.channels)
    normalised = case.artifact.card.normalisation == "dataset"
    arrays = crop()[:channels]
    points = random_points(seed=channels)
    inputs = normalise(arrays) if normalised else arrays
    expected = run_cellfinder(case.model, inputs, points, voxel_size)
    assert 50 < len(expected.index) < N_POINTS  # cellfinder drops some

    options = Options(edges="drop")
    job = prepare(points, *arrays, model=case.artifact, voxel_size=voxel_size, options=options)
    rows = np.flatnonzero(job.flags == Flag.OK)
    order = rows[np.argsort(points[rows, 0], kind="stable")]
    assert order.tolist() == expected.index.tolist()

    results = run(job)
    difference = np.abs(results.probability[expected.index] - expected.probability).max()
    assert difference <= 1e-4, difference
    assert expected.probability.std() > 0.05  # or the comparison would say nothing
    print(f"largest difference of probability {difference:.1e} over {len(expected.index)} points")

    if not normalised:
        place = np.empty(N_POINTS, int)
        place[expected.index] = np.arange(len(expected.index))
        for batch in read_batches(job.volumes, job.specs, rows, 64):
            cubes = expected.cubes[place[batch.index]]
            np.testing.assert_allclose(batch.network_cubes()[0], cubes, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["raw-2"], indirect=True)
def test_same_labels_as_classify_main(case):
    """The whole of cellfinder's step, from a weights file to labelled cells."""
    from brainglobe_utils.cells.cells import Cell
    from cellfinder.core.classify import classify

    points = random_points(seed=7)
    signal, background = crop()
    arguments = {
        "points": [Cell((int(x), int(y), int(z)), Cell.UNKNOWN) for z, y, x in points],
        "signal_array": signal,
        "background_array": background,
        "n_free_cpus": 1,
        "voxel_sizes": (5, 2, 2),
        "network_voxel_sizes": (5, 1, 1),
        "batch_size": 32,
        "cube_height": 50,
        "cube_width": 50,
        "cube_depth": 20,
        "trained_model": None,
        "model_weights": case.weights["weights"],
        "network_depth": "50",
        "max_workers": 0,
    }
    cells = classify.main(**arguments)
    with enabled():  # the same call of cellfinder's, with the artifact
        assert classify.main(**arguments | {"trained_model": case.path}) == cells
    options = Options(edges="drop")
    job = prepare(
        points, signal, background, model=case.artifact, voxel_size=(5, 2, 2), options=options
    )
    results = run(job)
    rows = np.flatnonzero(results.types)
    order = rows[np.argsort(points[rows, 0], kind="stable")]
    answers = [(*points[i, ::-1].astype(int), results.types[i]) for i in order]
    assert answers == [(c.x, c.y, c.z, c.type) for c in cells]
    assert {1, 2} == {c.type for c in cells}


@pytest.mark.slow
@pytest.mark.parametrize("case", ["raw-2"], indirect=True)
def test_cellfinder_labels_cells_as_keras_does(case):
    """Its own detection, then its classification: with keras, and with the imported artifact.

    `tests/test_docs.py` runs both steps with an artifact.
    """
    from brainglobe_utils.cells.cells import Cell
    from cellfinder.core.main import main

    positions = []

    def note(cells):  # before they are labelled
        positions.extend((c.x, c.y, c.z) for c in cells)

    brain = (*crop(), (5, 2, 2))
    keras = main(*brain, model_weights=case.weights["weights"], detect_finished_callback=note)
    candidates = [Cell(place, Cell.UNKNOWN) for place in positions]
    with enabled():
        import cellfinder.core.main as core

        cells = core.main(
            *brain,
            trained_model=case.path,
            skip_detection=True,
            detected_cells=candidates,
            detect_finished_callback=lambda _: None,
        )
    assert cells == keras
    print(f"{len(candidates)} candidates, {len(keras)} classified, the same")
    assert len(keras) > 50
