"""cfzoo has no telemetry: a classification of local files opens no socket."""

import json
import subprocess
import sys

import pytest

CODE = """
import atexit, json, os, sys

events = []
sys.addaudithook(lambda name, _: events.append(name) if name.startswith("socket.") else None)

def report():  # while the libraries are still loaded
    folder = "/proc/self/fd"
    places = [f"{folder}/{name}" for name in (os.listdir(folder) if os.path.isdir(folder) else [])]
    links = [os.readlink(place) for place in places if os.path.islink(place)]
    loaded = sorted({"requests", "pooch", "fsspec", "urllib3"} & set(sys.modules))
    sockets = [link for link in links if link.startswith("socket:")]
    print(json.dumps({"events": events, "sockets": sockets, "loaded": loaded}), file=sys.stderr)

from cfzoo.cli import main

try:
    main(sys.argv[1:])
finally:
    report()
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_classify_opens_no_socket(tmp_path, backend):
    from cfzoo.runtime.sample import write_sample

    write_sample(tmp_path)
    words = ["classify", "signal.tif", "candidates.xml", "--backend", backend, "-o", "out"]
    command = [sys.executable, "-c", CODE, *words]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "points.csv").stat().st_size > 1000
    report = json.loads(done.stderr.splitlines()[-1])
    assert report == {"events": [], "sockets": [], "loaded": []}


def test_the_report_would_notice_a_socket():
    code = CODE.replace("from cfzoo.cli import main", "import socket; main = socket.create_server")
    code = code.replace("main(sys.argv[1:])", "kept = main(('127.0.0.1', 0))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    report = json.loads(done.stderr.splitlines()[-1])
    assert "socket.bind" in report["events"]
    assert report["sockets"] or sys.platform != "linux"
