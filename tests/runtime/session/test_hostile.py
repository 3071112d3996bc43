"""A sample of `benchmarks/fuzz/hostile_families.py` whose members no library should run."""

import numpy as np
import pytest

from cfzoo.runtime.errors import ArtifactError
from cfzoo.runtime.session.trial_supervisor import try_model

BIG = 2**62
KERNEL = np.ones((1, 1, 3, 3, 3), np.float32)
# Operator, its inputs besides the cubes, its attributes.
NODES = {
    "a huge pad": ("Pad", [np.array([0] * 9 + [2**40])], {}),
    "a huge negative pad": ("Pad", [np.array([0] * 4 + [-(2**31)] + [0] * 5)], {}),
    "a huge shape": ("Reshape", [np.array([BIG, 3])], {}),
    "a negative shape": ("Reshape", [np.array([-5, 3])], {}),
    "a huge expansion": ("Expand", [np.array([1, 1, 2, 3, BIG])], {}),
    "huge repeats": ("Tile", [np.array([1, 1, 1, 1, 2**63 - 1])], {}),
    "negative repeats": ("Tile", [np.array([1, 1, 1, 1, -(2**31)])], {}),
    "a huge axis": ("Unsqueeze", [np.array([2**31 - 1])], {}),
    "an axis beyond the rank": ("ReduceSum", [np.array([-(2**31)])], {}),
    "an input too few": ("MatMul", [], {}),
    "a negative stride": ("MaxPool", [], {"kernel_shape": [1, 1, 1], "strides": [-1] * 3}),
    "a negative kernel": ("AveragePool", [], {"kernel_shape": [-2] * 3}),
    "a negative dilation": ("Conv", [KERNEL], {"dilations": [-(2**31)] * 3}),
    "huge pads of a convolution": ("Conv", [KERNEL], {"pads": [2**31] * 6}),
    "an axis twice": ("Transpose", [], {"perm": [0, 0, 1, 2, 3]}),
}


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("name", NODES)
def test_is_refused_in_one_line(make_trial, build_model, backend, name):
    operator, constants, attributes = NODES[name]
    weights = [(f"w{number}", value) for number, value in enumerate(constants)]
    inputs = ["cubes", *(name for name, _ in weights)]
    model = build_model((operator, inputs, "last", attributes), weights=weights)
    with pytest.raises(ArtifactError, match=r"model\.onnx failed its trial") as info:
        try_model(make_trial(model, backend))
    assert str(info.value).isprintable()
