import pytest

from cfzoo.runtime.volume import stated_voxel_size


@pytest.mark.parametrize(
    ("values", "unit", "expected"),
    [
        ((5, 2, 2), "um", (5, 2, 2)),
        (("5.0", "2", "2"), "micron", (5, 2, 2)),
        ((5, 2, 2), "\u00b5m", (5, 2, 2)),
        ((5, 2, 2), "\u03bcm", (5, 2, 2)),
        ((5, 2, 2), "\\u00B5m", (5, 2, 2)),
        ((5000, 650, 650), "nm", (5, 0.65, 0.65)),
        ((5000, 650, 650), "nanometer", (5, 0.65, 0.65)),
        ((0.005, 0.002, 0.002), "millimetre", (5, 2, 2)),
        ((5, 2, 2), "inch", None),
        ((5, 2, 2), "pixel", None),
        ((5, 2, 2), None, None),
        ((5, None, 2), "um", None),
        ((5, 2, "two"), "um", None),
        ((5, 2, float("nan")), "um", None),
        ((5, 2, -2), "um", None),
        ((0.05, 100, 1), "um", (0.05, 100, 1)),
        ((0.049, 1, 1), "um", None),
        ((101, 1, 1), "um", None),
    ],
)
def test_converts_plausible_sizes_to_micrometres(values, unit, expected):
    size = stated_voxel_size(values, [unit] * 3)
    assert size == (None if expected is None else pytest.approx(expected))
