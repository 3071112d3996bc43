"""Costs of a model: parameters, operations, file size, speed and memory of its network."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from ..runtime.artifact import Artifact, Ensemble
from ..runtime.errors import EnvironmentProblem
from ..runtime.session import Session

ROUNDS = 7
SECONDS = 0.3  # of each round, roughly, for each model
BATCHES = 4  # run while the memory is measured
# A fresh process holds nothing but the model and onnxruntime. It reads the model's file again: a
# model handed over would be counted twice.
_MEMORY = """
import sys
import numpy as np
from cfzoo.runtime.artifact import read_model
from cfzoo.runtime.session import Session
threads, batch_size, batches = map(int, sys.argv[2:])
members = read_model(sys.argv[1]).members
sessions = [Session(m.artifact, "cpu", threads or None, batch_size) for m in members]
for _ in range(batches):
    for session in sessions:
        session.run(np.ones((batch_size, *session.cube_shape), np.float32))
if sys.platform == "linux":  # the rusage of a child includes its parent's peak
    status = open("/proc/self/status", encoding="utf-8").read()
    print(int(status.partition("VmHWM:")[2].split()[0]) / 1024)
elif sys.platform == "darwin":
    import resource
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


@dataclass(frozen=True)
class Cost:
    """Costs of one model; speed and memory are those of the network, without reading cubes.

    Attributes
    ----------
    parameters : int
    mflop : float
        Millions of floating-point operations per candidate; a multiplication and an addition are
        two.
    file_mb : float
        File size in MB, 10^6 bytes; the sum over the members of an ensemble.
    points_per_s : dict
        Candidates per second: median (``value``), minimum (``low``) and maximum (``high``) of the
        rounds.
    peak_mb : float or None
        Resident memory of a process that does nothing else, on the CPU; MiB, 2^20 bytes. None if
        the system does not report it.
    """

    parameters: int
    mflop: float
    file_mb: float
    points_per_s: dict[str, float]
    peak_mb: float | None


def measure_costs(
    models: Mapping[str, Ensemble],
    files: Mapping[str, str],
    *,
    device: str = "auto",
    threads: int | None = None,
    batch_size: int = 32,
    say: Callable[[str], object] = lambda text: None,
) -> dict[str, Cost]:
    """Measure what models cost on this computer.

    The models take turns, round by round, so that other work on the computer slows them all alike.

    Parameters
    ----------
    models : mapping of str to Ensemble
    files : mapping of str to str
        Name -> file of the artifact or ensemble, or its bundled name, for the process that
        measures memory.

    Raises
    ------
    InputError, ArtifactError, EnvironmentProblem
        A model cannot be run, or its memory cannot be measured.
    """
    runs = {name: _make_run(model, device, threads, batch_size) for name, model in models.items()}
    rates: dict[str, list[float]] = {name: [] for name in runs}
    repeats = {name: max(1, round(SECONDS / _seconds(run, 1))) for name, run in runs.items()}
    for number in range(ROUNDS):
        say(f"speed, round {number + 1} of {ROUNDS}")
        for name, run in runs.items():
            rates[name].append(repeats[name] * batch_size / _seconds(run, repeats[name]))
    del runs
    costs = {}
    for name, model in models.items():
        say(f"memory of {name}")
        artifacts = [member.artifact for member in model.members]
        rate = rates[name]
        costs[name] = Cost(
            parameters=sum(a.parameters for a in artifacts),
            mflop=sum(map(count_flop, artifacts)) / 1e6,
            file_mb=sum(len(a.model) for a in artifacts) / 1e6,
            points_per_s={
                "value": float(np.median(rate)),
                "low": min(rate),
                "high": max(rate),
            },
            peak_mb=_measure_peak(files[name], threads, batch_size),
        )
    return costs


def _make_run(
    model: Ensemble, device: str, threads: int | None, batch_size: int
) -> Callable[[], None]:
    """Make a function that runs one batch through all members, and run it once to warm up."""
    sessions = [Session(m.artifact, device, threads, batch_size) for m in model.members]
    rng = np.random.default_rng(0)
    batches = [
        rng.normal(1000, 100, (batch_size, *s.cube_shape)).astype(np.float32) for s in sessions
    ]

    def run() -> None:
        for session, batch in zip(sessions, batches, strict=True):
            session.run(batch)

    run()
    return run


def _seconds(run: Callable[[], None], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return time.perf_counter() - start


def _measure_peak(file: str, threads: int | None, batch_size: int) -> float | None:
    command = [sys.executable, "-c", _MEMORY, str(file), threads or 0, batch_size, BATCHES]
    process = subprocess.run(list(map(str, command)), capture_output=True, encoding="utf-8")
    if process.returncode:
        reason = (process.stderr.strip().splitlines() or ["the process was killed"])[-1]
        raise EnvironmentProblem(f"The memory of {file} could not be measured: {reason}")
    return float(process.stdout) if process.stdout.strip() else None


def count_flop(artifact: Artifact) -> int:
    """Count the floating-point operations of convolutions and matrix products for one cube.

    Everything else in these networks is at most a few per cent of that.
    """
    model = onnx.ModelProto.FromString(artifact.model_with_maps())
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1  # a batch of one
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        shapes[value.name] = tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
    return sum(_node_flop(node, shapes) for node in graph.node)


def _node_flop(node: Any, shapes: Mapping[str, tuple[int, ...]]) -> int:
    if node.op_type == "Conv":  # weights (out, in / groups, z, y, x), at each output voxel
        weights, output = shapes[node.input[1]], shapes[node.output[0]]
        return 2 * int(np.prod(output)) * int(np.prod(weights[1:]))
    if node.op_type == "ConvTranspose":  # weights (in, out / groups, z, y, x), at each input voxel
        source, weights = shapes[node.input[0]], shapes[node.input[1]]
        return 2 * int(np.prod(source)) * int(np.prod(weights[1:]))
    if node.op_type in ("MatMul", "Gemm"):
        a, output = shapes[node.input[0]], shapes[node.output[0]]
        transposed = any(field.name == "transA" and field.i for field in node.attribute)
        return 2 * int(np.prod(output)) * a[0 if transposed else -1]
    return 0
