"""The last large strip is decoded once for several boxes of one plane."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile

from cfzoo.runtime.volume import open_volume
from cfzoo.runtime.volume.tiff import block_cache, pages

DATA = np.random.default_rng(0).integers(0, 9, (5, 64, 80), "u2")


@pytest.fixture
def decoded(monkeypatch):
    """Strips that were decoded, where each strip counts as large."""
    calls, decode = [], pages.decode
    monkeypatch.setattr(block_cache, "_LARGE", 1)
    monkeypatch.setattr(pages, "decode", lambda *args: calls.append(1) or decode(*args))
    return calls


def write(path, kind):
    options = {"compression": "zlib", "predictor": True, "rowsperstrip": 64, "metadata": None}
    if kind == "stack":
        tifffile.imwrite(path / "brain.tif", DATA, **options)
        return path / "brain.tif"
    for z, plane in enumerate(DATA):
        tifffile.imwrite(path / f"z{z}.tif", plane, **options)
    return path


@pytest.mark.parametrize("kind", ["stack", "folder"])
def test_boxes_of_one_plane_decode_it_once(tmp_path, decoded, kind):
    with open_volume(write(tmp_path, kind)) as volume:
        decoded.clear()
        for z in range(5):
            for y in range(0, 64, 8):
                box = slice(z, z + 1), slice(y, y + 8), slice(0, 80)
                np.testing.assert_array_equal(volume.read(*box), DATA[box])
        assert len(decoded) == 4  # the first one was decoded when the volume was opened


def test_threads_share_it_and_get_their_own_planes(tmp_path, decoded):
    wrong = []
    with open_volume(write(tmp_path, "stack")) as volume:

        def check(z):
            for _ in range(50):
                box = slice(z, z + 1), slice(z, 60), slice(3, 70)
                wrong.append(not np.array_equal(volume.read(*box), DATA[box]))

        threads = [threading.Thread(target=check, args=(z,)) for z in (0, 1, 2, 0, 1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(wrong) == 300 and not any(wrong)


def test_each_thread_keeps_a_block_of_its_own(tmp_path, decoded):
    with open_volume(write(tmp_path, "stack")) as volume:
        decoded.clear()
        pools = [ThreadPoolExecutor(1) for _ in range(3)]
        for y in range(0, 64, 16):
            for z, pool in enumerate(pools):  # by turns, each a plane of its own
                box = slice(z, z + 1), slice(y, y + 16), slice(0, 80)
                np.testing.assert_array_equal(pool.submit(volume.read, *box).result(), DATA[box])
        for pool in pools:
            pool.shutdown()
        assert len(decoded) == 3


def test_a_file_that_changed_is_decoded_again(tmp_path, decoded):
    path = write(tmp_path, "folder")
    with open_volume(path) as volume:
        box = slice(1, 2), slice(0, 64), slice(0, 80)
        volume.read(*box)
        tifffile.imwrite(path / "z1.tif", DATA[0] + 9, compression="zlib", metadata=None)
        np.testing.assert_array_equal(volume.read(*box)[0], DATA[0] + 9)


def test_small_strips_are_not_kept(tmp_path, monkeypatch):
    calls, decode = [], pages.decode
    monkeypatch.setattr(pages, "decode", lambda *args: calls.append(1) or decode(*args))
    with open_volume(write(tmp_path, "stack")) as volume:
        calls.clear()
        for _ in range(4):
            volume.read(slice(0, 1), slice(0, 8), slice(0, 80))
    assert len(calls) == 4
