"""The folder of one training: the paths of its files, and which training owns it.

``run.json`` describes the training, with hashes of its data. The same training resumes from its
checkpoint; another is refused, since the two would mix.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from ... import __version__
from ...runtime.errors import InputError
from ...runtime.files import atomic_write, check_writable
from ..data import LabelledCubes
from ..recipe import Recipe

RESULTS = (".safetensors", ".json", ".md", ".onnx")  # in the order of writing
LIBRARIES = ("torch", "lightning", "numpy")  # a version of these may change the last bit


@dataclass(frozen=True)
class RunFolder:
    """Paths of the files of one training.

    Attributes
    ----------
    path : Path
    stem : str
        NAME-VERSION of the model that the training makes.
    """

    path: Path
    stem: str

    @property
    def description(self) -> Path:
        """JSON of `describe_training`."""
        return self.path / "run.json"

    @property
    def checkpoint(self) -> Path:
        """State of the training after the last complete epoch."""
        return self.path / "checkpoints" / "last.ckpt"

    @property
    def best_weights(self) -> Path:
        """Weights and card of the best epoch; of the last one without validation data."""
        return self.path / "checkpoints" / "best.safetensors"

    def fold(self, number: int) -> Path:
        """JSON of the answers to a fold, by the network that was trained without it."""
        return self.checkpoint.parent / f"fold-{number}.json"

    @property
    def metrics(self) -> Path:
        """CSV with one row per epoch."""
        return self.path / "metrics.csv"

    @property
    def curves(self) -> Path:
        """PNG of the metrics."""
        return self.path / "curves.png"

    @property
    def labels(self) -> Path:
        """HTML of the labels that are probably wrong."""
        return self.path / "labels.html"

    @property
    def results(self) -> tuple[Path, ...]:
        """Weights, card, model page and artifact."""
        return tuple(self.path / f"{self.stem}{suffix}" for suffix in RESULTS)

    @property
    def is_finished(self) -> bool:
        """Whether all results exist."""
        return all(path.is_file() for path in self.results)

    def check(self, overwrite: bool) -> None:
        """Check that the folder can hold a training, before the long work.

        Raises
        ------
        InputError
            It is not a folder, is not writable, or holds files of the same names.
        """
        try:
            check_writable(self.path.resolve())
            files = (*self.results, *self._outputs)
            is_training = self.description.exists()
            clashes = [] if is_training else [p.name for p in files if p.exists()]
        except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a NUL
            raise InputError(
                f"{self.path} cannot be used as a folder ({error}): choose another."
            ) from None
        if clashes and not overwrite:
            raise InputError(
                f"{self.path} already holds {', '.join(clashes)}, but no training to resume: "
                "give another -o, or --overwrite."
            )

    def claim(self, description: Mapping[str, Any], overwrite: bool) -> None:
        """Make this the folder of a training, unless it already is.

        Parameters
        ----------
        description : mapping
            Result of `describe_training`.
        overwrite : bool
            Start from the beginning, and delete the files of any earlier training.

        Raises
        ------
        InputError
            The folder belongs to another training, or cannot be written to.
        """
        if not is_main_process():
            return
        old = self._read_description()
        if old is not None and not overwrite:
            differences = list(_differences(old, description))
            if differences:
                raise InputError(
                    f"{self.path} holds another training ({'; '.join(differences[:3])}): give "
                    "another -o, or --overwrite."
                )
        if overwrite:
            self._clear(old)
        checkpoints = self.checkpoint.parent
        try:
            checkpoints.mkdir(parents=True, exist_ok=True)
            for part in (*self.path.glob(".cfzoo-*.part"), *checkpoints.glob(".cfzoo-*.part")):
                part.unlink()  # from a killed process
        except OSError as error:
            raise InputError(f"{self.path} cannot be written to: {error.strerror}.") from None
        if old is None or overwrite:
            with atomic_write(self.description) as file:
                file.write(json.dumps(description, indent=1) + "\n")

    @property
    def _outputs(self) -> tuple[Path, ...]:
        return self.checkpoint, self.best_weights, self.metrics, self.curves, self.labels

    def _read_description(self) -> dict[str, Any] | None:
        try:
            old = json.loads(self.description.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError):
            old = None
        return old if isinstance(old, dict) else {"run.json": "damaged"}

    def _clear(self, old: Mapping[str, Any] | None) -> None:
        stems = {self.stem}
        if old is not None and isinstance(recipe := old.get("recipe"), dict):
            stems.add(Path(f"{recipe.get('name')}-{recipe.get('version')}").name)
        results = [self.path / f"{stem}{suffix}" for stem in stems for suffix in RESULTS]
        events = (self.path / "tensorboard").glob("events.out.tfevents.*")
        folds = self.checkpoint.parent.glob("fold-*.json")
        # The description goes last: without it, a remaining checkpoint would be resumed.
        for path in (*self._outputs, *folds, *results, *events, self.description):
            path.unlink(missing_ok=True)


def is_main_process() -> bool:
    """Whether this is the first process of a training, the only one to write and print."""
    return not getattr(rank_zero_only, "rank", 0)


def describe_training(
    recipe: Recipe,
    seed: int,
    cubes: Sequence[LabelledCubes],
    validation: Sequence[LabelledCubes],
    parent: str,
    hardware: Mapping[str, Any],
    threshold_rule: str = "",
    report: Mapping[str, Any] | None = None,
    folds: int = 0,
) -> dict[str, Any]:
    """Return as JSON all that determines weights and card: equal descriptions, same training."""
    description = {
        "recipe": dataclasses.asdict(recipe),
        "seed": seed,
        "data": {c.name: c.digest() for c in cubes},
        "validation": {c.name: c.digest() for c in validation},
        "parent": parent,
        "hardware": dict(hardware),
        "versions": {"cfzoo": __version__, **{name: version(name) for name in LIBRARIES}},
    }
    if drawn := [c.name for c in (*cubes, *validation) if c.drawn]:
        description["drawn"] = drawn
    if threshold_rule:
        description["threshold_by"] = threshold_rule
    if folds:
        description["folds"] = folds
    if report is not None:
        text = json.dumps(report, sort_keys=True).encode()
        description["report"] = hashlib.sha256(text).hexdigest()
    return json.loads(json.dumps(description))


def _differences(old: Any, new: Any, name: str = "") -> Iterator[str]:
    """Describe the differences between two JSON trees in words."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            yield from _differences(old.get(key), new.get(key), f"{name}.{key}".lstrip("."))
    elif old != new:
        yield f"{name} was {json.dumps(old):.40}, is {json.dumps(new):.40}"
