"""The folder of one training: what lies where, and whose it is.

``run.json`` says what is trained there, with hashes of the data. The same training goes on from
its last checkpoint; another is refused, since it would end as neither.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
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
VERSIONS = ("torch", "lightning", "numpy")  # that may change the last bit


@dataclass(frozen=True)
class RunFolder:
    """Paths of one training.

    Attributes
    ----------
    path : Path
    stem : str
        NAME-VERSION of the model that it makes.
    """

    path: Path
    stem: str

    @property
    def described(self) -> Path:
        """What is trained here, JSON."""
        return self.path / "run.json"

    @property
    def last(self) -> Path:
        """The state after the last whole epoch."""
        return self.path / "checkpoints" / "last.safetensors"

    @property
    def best(self) -> Path:
        """Weights of the best epoch, their card inside; of the last epoch without validation."""
        return self.path / "checkpoints" / "best.safetensors"

    @property
    def metrics(self) -> Path:
        """The log, a row an epoch, CSV."""
        return self.path / "metrics.csv"

    @property
    def curves(self) -> Path:
        """The log as a picture, PNG."""
        return self.path / "curves.png"

    @property
    def results(self) -> tuple[Path, ...]:
        """Weights, card, page and artifact."""
        return tuple(self.path / f"{self.stem}{suffix}" for suffix in RESULTS)

    @property
    def finished(self) -> bool:
        """Whether all results are there."""
        return all(path.is_file() for path in self.results)

    def check(self, overwrite: bool) -> None:
        """See that this may become, or is, the folder of a training, before the long work.

        Raises
        ------
        InputError
            It is no folder, cannot be written to, or holds files in the way.
        """
        try:
            check_writable(self.path.resolve())
            ours = (*self.results, self.last, self.best, self.metrics, self.curves)
            found = [] if self.described.exists() else [p.name for p in ours if p.exists()]
        except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a NUL
            raise InputError(
                f"{self.path} is no usable folder ({error}): choose another."
            ) from None
        if found and not overwrite:
            raise InputError(
                f"{self.path} already holds {', '.join(found)}, but no training that could go on: "
                "give another -o, or --overwrite."
            )

    def claim(self, described: Mapping[str, Any], overwrite: bool) -> None:
        """Make it the folder of this training, unless it is already.

        Parameters
        ----------
        described : mapping
            Of `describe`.
        overwrite : bool
            Begin anew, and delete what another training, or this one, left.

        Raises
        ------
        InputError
            Another training lies here, or nothing can be written.
        """
        if not is_main_process():
            return
        old = self._read()
        if old is not None and not overwrite and (changes := list(_changes(old, described))):
            raise InputError(
                f"{self.path} holds another training ({'; '.join(changes[:3])}): give another -o, "
                "or --overwrite."
            )
        if overwrite:
            self._clear(old)
        try:
            self.last.parent.mkdir(parents=True, exist_ok=True)
            for part in (*self.path.glob(".cfzoo-*.part"), *self.last.parent.glob(".cfzoo-*.part")):
                part.unlink()  # of a killed process
        except OSError as error:
            raise InputError(f"{self.path} cannot be written to: {error.strerror}.") from None
        if old is None or overwrite:
            with atomic_write(self.described) as file:
                file.write(json.dumps(described, indent=1) + "\n")

    def _read(self) -> dict[str, Any] | None:
        try:
            old = json.loads(self.described.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            old = None
        return old if isinstance(old, dict) else {"run.json": "damaged"}

    def _clear(self, old: Mapping[str, Any] | None) -> None:
        stems = {self.stem}
        if old is not None and isinstance(recipe := old.get("recipe"), dict):
            stems.add(Path(f"{recipe.get('name')}-{recipe.get('version')}").name)
        results = [self.path / f"{stem}{suffix}" for stem in stems for suffix in RESULTS]
        events = (self.path / "tensorboard").glob("events.out.tfevents.*")
        # What it is comes last: without it, a checkpoint would be taken for the new training's.
        for path in (self.last, self.best, *results, *events, self.metrics, self.curves):
            path.unlink(missing_ok=True)
        self.described.unlink(missing_ok=True)


def is_main_process() -> bool:
    """Whether this is the first of a training's processes, which alone writes and speaks."""
    return not getattr(rank_zero_only, "rank", 0)


def describe(
    recipe: Recipe,
    seed: int,
    cubes: Sequence[LabelledCubes],
    validation: Sequence[LabelledCubes],
    parent: str,
    hardware: Mapping[str, Any],
    rule: str = "",
    report: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """All that decides weights and card, as JSON: two trainings that agree in it are the same."""
    described = {
        "recipe": dataclasses.asdict(recipe),
        "seed": seed,
        "data": {c.name: hashed(c) for c in cubes},
        "validation": {c.name: hashed(c) for c in validation},
        "parent": parent,
        "hardware": dict(hardware),
        "versions": {"cfzoo": __version__, **{name: version(name) for name in VERSIONS}},
    }
    if rule:
        described["threshold_by"] = rule
    if report is not None:
        told = json.dumps(report, sort_keys=True).encode()
        described["report"] = hashlib.sha256(told).hexdigest()
    return json.loads(json.dumps(described))


def hashed(cubes: LabelledCubes) -> str:
    """SHA-256 of voxels, labels and geometry: data of the same name may have changed."""
    crops, labels = cubes.crops, cubes.labels
    digest = hashlib.sha256(
        repr((crops.dtype.str, crops.shape, cubes.margin, cubes.voxel_size)).encode()
    )
    digest.update(labels.tobytes())
    for crop in crops:  # one by one: no second copy of all
        digest.update(crop.tobytes())
    return digest.hexdigest()


def _changes(old: Any, new: Any, name: str = "") -> Any:
    """What differs between two trees of JSON, in words."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            yield from _changes(old.get(key), new.get(key), f"{name}.{key}".lstrip("."))
    elif old != new:
        yield f"{name} was {json.dumps(old):.40}, is {json.dumps(new):.40}"
