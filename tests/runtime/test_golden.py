"""Golden numbers of the released artifacts: on the sample, which is drawn from a seed."""

import numpy as np
import pytest

from cfzoo.runtime.artifact import bundled
from cfzoo.runtime.classify import classify
from cfzoo.runtime.sample import VOXEL_SIZE, make_sample

# name: (SHA-256 of the artifact, its probabilities for the first candidates of the sample)
GOLDEN = {
    "plain3d": (
        "a63b0600353c42b2280bab1f50ec1faa40ee12d4b07a05b03db524a6f3b5788a",
        [0.1944, 0.9588, 0.8867, 0.9543, 0.9533, 0.9633, 0.0115, 0.9489],
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
