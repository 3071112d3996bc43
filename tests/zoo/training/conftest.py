"""Labelled brains, and a training on them that is not interrupted."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from short_training import TINY, run

from cfzoo.zoo.training import silence_lightning


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Networks this small gain nothing from a second thread."""
    silence_lightning()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def whole(brains, tmp_path_factory):
    """Folder, network and rows of a training that is not interrupted."""
    return run(tmp_path_factory.mktemp("whole"), brains)


@pytest.fixture(scope="module")
def brains(labelled_cubes):
    """Two data sets to train on, and two with 40 % wrong labels to validate with."""

    def add_errors(cubes, seed):
        wrong = np.random.default_rng(seed).random(len(cubes)) < 0.4
        return dataclasses.replace(cubes, labels=np.where(wrong, 1 - cubes.labels, cubes.labels))

    brains = [labelled_cubes(TINY, 40, seed, f"brain{seed}") for seed in range(4)]
    return brains[:2], [add_errors(cubes, seed) for seed, cubes in enumerate(brains[2:])]
