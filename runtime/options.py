"""Options of a classification; everything else is fixed by the model's card."""

from dataclasses import dataclass

from .errors import InputError

EDGES = ("pad", "drop")
OUTSIDE = ("refuse", "flag")


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
        Treatment of points outside the volume. ``refuse``: raise an error. ``flag``: leave them
        unclassified.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    batch_size : int, optional
        Cubes per run of a network; if None, `session.best_batch` for its cube.
    threads : int, optional
        CPU threads of the network; if None, the smallest grant, see `cpu_grants`.
    backend : str
        ``auto``, ``onnxruntime`` or ``openvino``; see `session.open_backend`.

    Raises
    ------
    InputError
        The threshold, ``edges`` or ``outside`` has another value.
    """

    threshold: float | None = None
    edges: str = "pad"
    outside: str = "refuse"
    device: str = "auto"
    batch_size: int | None = None
    threads: int | None = None
    backend: str = "auto"

    def __post_init__(self):
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise InputError(f"The threshold is {self.threshold}; expected between 0 and 1.")
        for name, choices in (("edges", EDGES), ("outside", OUTSIDE)):
            if getattr(self, name) not in choices:
                raise InputError(
                    f"{name} is {getattr(self, name)!r}; expected {' or '.join(choices)}."
                )
