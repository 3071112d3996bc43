"""Fixtures of downloads: an artifact, its address on the server `web`, and the cache."""

import hashlib

import pytest

from cfzoo.runtime.artifact import cache_folder


@pytest.fixture
def content(make_artifact, tmp_path):
    """An artifact of a few hundred kilobytes."""
    return make_artifact(tmp_path, cube_shape=(16, 40, 40)).read_bytes()


@pytest.fixture
def pin(content):
    """The part of an address that names the checksum of `content`."""
    return f"#sha256={hashlib.sha256(content).hexdigest()}"


@pytest.fixture
def address(web, content, pin):
    web.expect_request("/m.onnx").respond_with_data(content)
    return web.url_for("/m.onnx") + pin


@pytest.fixture
def cached_files(web):
    """Call it for the names of the files in the cache, locks left out."""

    def names():
        paths = cache_folder().rglob("*")
        return sorted(path.name for path in paths if path.is_file() and path.name != ".lock")

    return names
