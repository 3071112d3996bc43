import dataclasses

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from cfzoo.runtime.artifact import read_artifact
from cfzoo.runtime.budget import read_size
from cfzoo.runtime.classifier import Classifier
from cfzoo.runtime.cubes import measure_scale
from cfzoo.runtime.errors import ArtifactError, InputError
from cfzoo.runtime.job import prepare
from cfzoo.runtime.options import Options
from cfzoo.runtime.pipeline import classify, run
from cfzoo.runtime.results import Flag
from cfzoo.runtime.session import best_batch
from cfzoo.runtime.volume import open_volume

SHAPE = (20, 60, 70)
VOXEL_SIZE = (5, 2, 2)


@pytest.fixture(scope="module")
def signal():
    return np.random.default_rng(0).integers(0, 4000, SHAPE).astype(np.uint16)


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(1).integers(0, SHAPE, (200, 3)).astype(float)


def cubes_at(volume, points, shape=(4, 6, 8)):
    padded = np.pad(volume, [(20, 20)] * 3, mode="edge")
    starts = [
        (
            int(z - shape[0] // 2) + 20,
            round(y - shape[1] / 2) + 20,
            round(x - shape[2] / 2) + 20,
        )
        for z, y, x in points
    ]
    cuts = [tuple(slice(s, s + n) for s, n in zip(start, shape, strict=True)) for start in starts]
    return np.stack([padded[c] for c in cuts])[:, None].astype(np.float32)


def test_each_point_is_classified_on_its_own_cube(make_artifact, signal, points, linear):
    results = classify(points, signal, model=make_artifact(), voxel_size=VOXEL_SIZE)
    np.testing.assert_allclose(results.probability, linear(cubes_at(signal, points)), atol=1e-6)
    assert (results.zyx == points).all()
    assert (results.types == np.where(results.probability >= 0.5, 2, 1)).all()
    near = (results.flags == Flag.EDGE).sum()
    assert 0 < near < 200
    assert results.counts()["points"] == 200


def test_a_read_holds_several_batches(make_artifact, signal, linear):
    points = np.random.default_rng(2).integers(0, SHAPE, (2100, 3)).astype(float)
    model, sizes = read_artifact(make_artifact()), []
    results = classify(
        points,
        signal,
        model=model,
        voxel_size=VOXEL_SIZE,
        options=Options(threads=1, backend="onnxruntime"),
        progress=sizes.append,
    )
    assert max(sizes) == 2 * best_batch(model) and sum(sizes) == 2100
    np.testing.assert_allclose(results.probability, linear(cubes_at(signal, points)), atol=1e-6)


def test_channel_order_is_signal_then_background(make_artifact, signal, points, linear):
    background = signal[::-1, ::-1].copy()
    model = make_artifact(channels=("signal", "background"))
    results = classify(points, signal, background, model=model, voxel_size=VOXEL_SIZE)
    cubes = np.concatenate([cubes_at(signal, points), cubes_at(background, points)], axis=1)
    np.testing.assert_allclose(results.probability, linear(cubes), atol=1e-6)


def test_edges_drop_keeps_the_points_that_cellfinder_keeps(make_artifact, signal, points):
    model = make_artifact()
    padded = classify(points, signal, model=model, voxel_size=VOXEL_SIZE)
    dropped = classify(
        points, signal, model=model, voxel_size=VOXEL_SIZE, options=Options(edges="drop")
    )
    at_edge = padded.flags == Flag.EDGE
    assert (dropped.flags[at_edge] == Flag.DROPPED).all()
    assert np.isnan(dropped.probability[at_edge]).all()
    assert (dropped.types[at_edge] == 0).all()
    assert (dropped.probability[~at_edge] == padded.probability[~at_edge]).all()
    assert dropped.counts()["dropped"] == at_edge.sum()


def test_data_set_normalisation(make_artifact, signal, points, linear):
    model = make_artifact(normalisation="dataset")
    results = classify(points, signal, model=model, voxel_size=VOXEL_SIZE)
    scaled = (signal - signal.mean()) / signal.std(ddof=1)
    np.testing.assert_allclose(results.probability, linear(cubes_at(scaled, points)), atol=1e-6)


def test_normalisation_samples_planes_as_cellfinder_does():
    volume = np.random.default_rng(0).normal(100, 5, (130, 8, 9)).astype(np.float32)
    scale = measure_scale(open_volume(volume))
    sampled = volume[::2].astype(np.float64)  # int(130 / 50) = 2
    np.testing.assert_allclose([scale.mean, scale.std], [sampled.mean(), sampled.std(ddof=1)])


def test_constant_volume_cannot_be_normalised(make_artifact, points):
    model = make_artifact(normalisation="dataset")
    with pytest.raises(InputError, match="same intensity everywhere"):
        classify(points, np.full(SHAPE, 7, np.uint16), model=model, voxel_size=VOXEL_SIZE)


def test_nan_voxels_never_become_a_label(make_artifact, signal, points):
    model = make_artifact()
    whole = classify(points, signal.astype(np.float32), model=model, voxel_size=VOXEL_SIZE)
    holed = signal.astype(np.float32)
    holed[5, 20, 20] = np.nan
    holed[15, 40, 50] = np.inf
    results = classify(points, holed, model=model, voxel_size=VOXEL_SIZE)
    has_nan = ~np.isfinite(cubes_at(holed, points)).all(axis=(1, 2, 3, 4))
    assert has_nan.any()
    assert ((results.flags == Flag.NAN) == has_nan).all()
    assert (results.types[has_nan] == 0).all()
    assert (results.probability[~has_nan] == whole.probability[~has_nan]).all()


@pytest.mark.parametrize(
    "dtype", [">u2", np.int32, np.float64, ">f8", np.uint32, np.float16, np.int64]
)
def test_dtypes_give_the_same_probabilities(make_artifact, signal, points, dtype):
    model = make_artifact()
    small = signal // 4  # float16 is exact up to 2048
    expected = classify(points, small, model=model, voxel_size=VOXEL_SIZE)
    results = classify(points, small.astype(dtype), model=model, voxel_size=VOXEL_SIZE)
    assert (results.probability == expected.probability).all()


@settings(deadline=None, max_examples=15)
@given(st.none() | st.integers(1, 300), st.integers(1, 2), st.sampled_from(["pad", "drop"]))
def test_batch_size_and_threads_change_nothing(
    make_artifact, signal, points, batch, threads, edges
):
    model = read_artifact(make_artifact())
    options = Options(batch_size=7, edges=edges)
    first = classify(points, signal, model=model, voxel_size=VOXEL_SIZE, options=options)
    options = dataclasses.replace(options, batch_size=batch, threads=threads)
    second = classify(points, signal, model=model, voxel_size=VOXEL_SIZE, options=options)
    assert first.probability.tobytes() == second.probability.tobytes()
    assert (first.flags == second.flags).all()


def test_progress_is_reported_per_batch_if_the_caller_chose_its_size(make_artifact, signal):
    """Otherwise, one read holds several batches."""
    points = np.random.default_rng(0).integers(0, signal.shape, (5000, 3)).astype(float)
    job = {"model": make_artifact(), "voxel_size": VOXEL_SIZE}
    for size, largest in ((4, 4), (None, 128)):
        done: list[int] = []
        options = Options(threads=1, batch_size=size)
        classify(points, signal, **job, options=options, progress=done.append)
        assert sum(done) == 5000 and max(done) == largest


@pytest.mark.parametrize("points", [np.empty((0, 3)), []])
def test_no_points_give_no_results(make_artifact, signal, points):
    results = classify(points, signal, model=make_artifact(), voxel_size=VOXEL_SIZE)
    assert len(results.types) == 0


@pytest.mark.parametrize("size", [2.0, "5 2 2", (None, 2, 2), (5, 2), (5, 2, 0)])
def test_refuses_voxel_sizes_that_are_not_three_numbers(make_artifact, signal, points, size):
    with pytest.raises(InputError, match="expected three numbers, z y x"):
        classify(points, signal, model=make_artifact(), voxel_size=size)


def test_reads_few_cubes_of_fine_data_at_a_time(make_artifact):
    """The cubes of a batch of the network's best size would take 800 MB."""
    volume = np.broadcast_to(np.uint16(7), (300, 3000, 4000))
    points = np.array([[150, 1500, 2000]] * 8, float)
    model = read_artifact(make_artifact(cube_shape=(20, 50, 50), voxel_size=(5, 1, 1)))
    assert best_batch(model) == 16
    job = prepare(points, volume, model=model, voxel_size=(0.5, 0.2, 0.2))
    assert job.specs[0].voxels == 200 * 250 * 250 and job.sessions[0].batch_size == 1
    done: list[int] = []
    run(job, done.append)
    assert done == [1] * 8
    with Classifier(model) as classifier:  # its batch size is chosen before the data are known
        done.clear()
        classifier.classify(points, volume, voxel_size=(0.5, 0.2, 0.2), progress=done.append)
    assert done == [1] * 8


def test_threshold_separates_the_types(make_artifact, signal, points):
    job = {"model": make_artifact(threshold=0.4), "voxel_size": VOXEL_SIZE}
    results = classify(points, signal, **job)
    assert ((results.types == 2) == (results.probability >= 0.4)).all()
    exact = float(np.sort(results.probability)[100])
    results = classify(points, signal, **job, options=Options(threshold=exact))
    assert (results.types == 2).sum() == 100  # the one at the threshold is a cell


def test_voxel_size_comes_from_the_file(make_artifact, signal, points, tmp_path, linear):
    path = tmp_path / "signal.tif"
    metadata = {"axes": "ZYX", "spacing": 5, "unit": "um"}
    tifffile.imwrite(path, signal, imagej=True, resolution=(0.5, 0.5), metadata=metadata)
    results = classify(points, path, model=make_artifact())
    np.testing.assert_allclose(results.probability, linear(cubes_at(signal, points)), atol=1e-6)
    with pytest.raises(InputError, match="--voxel-size Z Y X"):
        classify(points, signal, model=make_artifact())


@pytest.mark.parametrize("size", [(5, 2), (5, 2, 0), (5, 2, float("nan")), (5, 2, 1e9)])
def test_refuses_implausible_voxel_sizes(make_artifact, signal, points, size):
    with pytest.raises(InputError, match="voxel size"):
        classify(points, signal, model=make_artifact(), voxel_size=size)


def test_channels_must_fit_the_model(make_artifact, signal, points):
    signal_only, both = make_artifact(), make_artifact(channels=("signal", "background"))
    with pytest.raises(InputError, match="leave --background out"):
        classify(points, signal, signal, model=signal_only, voxel_size=VOXEL_SIZE)
    with pytest.raises(InputError, match="give --background"):
        classify(points, signal, model=both, voxel_size=VOXEL_SIZE)
    with pytest.raises(InputError, match="same shape"):
        classify(points, signal, signal[:-1], model=both, voxel_size=VOXEL_SIZE)


def test_refuses_a_computer_that_gives_other_probabilities(make_artifact, signal, points):
    artifact = read_artifact(make_artifact())
    wrong = dataclasses.replace(artifact, test_output=artifact.test_output + np.float32(0.01))
    with pytest.raises(ArtifactError, match="its own test vector"):
        prepare(points, signal, model=wrong, voxel_size=VOXEL_SIZE)


def test_progress_counts_each_point_once(make_artifact, signal, points):
    job = prepare(points, signal, model=make_artifact(), voxel_size=VOXEL_SIZE)
    done = []
    run(job, done.append)
    assert sum(done) == job.n_to_classify == 200


@pytest.mark.parametrize(
    "options", [{"threshold": 0}, {"threshold": 1}, {"edges": "x"}, {"outside": ""}]
)
def test_refuses_wrong_options(options):
    with pytest.raises(InputError):
        Options(**options)


@pytest.mark.parametrize(
    ("points", "threads", "size"),
    [(10**6, 2, 128), (10**6, 100, 128), (5000, 2, 128), (4000, 2, 64), (1, 16, 64), (0, 1, 64)],
)
def test_a_read_holds_whole_batches_and_the_last_read_is_small(points, threads, size):
    assert read_size(points, 10 * 24 * 24, 64, threads) == size


@pytest.mark.parametrize(
    ("batch_size", "voxels", "size"),
    [(8, 2 * 20 * 25 * 25, 40), (8, 2 * 20 * 50 * 50, 8), (64, 131_000, 64), (64, 2**20, 16)],
)
def test_a_read_of_much_finer_data_holds_less_than_a_batch(batch_size, voxels, size):
    assert read_size(10**6, voxels, batch_size, 2) == size
