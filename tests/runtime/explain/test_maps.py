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
    explain,
    forget,
    nearest,
    surest,
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


def test_the_relevance_lies_on_the_nucleus_in_the_volume(job):
    """By scale and translate alone, as napari would lay it there."""
    found = explain(job, np.arange(3), ("grad_cam", "relevance"))
    assert found.index.tolist() == [0, 1, 2]
    for row, centre in enumerate(CENTRES):
        weight = np.clip(found.maps["relevance"][row], 0, None)
        places = np.stack(np.meshgrid(*map(np.arange, weight.shape), indexing="ij"), -1)
        middle = (places * weight[..., None]).sum((0, 1, 2)) / weight.sum()
        at = middle * found.scale + found.translate[row]
        assert np.abs(at - centre * SIZE).max() < 3.0
        signal = found.cubes[row, 0]
        brightest = np.unravel_index(signal.argmax(), signal.shape)
        assert (
            np.abs(brightest * np.array(found.scale) + found.translate[row] - centre * SIZE).max()
            < 5
        )


def test_in_the_order_asked_for_and_without_the_unclassified(job):
    found = explain(job, np.array([5, 0, 7, 3, 6, 0]))
    assert found.index.tolist() == [5, 0, 3]
    again = explain(job, np.array([3]))
    np.testing.assert_allclose(again.maps["grad_cam"][0], found.maps["grad_cam"][2], atol=1e-6)
    with pytest.raises(InputError, match="None of these points was classified"):
        explain(job, np.array([6, 7]))


def test_the_files_of_a_run(job, tmp_path):
    results = run(job)
    found = explain(job, surest(results, 2), job.model.members[0].artifact.maps)
    (tmp_path / "mine.tif").write_text("kept")
    paths = write_explanations(tmp_path, found, job, results)
    described = json.loads((tmp_path / INDEX).read_text())
    assert described["channels"] == ["signal", "grad_cam", "relevance"]
    for path, entry, row in zip(paths, described["points"], range(len(paths)), strict=True):
        assert path.name == entry["file"] == f"point-{found.index[row] + 1}.tif"
        with tifffile.TiffFile(path) as file:
            assert file.series[0].axes == "CZYX"
            stack = file.asarray()
            assert 'PhysicalSizeZ="' in file.ome_metadata and "grad_cam" in file.ome_metadata
        np.testing.assert_array_equal(stack[0], found.cubes[row, 0])
        np.testing.assert_array_equal(stack[2], found.maps["relevance"][row])
        assert entry["probability"] == results.probability[found.index[row]]
        assert entry["xyz"] == results.zyx[found.index[row], ::-1].tolist()
    # Another run leaves nothing of this one, and what is not ours alone.
    write_explanations(tmp_path, explain(job, found.index[:1]), job, results)
    assert sorted(p.name for p in tmp_path.iterdir()) == [INDEX, "mine.tif", paths[0].name]
    forget(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.tif"]


def test_an_index_written_by_others_deletes_nothing_else(tmp_path):
    (tmp_path / "cams").mkdir()
    outside = tmp_path / "x.tif"
    outside.write_text("kept")
    names = ["../x.tif", "/etc/x.tif", "points.csv", "brain.tif", "../point-1.tif"]
    (tmp_path / "cams" / "points.csv").write_text("kept")
    (tmp_path / "cams" / "brain.tif").write_text("kept")
    (tmp_path / "point-1.tif").write_text("kept")
    rows = {"points": [{"file": name} for name in names]}
    (tmp_path / "cams" / INDEX).write_text(json.dumps(rows))
    forget(tmp_path / "cams")
    assert outside.exists() and (tmp_path / "point-1.tif").exists()
    assert {p.name for p in (tmp_path / "cams").iterdir()} >= {"points.csv", "brain.tif"}


def test_files_that_are_not_ours_are_in_the_way(job, tmp_path):
    """An input may be called as our files are."""
    (tmp_path / "point-1.tif").write_text("a volume")
    with pytest.raises(InputError, match=r"point-1.tif is there and is none of"):
        check_folder(tmp_path, True)
    results = run(job)
    out = tmp_path / "out"
    paths = write_explanations(out, explain(job, np.arange(2)), job, results)
    check_folder(out, True)
    with pytest.raises(InputError, match="already holds"):
        check_folder(out, False)
    with pytest.raises(InputError, match=r"point-1.tif is there"):
        check_folder(out, True, [str(paths[0])])


def test_the_same_run_gives_the_same_bytes(job, tmp_path):
    results, found = run(job), explain(job, np.arange(2))
    for name in ("a", "b"):
        write_explanations(tmp_path / name, found, job, results)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


@pytest.mark.parametrize("index", [[-1], [8], [0, 99]])
def test_rows_that_are_not_there(job, index):
    with pytest.raises(InputError, match="expected 0 to 7"):
        explain(job, np.array(index))


def test_a_cube_with_nan_has_no_explanation(volume):
    holed = volume.astype(np.float32)
    holed[20, 40, 50] = np.nan
    job = prepare(CENTRES, holed, model="pipnet3d", voxel_size=SIZE)
    assert explain(job, np.arange(3)).index.tolist() == [1, 2]
    with pytest.raises(InputError, match="None of these points"):
        explain(job, [])


def test_which_points(job):
    results = run(job)
    sure = surest(results, 2)
    assert results.types[sure].tolist() == sorted(results.types[sure], reverse=True)
    assert results.probability[sure[0]] == np.nanmax(results.probability)
    near = nearest(results, 0.5, 100)
    assert len(near) == int((results.types > 0).sum())
    away = np.abs(results.probability[near] - 0.5)
    assert (np.diff(away) >= 0).all()


def test_what_cannot_be_explained(volume):
    two = Ensemble.of([read_artifact("attention3d"), read_artifact("pipnet3d")])
    job = prepare(CENTRES, volume, model=two, voxel_size=SIZE)
    with pytest.raises(InputError, match="is an ensemble"):
        check_maps(job)
    job = prepare(CENTRES, volume, model="attention3d", voxel_size=SIZE)
    with pytest.raises(InputError, match="does not give 'smooth'; it gives grad_cam, relevance"):
        explain(job, np.arange(3), ["smooth"])


@pytest.mark.parametrize("name", bundled())
def test_released_artifacts_explain_themselves(name):
    assert read_artifact(name).maps == ("grad_cam", "relevance")


@pytest.mark.parametrize("size", [SIZE, (6.0, 3.0, 3.0), (2.0, 1.1, 5.0)], ids=str)
@pytest.mark.parametrize("axis", [0, 1, 2], ids="zyx")
def test_scale_and_translate_to_the_voxel(axis, size):
    """On a ramp of places, a cube's voxels hold where they are."""
    shape = (60, 90, 90)
    line = np.arange(shape[axis]) * size[axis]
    ramp = np.broadcast_to(np.expand_dims(line, [a for a in range(3) if a != axis]), shape)
    points = np.array([[30.0, 45.0, 45.0], [28.0, 47.0, 44.0]])
    job = prepare(points, ramp.astype(np.float32), model="pipnet3d", voxel_size=size)
    found = explain(job, [0, 1], ())
    steps = np.arange(found.cubes.shape[2 + axis]) * found.scale[axis]
    for row in (0, 1):
        got = np.moveaxis(found.cubes[row, 0], axis, -1)
        place = steps + found.translate[row, axis]
        # Not the first and last: there the kernel is cut at the cube's faces. Between them the
        # triangle, sampled at voxels, leans to either side in turn.
        away = (got[0, 0] - place)[1:-1]
        assert abs(away.mean()) < 0.01 and np.abs(away).max() < 0.25  # um
