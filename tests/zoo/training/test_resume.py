"""A training that is killed repeatedly gives the bytes of one that is not.

SIGKILL goes to a forked child of a process that has only imported torch, so that the kills hit the
training and not the seconds of imports.
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
PARENT = f"""
import os, sys, time, traceback
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
import dataclasses
from pathlib import Path
import numpy as np
import torch
from conftest import labelled_cubes
from cfzoo.zoo.recipe import Recipe
from cfzoo.zoo.training import (
    RunFolder, Start, TrainingPlan, choose_hardware, describe_training, silence_lightning,
    train_in_folder,
)
from cfzoo.zoo.training.lightning_module import TrainingModule

def train(path):
    torch.set_num_threads(1)
    silence_lightning()
    fsync, on_train_batch_end = os.fsync, TrainingModule.on_train_batch_end

    def slow_fsync(handle):  # a slow disk, so that kills find files half written
        fsync(handle)
        time.sleep(0.02)

    def count_step(self, outputs, batch, batch_idx):
        on_train_batch_end(self, outputs, batch, batch_idx)
        with open(path / "steps", "a") as file:
            print(self.current_epoch, batch_idx, file=file)

    os.fsync, TrainingModule.on_train_batch_end = slow_fsync, count_step
    recipe = Recipe(cube_shape=(4, 8, 8), voxel_size=(6, 6, 6), epochs={EPOCHS}, steps={STEPS},
                    batch_size=8, ema=0.9)
    *cubes, unseen = (labelled_cubes(recipe, 40, seed, f"brain{{seed}}") for seed in range(3))
    wrong = np.random.default_rng(0).random(40) < 0.4
    labels = np.where(wrong, 1 - unseen.labels, unseen.labels)
    validation = [dataclasses.replace(unseen, labels=labels)]
    folder, hardware = RunFolder(path, "plain3d-1.0.0"), choose_hardware("cpu")
    description = describe_training(recipe, 0, cubes, validation, "", hardware)
    folder.claim(description, overwrite=False)
    train_in_folder(TrainingPlan(
        Start(recipe), 0, cubes, validation, hardware, folder, recipe.card(), description))

for line in sys.stdin:
    child = os.fork()
    if not child:
        try:
            train(Path(line.strip()))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture
def parent():
    command = [sys.executable, "-c", PARENT]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        yield process
        process.stdin.close()


def start_training(parent, folder: Path) -> int:
    """Start a process that trains in ``folder``, and return its number."""
    print(folder, file=parent.stdin, flush=True)
    return int(parent.stdout.readline())


def read_steps(folder: Path) -> list[str]:
    path = folder / "steps"
    return path.read_text().splitlines() if path.exists() else []


def list_parts(folder: Path) -> list[Path]:
    return [*(folder / "checkpoints").glob(".cfzoo-*.part")]


def wait_for(condition) -> None:
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit, "training makes no progress"
        time.sleep(0.0005)


@pytest.mark.slow
def test_ten_kills_change_no_byte(parent, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    start_training(parent, whole)
    assert parent.stdout.readline() == "0\n"
    assert len(read_steps(whole)) == EPOCHS * STEPS

    rng = random.Random(0)
    kills_while_writing = 0
    for kill in range(10):
        before = len(read_steps(killed))
        process = start_training(parent, killed)
        if kill % 2:  # at any moment of a few steps
            steps = before + rng.randint(1, STEPS + 1)
            wait_for(lambda n=steps: len(read_steps(killed)) >= n)
            time.sleep(rng.uniform(0, 0.03))
        else:  # while a checkpoint is written
            wait_for(lambda n=before: len(read_steps(killed)) > n and list_parts(killed))
        os.kill(process, signal.SIGKILL)
        assert parent.stdout.readline() == f"{-signal.SIGKILL}\n"
        assert len(read_steps(killed)) > before, "killed before it trained"
        kills_while_writing += bool(list_parts(killed))
    assert kills_while_writing >= 3
    start_training(parent, killed)
    assert parent.stdout.readline() == "0\n"

    assert len(read_steps(killed)) > EPOCHS * STEPS  # some steps were repeated
    assert not list_parts(killed)
    for name in ("checkpoints/best.safetensors", "checkpoints/last.ckpt", "metrics.csv"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    assert (killed / "metrics.csv").read_text().count("\n") == EPOCHS + 1
