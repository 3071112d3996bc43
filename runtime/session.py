"""One onnxruntime session: the provider asked for, threads, fixed batches, no telemetry."""

import os
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

import numpy as np

from .artifact import INPUT, OUTPUT, TEST_TOLERANCE, Artifact
from .errors import ArtifactError, EnvironmentProblem, InputError

DEVICES = ("auto", "cpu", "cuda")
_BUILDS = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-directml",
    "onnxruntime-openvino",
    "onnxruntime-qnn",
    "onnxruntime-training",
)
_INSTALL = "pip install 'cfzoo[cpu]' (or 'cfzoo[gpu]' on a machine with an NVIDIA GPU)"


def installed_builds() -> dict[str, str]:
    """Distributions that bring an ``onnxruntime`` folder, with their versions."""
    # Asked by name: searching all installed packages for the folder takes a second.
    found = {}
    for name in _BUILDS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def load_onnxruntime() -> ModuleType:
    """Import onnxruntime with its telemetry off.

    Its wheels from 1.29 on queue events (graph name, OS, CPU) and write a device id unless
    ``ORT_DISABLE_TELEMETRY`` is set before the import.

    Raises
    ------
    EnvironmentProblem
        None is installed, or the CPU and the GPU build are and overwrite each other.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    builds = installed_builds()
    if len(builds) > 1:
        raise EnvironmentProblem(
            f"{' and '.join(builds)} are installed into one folder and break each other. Run "
            f"pip uninstall -y {' '.join(builds)}, then {_INSTALL}."
        )
    try:
        import onnxruntime
    except ImportError as error:
        raise EnvironmentProblem(f"onnxruntime cannot be imported ({error}): {_INSTALL}.") from None
    return onnxruntime


def available_threads() -> int:
    """CPU threads that this process may use: SLURM's grant, else the affinity mask."""
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:  # macOS and Windows
        allowed = os.cpu_count() or 1
    slurm = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return min(allowed, int(slurm)) if slurm.isdecimal() and int(slurm) else allowed


class Session:
    """A network ready to run; safe to share between threads, not across a fork.

    Parameters
    ----------
    artifact : Artifact
        Verified; onnxruntime is given its bytes, not a path.
    device : str
        ``cpu``, ``cuda``, or ``auto``: CUDA where it loads, else the CPU.
    threads : int, optional
        CPU threads; as many as the process may use when None.
    batch_size : int
        Cubes a run. It stays fixed, the last batch is padded: results then do not depend on
        how points fall into batches, and CUDA does not tune its convolutions anew.
    maps : sequence of str
        Those of `artifact.MAPS` that `explain` is to give; each takes time.

    Raises
    ------
    InputError
        A map is asked for that the artifact does not give.
    EnvironmentProblem
        The device asked for does not load, or onnxruntime cannot run the model.
    """

    def __init__(
        self,
        artifact: Artifact,
        device: str = "auto",
        threads: int | None = None,
        batch_size: int = 32,
        maps: Sequence[str] = (),
    ):
        if device not in DEVICES:
            raise InputError(f"The device is {device!r}; expected one of {', '.join(DEVICES)}.")
        if batch_size < 1 or (threads is not None and threads < 1):
            raise InputError(
                f"The batch size is {batch_size} and the threads are {threads}; "
                "both must be at least 1."
            )
        if missing := [name for name in maps if name not in artifact.maps]:
            raise InputError(
                f"{artifact.source} does not give {missing[0]!r}; it gives "
                f"{', '.join(artifact.maps) or 'no maps'}."
            )
        self.maps = tuple(maps)
        self.batch_size = batch_size
        self.threads = threads or available_threads()
        self._source = artifact.source
        self.cube_shape = artifact.test_cube.shape[1:]
        ort = load_onnxruntime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 4  # what matters comes as an exception or is checked here
        wanted = "CPUExecutionProvider"
        if device != "cpu" and "CUDAExecutionProvider" in ort.get_available_providers():
            wanted = "CUDAExecutionProvider"
            ort.preload_dlls()
        elif device == "cuda":
            raise EnvironmentProblem(
                "CUDA was asked for, but this onnxruntime has only "
                f"{', '.join(ort.get_available_providers())}. Install the GPU build "
                "(pip uninstall onnxruntime, then pip install 'cfzoo[gpu]') or use --device cpu."
            )
        model = artifact.giving(maps)
        try:
            self._session = ort.InferenceSession(model, options, providers=[wanted])
        except Exception as error:  # onnxruntime's exceptions share no base of their own
            raise EnvironmentProblem(
                f"onnxruntime {ort.__version__} cannot load {artifact.source}: {_first_line(error)}"
            ) from None
        self.library_version: str = ort.__version__
        self.provider: str = self._session.get_providers()[0]
        if device == "cuda" and self.provider != wanted:
            raise EnvironmentProblem(
                f"CUDA was asked for, but onnxruntime fell back to {self.provider}. "
                "`cfzoo doctor` shows why; --device cpu runs without it."
            )

    def run(self, cubes: np.ndarray) -> np.ndarray:
        """Probabilities of up to ``batch_size`` cubes.

        Parameters
        ----------
        cubes : (n, C, z, y, x) float32
            Raw intensities on the card's grid.

        Returns
        -------
        (n, 2) float32
            No cell, cell. NaN where a cube holds NaN.
        """
        return self._run(cubes, [OUTPUT])[0]

    def explain(self, cubes: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Probabilities of up to ``batch_size`` cubes, and what they are made of.

        Parameters
        ----------
        cubes : (n, C, z, y, x) float32
            As for `run`.

        Returns
        -------
        (n, 2) float32
            No cell, cell.
        dict of (n, z, y, x) float32
            The session's maps, on the card's grid. ``grad_cam``: Grad-CAM of the margin, the
            logit of a cell less that of no cell; ``relevance``: gradient times what the network
            sees of a voxel. Positive where the cube speaks for a cell, negative where against;
            in logits up to a factor of the model.
        """
        probability, *maps = self._run(cubes, [OUTPUT, *self.maps])
        return probability, dict(zip(self.maps, maps, strict=True))

    def _run(self, cubes: np.ndarray, outputs: list[str]) -> list[np.ndarray]:
        n = len(cubes)
        if n > self.batch_size or cubes.shape[1:] != self.cube_shape:
            raise InputError(
                f"The batch is {cubes.shape}; expected up to {self.batch_size} cubes "
                f"of {self.cube_shape}."
            )
        if n < self.batch_size:
            padding = np.zeros((self.batch_size - n, *self.cube_shape), np.float32)
            cubes = np.concatenate([cubes, padding])
        try:
            found = self._session.run(outputs, {INPUT: np.ascontiguousarray(cubes)})
        except Exception as error:  # as above
            raise EnvironmentProblem(
                f"onnxruntime failed on a batch of {self.batch_size} cubes "
                f"({_first_line(error)}). If memory ran out, give a smaller --batch-size."
            ) from None
        output = found[0]
        # NaN passes: it comes from NaN in the data, and is not a label.
        if output.shape != (self.batch_size, 2) or np.any((output < 0) | (output > 1)):
            raise ArtifactError(
                f"{self._source} gave {output.shape} for {self.batch_size} cubes, from "
                f"{output.min():.3g} to {output.max():.3g}; expected two probabilities a cube."
            )
        expected = (self.batch_size, *self.cube_shape[1:])
        if wrong := [values.shape for values in found[1:] if values.shape != expected]:
            raise ArtifactError(f"{self._source} gave a map of {wrong[0]}; expected {expected}.")
        return [values[:n] for values in found]

    def check(self, artifact: Artifact) -> float:
        """Run the artifact's test vector, first and last in a batch.

        Returns
        -------
        float
            The largest difference from what the artifact says it must give.

        Raises
        ------
        EnvironmentProblem
            It is above the tolerance: this computer computes something else.
        """
        cubes = np.zeros((self.batch_size, *self.cube_shape), np.float32)
        cubes[[0, -1]] = artifact.test_cube
        error = float(np.abs(self.run(cubes)[[0, -1]] - artifact.test_output).max())
        if not error <= TEST_TOLERANCE:
            raise EnvironmentProblem(
                f"On this computer ({self.provider}) {artifact.source} gives probabilities "
                f"{error:.2g} away from its own test vector; at most {TEST_TOLERANCE} is "
                "accepted. Try --device cpu, or another version of onnxruntime."
            )
        return error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
