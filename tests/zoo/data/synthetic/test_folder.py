"""A folder of synthetic volumes, read back as a lab's data are."""

import hashlib

import numpy as np
import pytest

from cfzoo.runtime.artifact import Card
from cfzoo.runtime.errors import InputError
from cfzoo.runtime.volume import open_volume
from cfzoo.zoo.data import load, read_data
from cfzoo.zoo.data.synthetic import make_volume, write_synthetic

SHAPE = (24, 72, 72)


def digests(folder):
    files = [path for path in folder.rglob("*") if path.is_file() and path.name[0] != "."]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


@pytest.mark.parametrize("channels", [1, 2])
def test_the_data_file_lists_what_was_written(tmp_path, channels):
    volumes = write_synthetic(tmp_path, (4, 7), channels, SHAPE)
    assert read_data([tmp_path / "data.yaml"]) == volumes
    assert [volume.name for volume in volumes] == ["synthetic-0004", "synthetic-0007"]
    assert {volume.channels for volume in volumes} == {channels}
    names = ("signal", "background")[:channels]
    card = Card("toy", "1.0.0", (8, 20, 20), (5.0, 2.0, 2.0), names, "none")
    for volume, seed in zip(volumes, (4, 7), strict=True):
        drawn = make_volume(seed, SHAPE)
        cubes = load(volume, card)
        assert cubes.crops.shape[1] == channels
        assert volume.drawn and cubes.drawn and cubes.select(np.arange(3)).drawn
        assert len(cubes) >= len(drawn.zyx)
        rows = np.lexsort(drawn.zyx.T)
        if channels == 1:
            assert np.array_equal(cubes.zyx[np.lexsort(cubes.zyx.T)], drawn.zyx[rows])
            assert np.array_equal(cubes.labels[np.lexsort(cubes.zyx.T)], drawn.labels[rows])
        with open_volume(volume.signal) as source:
            assert source.voxel_size == pytest.approx(volume.voxel_size, rel=1e-4)
            if channels == 1:
                whole = source.read(*(slice(0, n) for n in SHAPE))
                assert np.array_equal(whole, drawn.voxels)


def test_the_same_seeds_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_synthetic(tmp_path / name, [3], 2, SHAPE)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert len(digests(tmp_path / "a")) == 4


@pytest.mark.parametrize(
    ("seeds", "channels", "shape", "message"),
    [
        ([], 1, SHAPE, "seeds are"),
        ([1, 1], 1, SHAPE, "each once"),
        ([-1], 1, SHAPE, "from 0 on"),
        ([1], 3, SHAPE, "expected 1 or 2"),
        ([1], 1, (8, 72, 72), "at least 16"),
    ],
)
def test_unusable_requests_are_refused(tmp_path, seeds, channels, shape, message):
    with pytest.raises(InputError, match=message):
        write_synthetic(tmp_path / "out", seeds, channels, shape)
    assert not (tmp_path / "out").exists()


def test_files_of_others_are_kept(tmp_path):
    (tmp_path / "data.yaml").write_text("mine")
    with pytest.raises(InputError, match=r"data\.yaml"):
        write_synthetic(tmp_path, [1], 1, SHAPE)
    assert (tmp_path / "data.yaml").read_text() == "mine"
