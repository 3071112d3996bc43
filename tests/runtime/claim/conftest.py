"""Claims that another process holds, has finished or was killed in."""

import os
import signal
import time

import pytest

from cfzoo.runtime.claim import claim_folder, claimed_folder

NAMES = ("a.csv", "b.csv", "run.json")


def claim_and_die(folder, moment, overwrite, pipe):
    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    move, count = claimed_folder.move, [int(moment[5:]) if moment.startswith("move") else -1]

    def move_some(*args):
        if not count[0]:
            die()
        count[0] -= 1
        move(*args)

    claimed_folder.move = move_some
    with claim_folder(folder, NAMES, overwrite) as output:
        os.write(pipe, b"c")
        if moment == "claim":
            die()
        if moment == "wait":
            time.sleep(60)
        for name in NAMES:
            (output.open_part() / name).write_text(f"{name} of the other run")
        if moment == "part":
            die()
        output.publish()
        if moment == "publish":
            die()


@pytest.fixture
def other_run():
    """Call it with (folder, moment) for a process that claims a folder; returns its number.

    It is killed at ``claim``, ``part``, ``move N`` (before its move N, from 0) or ``publish``; at
    ``wait`` it is left to wait, and at ``end`` it has ended.
    """
    waiting = []

    def start(folder, moment, overwrite=False):
        reader, writer = os.pipe()
        process = os.fork()
        if not process:
            try:
                claim_and_die(folder, moment, overwrite, writer)
                os._exit(0)
            finally:
                os._exit(1)
        os.close(writer)
        assert os.read(reader, 1) == b"c"
        os.close(reader)
        if moment == "wait":
            waiting.append(process)
        else:
            code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
            assert code == (0 if moment == "end" else -signal.SIGKILL)
        return process

    yield start
    for process in waiting:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
