import numpy as np

from cfzoo.runtime.points import find_outside, format_position


def test_points_are_outside_if_their_nearest_voxel_is():
    zyx = np.array([[-0.5, 0, 0], [-0.6, 0, 0], [2.4, 3.4, 4.4], [2.5, 0, 0], [0, 3.5, 0]])
    assert find_outside(zyx, (3, 4, 5)).tolist() == [False, True, False, True, True]


def test_position_is_written_as_x_y_z():
    assert format_position(np.array([13.0, 35.5, 40.0])) == "x 40 y 35.5 z 13"
