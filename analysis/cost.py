"""What a model costs: parameters, operations, file, speed and memory of the network stage."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from ..runtime.artifact import Artifact, Ensemble, read_model
from ..runtime.errors import EnvironmentProblem
from ..runtime.session import Session

ROUNDS = 7
SECONDS = 0.3  # about what a model runs in a round
BATCHES = 4  # that the memory is measured over
# In a fresh process, so that nothing but the model and onnxruntime is in the figure.
_MEMORY = """
import sys
import numpy as np
from cfzoo.runtime.model import read_model
from cfzoo.runtime.session import Session
threads, batch_size, batches = map(int, sys.argv[2:])
members = read_model(sys.argv[1]).members
sessions = [Session(m.artifact, "cpu", threads or None, batch_size) for m in members]
for _ in range(batches):
    for session in sessions:
        session.run(np.ones((batch_size, *session.cube_shape), np.float32))
if sys.platform == "linux":  # the rusage of a child holds its parent's peak, too
    status = open("/proc/self/status").read()
    print(int(status.partition("VmHWM:")[2].split()[0]) / 1024)
elif sys.platform == "darwin":
    import resource
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


@dataclass(frozen=True)
class Cost:
    """Figures of one model; speed and memory are of the network alone, without reading cubes.

    Attributes
    ----------
    parameters : int
    mflop : float
        Millions of floating-point operations a candidate; a multiplication and an addition are two.
    file_mb : float
        MB, 10^6 bytes; of an ensemble, of all members.
    points_per_s : dict
        Candidates a second: median (``value``), least (``low``) and most (``high``) of the rounds.
    peak_mb : float or None
        Resident memory of a process that does nothing else, on the CPU; MiB, 2^20 bytes. None
        where the system does not tell.
    """

    parameters: int
    mflop: float
    file_mb: float
    points_per_s: dict[str, float]
    peak_mb: float | None


def costs(
    models: Mapping[str, str],
    *,
    device: str = "auto",
    threads: int | None = None,
    batch_size: int = 32,
    say: Callable[[str], object] = lambda text: None,
) -> dict[str, Cost]:
    """Costs of models on this computer.

    The models take turns, round by round: what else the computer does then slows them all.

    Parameters
    ----------
    models : mapping
        Name -> file of an artifact or ensemble, or a bundled name.

    Raises
    ------
    InputError, ArtifactError, EnvironmentProblem
        A model cannot be found, verified or run, or its memory not be measured.
    """
    read = {name: read_model(model) for name, model in models.items()}
    runs = {name: _runner(model, device, threads, batch_size) for name, model in read.items()}
    rates: dict[str, list[float]] = {name: [] for name in runs}
    repeats = {name: max(1, round(SECONDS / _seconds(run, 1))) for name, run in runs.items()}
    for number in range(ROUNDS):
        say(f"speed, round {number + 1} of {ROUNDS}")
        for name, run in runs.items():
            rates[name].append(repeats[name] * batch_size / _seconds(run, repeats[name]))
    del runs
    found = {}
    for name, model in read.items():
        say(f"memory of {name}")
        artifacts = [member.artifact for member in model.members]
        rate = rates[name]
        found[name] = Cost(
            parameters=sum(a.parameters for a in artifacts),
            mflop=sum(map(flop, artifacts)) / 1e6,
            file_mb=sum(len(a.model) for a in artifacts) / 1e6,
            points_per_s={
                "value": float(np.median(rate)),
                "low": min(rate),
                "high": max(rate),
            },
            peak_mb=_peak(models[name], threads, batch_size),
        )
    return found


def _runner(model: Ensemble, device: str, threads: int | None, batch_size: int):
    """Something to call that runs one batch through all members; already warm."""
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


def _peak(model: str, threads: int | None, batch_size: int) -> float | None:
    words = [sys.executable, "-c", _MEMORY, str(model), threads or 0, batch_size, BATCHES]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it was killed"])[-1]
        raise EnvironmentProblem(f"The memory of {model} could not be measured: {reason}")
    return float(done.stdout) if done.stdout.strip() else None


def flop(artifact: Artifact) -> int:
    """Floating-point operations for one cube, of convolutions and matrix products.

    All else that such networks do is less than a few per cent of it.
    """
    model = onnx.ModelProto.FromString(artifact.model_with_maps())
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1  # a batch of one
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        shapes[value.name] = tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
    return sum(_flop_of(node, shapes) for node in graph.node)


def _flop_of(node: Any, shapes: Mapping[str, tuple[int, ...]]) -> int:
    if node.op_type == "Conv":  # weights (out, in / groups, z, y, x) at each voxel of the output
        weights, output = shapes[node.input[1]], shapes[node.output[0]]
        return 2 * int(np.prod(output)) * int(np.prod(weights[1:]))
    if node.op_type == "ConvTranspose":  # weights (in, out / groups, z, y, x), of the input
        source, weights = shapes[node.input[0]], shapes[node.input[1]]
        return 2 * int(np.prod(source)) * int(np.prod(weights[1:]))
    if node.op_type in ("MatMul", "Gemm"):
        a, output = shapes[node.input[0]], shapes[node.output[0]]
        transposed = any(f.name == "transA" and f.i for f in node.attribute)
        return 2 * int(np.prod(output)) * a[0 if transposed else -1]
    return 0
