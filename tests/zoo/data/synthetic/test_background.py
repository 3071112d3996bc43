"""Backgrounds made for a signal, and debris that is bright in both channels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from cfzoo.zoo.data.synthetic import background_of, make_volume, with_shared_debris
from cfzoo.zoo.data.synthetic.background import low_frequencies, measure_noise

SHAPE = (30, 90, 90)
SEEDS = st.integers(0, 10**6)
quick = settings(max_examples=10, deadline=None)


def make_pair(seed, **shares):
    volume = make_volume(seed, SHAPE)
    rng = np.random.default_rng(seed)
    background = background_of(volume.voxels, volume.voxel_size, rng)
    pair = with_shared_debris(
        volume.voxels, background, volume.zyx, volume.labels, volume.voxel_size, rng, **shares
    )
    return volume, background, pair


def blob_volume(rng, size=(5.0, 2.0, 2.0)):
    """A wedge of tissue with bright cells of 5 um in known places."""
    z, y, x = np.indices((30, 120, 120), dtype=np.float32)
    tissue = 500 + 15 * x
    cells = rng.uniform(0.1, 0.9, (40, 3)) * tissue.shape
    light = tissue.copy()
    for cell in cells:
        gap = sum(((g - c) * s) ** 2 for g, c, s in zip((z, y, x), cell, size, strict=True))
        light += 3000 * np.exp(-gap / 50)
    light += rng.normal(0, 20, tissue.shape)
    return light.astype(np.uint16), np.rint(cells).clip(0, np.array(tissue.shape) - 1), size


@quick
@given(seed=SEEDS)
def test_a_background_is_a_volume_of_its_own(seed):
    volume, background, _ = make_pair(seed)
    assert background.shape == SHAPE
    assert background.dtype == np.uint16
    assert background.std() > 0
    assert not np.array_equal(background, volume.voxels)


@quick
@given(seed=SEEDS)
def test_a_background_follows_the_tissue_and_not_the_cells(seed):
    signal, cells, size = blob_volume(np.random.default_rng(0))
    background = background_of(signal, size, np.random.default_rng(seed))
    low = [low_frequencies(image, size).ravel() for image in (signal, background)]
    assert np.corrcoef(*low)[0, 1] > 0.7
    index = tuple(cells.astype(int).T)
    excess = [
        (gaussian_filter(i.astype(np.float32), 1) - low_frequencies(i, size))
        for i in (signal, background)
    ]
    gain = (np.quantile(low[1], 0.9) - np.quantile(low[1], 0.1)) / (
        np.quantile(low[0], 0.9) - np.quantile(low[0], 0.1)
    )
    # Up to 30 % bleed through; texture stands for the rest.
    assert np.median(excess[1][index]) < 0.45 * gain * np.median(excess[0][index])


@quick
@given(seed=SEEDS)
def test_shared_debris_is_bright_in_both_channels(seed):
    volume, background, pair = make_pair(seed, share=0.6)
    # What the signal had before, such as a dim cell, may hardly show in it.
    is_new = np.arange(len(pair.zyx)) >= len(volume.zyx)
    for image, before, rows in (
        (pair.signal, volume.voxels, pair.is_shared & is_new),
        (pair.background, background, pair.is_shared),
    ):
        values = image.astype(np.float32)
        excess = gaussian_filter(values, 0.6) - low_frequencies(values, (5, 2, 2))
        bright, added = (
            [
                array[tuple(slice(max(c - 2, 0), c + 3) for c in place)].max()
                for place in pair.zyx[rows].astype(int)
            ]
            for array in (excess, values - before)
        )
        assert np.all(image >= before)
        if image.max() < 65535:  # nothing shows above saturation
            assert np.all(np.array(bright) > 2 * measure_noise(image) / 3)
            assert np.all(np.array(added) > 2 * measure_noise(image))


@quick
@given(seed=SEEDS)
def test_shared_debris_is_no_cell_and_the_rest_keeps_its_label(seed):
    volume, _, pair = make_pair(seed)
    n = len(volume.zyx)
    assert np.array_equal(pair.zyx[:n], volume.zyx)
    assert np.all((pair.zyx >= 0) & (pair.zyx < SHAPE))
    assert not pair.labels[pair.is_shared].any()
    assert pair.is_shared[n:].all()
    others = ~pair.is_shared[:n]
    assert np.array_equal(pair.labels[:n][others], volume.labels[others])
    size = np.array(volume.voxel_size)
    for place in pair.zyx[n:]:
        if n:
            assert np.linalg.norm((volume.zyx - place) * size, axis=1).min() > 16


def test_copies_in_place_change_the_background_alone():
    rng = np.random.default_rng(0)
    signal, zyx, size = blob_volume(rng)
    background = background_of(signal, size, rng)
    labels = np.ones(len(zyx), np.int64)
    pair = with_shared_debris(signal, background, zyx, labels, size, rng, 0, 1)
    assert np.array_equal(pair.signal, signal)
    assert pair.is_shared.all()
    index = tuple(zyx.astype(int).T)
    assert np.all(pair.background[index].astype(int) > background[index] + 50)
    assert not pair.labels.any()


def test_a_volume_without_cells_stays_as_it_is():
    signal = np.random.default_rng(0).integers(100, 200, SHAPE).astype(np.uint16)
    zyx, labels = np.array([[3.0, 4, 5]]), np.zeros(1, int)
    rng = np.random.default_rng(1)
    pair = with_shared_debris(signal, signal, zyx, labels, (5, 2, 2), rng)
    assert np.array_equal(pair.signal, signal)
    assert len(pair.zyx) == 1


@pytest.mark.parametrize("value", [0, 1000, 65535])
def test_a_constant_volume_gets_a_background(value):
    signal = np.full(SHAPE, value, np.uint16)
    background = background_of(signal, (5, 2, 2), np.random.default_rng(0))
    assert background.dtype == np.uint16


@quick
@given(seed=SEEDS)
def test_pairs_are_reproducible(seed):
    (_, _, first), (_, _, second) = make_pair(seed), make_pair(seed)
    assert np.array_equal(first.signal, second.signal)
    assert np.array_equal(first.background, second.background)
    assert np.array_equal(first.zyx, second.zyx)
