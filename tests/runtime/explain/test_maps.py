"""Maps from volumes and points, without torch."""

import json

import numpy as np
import pytest
import tifffile

from cfzoo.runtime import Options, prepare, read_artifact, run
from cfzoo.runtime.artifact import Ensemble, bundled
from cfzoo.runtime.errors import InputError
from cfzoo.runtime.explain import (
    INDEX,
    check_folder,
    check_maps,
    choose_nearest,
    choose_surest,
    explain,
    remove_explanations,
    write_explanations,
)

SIZE = (5.0, 2.0, 1.5)  # um
CENTRES = np.array([[20, 40, 50], [12, 60, 90], [30, 25, 110]], float)  # voxels


@pytest.fixture(scope="module")
def volume():
    """Noise, with a nucleus at each of the centres."""
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*map(np.arange, (40, 80, 160)), indexing="ij"), -1) * SIZE
    values = rng.normal(300, 15, grid.shape[:3])
    for centre in CENTRES * SIZE:
        values += 900 * np.exp(-((grid - centre) ** 2).sum(-1) / (2 * 5.0**2))
    return values.astype(np.uint16)


@pytest.fixture
def job(volume):
    points = np.concatenate([CENTRES, CENTRES + np.array([0, 10, 12]), [[1, 1, 1], [90, 0, 0]]])
    options = Options(edges="drop", outside="flag", batch_size=4)
    return prepare(points, volume, model="attention3d", voxel_size=SIZE, options=options)


def test_relevance_lies_on_the_nucleus_in_the_volume(job):
    """Scale and translate place the map, as in napari."""
    explanations = explain(job, np.arange(3), ("grad_cam", "relevance"))
    assert explanations.index.tolist() == [0, 1, 2]
    for row, centre in enumerate(CENTRES):
        weight = np.clip(explanations.maps["relevance"][row], 0, None)
        grid = np.stack(np.meshgrid(*map(np.arange, weight.shape), indexing="ij"), -1)
        middle = (grid * weight[..., None]).sum((0, 1, 2)) / weight.sum()
        position = middle * explanations.scale + explanations.translate[row]
        assert np.abs(position - centre * SIZE).max() < 3.0
        signal = explanations.cubes[row, 0]
        brightest = np.unravel_index(signal.argmax(), signal.shape)
        assert (
            np.abs(
                brightest * np.array(explanations.scale)
                + explanations.translate[row]
                - centre * SIZE
            ).max()
            < 5
        )


def test_explains_in_the_order_of_the_index_and_skips_unclassified_points(job):
    explanations = explain(job, np.array([5, 0, 7, 3, 6, 0]))
    assert explanations.index.tolist() == [5, 0, 3]
    again = explain(job, np.array([3]))
    np.testing.assert_allclose(
        again.maps["grad_cam"][0], explanations.maps["grad_cam"][2], atol=1e-6
    )
    with pytest.raises(InputError, match="None of these points was classified"):
        explain(job, np.array([6, 7]))


def test_writes_one_tiff_per_point_and_an_index(job, tmp_path):
    results = run(job)
    explanations = explain(job, choose_surest(results, 2), job.model.members[0].artifact.maps)
    (tmp_path / "mine.tif").write_text("kept")
    paths = write_explanations(tmp_path, explanations, job, results)
    index = json.loads((tmp_path / INDEX).read_text())
    assert index["channels"] == ["signal", "grad_cam", "relevance"]
    for path, entry, row in zip(paths, index["points"], range(len(paths)), strict=True):
        assert path.name == entry["file"] == f"point-{explanations.index[row] + 1}.tif"
        with tifffile.TiffFile(path) as file:
            assert file.series[0].axes == "CZYX"
            stack = file.asarray()
            assert 'PhysicalSizeZ="' in file.ome_metadata and "grad_cam" in file.ome_metadata
        np.testing.assert_array_equal(stack[0], explanations.cubes[row, 0])
        np.testing.assert_array_equal(stack[2], explanations.maps["relevance"][row])
        assert entry["probability"] == results.probability[explanations.index[row]]
        assert entry["xyz"] == results.zyx[explanations.index[row], ::-1].tolist()
    # Another run removes the explanations of this run, and leaves other files alone.
    write_explanations(tmp_path, explain(job, explanations.index[:1]), job, results)
    assert sorted(p.name for p in tmp_path.iterdir()) == [INDEX, "mine.tif", paths[0].name]
    remove_explanations(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.tif"]


def test_a_hostile_index_cannot_delete_other_files(tmp_path):
    (tmp_path / "cams").mkdir()
    outside = tmp_path / "x.tif"
    outside.write_text("kept")
    names = ["../x.tif", "/etc/x.tif", "points.csv", "brain.tif", "../point-1.tif"]
    (tmp_path / "cams" / "points.csv").write_text("kept")
    (tmp_path / "cams" / "brain.tif").write_text("kept")
    (tmp_path / "point-1.tif").write_text("kept")
    rows = {"points": [{"file": name} for name in names]}
    (tmp_path / "cams" / INDEX).write_text(json.dumps(rows))
    remove_explanations(tmp_path / "cams")
    assert outside.exists() and (tmp_path / "point-1.tif").exists()
    assert {p.name for p in (tmp_path / "cams").iterdir()} >= {"points.csv", "brain.tif"}


def test_refuses_a_folder_with_similar_files_that_no_run_wrote(job, tmp_path):
    """An input may have the name of an explanation."""
    (tmp_path / "point-1.tif").write_text("a volume")
    with pytest.raises(InputError, match=r"point-1.tif exists and is not an explanation"):
        check_folder(tmp_path, True)
    results = run(job)
    out = tmp_path / "out"
    paths = write_explanations(out, explain(job, np.arange(2)), job, results)
    check_folder(out, True)
    with pytest.raises(InputError, match="already holds"):
        check_folder(out, False)
    with pytest.raises(InputError, match=r"point-1.tif exists and is not an explanation"):
        check_folder(out, True, [str(paths[0])])


def test_same_run_writes_the_same_bytes(job, tmp_path):
    results, explanations = run(job), explain(job, np.arange(2))
    for name in ("a", "b"):
        write_explanations(tmp_path / name, explanations, job, results)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


@pytest.mark.parametrize("index", [[-1], [8], [0, 99]])
def test_refuses_points_that_do_not_exist(job, index):
    with pytest.raises(InputError, match="expected 0 to 7"):
        explain(job, np.array(index))


def test_skips_cubes_with_nan(volume):
    holed = volume.astype(np.float32)
    holed[20, 40, 50] = np.nan
    job = prepare(CENTRES, holed, model="pipnet3d", voxel_size=SIZE)
    assert explain(job, np.arange(3)).index.tolist() == [1, 2]
    with pytest.raises(InputError, match="None of these points"):
        explain(job, [])


def test_chooses_the_surest_and_the_nearest_points(job):
    results = run(job)
    sure = choose_surest(results, 2)
    assert results.types[sure].tolist() == sorted(results.types[sure], reverse=True)
    assert results.probability[sure[0]] == np.nanmax(results.probability)
    near = choose_nearest(results, 0.5, 100)
    assert len(near) == int((results.types > 0).sum())
    distance = np.abs(results.probability[near] - 0.5)
    assert (np.diff(distance) >= 0).all()


def test_refuses_ensembles_and_missing_maps(volume):
    ensemble = Ensemble.of([read_artifact("attention3d"), read_artifact("pipnet3d")])
    job = prepare(CENTRES, volume, model=ensemble, voxel_size=SIZE)
    with pytest.raises(InputError, match="is an ensemble"):
        check_maps(job)
    job = prepare(CENTRES, volume, model="attention3d", voxel_size=SIZE)
    with pytest.raises(InputError, match="does not give 'smooth'; it gives grad_cam, relevance"):
        explain(job, np.arange(3), ["smooth"])


@pytest.mark.parametrize("name", [name for name in bundled() if not name.startswith("filters3d")])
def test_released_networks_have_maps(name):
    first = "hires_cam" if name == "wavemix3d" else "grad_cam"
    assert read_artifact(name).maps == (first, "relevance")
    assert read_artifact(name).layer_map == first


@pytest.mark.parametrize("size", [SIZE, (6.0, 3.0, 3.0), (2.0, 1.1, 5.0)], ids=str)
@pytest.mark.parametrize("axis", [0, 1, 2], ids="zyx")
def test_scale_and_translate_are_exact(axis, size):
    """The voxels of a ramp hold their own positions."""
    shape = (60, 90, 90)
    line = np.arange(shape[axis]) * size[axis]
    ramp = np.broadcast_to(np.expand_dims(line, [a for a in range(3) if a != axis]), shape)
    points = np.array([[30.0, 45.0, 45.0], [28.0, 47.0, 44.0]])
    job = prepare(points, ramp.astype(np.float32), model="pipnet3d", voxel_size=size)
    explanations = explain(job, [0, 1], ())
    steps = np.arange(explanations.cubes.shape[2 + axis]) * explanations.scale[axis]
    for row in (0, 1):
        line_of_cube = np.moveaxis(explanations.cubes[row, 0], axis, -1)
        position = steps + explanations.translate[row, axis]
        # The first and last voxel are left out, since the cube's faces cut the kernel there. In
        # between, the triangle is sampled at voxels and leans to either side in turn.
        deviation = (line_of_cube[0, 0] - position)[1:-1]
        assert abs(deviation.mean()) < 0.01 and np.abs(deviation).max() < 0.25  # um
