"""Zarrs at addresses: the voxels of a local copy, whatever the server does."""

import numpy as np
import pytest
from object_servers import KINDS, Files, Unreliable, serve, upload

from cfzoo.runtime.errors import CfzooError, EnvironmentProblem, InputError
from cfzoo.runtime.remote import object_store
from cfzoo.runtime.volume import open_volume, stamp_volume

BOXES = [
    (slice(0, 24), slice(0, 50), slice(0, 60)),
    (slice(7, 9), slice(15, 33), slice(1, 60)),
    (slice(23, 24), slice(49, 50), slice(59, 60)),
]


@pytest.fixture(params=["web", "bucket"])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_drops_requests_gives_the_voxels_of_the_disk(server, data, kind):
    address, app = server[:2]
    app.drop, app.dropped = 6, 0
    with open_volume(f"{address}/{kind}") as volume:
        for _ in range(2):
            for box in BOXES:
                np.testing.assert_array_equal(volume.read(*box), data[box])
    assert app.dropped >= 2


@pytest.mark.parametrize("kind", KINDS)
def test_absent_chunks_and_gaps_are_those_of_the_disk(server, folder, kind):
    points = np.random.default_rng(1).uniform(0, (23, 49, 59), (400, 3))
    low = points.astype(int) - 3
    answers = []
    for source in (f"{server[0]}/{kind}", folder / kind):
        with open_volume(source) as volume:
            answers.append((volume.find_absent(points), volume.find_gaps(low, low + 7)))
    for at_address, on_disk in zip(*answers, strict=True):
        np.testing.assert_array_equal(at_address, on_disk)
    assert 0 < answers[0][0].sum() < 400


def test_only_the_chunks_of_a_box_are_fetched_and_by_one_request(server):
    address, app = server[:2]
    app.drop = 0
    app.requests.clear()
    with open_volume(f"{address}/plain.zarr") as volume:
        for _ in range(3):
            volume.read(slice(1, 9), slice(0, 10), slice(33, 50))
    chunks = [path[path.index("/plain") :] for _, path, _ in app.requests if "/c/" in path]
    assert sorted(chunks) == ["/plain.zarr/c/0/0/1", "/plain.zarr/c/1/0/1"]


def test_of_a_shard_only_the_index_and_the_chunks_are_fetched(web, folder):
    address, app = web
    app.drop = 0
    with open_volume(f"{address}/shards.zarr") as volume:
        volume.read(slice(1, 2), slice(1, 2), slice(1, 2))
    spans = [span for method, path, span in app.requests if "/c/" in path and method == "GET"]
    ends = [tuple(map(int, span.removeprefix("bytes=").split("-"))) for span in spans]
    assert len(ends) == 2
    size = (folder / "shards.zarr" / "c" / "0" / "0" / "0").stat().st_size
    assert sum(stop + 1 - start for start, stop in ends) < size / 4


def test_a_server_without_ranges_sends_the_whole_and_is_read(folder, data):
    app = Unreliable(Files(folder, ranges=False))
    with serve(app) as address, open_volume(f"{address}/shards.zarr") as volume:
        np.testing.assert_array_equal(volume.read(*BOXES[1]), data[BOXES[1]])


def test_chunks_are_fetched_side_by_side(web):
    address, app = web
    app.drop, app.wait = 0, 0.2
    with open_volume(f"{address}/plain.zarr") as volume:
        import time

        start = time.perf_counter()
        volume.read(*BOXES[0])
        seconds = time.perf_counter() - start
    requests = sum("/c/" in path for _, path, _ in app.requests)
    assert requests == 12
    assert seconds < 0.5 * requests * app.wait


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (403, InputError, "refuses permission"),
        (401, InputError, "refuses permission"),
        (404, InputError, "nothing is at .*404, not found.*Check the address"),
        (418, InputError, "the server answers 418"),
        (503, EnvironmentProblem, "could not be read in 8 attempts.*run the same command again"),
        (429, EnvironmentProblem, "could not be read in 8 attempts"),
    ],
)
def test_what_a_server_answers_is_said_in_one_line(web, status, kind, message):
    address, app = web
    app.status = status
    with pytest.raises(kind, match=message) as caught:
        open_volume(f"{address}/plain.zarr")
    assert "\n" not in str(caught.value)


def test_a_server_that_fails_later_ends_the_reading(web):
    address, app = web
    with open_volume(f"{address}/plain.zarr") as volume:
        app.status = 500
        with pytest.raises(EnvironmentProblem, match="c/0/0/0 could not be read in 8 attempts"):
            volume.read(slice(0, 1), slice(0, 1), slice(0, 1))
        app.status = 403
        with pytest.raises(InputError, match="refuses permission"):
            volume.find_absent(np.array([[20.0, 20, 20]]))


def test_no_server_and_no_bucket_are_said(bucket):
    with pytest.raises(EnvironmentProblem, match="could not be read in 8 attempts"):
        open_volume("http://127.0.0.1:9/brain.zarr")
    with pytest.raises(InputError, match=r"nothing is at s3://nowhere/brain\.zarr"):
        open_volume("s3://nowhere/brain.zarr")
    with pytest.raises(InputError, match=r"nothing is at s3://brains/missing\.zarr"):
        open_volume("s3://brains/missing.zarr")
    with pytest.raises(InputError, match=r"TIFFs at addresses are not read"):
        open_volume("s3://brains/brain.tif")


def test_missing_credentials_are_said(bucket, monkeypatch):
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(EnvironmentProblem, match=r"needs credentials.*AWS_PROFILE"):
        open_volume("s3://brains/plain.zarr")
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("https://me:hush@host/a.zarr", "at host holds a password"),
        ("https://host/a.zarr?X-Amz-Signature=hush", "at host holds a password, a query"),
        ("s3://bucket/a.zarr#hush", "at bucket holds a password"),
        ("s3:///a.zarr", "is no address; expected s3://BUCKET/PATH"),
        ("https://host/a b.zarr", "is no address"),
        ("ftp://host/a.zarr", "of the kind ftp://; expected https://"),
        (
            "ftp://me:hush@host/a.zarr",
            r"ftp://\.\.\.host/a\.zarr is at an address of the kind ftp://",
        ),
        ("https://me:hu sh@host/a.zarr?hush", r"https://\.\.\.host/a\.zarr\.\.\.' is no address"),
        ("https://me:hush@[host/a.zarr", "is no address"),
    ],
)
def test_addresses_that_are_refused(address, message):
    with pytest.raises(InputError, match=message) as caught:
        open_volume(address)
    assert "hush" not in str(caught.value).replace(" ", "")


def test_a_missing_package_names_its_extra(monkeypatch):
    for package, extra in {"fsspec": "remote", "s3fs": "remote", "gcsfs": "gcs"}.items():
        with monkeypatch.context() as context:
            context.setitem(__import__("sys").modules, package, None)
            scheme = "gs" if package == "gcsfs" else "s3"
            with pytest.raises(EnvironmentProblem, match=rf"pip install 'cfzoo\[{extra}\]'"):
                open_volume(f"{scheme}://bucket/brain.zarr")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is cut short, it has 0 bytes"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>log in</html>", "cut short|cannot be read"),
    ],
)
def test_damaged_chunks_are_named(web, folder, content, message):
    address, _ = web
    for name in ("plain.zarr", "raw.zarr"):
        (folder / name / "c" / "0" / "0" / "0").write_bytes(content)
        with open_volume(f"{address}/{name}") as volume:
            with pytest.raises(CfzooError, match=message):
                volume.read(*BOXES[0])
            volume.read(*BOXES[2])


def test_a_shard_that_is_cut_short_is_named(web, folder):
    address, _ = web
    shard = folder / "shards.zarr" / "c" / "0" / "0" / "0"
    shard.write_bytes(shard.read_bytes()[:-9])
    message = r"c/0/0/0 is (damaged|cut short)"
    with (
        open_volume(f"{address}/shards.zarr") as volume,
        pytest.raises(InputError, match=message),
    ):
        volume.read(*BOXES[0])


def test_the_stamp_of_a_bucket_changes_with_each_object(bucket, folder):
    address, _, client = bucket
    upload(client, folder / "plain.zarr", "copy.zarr/")
    stamps = []
    for key in (None, "copy.zarr/c/0/0/1", "copy.zarr/zarr.json"):
        if key:
            body = client.get_object(Bucket="brains", Key=key)["Body"].read() + b" "
            client.put_object(Bucket="brains", Key=key, Body=body)
        with open_volume(f"{address}/copy.zarr") as volume:
            stamps.append(stamp_volume(volume))
    with open_volume(f"{address}/copy.zarr") as volume:
        assert stamp_volume(volume) == stamps[2]
    assert len(set(stamps)) == 3


def test_the_stamp_of_a_web_server_is_that_of_the_metadata(web, folder):
    stamps = []
    for change in (None, "c/0/0/1", "zarr.json"):
        if change:
            path = folder / "plain.zarr" / change
            path.write_bytes(path.read_bytes() + b" ")
        with open_volume(f"{web[0]}/plain.zarr") as volume:
            stamps.append(stamp_volume(volume))
    assert stamps[0] == stamps[1] != stamps[2]  # as docs/howto/cohorts.md says


def test_what_is_kept_is_bounded(web, monkeypatch):
    monkeypatch.setattr(object_store, "CACHE_BYTES", 20_000)
    with open_volume(f"{web[0]}/plain.zarr") as volume:
        volume.read(*BOXES[0])
        cache = volume.source._objects._cache
        assert 1_000 < cache.size <= 20_000
        assert cache.size == sum(len(d or b"") + 200 for d in cache._entries.values())
