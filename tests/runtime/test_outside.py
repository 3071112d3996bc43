"""Points outside the volume, where cellfinder's own detection puts some."""

import dataclasses

import numpy as np
import pytest
import tifffile
import zarr

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.options import Options
from cfzoo.runtime.pipeline import classify
from cfzoo.runtime.points import Points
from cfzoo.runtime.results import Flag
from cfzoo.runtime.volume import Volume

SHAPE = (20, 60, 70)  # and cubes of (4, 6, 8) voxels
VOXEL_SIZE = (5, 2, 2)
INSIDE = [[5, 5, 5], [10, 20, 30], [11, 20, 30], [12, 20, 30]]
NEAR = [[20, 30, 30], [21, 30, 30], [10, -2, 30], [10, 30, 72], [21, 62, 73], [-1, -2, -3]]
FAR = [[23, 30, 30], [10, -4, 30], [10, 30, 75], [1000, 30, 30]]


@pytest.fixture(scope="module")
def signal():
    return np.random.default_rng(0).integers(0, 4000, SHAPE).astype(np.uint16)


def cubes_at(signal, points):
    padded = np.pad(signal, 20, mode="edge")
    starts = [(z + 18, y + 17, x + 16) for z, y, x in points]
    cubes = [padded[z : z + 4, y : y + 6, x : x + 8] for z, y, x in starts]
    return np.stack(cubes)[:, None].astype(np.float32)


@pytest.fixture(scope="module", params=["array", "stack", "planes", "zarr"])
def volume(request, signal, tmp_path_factory):
    folder = tmp_path_factory.mktemp("volume")
    if request.param == "array":
        return signal
    if request.param == "stack":
        tifffile.imwrite(folder / "a.tif", signal)
        return folder / "a.tif"
    if request.param == "planes":
        for z, plane in enumerate(signal):
            tifffile.imwrite(folder / f"{z}.tif", plane)
        return folder
    zarr.create_array(folder / "a.zarr", data=signal, chunks=(8, 16, 16))
    return folder / "a.zarr"


def test_near_points_are_classified_on_padded_cubes(make_artifact, volume, signal, linear):
    points = np.array([*INSIDE * 3, *NEAR, *FAR], float)
    results = classify(points, volume, model=make_artifact(), voxel_size=VOXEL_SIZE)
    assert results.flags.tolist() == [Flag.OK] * 12 + [Flag.EDGE] * 6 + [Flag.OUTSIDE] * 4
    expected = linear(cubes_at(signal, [*INSIDE * 3, *NEAR]))
    np.testing.assert_allclose(results.probability[:18], expected, atol=1e-6)
    assert np.isnan(results.probability[18:]).all()
    assert results.counts()["outside"] == 4


def test_near_points_are_dropped_where_cellfinder_drops_them(make_artifact, signal):
    points = np.array([*INSIDE * 3, *NEAR, *FAR], float)
    options = Options(edges="drop")
    job = {"model": make_artifact(), "voxel_size": VOXEL_SIZE, "options": options}
    flags = classify(points, signal, **job).flags.tolist()
    assert flags == [Flag.OK] * 12 + [Flag.DROPPED] * 6 + [Flag.OUTSIDE] * 4


@pytest.mark.parametrize(
    ("outside", "inside_count", "is_refused"),
    [
        ("auto", 3, True),
        ("auto", 4, False),  # exactly half
        ("flag", 0, False),
        ("refuse", 1000, True),
    ],
)
def test_many_points_outside_are_refused(make_artifact, signal, outside, inside_count, is_refused):
    points = np.array([INSIDE[0]] * inside_count + [NEAR[0], *FAR[:3]], float)
    job = {"model": make_artifact(), "voxel_size": VOXEL_SIZE, "options": Options(outside=outside)}
    if is_refused:
        number = inside_count + 1
        message = rf"4 of {len(points)} points lie outside.*number {number}, x 30 y 30 z 20"
        with pytest.raises(InputError, match=message) as caught:
            classify(points, signal, **job)
        assert "\n" not in str(caught.value)
    else:
        flags = classify(points, signal, **job).flags.tolist()
        assert flags == [Flag.OK] * inside_count + [Flag.EDGE] + [Flag.OUTSIDE] * 3


def test_refuses_swapped_axes_and_says_so(make_artifact, signal):
    points = np.random.default_rng(1).integers(0, SHAPE, (200, 3)).astype(float)
    with pytest.raises(InputError, match=r"lie outside.*x and z exchanged"):
        classify(points[:, ::-1], signal, model=make_artifact(), voxel_size=VOXEL_SIZE)


def test_a_marker_placed_by_hand_is_never_outside(make_artifact, signal):
    points = Points(np.array([*INSIDE, NEAR[0]], float), np.zeros(5, np.int16), "a", None, "Why.")
    job = {"model": make_artifact(), "voxel_size": VOXEL_SIZE}
    with pytest.raises(InputError, match=r"1 of 5 points lie outside.*Why"):
        classify(points, signal, **job)
    flagged = classify(points, signal, **job, options=Options(outside="flag"))
    assert flagged.flags.tolist() == [Flag.OK] * 4 + [Flag.EDGE]
    inside = dataclasses.replace(points, zyx=points.zyx[:4], types=points.types[:4])
    assert classify(inside, signal, **job).counts()["points"] == 4


def test_near_points_are_not_classified_on_planes_without_data(make_artifact, signal, monkeypatch):
    def find_absent(volume, zyx):
        assert (zyx >= 0).all() and (zyx <= np.array(SHAPE) - 1).all()
        return zyx[:, 0] >= 16

    monkeypatch.setattr(Volume, "find_absent", find_absent)
    points = np.array([*INSIDE[:1] * 40, NEAR[0], NEAR[2], FAR[0]], float)
    results = classify(points, signal, model=make_artifact(), voxel_size=VOXEL_SIZE)
    flags = [Flag.OK] * 40 + [Flag.ABSENT, Flag.EDGE, Flag.OUTSIDE]
    assert results.flags.tolist() == flags
