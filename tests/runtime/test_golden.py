"""Golden numbers of the released artifacts: on the sample, which is drawn from a seed."""

import numpy as np
import pytest

from cfzoo.runtime.artifact import bundled
from cfzoo.runtime.pipeline import classify
from cfzoo.runtime.sample import VOXEL_SIZE, make_sample

# name: (SHA-256 of the artifact, its probabilities for the first candidates of the sample)
GOLDEN = {
    "attention3d": (
        "697e374ddc45937f440e6e7bb129d243c05ae72fed82eb5622b67b6793e843b7",
        [0.2515, 0.9715, 0.9064, 0.9686, 0.9671, 0.9779, 0.0129, 0.9608],
    ),
    "pipnet3d": (
        "361f44f600fb0ace13a3bc1b2b60c9f7abb42eb6b9ca752a9de1c18de83cc71c",
        [0.2656, 0.9595, 0.9249, 0.9594, 0.9498, 0.9592, 0.0207, 0.9597],
    ),
    "wavemix3d": (
        "c07a6303b83a3dfa4700cce47d7f11b5efcff3be5e7ebc9aca7df73ccc308117",
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
