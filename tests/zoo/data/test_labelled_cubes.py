import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cfzoo.runtime.artifact import Card
from cfzoo.runtime.cubes import Grid, copy_cubes
from cfzoo.runtime.errors import InputError
from cfzoo.zoo.data import LabelledVolume, load
from cfzoo.zoo.data.entry import Entry
from cfzoo.zoo.data.labelled_cubes import parse_volume

VOXEL = (6.0, 1.62, 1.62)
CFOS = Path(__file__).parents[4] / "shared" / "data" / "delivr_cfos"


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
    return block, parse_volume(Entry(entry, "entry", tmp_path))


def test_reads_labels_and_marks_edges(volume):
    block, source = volume
    cubes = load(source, card())
    assert cubes.labels.tolist() == [1, 0, 1, 0]  # the point without a label is left out
    assert cubes.inside.tolist() == [True, False, False, True]
    assert cubes.crops.dtype == block.dtype
    corner = cubes.cubes(np.array([1]))
    assert np.isfinite(corner).all()


@pytest.mark.parametrize("resampling", ["trilinear", "antialias"])
def test_cubes_equal_those_of_runtime(volume, resampling):
    block, source = volume
    model = card(resampling=resampling)
    cubes = load(source, model)
    grid = Grid.of(model, VOXEL)
    expected = np.empty((len(cubes), 1, *grid.data_shape), np.float32)
    copy_cubes(block, grid.starts(cubes.zyx), expected[:, 0])
    np.testing.assert_array_equal(cubes.cubes(), grid.resample(expected))


def test_background_is_second_channel(volume):
    _, source = volume
    model = card(channels=("signal", "background"))
    with pytest.raises(InputError, match="no background"):
        load(source, model)
    both = LabelledVolume(
        "a", source.signal, source.points, VOXEL, source.signal.with_name("background.tif")
    )
    cubes = load(both, model)
    assert cubes.cubes().shape == (4, 2, 8, 16, 16)
    single = load(source, card())
    np.testing.assert_allclose(cubes.cubes()[:, :1], single.cubes(), rtol=1e-6)


def test_parse_volume_inverts_entry(volume):
    _, source = volume
    root = source.signal.parent
    assert parse_volume(Entry(source.entry(root), "entry", root)) == source


def test_channels_of_two_dtypes_lose_nothing(volume):
    block, source = volume
    path = source.signal.with_name("background.tif")
    tifffile.imwrite(path, block + np.float32(0.25))
    both = dataclasses.replace(source, background=path)
    cubes = load(both, card(channels=("signal", "background")))
    np.testing.assert_array_equal(cubes.crops[:, 0] + np.float32(0.25), cubes.crops[:, 1])


@pytest.mark.parametrize(
    ("background", "message"),
    [
        (np.zeros((20, 60, 71), np.uint16), "same shape"),
        (np.full((20, 60, 70), np.inf, np.float32), "NaN or infinite voxels around x 31 y 30 z 10"),
    ],
)
def test_refuses_unusable_background(background, message, volume):
    _, source = volume
    path = source.signal.with_name("background.tif")
    tifffile.imwrite(path, background)
    both = dataclasses.replace(source, background=path)
    with pytest.raises(InputError, match=message):
        load(both, card(channels=("signal", "background")))


def test_points_far_outside_are_left_out_and_near_ones_padded(volume, logged):
    _, source = volume
    source.points.write_text("z,y,x,type\n10,30,31,2\n20,30,31,1\n90,30,31,1\n9,30,31,1\n")
    cubes = load(source, card())
    assert cubes.zyx[:, 0].tolist() == [10, 20, 9] and cubes.labels.tolist() == [1, 0, 0]
    assert cubes.inside.tolist()[1] is False
    assert any("1 of 4 labelled points" in message for message in logged)
    middle = cubes.crops.shape[2] // 2
    crop = cubes.crops[1, 0]
    assert (crop[middle:] == crop[middle - 1]).all() and (crop[0] != crop[middle]).any()
    source.points.write_text("z,y,x,type\n10,30,31,2\n20,30,31,1\n21,30,31,1\n")
    with pytest.raises(InputError, match=r"2 of 3 labelled points .* z 20"):
        load(source, card())


def test_points_of_cell_counter_are_labels_on_request(volume):
    _, source = volume
    markers = "".join(
        f"<Marker_Type><Type>{kind}</Type><Name>Type {kind}</Name><Marker><MarkerX>31</MarkerX>"
        f"<MarkerY>30</MarkerY><MarkerZ>{z + 1}</MarkerZ></Marker></Marker_Type>"
        for kind, z in ((1, 10), (5, 9))
    )
    path = source.points.with_suffix(".xml")
    path.write_text(
        f"<CellCounter_Marker_File><Marker_Data>{markers}</Marker_Data></CellCounter_Marker_File>"
    )
    source = dataclasses.replace(source, points=path)
    with pytest.raises(InputError, match="--points-from cell-counter"):
        load(source, card())
    asked = dataclasses.replace(source, points_from="cell-counter:cell=5,no-cell=1")
    cubes = load(asked, card())
    assert cubes.zyx[:, 0].tolist() == [10, 9] and cubes.labels.tolist() == [0, 1]
    entry = asked.entry(path.parent)
    assert parse_volume(Entry(entry, "entry", path.parent)).points_from == asked.points_from
    with pytest.raises(InputError, match="entry: --points-from is 'fiji'"):
        parse_volume(Entry({**entry, "points_from": "fiji"}, "entry", path.parent))


def test_entry_keeps_split(volume):
    _, source = volume
    root = source.signal.parent
    validation = dataclasses.replace(source, split="validation")
    assert parse_volume(Entry(validation.entry(root), "entry", root)).split == "validation"
    assert validation.entry(root / "elsewhere")["signal"] == "signal.tif"


def test_refuses_incomplete_entry_and_unlabelled_points(volume):
    _, source = volume
    with pytest.raises(InputError, match="signal"):
        parse_volume(Entry({"name": "a"}, "entry", Path()))
    source.points.write_text("z,y,x,type\n1,2,3,0\n")
    with pytest.raises(InputError, match="no labelled point"):
        load(source, card())


@pytest.mark.slow
def test_label_counts_of_real_block():
    path = CFOS / "695"
    cubes = load(LabelledVolume("695", path / "signal.tif", path / "labelled.xml", VOXEL), card())
    assert (cubes.labels.sum(), (cubes.labels == 0).sum()) == (369, 762)
