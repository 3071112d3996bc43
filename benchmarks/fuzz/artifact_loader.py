"""A child process that loads models with onnxruntime and OpenVINO, and may die of it."""

import contextlib
import multiprocessing
import os
import resource
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

SECONDS = 20.0
MEMORY = 4 * 2**30  # bytes of address space beyond that of the libraries


class Loader:
    """Two child processes, one for each library; each is started again when it dies."""

    def __init__(self):
        self.children = {}

    def check(self, model: bytes) -> dict[str, str]:
        """Return what becomes of a model in each library: ``good``, or what went wrong."""
        verdicts = {}
        for library in ("onnxruntime", "openvino"):
            process, pipe = self._child(library)
            pipe.send_bytes(model)
            try:
                verdicts[library] = (
                    pipe.recv_bytes().decode() if pipe.poll(SECONDS) else f"hangs: {SECONDS} s"
                )
            except (EOFError, ConnectionResetError):
                process.join()
                verdicts[library] = f"crashes: exit code {process.exitcode}"
            if verdicts[library].startswith(("hangs", "crashes")):
                process.kill()
                process.join()
                del self.children[library]
        return verdicts

    def _child(self, library: str):
        if library not in self.children:
            context = multiprocessing.get_context("spawn")
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(library, theirs), daemon=True)
            process.start()
            theirs.close()
            self.children[library] = process, ours
        return self.children[library]


def _serve(library: str, pipe: Connection) -> None:
    run = {"onnxruntime": _run_onnxruntime, "openvino": _run_openvino}[library]
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    run(None)  # import
    size = (
        int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
        * resource.getpagesize()
    )
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    while True:
        with contextlib.suppress(EOFError):
            model = pipe.recv_bytes()
            try:
                run(model)
                verdict = "good"
            except Exception as error:
                verdict = f"raises: {type(error).__name__} {' '.join(str(error).split())[:400]}"
            pipe.send_bytes(verdict.encode())
            continue
        return


def _check(answers, n_cubes: int) -> None:
    assert answers.shape == (n_cubes, 2), f"shape {answers.shape} for {n_cubes} cubes"


def _cubes(n_cubes: int) -> np.ndarray:
    from artifact_seeds import SHAPE

    values = np.random.default_rng(n_cubes).integers(0, 4000, (n_cubes, *SHAPE))
    return values.astype(np.float32)


def _run_onnxruntime(model: bytes | None) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    if model is None:
        return
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    for n_cubes in (1, 3):
        _check(session.run(["probability"], {"cubes": _cubes(n_cubes)})[0], n_cubes)


def _run_openvino(model: bytes | None) -> None:
    import openvino

    global core
    if model is None:
        core = openvino.Core()
        return
    network = core.read_model(model=model)
    network.reshape({"cubes": [3, *_cubes(1).shape[1:]]})
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = core.compile_model(network, "CPU", options)
    _check(compiled(_cubes(3))["probability"], 3)
