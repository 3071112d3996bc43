"""Golden numbers of the released artifacts: on the sample, which is drawn from a seed."""

import numpy as np
import pytest

from cfzoo.runtime.artifact import bundled
from cfzoo.runtime.pipeline import classify
from cfzoo.runtime.sample import VOXEL_SIZE, make_sample

# name: (SHA-256 of the artifact, its probabilities for the first candidates of the sample)
GOLDEN = {
    "attention3d": (
        "52eee830abd81946c07eaca14b1f2e4bc6a22607c36b3607b87acf7e070be939",
        [0.2515, 0.9715, 0.9064, 0.9686, 0.9671, 0.9779, 0.0129, 0.9608],
    ),
    "pipnet3d": (
        "1d0db7418b8454247ed93419610bc4f645b60d06fd6399fc28f9589af37f5431",
        [0.2656, 0.9595, 0.9249, 0.9594, 0.9498, 0.9592, 0.0207, 0.9597],
    ),
    "pyramid3d": (
        "7466ed9a5018061a3134e045e7aed0ffe6913c97940dcf62257394b69f08a1cc",
        [0.1467, 0.6638, 0.2329, 0.6918, 0.6507, 0.829, 0.1041, 0.4155],
    ),
    "wavemix3d": (
        "fc8382d344ca0a9bc9f8ec77dc3d2b6a806a7ba2f627155421253f3033723dac",
        [0.2826, 0.9646, 0.8895, 0.9615, 0.9661, 0.9717, 0.0145, 0.9508],
    ),
}


def test_every_bundled_artifact_has_golden_numbers():
    assert bundled().keys() == GOLDEN.keys()


@pytest.mark.parametrize("name", GOLDEN)
def test_probabilities_on_the_sample(name):
    from cfzoo.runtime.artifact import read_artifact

    digest, expected = GOLDEN[name]
    assert read_artifact(name).card.digest == digest
    sample = make_sample()
    results = classify(sample.zyx, sample.signal, model=name, voxel_size=VOXEL_SIZE)
    np.testing.assert_allclose(results.probability[: len(expected)], expected, atol=1e-3)
    # Drawn brains are not what it was trained on; far better than chance all the same.
    assert np.mean(results.types == sample.types) > 0.75
