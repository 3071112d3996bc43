"""A web server and a bucket, each with the same zarrs as a folder on the disk."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

sys.path.append(str(Path(__file__).parent))
from object_servers import KINDS, Files, Unreliable, serve, upload

from cfzoo.runtime.remote import object_store


@pytest.fixture(scope="session")
def data():
    """Voxels (z, y, x), none of them 0 but for the chunks of a corner, which are not written."""
    values = np.random.default_rng(0).integers(1, 2**12, (24, 50, 60), "u2")
    values[16:, :32, :32] = 0
    return values


@pytest.fixture(scope="session")
def original(tmp_path_factory, data):
    """A folder with a zarr of each kind."""
    folder = tmp_path_factory.mktemp("objects")
    for name, options in KINDS.items():
        array = zarr.create_array(folder / name, shape=data.shape, dtype="u2", **options)
        array[:] = data
    return folder


@pytest.fixture
def folder(original, tmp_path):
    """A copy of it, to be damaged."""
    import shutil

    return Path(shutil.copytree(original, tmp_path / "objects"))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Wait less before another attempt, and leave no credentials of the user's in place."""
    monkeypatch.setattr(object_store, "FIRST_WAIT", 0.001)
    for name in list(os.environ):
        if name.startswith(("AWS_", "FSSPEC_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


@pytest.fixture
def web(folder):
    """A web server of ``folder``: its address and its application."""
    app = Unreliable(Files(folder))
    with serve(app) as address:
        yield address, app


@pytest.fixture(scope="session")
def moto():
    """A server of S3: its address and its application."""
    server = pytest.importorskip("moto.server")
    app = Unreliable(server.DomainDispatcherApplication(server.create_backend_app))
    with serve(app) as address:
        yield address, app


@pytest.fixture
def bucket(moto, original, monkeypatch):
    """A bucket with the files of ``original``: its address, its server's application, a client."""
    address, app = moto
    app.drop, app.status, app.wait = 10, None, 0.0
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    session = pytest.importorskip("botocore.session")
    client = session.get_session().create_client("s3")
    if not client.list_buckets()["Buckets"]:
        client.create_bucket(Bucket="brains")
        upload(client, original, "")
    return "s3://brains", app, client
