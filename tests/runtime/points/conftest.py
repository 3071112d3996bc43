"""Files of points from their content."""

import pytest

from cfzoo.runtime.errors import InputError
from cfzoo.runtime.points import read_points


@pytest.fixture
def read(tmp_path):
    """Return a function that reads points from the content of a file."""

    def read_content(content, suffix=".xml", points_from=None):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_points(path, points_from)

    return read_content


@pytest.fixture
def refused(read):
    """Return a function that returns the one line by which a file is refused."""

    def refuse(content, suffix=".xml", points_from=None):
        with pytest.raises(InputError) as caught:
            read(content, suffix, points_from)
        message = str(caught.value)
        assert "\n" not in message and len(message) < 600
        return message

    return refuse
