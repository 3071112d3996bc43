"""Options of a classification; everything else is fixed by the model's card."""

from dataclasses import dataclass

from .errors import InputError

EDGES = ("pad", "drop")
OUTSIDE = ("auto", "flag", "refuse")


@dataclass(frozen=True)
class Options:
    """Options of a classification.

    Attributes
    ----------
    threshold : float, optional
        Smallest probability of a cell, between 0 and 1; if None, the card's.
    edges : str
        Treatment of points whose cube leaves the volume. ``pad``: classify them on a cube that
        repeats the volume's faces, and flag them. ``drop``: leave them unclassified, as
        cellfinder does.
    outside : str
        Treatment of points outside the volume, where cellfinder's detection puts some. Those by
        less than half a cube are treated as ``edges`` says, others are left unclassified.
        ``auto``: raise an error if more than half of the points lie outside. ``flag``: never.
        ``refuse``: if any does.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``coreml``, ``dml``, ``openvino-gpu`` or ``openvino-npu``.
    batch_size : int, optional
        Cubes per run of a network, at most; if None, `session.best_batch` for its cube.
    threads : int, optional
        CPU threads of the network; if None, the smallest grant, see `cpu_grants`.
    memory : float, optional
        Memory that the process may take, GB; if None, what the computer, its cgroups, SLURM and
        ``ulimit -v`` allow. Batches become smaller, and threads fewer, to fit into it.
    backend : str
        ``auto``, ``onnxruntime`` or ``openvino``; see `session.open_backend`.

    Raises
    ------
    InputError
        The threshold, the memory, ``edges`` or ``outside`` has another value.
    """

    threshold: float | None = None
    edges: str = "pad"
    outside: str = "auto"
    device: str = "auto"
    batch_size: int | None = None
    threads: int | None = None
    memory: float | None = None
    backend: str = "auto"

    def __post_init__(self):
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise InputError(f"The threshold is {self.threshold}; expected between 0 and 1.")
        if self.memory is not None and not 0 < self.memory < 1e6:
            raise InputError(f"The memory is {self.memory} GB; expected more than 0.")
        for name, choices in (("edges", EDGES), ("outside", OUTSIDE)):
            if getattr(self, name) not in choices:
                raise InputError(
                    f"{name} is {getattr(self, name)!r}; expected {' or '.join(choices)}."
                )
