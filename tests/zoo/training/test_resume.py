"""A training that is killed again and again gives the bytes of one that is not.

The kills are SIGKILL to a process of its own. Each is a fork of one that has imported torch and
nothing else, so that the kills land in the training and not in seconds of imports.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

EPOCHS, STEPS = 14, 4
NURSERY = f"""
import os, sys, time, traceback
sys.path.insert(0, {str(Path(__file__).parent)!r})
import dataclasses
from pathlib import Path
import numpy as np
import torch
from conftest import labelled_cubes
from cfzoo.zoo.recipe import Recipe
from cfzoo.zoo.run_folder import RunFolder, describe
from cfzoo.zoo.train import hardware, quiet, train_into
from cfzoo.zoo.training import Training

def work(folder):
    torch.set_num_threads(1)
    quiet()
    fsync, done = os.fsync, Training.on_train_batch_end

    def slow(handle):  # a slow disk, so that kills find files half written
        fsync(handle)
        time.sleep(0.02)

    def step(self, outputs, batch, batch_idx):
        done(self, outputs, batch, batch_idx)
        with open(folder / "steps", "a") as file:
            print(self.current_epoch, batch_idx, file=file)

    os.fsync, Training.on_train_batch_end = slow, step
    recipe = Recipe(cube_shape=(4, 8, 8), voxel_size=(6, 6, 6), epochs={EPOCHS}, steps={STEPS},
                    batch_size=8, ema=0.9)
    one, two, other = (labelled_cubes(recipe, 40, seed, f"brain{{seed}}") for seed in range(3))
    wrong = np.random.default_rng(0).random(40) < 0.4
    other = dataclasses.replace(other, labels=np.where(wrong, 1 - other.labels, other.labels))
    run, on = RunFolder(folder, "plain3d-1.0.0"), hardware("cpu")
    run.claim(describe(recipe, 0, [one, two], [other], "", on), overwrite=False)
    train_into(run, recipe, [one, two], [other], 0, recipe.card(), on=on)

for line in sys.stdin:
    child = os.fork()
    if not child:
        try:
            work(Path(line.strip()))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture
def nursery():
    command = [sys.executable, "-c", NURSERY]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        yield process
        process.stdin.close()


def begin(nursery, folder: Path) -> int:
    """Number of the process that trains in ``folder``."""
    print(folder, file=nursery.stdin, flush=True)
    return int(nursery.stdout.readline())


def steps(folder: Path) -> list[str]:
    path = folder / "steps"
    return path.read_text().splitlines() if path.exists() else []


def parts(folder: Path) -> list[Path]:
    return [*(folder / "checkpoints").glob(".cfzoo-*.part")]


def wait_for(what) -> None:
    limit = time.monotonic() + 60
    while not what():
        assert time.monotonic() < limit, "training does not move"
        time.sleep(0.0005)


@pytest.mark.slow
def test_ten_kills_change_no_byte(nursery, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    begin(nursery, whole)
    assert nursery.stdout.readline() == "0\n"
    assert len(steps(whole)) == EPOCHS * STEPS

    rng = random.Random(0)
    writing = 0
    for kill in range(10):
        before = len(steps(cut))
        process = begin(nursery, cut)
        if kill % 2:  # at any moment of a few steps
            more = rng.randint(1, STEPS + 1)
            wait_for(lambda n=before + more: len(steps(cut)) >= n)
            time.sleep(rng.uniform(0, 0.03))
        else:  # while a checkpoint is written
            wait_for(lambda n=before: len(steps(cut)) > n and parts(cut))
        os.kill(process, signal.SIGKILL)
        assert nursery.stdout.readline() == f"{-signal.SIGKILL}\n"
        assert len(steps(cut)) > before, "killed before it trained"
        writing += bool(parts(cut))
    assert writing >= 3
    begin(nursery, cut)
    assert nursery.stdout.readline() == "0\n"

    assert len(steps(cut)) > EPOCHS * STEPS  # some were done twice
    assert not parts(cut)
    for name in ("checkpoints/best.safetensors", "checkpoints/last.safetensors", "metrics.csv"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes(), name
    assert (cut / "metrics.csv").read_text().count("\n") == EPOCHS + 1
