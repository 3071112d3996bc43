"""Faults of disk, process and folder during `cfzoo classify`, and the same command after them."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from cfzoo.cli import main
from cfzoo.runtime.claim import LOCK
from cfzoo.runtime.errors import EnvironmentProblem

NAMES = ["points.csv", "points.xml", "points.yml", "run.json"]
CLI = [sys.executable, "-c", "from cfzoo.cli import main; main()"]


@pytest.fixture(scope="module")
def failing_disk():
    from importlib.util import module_from_spec, spec_from_file_location
    from pathlib import Path

    file = Path(__file__).parent.parent / "failing_calls.py"
    spec = spec_from_file_location("failing_calls", file)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.FailingDisk


def read_results(folder):
    """Read the files of a folder; of run.json without its times and memory."""
    results = {path.name: path.read_bytes() for path in folder.iterdir()}
    if "run.json" in results:
        run = json.loads(results["run.json"])
        results["run.json"] = {
            k: v for k, v in run.items() if k not in ("started", "seconds", "memory")
        }
    return results


@pytest.mark.parametrize("remainder", range(6))
def test_any_failing_write_loses_nothing(cfzoo, spoilable_job, failing_disk, remainder):
    """A sixth of the calls each, with alternating errors; benchmarks/fuzz/writes.py takes all."""
    job = spoilable_job
    assert cfzoo(*job.arguments())[0] == 0
    expected = read_results(job.output)
    for path in job.output.iterdir():
        path.unlink()
    number = remainder
    while True:
        error = (errno.ENOSPC, errno.EIO, errno.EDQUOT)[number % 3]
        with failing_disk(job.output, number, error) as disk:
            code, _, err = cfzoo(*job.arguments())
        if len(disk.calls) <= number:
            break
        assert "Traceback" not in err and err.count("\n") == (1 if code else 0)
        visible = [path.name for path in job.output.glob("*") if path.name[0] != "."]
        call = disk.calls[number:]
        assert (code in (2, 4) and visible == []) or (code == 0 and sorted(visible) == NAMES), call
        if code:
            assert cfzoo(*job.arguments())[0] == 0, disk.calls[number]
            assert read_results(job.output) == expected
        for path in job.output.iterdir():
            path.unlink()
        number += 6
    assert number > 35  # the calls of a run
    assert code == 0


@pytest.fixture(scope="module")
def duration(job_files, tmp_path_factory):
    """Seconds of a run in a process of its own that nothing disturbs."""
    model, output = job_files / "linear-1.0.0.onnx", tmp_path_factory.mktemp("undisturbed") / "out"
    words = ["classify", "--model", model, "--voxel-size", 5, 2, 2, "-o", output]
    words += [job_files / "signal.tif", job_files / "points.xml"]
    begin = time.monotonic()
    assert subprocess.run([*CLI, *map(str, words)]).returncode == 0
    return time.monotonic() - begin


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_at_any_moment_ends_the_run_in_two_seconds(cfzoo, spoilable_job, duration, number):
    job, draw = spoilable_job, random.Random(number)
    words = [*CLI, *map(str, job.arguments())]
    assert cfzoo(*job.arguments())[0] == 0
    expected = read_results(job.output)
    for _ in range(3):
        for path in job.output.iterdir():
            path.unlink()
        job.output.rmdir()
        process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        while not job.output.exists():  # Python itself has started
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 0.7 * duration))
        process.send_signal(number)
        begin = time.monotonic()
        _, err = process.communicate()
        assert process.returncode in (128 + number, 0)
        assert time.monotonic() - begin < 2.5  # two, and the start of the interpreter's end
        assert "Traceback" not in err
        if process.returncode:
            assert err.strip().count("\n") == 0 and "Run it again." in err
            # Results that were published stay, with the lock that lets the same command go on.
            if job.output.exists():
                names = [path.name for path in job.output.iterdir()]
                assert sorted(name for name in names if name[0] != ".") == NAMES and LOCK in names
            assert cfzoo(*job.arguments())[0] == 0
        assert read_results(job.output) == expected


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    ("moment", "stops"),
    [
        ("runtime.claim.claimed_folder.discard", True),  # all is published
        ("cli.classify.summarise", True),
        ("cli._check_printed", True),
        ("cli.RunLog.close", False),
        ("runtime.claim.release_claims", False),
    ],
)
def test_a_signal_after_the_results_are_there(spoilable_job, number, moment, stops):
    """The run has succeeded, or the same command may be given again."""
    job = spoilable_job
    script = (
        "import signal, sys\nfrom pkgutil import resolve_name\nfrom cfzoo.cli import main\n"
        "path, number = sys.argv.pop(1), int(sys.argv.pop(1))\n"
        "owner, name = resolve_name(path.rpartition('.')[0]), path.rpartition('.')[2]\n"
        "call = getattr(owner, name)\n"
        "def interrupt(*words):\n"
        "    signal.raise_signal(number)\n"
        "    return call(*words)\n"
        "setattr(owner, name, interrupt)\n"
        "main()"
    )
    words = [f"cfzoo.{moment}", str(int(number)), *map(str, job.arguments())]
    run = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True)
    assert run.returncode == (128 + number if stops else 0), run.stderr
    assert "Traceback" not in run.stderr
    assert len(run.stderr.strip().splitlines()) == (1 if stops else 0)
    if stops:
        run = subprocess.run([*CLI, *map(str, job.arguments())], capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
    assert sorted(path.name for path in job.output.iterdir()) == NAMES


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_error_that_a_signal_causes_is_an_interruption(monkeypatch, number):
    """A library that is interrupted while it is imported raises an error of its own."""

    def verb(*_, **__):
        try:
            signal.raise_signal(number)
        except BaseException:
            raise EnvironmentProblem("numpy cannot be imported") from None

    monkeypatch.setattr("cfzoo.cli.group", verb)
    with pytest.raises(SystemExit) as end:
        main(["classify"])
    assert end.value.code == 128 + number


def test_a_run_that_a_signal_does_not_reach_is_ended(tmp_path):
    """A library that holds the main thread defers Python's handlers."""
    script = (
        "import signal, sys, time\nfrom pathlib import Path\n"
        "from cfzoo.cli import _end\nfrom cfzoo.cli.terminal import handle_signals\n"
        "from cfzoo.runtime.claim import claim_folder\n"
        "with handle_signals(_end), claim_folder(Path(sys.argv[1])) as claim:\n"
        "    (claim.open_part() / 'a').write_text('')\n"
        "    while True:\n"
        "        try: print('ready', flush=True); time.sleep(60)\n"
        "        except BaseException: pass\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "o")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    begin = time.monotonic()
    _, err = process.communicate()
    assert 1 < time.monotonic() - begin < 2.5
    assert (process.returncode, err) == (143, "Error: terminated. Run it again.\n")
    assert not (tmp_path / "o").exists()


def test_a_killed_run_is_repeated_without_overwrite(cfzoo, spoilable_job):
    job = spoilable_job
    words = [*CLI, *map(str, job.arguments())]
    assert cfzoo(*job.arguments())[0] == 0
    expected = read_results(job.output)
    for moment in ("claimed", "writing", "published"):
        for path in job.output.iterdir():
            path.unlink()
        process = subprocess.Popen(words)
        pattern = {"claimed": ".cfzoo.lock", "writing": ".cfzoo-*.part", "published": "run.json"}
        while not list(job.output.glob(pattern[moment])):
            assert process.poll() is None
        process.kill()
        assert process.wait() == -9
        assert list(job.output.iterdir())
        assert cfzoo(*job.arguments())[0] == 0
        assert read_results(job.output) == expected
    code, _, err = cfzoo(*job.arguments())
    assert code == 2 and "already holds" in err


def test_two_runs_into_one_folder(cfzoo, spoilable_job, monkeypatch):
    from cfzoo.cli import classify

    job, codes, write = spoilable_job, [], classify.write_run

    def run_again(*args):
        codes.append(cfzoo(*job.arguments()))
        codes.append(cfzoo(*job.arguments(), "--overwrite"))
        write(*args)

    monkeypatch.setattr(classify, "write_run", run_again)
    assert cfzoo(*job.arguments())[0] == 0
    for code, _, err in codes:
        assert code == 2
        assert f"Another run is writing to {job.output}: process {os.getpid()} on " in err
    assert sorted(path.name for path in job.output.iterdir()) == NAMES


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", [[], ["--overwrite"]])
def test_a_broken_link_in_the_folder_is_refused(cfzoo, spoilable_job, name, options):
    job = spoilable_job
    job.output.mkdir()
    (job.output / name).symlink_to("none/there")
    code, _, err = cfzoo(*job.arguments(), *options)
    assert code == 2 and err.count("\n") == 1 and name in err
    assert [path.name for path in job.output.iterdir()] == [name]


@pytest.mark.parametrize("change", ["remove", "replace"])
def test_a_folder_that_vanishes_during_the_run(cfzoo, spoilable_job, monkeypatch, change):
    from cfzoo.cli import classify

    job, run = spoilable_job, classify.run

    def vanish(*args):
        (job.output / ".cfzoo.lock").unlink()
        job.output.rmdir()
        if change == "replace":
            job.output.write_text("a file")
        return run(*args)

    monkeypatch.setattr(classify, "run", vanish)
    code, _, err = cfzoo(*job.arguments())
    assert "Traceback" not in err
    if change == "remove":  # the results are worth a folder
        assert code == 0 and sorted(path.name for path in job.output.iterdir()) == NAMES
    else:
        assert code == 2 and err.count("\n") == 1 and job.output.read_text() == "a file"


def test_a_removed_working_folder_is_an_input_error(job_files, tmp_path):
    (tmp_path / "gone").mkdir()
    script = "import os; os.rmdir(os.getcwd()); from cfzoo.cli import main; main()"
    words = [
        "classify",
        job_files / "signal.tif",
        job_files / "points.xml",
        "--voxel-size",
        5,
        2,
        2,
    ]
    command = [sys.executable, "-c", script, *map(str, words)]
    run = subprocess.run(command, cwd=tmp_path / "gone", capture_output=True, text=True)
    assert run.returncode == 2 and run.stderr.count("\n") == 1, run.stderr
