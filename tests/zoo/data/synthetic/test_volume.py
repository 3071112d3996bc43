"""Synthetic volumes: their voxels, their candidates, and labels that follow from the truth."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfzoo.zoo.data.synthetic import draw_parameters, make_volume
from cfzoo.zoo.data.synthetic.candidates import label_candidates
from cfzoo.zoo.data.synthetic.somata import Somata

SHAPE = (24, 72, 72)
SEEDS = st.integers(0, 10**6)
quick = settings(max_examples=12, deadline=None)


def gaps(zyx, somata, size):
    """Distances, um, of every candidate from every soma, along each axis."""
    return np.abs(zyx[:, None] * size - somata.um[None])


@quick
@given(seed=SEEDS)
def test_voxels_and_candidates_are_of_the_volume(seed):
    volume = make_volume(seed, SHAPE)
    assert volume.voxels.shape == SHAPE
    assert volume.voxels.dtype == np.uint16
    assert volume.voxels.max() <= volume.parameters.saturation
    assert volume.voxels.std() > 0
    assert np.all((volume.zyx >= 0) & (volume.zyx < SHAPE))
    assert np.array_equal(volume.zyx, np.rint(volume.zyx))
    assert len(np.unique(volume.zyx, axis=0)) == len(volume.zyx)
    assert volume.labels.dtype == np.int64
    assert set(volume.labels.tolist()) <= {0, 1}
    assert len(volume.somata) == len(volume.is_visible)
    ends = (np.array(SHAPE) - 1) * volume.voxel_size
    assert np.all((volume.somata.um >= 0) & (volume.somata.um <= ends))


@quick
@given(seed=SEEDS)
def test_labels_follow_from_the_somata(seed):
    volume = make_volume(seed, SHAPE)
    size, somata = np.array(volume.voxel_size), volume.somata
    gap = gaps(volume.zyx, somata, size)
    rest = np.linalg.norm(np.maximum(gap - size / 2, 0), axis=2)
    is_near = (rest <= np.maximum(3, 0.6 * somata.radius)) & volume.is_visible
    is_far = np.linalg.norm(gap, axis=2) > 1.3 * somata.radius + 2
    assert np.array_equal(is_near.any(axis=1), volume.labels == 1)
    assert is_far[volume.labels == 0].all()


def test_both_labels_are_in_nearly_all_volumes():
    volumes = [make_volume(seed, (40, 120, 120)) for seed in range(1000, 1020)]
    both = [0 < volume.labels.sum() < len(volume.labels) for volume in volumes]
    assert sum(both) >= 18


def test_visible_somata_are_found():
    """A detector that missed most of the cells would be unlike cellfinder's."""
    volumes = [make_volume(seed, (40, 120, 120)) for seed in range(8)]
    n_cells = sum(volume.labels.sum() for volume in volumes)
    assert n_cells > 0.6 * sum(volume.is_visible.sum() for volume in volumes)


def test_cells_are_brighter_than_their_surround():
    """Each label lies at its soma, and not at one mirrored or with axes swapped."""
    parameters = dataclasses.replace(
        draw_parameters(np.random.default_rng(1)),
        voxel_size=(4.0, 2.0, 1.0),
        radius=5.0,
        contrast=8.0,
        ring_share=0.0,
        texture=(0.0, 0.0, 0.0, 0.0),
        debris=0.0,
        fibres=0.0,
        read=1.0,
        shot=0.05,
        empty_share=0.0,
        density=8000.0,
        layers=(1.0,),
        vessels=0.0,
        haze=0.0,
    )
    volume = make_volume(5, (24, 90, 140), parameters)
    values = volume.voxels[tuple(volume.zyx.astype(int).T)]
    assert volume.labels.sum() >= 5
    assert values[volume.labels == 1].min() > 1.5 * np.median(volume.voxels)


@quick
@given(seed=SEEDS)
def test_a_seed_gives_the_same_bits(seed):
    first, second = make_volume(seed, SHAPE), make_volume(seed, SHAPE)
    assert np.array_equal(first.voxels, second.voxels)
    assert np.array_equal(first.zyx, second.zyx)
    assert np.array_equal(first.labels, second.labels)
    assert not np.array_equal(first.voxels, make_volume(seed + 1, SHAPE).voxels)


def test_the_number_of_threads_changes_no_bit():
    code = (
        "import hashlib; from cfzoo.zoo.data.synthetic import make_volume;"
        "v = make_volume(3, (24, 72, 72));"
        "print(hashlib.sha256(v.voxels.tobytes() + v.zyx.tobytes()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "OMP_NUM_THREADS": n, "OPENBLAS_NUM_THREADS": n},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for n in ("1", "2")
    }
    assert len(digests) == 1


@quick
@given(seed=SEEDS)
def test_parameters_lie_within_their_ranges(seed):
    parameters = draw_parameters(np.random.default_rng(seed))
    z, y, x = parameters.voxel_size
    assert 2 <= z <= 10
    assert 0.6 <= y == x <= 4
    assert 2.5 <= parameters.radius <= 12
    assert 1 <= parameters.psf[0] / parameters.psf[1] <= 3
    assert len(parameters.layers) == len(parameters.layer_brightness)
    assert parameters.saturation <= 65535


SOMA = Somata(
    um=np.array([[50.0, 50.0, 50.0]]),
    radius=np.array([10.0]),
    half_axes=np.full((1, 3), 10.0),
    turn=np.eye(3)[None],
    brightness=np.ones(1),
    hollow=np.zeros(1),
)


@pytest.mark.parametrize(
    ("distance", "is_visible", "label"),
    [(0, True, 1), (6, True, 1), (7.5, True, -1), (14, True, -1), (16, True, 0), (0, False, -1)],
)
def test_between_cell_and_no_cell_nothing_is_said(distance, is_visible, label):
    zyx = np.array([[50.0, 50.0, 50.0 + distance]])
    labels = label_candidates(zyx, SOMA, np.array([is_visible]), (1, 1, 1))
    assert labels.tolist() == [label]


def test_half_a_plane_is_not_counted_as_distance():
    near = label_candidates(np.array([[5.0, 50, 50]]), SOMA, np.array([True]), (9, 1, 1))
    assert near.tolist() == [1]  # 45 um is 5 um from 50, within half a plane and 6 um
    far = label_candidates(np.array([[4.0, 50, 50]]), SOMA, np.array([True]), (9, 1, 1))
    assert far.tolist() == [-1]  # 36 um
