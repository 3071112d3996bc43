"""cfzoo classify --shard, --resume and cfzoo gather: the files of one run, however it was cut."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile

FILES = ("points.xml", "points.csv", "points.yml")
SIZE = ("--voxel-size", 5, 2, 2)


@pytest.fixture(scope="module")
def brain(tmp_path_factory, make_artifact):
    """Folder with a volume, 400 points (seven parts) and a model."""
    folder = tmp_path_factory.mktemp("brain")
    rng = np.random.default_rng(0)
    shape = (40, 50, 60)
    tifffile.imwrite(folder / "signal.tif", rng.integers(0, 4000, shape).astype(np.uint16))
    rows = [f"{x},{y},{z}" for z, y, x in rng.integers(0, shape, (400, 3))]
    (folder / "points.csv").write_text("\n".join(["x,y,z", *rows]) + "\n")
    make_artifact(folder)
    return folder


@pytest.fixture
def inputs(brain, monkeypatch):
    """The command but for its last options; paths are relative to the working folder."""
    monkeypatch.chdir(brain)
    return ["classify", "signal.tif", "points.csv", "--model", "linear-1.0.0.onnx", *SIZE]


def read_files(folder):
    files = {name: (folder / name).read_bytes() for name in FILES}
    description = json.loads((folder / "run.json").read_text())
    varying = ("started", "seconds", "memory", "folder")
    return files, {key: value for key, value in description.items() if key not in varying}


def test_gathered_shards_are_one_run(cfzoo, inputs, tmp_path, monkeypatch):
    assert cfzoo(*inputs, "-o", tmp_path / "plain")[0] == 0
    out = tmp_path / "out"
    for shard in ("2/3", "1/3"):
        code, text, _ = cfzoo(*inputs, "-o", out, "--shard", shard)
        assert code == 0
    assert text.startswith("shard 1/3: 128 points in 2 of 7 parts, 2 computed and 0 there before")
    code, _, error = cfzoo("gather", out)
    assert code == 2
    assert "3 of 7 parts are missing" in error and "with 144 of 400 points" in error
    assert sorted(path.name for path in out.iterdir()) == ["parts"]
    _, text, _ = cfzoo(*inputs, "-o", out, "--shard", "1/1")
    assert "400 points in 7 of 7 parts, 3 computed and 4 there before" in text
    monkeypatch.chdir(tmp_path)  # the manifest knows where the inputs are
    code, text, _ = cfzoo("gather", out)
    assert code == 0 and "400 points: " in text
    assert read_files(out) == read_files(tmp_path / "plain")
    assert cfzoo("gather", out)[0] == 2
    code, text, _ = cfzoo("gather", out, "--overwrite", "--threshold", 0.9, "--remove-parts")
    assert code == 0 and "threshold 0.9" in text
    assert sorted(path.name for path in out.iterdir()) == sorted([*FILES, "run.json"])


def test_resume_goes_on_and_leaves_the_files_of_one_run(cfzoo, inputs, tmp_path, monkeypatch):
    from cfzoo.runtime.parts import computing

    assert cfzoo(*inputs, "-o", tmp_path / "plain")[0] == 0
    out, write = tmp_path / "out", computing.write_part
    numbers = []

    def stop_at_the_fifth(path, part):
        numbers.append(path)
        if len(numbers) == 5:
            raise KeyboardInterrupt
        write(path, part)

    monkeypatch.setattr(computing, "write_part", stop_at_the_fifth)
    code, _, error = cfzoo(*inputs, "-o", out, "--resume")
    assert code == 130 and "interrupted. Run it again." in error
    assert sorted(path.name for path in out.iterdir()) == ["parts"]
    assert cfzoo(*inputs, "-o", out, "--resume")[0] == 0
    assert len(numbers) == 8  # four parts, the one that was lost, and the other three
    assert read_files(out) == read_files(tmp_path / "plain")
    assert sorted(path.name for path in out.iterdir()) == sorted([*FILES, "run.json"])


def test_parts_of_something_else_are_refused(cfzoo, inputs, brain, tmp_path):
    out = tmp_path / "out"
    assert cfzoo(*inputs, "-o", out, "--shard", "1/2")[0] == 0
    code, _, error = cfzoo(*inputs, "--edges", "drop", "-o", out, "--shard", "2/2")
    assert code == 2 and "holds parts of another classification" in error
    os.utime(brain / "signal.tif")
    code, _, error = cfzoo("gather", out)
    assert code == 2 and "has changed since" in error
    code, _, error = cfzoo("gather", tmp_path)
    assert code == 2 and "holds no parts" in error
    assert not (out / "run.json").exists()


@pytest.mark.parametrize("option", [("--save-cams", 3), ("--resume",), ("--overwrite",)])
def test_shards_refuse_what_belongs_to_a_whole_run(cfzoo, inputs, tmp_path, option):
    code, _, error = cfzoo(*inputs, "-o", tmp_path / "out", "--shard", "1/2", *option)
    assert code == 2 and "--shard goes with neither" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_kills_change_no_byte(inputs, tmp_path):
    """Two workers are killed at random, eight times in all, and the gathering once."""
    draw = random.Random(0)
    out, code = tmp_path / "out", "from cfzoo.cli import main; main()"

    def start(*words):
        command = [sys.executable, "-c", code, *map(str, words)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def count():
        return len(list((out / "parts").glob("*.npz")))

    rows = [f"{draw.randrange(60)},{draw.randrange(50)},{draw.randrange(40)}" for _ in range(1000)]
    (tmp_path / "many.csv").write_text("\n".join(["x,y,z", *rows]) + "\n")
    inputs = [tmp_path / "many.csv" if word == "points.csv" else word for word in inputs]
    slowed = [*inputs, "--threads", 1, "--batch-size", 1, "-o"]
    assert start(*slowed, tmp_path / "plain").wait() == 0
    times = {}
    for _ in range(4):
        workers = [start(*slowed, out, "--shard", f"{number}/2") for number in (1, 2)]
        before, deadline = count(), time.monotonic() + 10
        while count() == before and time.monotonic() < deadline:
            if all(worker.poll() is not None for worker in workers):
                break
            time.sleep(0.002)
        time.sleep(draw.uniform(0, 0.01))
        for worker in workers:
            worker.send_signal(signal.SIGKILL)
            worker.wait()
        for path in (out / "parts").glob("*.npz"):
            time_of_change = path.stat().st_mtime_ns
            assert times.setdefault(path.name, time_of_change) == time_of_change  # never redone
    assert 0 < count() < 16
    for number in (1, 2):
        assert start(*slowed, out, "--shard", f"{number}/2").wait() == 0
    gathering = start("gather", out)
    time.sleep(0.4)
    gathering.send_signal(signal.SIGKILL)
    gathering.wait()
    if not (out / "run.json").exists() or (out / ".cfzoo.lock").exists():
        assert start("gather", out).wait() == 0
    assert read_files(out) == read_files(tmp_path / "plain")
