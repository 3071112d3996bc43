import numpy as np
import pytest

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.points import read_points
from cfzoo.runtime.sample import NAMES, SHAPE, VOXEL_SIZE, make_sample, write_sample
from cfzoo.runtime.volume import open_volume


@pytest.fixture(scope="module")
def sample():
    return make_sample()


def test_sample_is_plausible(sample):
    for channel in (sample.signal, sample.background):
        assert channel.shape == SHAPE
        assert channel.dtype == np.uint16
    cells = sample.zyx[sample.types == 2].astype(int)
    assert 100 < len(cells) < len(sample.zyx) / 1.5
    # Cells are bright in the signal alone; depth dims both channels.
    z, y, x = cells.T
    assert np.median(sample.signal[z, y, x] / np.median(sample.signal)) > 1.5
    assert np.median(sample.background[z, y, x] / np.median(sample.background)) < 1.3
    light = sample.signal.astype(float) - 100  # the camera's offset
    assert light[:10].mean() > 1.3 * light[-10:].mean()


def test_debris_is_bright_in_both_channels(sample):
    z, y, x = sample.zyx[sample.types == 1].astype(int).T
    signal, background = (c[z, y, x] / np.median(c) for c in (sample.signal, sample.background))
    assert ((signal > 1.5) & (background > 1.5)).sum() > 15
    assert 30 < sample.is_debris.sum() <= 60 and (sample.types[sample.is_debris] == 1).all()
    is_debris = sample.is_debris[sample.types == 1]
    assert np.median(background[is_debris]) > 1.3 * np.median(background[~is_debris])


def test_candidates_lie_inside_the_volume(sample):
    assert (sample.zyx >= 0).all()
    assert (sample.zyx < SHAPE).all()
    assert (sample.zyx == np.rint(sample.zyx)).all()


def test_seed_determines_every_byte(tmp_path):
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_sample(tmp_path / folder, seed)
    for name in ("signal.tif", "background.tif", "candidates.xml", "truth.xml"):
        a, b, c = ((tmp_path / folder / name).read_bytes() for folder in "abc")
        assert a == b
        assert a != c


def test_files_read_back(tmp_path, sample):
    write_sample(tmp_path / "s")
    with open_volume(tmp_path / "s" / "signal.tif") as volume:
        assert volume.voxel_size == pytest.approx(VOXEL_SIZE)
        assert (volume.read(slice(0, 60), slice(0, 300), slice(0, 300)) == sample.signal).all()
    truth = read_points(tmp_path / "s" / "truth.xml")
    candidates = read_points(tmp_path / "s" / "candidates.xml")
    assert (candidates.types == 1).all()
    expected = {tuple(p): t for p, t in zip(sample.zyx, sample.types, strict=True)}
    assert {tuple(p): t for p, t in zip(truth.zyx, truth.types, strict=True)} == expected
    assert sorted(map(tuple, candidates.zyx)) == sorted(map(tuple, sample.zyx))


def test_refuses_to_overwrite(tmp_path):
    (tmp_path / "signal.tif").write_text("precious")
    with pytest.raises(InputError, match="--overwrite"):
        write_sample(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["signal.tif"]


def test_a_sample_that_was_interrupted_is_written_again(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("cfzoo.runtime.sample.write_xml", interrupt)  # after both volumes
        write_sample(tmp_path / "s")
    assert not (tmp_path / "s").exists()
    write_sample(tmp_path / "s")
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == sorted(NAMES)
