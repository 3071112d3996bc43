"""Standard streams that are closed, broken, full, or short of characters."""

import io
import os
import subprocess
import sys

import pytest

from cfzoo.cli.terminal import echo, escape, output_error, safe_streams
from cfzoo.runtime.sample import write_sample

CLI = [sys.executable, "-c", "from cfzoo.cli import main; main()"]
NAME = "brän \udcff\x1b[2J\u202e\n1"  # no UTF-8, a code that clears the screen, right to left


@pytest.fixture
def stream_of(monkeypatch):
    """Call it with an encoding for a standard output of that code page."""

    def make(encoding):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
        monkeypatch.setattr(sys, "stdout", stream)
        return stream

    return make


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("utf-8", "brän \\udcff\\u001b[2J\\u202e\n1\n"),
        ("ascii", "br\\u00e4n \\udcff\\u001b[2J\\u202e\n1\n"),
        ("cp1252", "brän \\udcff\\u001b[2J\\u202e\n1\n"),
        ("shift_jis", "br\\u00e4n \\udcff\\u001b[2J\\u202e\n1\n"),
    ],
)
def test_what_a_console_lacks_is_escaped(stream_of, encoding, expected):
    stream = stream_of(encoding)
    with safe_streams():
        echo(NAME)
        print("µ😀", end="")  # as tqdm and warnings write
    text = stream.buffer.getvalue().decode(encoding)
    assert text.startswith(expected)
    assert encoding == "utf-8" or "\\ud83d\\ude00" in text
    assert sys.stdout is stream


def test_a_name_stays_on_one_line():
    assert escape("a\nb\tc d") == "a\\u000ab\\u0009c d"


@pytest.mark.parametrize("state", ["none", "closed", "broken", "full"])
def test_a_stream_that_fails_is_silent(monkeypatch, state):
    def fail(*_):
        raise BrokenPipeError if state == "broken" else OSError(28, "No space left on device")

    stream = None
    if state != "none":
        stream = io.StringIO()
        monkeypatch.setattr(stream, "write", fail)
    if state == "closed":
        stream.close()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    with safe_streams():
        for err in (False, True):
            echo("text", err=err)
            echo("more", err=err)
        assert not sys.stderr.isatty()
        assert (output_error() is not None) == (state in ("closed", "full"))


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder / "s")
    return folder


def classify(sample, out, redirections="", **environment):
    """Run the command in a shell, as a user would."""
    words = " ".join(['"$0"', "-c", '"$1"', "classify s/signal.tif s/candidates.xml"])
    script = f'{words} --model pipnet3d -o "$2" {redirections}'
    return subprocess.run(
        ["sh", "-c", script, sys.executable, CLI[2], out],
        cwd=sample,
        env={**os.environ, **environment},
        capture_output=True,
    )


@pytest.mark.parametrize(
    "redirections",
    [
        ">&-",
        "2>&-",
        "<&- >&- 2>&-",
        "> /dev/full",
        "> /dev/full 2> /dev/full",
        "2>&1 | true",
        "| head -c 1",
        "-q 2>&-",
    ],
)
def test_results_do_not_depend_on_the_console(sample, tmp_path, redirections):
    out = tmp_path / "o"
    script = redirections if "|" in redirections else f"{redirections}; code=$?; exit $code"
    run = classify(sample, out, script)
    assert run.returncode == 0
    assert b"Traceback" not in run.stderr and b"Exception" not in run.stderr
    assert sorted(p.name for p in out.iterdir()) == [
        "points.csv",
        "points.xml",
        "points.yml",
        "run.json",
    ]
    assert (out / "points.csv").read_bytes().startswith(b"x,y,z,type,probability,flag\n")
    assert (out / "points.yml").read_bytes().startswith(b"CellCounter_Marker_File: true\n")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_folder_of_any_name_is_named(sample, tmp_path, encoding):
    out = os.fsencode(tmp_path) + b"/br\xc3\xa4n \xff\x1b[2J\n1"
    run = classify(sample, out, PYTHONIOENCODING=encoding, LANG="C", LC_ALL="C")
    assert run.returncode == 0
    assert b"\\udcff\\u001b[2J\\u000a1" in run.stdout
    assert run.stderr == b""
    again = classify(sample, out, PYTHONIOENCODING=encoding, LANG="C", LC_ALL="C")
    assert again.returncode == 2 and again.stderr.count(b"\n") == 1
    assert b"already holds" in again.stderr and b"\x1b" not in again.stderr


@pytest.mark.parametrize(
    ("words", "redirection", "code"),
    [
        ("inspect pipnet3d", "> /dev/full", 4),
        ("inspect pipnet3d --json", "> /dev/full", 4),
        ("inspect pipnet3d", ">&-", 0),
        ("inspect pipnet3d", "| true", 0),
        ("--help", "| true", 0),
        ("classify", "2>&-", 2),
        ("no-verb", "2> /dev/full", 2),
    ],
)
def test_what_is_printed_only_is_an_error_if_it_is_lost(tmp_path, words, redirection, code):
    script = f'"$0" -c "$1" {words} {redirection}'
    run = subprocess.run(
        ["sh", "-c", script, sys.executable, CLI[2]], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == code
    assert "Traceback" not in run.stderr and "Exception" not in run.stderr
    assert ("cannot be written (No space left on device)" in run.stderr) == (code == 4)


def test_a_closed_handle_does_not_let_messages_into_a_result(tmp_path):
    """Otherwise the first file to be opened gets number 2, and libraries write there."""
    script = (
        "import os, sys\nfrom cfzoo.cli.terminal import safe_streams\n"
        "with safe_streams(), open(sys.argv[1], 'w') as file:\n"
        "    print(file.fileno(), file=file, flush=True); os.write(2, b'a message of a library')"
    )
    command = ["sh", "-c", '"$0" -c "$1" "$2" 0<&- 1>&- 2>&-', sys.executable, script]
    subprocess.run([*command, tmp_path / "result"], check=True)
    assert int((tmp_path / "result").read_text()) > 2
