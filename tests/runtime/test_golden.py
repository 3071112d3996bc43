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
    "filters3d": (
        "e31ba2f682b8cd53ecb3366a73a9381b848dafefc2a534d6eb6c726c3c58af84",
        [0.2484, 0.9365, 0.4794, 0.9695, 0.9434, 0.989, 0.1487, 0.768],
    ),
    "filters3d-2ch": (
        "527068e40c0018fe9d56263fc27cf55041aa7d408acf865f7fd7d96345445b4b",
        [0.0751, 0.9684, 0.8857, 0.9971, 0.9946, 0.9978, 0.0783, 0.8894],
    ),
    "pipnet3d": (
        "d4ae65477f62ac58734fc0486b28222a6ba9d4476d64aa00554fbeb8d8f5d1ec",
        [0.2629, 0.9558, 0.9178, 0.9563, 0.9485, 0.9568, 0.0217, 0.956],
    ),
    "pyramid3d": (
        "f6e7c49443ff197f22202ed9eaf678d1fbaccd8198cfab371657307c8eb291ee",
        [0.2493, 0.9768, 0.4784, 0.9817, 0.9679, 0.9958, 0.1564, 0.8614],
    ),
    "wavemix3d": (
        "2679b866cb03b67824e825ff574899b6952b862c0f3baa1616bb4254bbd2b661",
        [0.2826, 0.9646, 0.8895, 0.9615, 0.9661, 0.9717, 0.0145, 0.9508],
    ),
}


def test_every_bundled_artifact_has_golden_numbers():
    assert bundled().keys() == GOLDEN.keys()


@pytest.mark.parametrize("name", GOLDEN)
def test_probabilities_on_the_sample(name):
    from cfzoo.runtime.artifact import read_artifact

    digest, expected = GOLDEN[name]
    card, sample = read_artifact(name).card, make_sample()
    assert card.digest == digest
    channels = [sample.signal, sample.background][: len(card.channels)]
    results = classify(sample.zyx, *channels, model=name, voxel_size=VOXEL_SIZE)
    np.testing.assert_allclose(results.probability[: len(expected)], expected, atol=1e-3)
    # Drawn brains are not what it was trained on; far better than chance all the same.
    assert np.mean(results.types == sample.types) > (0.95 if len(card.channels) == 2 else 0.75)


def test_the_default_of_two_channels_rejects_what_is_bright_in_both():
    sample = make_sample()
    results = classify(sample.zyx, sample.signal, sample.background, voxel_size=VOXEL_SIZE)
    named = classify(
        sample.zyx, sample.signal, sample.background, model="filters3d-2ch", voxel_size=VOXEL_SIZE
    )
    np.testing.assert_array_equal(results.probability, named.probability)
    is_cell = results.types == 2
    assert is_cell[sample.is_debris].mean() < 0.05
    assert is_cell[sample.types == 2].mean() > 0.95
    same = classify(sample.zyx, sample.signal, sample.signal, voxel_size=VOXEL_SIZE)
    assert np.mean(same.types == 2) < 0.01
