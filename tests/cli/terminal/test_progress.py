"""Progress without a terminal: lines with count, rate and time left."""

import io
import re
import sys
import time

import pytest

from cfzoo.cli.terminal import Progress, RunLog, progress

LINE = re.compile(
    r"\d+ of 299 points \(\d+%\) after \d+ s, [\d.e+]+ points/s, about \d+ (min \d+ )?s left"
)


@pytest.fixture
def fast_lines(monkeypatch):
    monkeypatch.setattr(progress, "FIRST", 0.005)
    monkeypatch.setattr(progress, "INTERVAL", 0.005)


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still unless it is set."""
    times = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: times[0])
    return times


def test_says_count_rate_and_time_left(clock):
    counter = Progress("points")
    counter.expect(100_000)
    assert counter.describe() == "0 of 100000 points after 0 s"
    clock[0] += 30  # to open the volume and load the network
    counter.update(1000)
    assert counter.describe().startswith("1,000 of 100,000 points (1%) after 30 s, 33.3 points/s")
    clock[0] += 60
    counter.update(12_000)  # 200/s, without the first batch
    assert counter.describe() == (
        "13,000 of 100,000 points (13%) after 1 min 30 s, 200 points/s, about 7 min 15 s left"
    )
    clock[0] += 7200
    assert "after 2 h 1 min" in counter.describe()


def test_the_total_may_come_with_the_first_batch(clock):
    counter = Progress("cubes")
    assert counter.describe() == "0 of ? cubes after 0 s"
    clock[0] += 2
    counter.update(10, 40)
    assert counter.describe() == "10 of 40 cubes (25%) after 2 s, 5 cubes/s, about 6 s left"


def test_a_step_is_named(clock):
    counter = Progress()
    counter.show_step("attention3d on brain")
    clock[0] += 61
    assert counter.describe() == "attention3d on brain, after 1 min 1 s"


def test_the_first_line_comes_after_ten_seconds_and_then_one_a_minute():
    assert (progress.FIRST, progress.INTERVAL) == (10, 60)


@pytest.mark.usefixtures("fast_lines")
def test_lines_appear_while_the_work_is_stuck(capsys):
    with Progress("points") as counter:
        counter.expect(5)
        time.sleep(0.2)
    assert capsys.readouterr().err.count("0 of 5 points after 0 s\n") > 2
    time.sleep(0.05)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("is_terminal", [True, False])
@pytest.mark.usefixtures("fast_lines")
def test_a_terminal_gets_a_bar_and_no_lines(monkeypatch, is_terminal):
    stream = io.StringIO()
    stream.isatty = lambda: is_terminal
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress("points") as counter:
        counter.expect(5)
        counter.update(5)
        time.sleep(0.05)
    assert ("5.00/5.00" in stream.getvalue()) == is_terminal
    assert ("5 of 5 points (100%)" in stream.getvalue()) != is_terminal


@pytest.mark.usefixtures("fast_lines")
@pytest.mark.parametrize("verb", ["classify", "cubes", "explain"])
def test_long_verbs_say_how_far_they_are(cfzoo, sample, tmp_path, verb):
    volume, points, *model = sample
    words = {"classify": model, "cubes": [], "explain": [*model, "--point", 1, "--no-torch"]}[verb]
    points = points.with_name("truth.xml") if verb == "cubes" else points
    code, _, err = cfzoo(verb, volume, points, *words, "-o", tmp_path / "o")
    assert code == 0
    unit = "cubes" if verb == "cubes" else "points"
    pattern = rf"[\d,?]+ of [\d,?]+ {unit}( \(\d+%\))? after"
    assert err and all(re.match(pattern, line) for line in err.splitlines())
    quiet = cfzoo(verb, volume, points, *words, "-o", tmp_path / "p", "-q")
    assert quiet == (0, "", "")


@pytest.mark.usefixtures("fast_lines")
def test_the_lines_of_a_run_are_of_its_points(cfzoo, sample, tmp_path):
    _, _, err = cfzoo("classify", *sample, "-o", tmp_path / "o", "--batch-size", 1)
    assert any(LINE.fullmatch(line) for line in err.splitlines())
    assert not RunLog.is_open()
