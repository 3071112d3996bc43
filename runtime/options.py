"""How to classify: what is left to the caller; all else is in the card."""

from dataclasses import dataclass

from .errors import InputError

EDGES = ("pad", "drop")
OUTSIDE = ("refuse", "flag")


@dataclass(frozen=True)
class Options:
    """How to classify; what the network needs to know is in its card.

    Attributes
    ----------
    threshold : float, optional
        A point is a cell from this probability on, between 0 and 1; the card's when None.
    edges : str
        For points whose cube leaves the volume. ``pad``: classified on a cube whose faces are
        repeated, and flagged. ``drop``: left unclassified, as cellfinder does.
    outside : str
        For points that lie outside the volume. ``refuse``: an error. ``flag``: unclassified.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    batch_size : int, optional
        Cubes that a network gets at once; what suits its cube when None (`session.best_batch`).
    threads : int, optional
        CPU threads of the network; SLURM's grant or the affinity mask when None.
    backend : str
        ``auto``, ``onnxruntime`` or ``openvino``; see `backend.open_backend`.

    Raises
    ------
    InputError
        The threshold, ``edges`` or ``outside`` is none of these.
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
