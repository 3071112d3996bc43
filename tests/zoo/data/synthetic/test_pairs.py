"""Two-channel training data made from labelled volumes of one channel."""

import dataclasses
import hashlib

import numpy as np
import pytest
import tifffile

from cfzoo.runtime.artifact import CHANNELS, Card
from cfzoo.runtime.errors import InputError
from cfzoo.runtime.points import read_points
from cfzoo.zoo.data import load, read_data
from cfzoo.zoo.data.synthetic import write_pairs, write_synthetic

SHAPE = (24, 80, 80)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return write_synthetic(tmp_path_factory.mktemp("alone"), (4, 7), 1, SHAPE)


def digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name[0] != ".")
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def test_pairs_are_read_as_data_of_two_channels(sources, tmp_path):
    sources = [sources[0], dataclasses.replace(sources[1], split="validation", drawn=False)]
    names = []
    pairs = write_pairs(tmp_path / "pairs", sources, say=names.append)
    assert names == [pair.name for pair in pairs] == [source.name for source in sources]
    assert read_data([tmp_path / "pairs" / "data.yaml"]) == pairs
    assert [(pair.split, pair.drawn) for pair in pairs] == [("train", True), ("validation", False)]
    card = Card("toy", "1.0.0", (8, 20, 20), (5.0, 2.0, 2.0), CHANNELS[1], "none")
    for source, pair in zip(sources, pairs, strict=True):
        assert pair.voxel_size == source.voxel_size
        assert load(pair, card).crops.shape[1] == 2
        old, new = read_points(source.points), read_points(pair.points)
        labels = dict(zip(map(tuple, new.zyx), new.types, strict=True))
        # No cell becomes a cell; some cells are no cells once they are in both channels.
        for point, kind in zip(map(tuple, old.zyx), old.types, strict=True):
            assert labels[point] <= kind
        signal, background = (tifffile.imread(p) for p in (pair.signal, pair.background))
        assert signal.shape == background.shape == SHAPE
        assert not np.array_equal(signal, background)


def test_a_pair_is_the_same_among_others(sources, tmp_path):
    write_pairs(tmp_path / "both", sources)
    write_pairs(tmp_path / "one", sources[1:])
    write_pairs(tmp_path / "other", sources[1:], seed=1)
    name = sources[1].name
    assert digest(tmp_path / "both" / name) == digest(tmp_path / "one" / name)
    assert digest(tmp_path / "other" / name) != digest(tmp_path / "one" / name)


@pytest.mark.parametrize("write", ["pairs", "synthetic"])
def test_overwrite_replaces_volumes_and_nothing_else(sources, tmp_path, write):
    out = tmp_path / "out"

    def make(overwrite=False):
        if write == "pairs":
            return write_pairs(out, sources[:1], overwrite=overwrite)
        return write_synthetic(out, [4], 1, SHAPE, overwrite)

    (volume,) = make()
    before = digest(out)
    with pytest.raises(InputError, match="already holds"):
        make()
    (out / "data.yaml").unlink()
    with pytest.raises(InputError, match=f"already holds {volume.name}"):
        make()
    volume.signal.write_bytes(b"damaged")
    make(overwrite=True)
    assert digest(out) == before
    (out / volume.name / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not a volume that was written here"):
        make(overwrite=True)
    assert (out / volume.name / "notes.txt").read_text() == "mine"


def test_unusable_sources_are_refused(sources, tmp_path):
    with pytest.raises(InputError, match="Got no data"):
        write_pairs(tmp_path / "out", [])
    path = tmp_path / "float.tif"
    tifffile.imwrite(path, np.random.default_rng(0).random(SHAPE, np.float32))
    with pytest.raises(InputError, match="expected whole numbers"):
        write_pairs(tmp_path / "out", [dataclasses.replace(sources[0], signal=path)])
    assert not (tmp_path / "out").exists()
