"""A process that has imported what tests need from others, and forks itself for every run of tests.

Most of a short run's time goes into imports of pytest, torch and napari; here they are imported
once. ``python fork_server.py MODULE ...`` imports the modules. Then it reads runs from standard
input, one line of JSON each, and answers with the exit code of pytest as a line.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path


class ForkServer:
    """The process, seen from the outside; a context that ends it. It forks, so not on Windows.

    Parameters
    ----------
    modules : sequence of str
        Modules to import, none of them of the package that is tested.
    folder : path
        Folder that holds the package; the runs write there what they print.
    """

    def __init__(self, modules, folder: Path):
        self.package = folder / "cfzoo"
        self.printed = folder / "printed.txt"
        env = os.environ | {"PYTHONPATH": str(folder)}
        self.process = subprocess.Popen(
            [sys.executable, __file__, *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self.package,
            env=env,
            text=True,
            start_new_session=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:  # a run that hangs
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process.stdout.close()

    def run(self, tests) -> tuple[int, str]:
        """Run pytest on some tests, paths from the package's folder, up to the first that fails.

        Returns
        -------
        (int, str)
            Exit code, and what was printed.
        """
        words = ["-xq", "-p", "no:cacheprovider", *tests]
        self.process.stdin.write(json.dumps({"words": words, "printed": str(self.printed)}) + "\n")
        self.process.stdin.flush()
        code = self.process.stdout.readline()
        assert code, "the process that runs tests has ended"
        return int(code), self.printed.read_text()


def serve(modules) -> None:
    for module in modules:
        importlib.import_module(module)
    assert threading.active_count() == 1  # a fork has no other thread
    assert "cfzoo" not in sys.modules
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            run_here(**json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def run_here(words, printed) -> None:
    """Run pytest in this process and end it."""
    code = 70
    try:
        file = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        null = os.open(os.devnull, os.O_RDONLY)
        for old, new in ((null, 0), (file, 1), (file, 2)):
            os.dup2(old, new)
        import pytest

        code = int(pytest.main(words))
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1:])
