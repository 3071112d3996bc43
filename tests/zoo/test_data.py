from pathlib import Path

import numpy as np
import pytest
import tifffile

from cfzoo.runtime.card import Card
from cfzoo.runtime.cubes import Grid, cut
from cfzoo.runtime.errors import InputError
from cfzoo.zoo.data import LabelledVolume, load, volumes_from

VOXEL = (6.0, 1.62, 1.62)
CFOS = Path(__file__).parents[3] / "shared" / "data" / "delivr_cfos"


def card(**changes):
    fields = dict(
        name="test",
        version="1.0.0",
        cube_shape=(8, 16, 16),
        voxel_size=(5, 3, 3),
        channels=("signal",),
        normalisation="cube",
        resampling="antialias",
    )
    return Card(**(fields | changes))


@pytest.fixture
def volume(tmp_path):
    block = np.random.default_rng(0).integers(0, 65535, (20, 60, 70), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "signal.tif", block)
    tifffile.imwrite(tmp_path / "background.tif", block[::-1].copy())
    rows = ["z,y,x,type", "10,30,31,2", "0,0,0,1", "19,59,69,2", "9,30,35,0", "11,28,40,1"]
    (tmp_path / "points.csv").write_text("\n".join(rows) + "\n")
    entry = {"name": "a", "signal": "signal.tif", "points": "points.csv", "voxel_size": VOXEL}
    return block, volumes_from([entry], tmp_path)[0]


def test_labels_and_edges(volume):
    block, labelled = volume
    cubes = load(labelled, card())
    assert cubes.labels.tolist() == [1, 0, 1, 0]  # the point without a label is left out
    assert cubes.inside.tolist() == [True, False, False, True]
    assert cubes.crops.dtype == block.dtype
    corner = cubes.cubes(np.array([1]))
    assert np.isfinite(corner).all()


@pytest.mark.parametrize("resampling", ["trilinear", "antialias"])
def test_cubes_equal_the_runtime(volume, resampling):
    block, labelled = volume
    model = card(resampling=resampling)
    cubes = load(labelled, model)
    grid = Grid.of(model, VOXEL)
    expected = np.empty((len(cubes), 1, *grid.data_shape), np.float32)
    for row, start in enumerate(grid.starts(cubes.zyx)):
        cut(block, start, grid.data_shape, expected[row, 0])
    np.testing.assert_array_equal(cubes.cubes(), grid.resample(expected))


def test_background_is_the_second_channel(volume):
    _, labelled = volume
    model = card(channels=("signal", "background"))
    with pytest.raises(InputError, match="no background"):
        load(labelled, model)
    both = LabelledVolume(
        "a", labelled.signal, labelled.points, VOXEL, labelled.signal.with_name("background.tif")
    )
    cubes = load(both, model)
    assert cubes.cubes().shape == (4, 2, 8, 16, 16)
    single = load(labelled, card())
    np.testing.assert_allclose(cubes.cubes()[:, :1], single.cubes(), rtol=1e-6)


def test_entry_is_the_inverse_of_volumes_from(volume):
    _, labelled = volume
    root = labelled.signal.parent
    assert volumes_from([labelled.entry(root)], root) == [labelled]


def test_refuses_what_it_cannot_use(volume):
    _, labelled = volume
    with pytest.raises(InputError, match="signal"):
        volumes_from([{"name": "a"}], Path())
    labelled.points.write_text("z,y,x,type\n1,2,3,0\n")
    with pytest.raises(InputError, match="no labelled point"):
        load(labelled, card())


@pytest.mark.slow
def test_real_block():
    path = CFOS / "695"
    cubes = load(LabelledVolume("695", path / "signal.tif", path / "labelled.xml", VOXEL), card())
    assert (cubes.labels.sum(), (cubes.labels == 0).sum()) == (369, 762)
