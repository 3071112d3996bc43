"""What differs between systems: encodings, calls that only Unix has, drives and shares."""

import ast
import os
import subprocess
import sys
import types
from pathlib import Path, PureWindowsPath

import pytest
import yaml

from cfzoo.runtime import files
from cfzoo.runtime.artifact import is_remote
from cfzoo.workflows import fit_ensemble
from cfzoo.zoo.data import entry

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (
    *("runtime", "zoo", "export", "analysis", "workflows", "cli", "plugin", "docs"),
    "benchmarks",
)
NOT_TEXT = ("os", "brain", "Image", "archive", "RunLog", "webbrowser")  # whose open() is another


def find_calls_without_encoding(source):
    """Line numbers of calls that read or write text in the encoding of the computer."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or any(k.arg == "encoding" for k in node.keywords):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        owner = getattr(getattr(node.func, "value", None), "id", None)
        words = [a.value for a in node.args if isinstance(a, ast.Constant)]
        words += [k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)]
        is_bytes = any(isinstance(w, str) and "b" in w and len(w) < 4 for w in words)
        texts = (k.arg for k in node.keywords if k.arg in ("text", "universal_newlines"))
        if (
            (name == "read_text" and not node.args)
            or (name == "write_text" and len(node.args) == 1)
            or (name in ("open", "fdopen") and owner not in NOT_TEXT and not is_bytes)
            or any(texts)
        ):
            yield node.lineno


def test_the_search_finds_each_form():
    source = "p.read_text()\np.write_text(t)\nopen(p)\np.open('a')\nrun(c, text=True)\np.open('rb')"
    assert list(find_calls_without_encoding(source)) == [1, 2, 3, 4, 5]
    assert not list(find_calls_without_encoding("p.read_text(encoding='utf-8')\nos.open(p, 1)"))


def test_text_files_are_opened_with_their_encoding():
    gaps = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            lines = find_calls_without_encoding(path.read_text(encoding="utf-8"))
            gaps += [f"{path.relative_to(ROOT)}:{line}" for line in lines]
    # It reads a member of a zip.
    assert [gap for gap in gaps if not gap.startswith("zoo/weights/keras_files")] == []


UNIX_MODULES = ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty")
UNIX_NAMES = (
    *("sched_getaffinity", "getuid", "geteuid", "getgid", "fork", "fchmod", "killpg", "setsid"),
    *("statvfs", "O_NOFOLLOW", "O_DIRECTORY", "getloadavg", "mkfifo"),
)
WITHOUT_UNIX = """
import os, sys, signal, types
import numpy, onnxruntime, tifffile  # which know their own systems
import ctypes, pathlib, tempfile, subprocess, multiprocessing
for name in {modules}:
    sys.modules[name] = None
for name in {names}:
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGHUP", "SIGKILL", "SIGALRM", "SIGUSR1"):
    if hasattr(signal, name):
        delattr(signal, name)
locks = []
sys.modules["msvcrt"] = types.SimpleNamespace(LK_NBLCK=2, locking=lambda *a: locks.append(a))
from cfzoo.runtime import files
files.os = types.SimpleNamespace(**{{k: getattr(os, k) for k in dir(os)}} | {{"name": "nt"}})
from cfzoo.cli import main
for words in {commands}:
    try:
        main(words)
    except SystemExit as end:
        assert not end.code, (words, end.code)
assert locks
"""


def test_commands_run_where_unix_calls_are_absent(tmp_path):
    """In a process in which the modules and names that Windows lacks are taken away."""
    commands = [
        ["sample", "sample"],
        ["classify", "sample/signal.tif", "sample/candidates.xml", "-o", "out", "-q"],
        ["export", "pipnet3d", "-o", "exported"],
        ["doctor"],
    ]
    code = WITHOUT_UNIX.format(modules=UNIX_MODULES, names=UNIX_NAMES, commands=commands)
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, encoding="utf-8"
    )
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "out" / "points.xml").is_file()
    assert "Traceback" not in run.stderr


def test_windows_flushes_no_folder_and_closes_before_it_renames(tmp_path, monkeypatch):
    calls, opened, rename = [], [], Path.replace
    names = {name: getattr(os, name) for name in dir(os)} | {"name": "nt"}
    monkeypatch.setattr(files, "os", types.SimpleNamespace(**names))
    lock = types.SimpleNamespace(LK_NBLCK=2, locking=lambda *a: calls.append(a))
    monkeypatch.setitem(sys.modules, "msvcrt", lock)

    def replace(part, target):
        assert opened[0].closed  # or Windows would refuse
        return rename(part, target)

    monkeypatch.setattr(Path, "replace", replace)
    with files.atomic_write(tmp_path / "a.txt") as file:
        opened.append(file)
        file.write("µm\n")
    assert (tmp_path / "a.txt").read_bytes() == "µm\n".encode()
    assert [call[1:] for call in calls] == [(2, 1)]


@pytest.mark.parametrize(
    "path",
    [
        r"C:\models\m-1.0.0.onnx",
        "C:/models/m-1.0.0.onnx",
        r"\\server\share\m-1.0.0.onnx",
        "//server/share/m-1.0.0.onnx",
    ],
)
def test_drives_and_shares_are_no_addresses(path):
    assert not is_remote(path)
    assert path.rpartition("=")[0] == "" and f"{path}=0.5".rpartition("=")[::2] == (path, "0.5")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (r"D:\lab\brain1\signal.tif", "brain1/signal.tif"),
        (r"E:\other\signal.tif", "signal.tif"),
        (r"\\server\share\signal.tif", "signal.tif"),
        (r"d:\LAB\brain1\signal.tif", "brain1/signal.tif"),  # Windows does not tell them apart
    ],
)
def test_cards_name_no_drive_and_no_share(monkeypatch, path, expected):
    monkeypatch.setattr(entry, "absolute_path", PureWindowsPath)
    assert entry.portable_path(path, r"D:\lab") == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (r"D:\lab\brain1\signal.tif", "brain1/signal.tif"),
        (r"D:\lab\signal.tif", "signal.tif"),
        (r"E:\mice\3\signal.tif", "signal.tif (2)"),
        (r"F:\mice\3\signal.tif", "signal.tif (3)"),
        (r"f:\mice\3\signal.tif", "signal.tif (3)"),  # Windows does not tell them apart
        (r"\\server\lab\signal.tif", "signal.tif (4)"),
        (r"E:\mice\3\points.xml", "points.xml"),
    ],
)
def test_cards_tell_files_of_one_name_apart_and_show_no_folders(monkeypatch, path, expected):
    monkeypatch.setattr(entry, "absolute_path", PureWindowsPath)
    others = [
        r"D:\lab\brain1\signal.tif",
        r"D:\lab\signal.tif",
        r"E:\mice\3\signal.tif",
        r"F:\mice\3\signal.tif",
        r"\\server\lab\signal.tif",
        r"E:\mice\3\points.xml",
    ]
    assert entry.portable_path(path, r"D:\lab", others) == expected


def test_a_share_is_a_root(monkeypatch):
    monkeypatch.setattr(entry, "absolute_path", PureWindowsPath)
    assert entry.portable_path(r"\\server\lab\b\s.tif", r"\\server\lab") == "b/s.tif"


def test_a_member_on_another_drive_keeps_its_whole_path(monkeypatch, make_artifact, tmp_path):
    def fail(path, start):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    model = make_artifact()
    monkeypatch.setattr(fit_ensemble.os.path, "relpath", fail)
    assert fit_ensemble._relative_file(str(model), tmp_path) == model.resolve().as_posix()


def test_the_workflow_covers_systems_pythons_and_dependencies():
    text = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    matrix, floors = (jobs[job]["strategy"]["matrix"] for job in ("tests", "floors"))
    assert {system.partition("-")[0] for system in matrix["os"]} == {"ubuntu", "macos", "windows"}
    assert matrix["python"] == ["3.11", "3.12", "3.13", "3.14"]
    # Those have the newest dependencies; the oldest ones have a job of their own.
    assert {system.partition("-")[0] for system in floors["os"]} == {"ubuntu", "windows"}
    commands = [step.get("run", "") for step in jobs["floors"]["steps"]]
    assert "python .ci/floors.py ${{ matrix.option }}" in commands
    assert floors["option"] == ["", "--apart"]
