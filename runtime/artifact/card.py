"""The card: the description of a model that training, export and runtime share.

The card travels inside the artifact as JSON. It holds everything that the runtime needs to cut a
cube from a volume exactly as the network expects it, and everything that a reader needs to judge
whether the network suits their data.
"""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from ..errors import ArtifactError
from ..shift import TrainingFeatures, read_training
from .json_text import read_json

# 1.1: offset; 1.2: standardisation; 1.3: features; 1.4: padding, percentiles; 1.5: intercepts
SCHEMA = "1.5"
NORMALISATIONS = ("none", "cube", "dataset", "percentile")
PADDINGS = ("edge", "zero")
RESAMPLINGS = ("trilinear", "antialias")
STANDARDISATIONS = ("training", "volume")
CHANNELS = (("signal",), ("signal", "background"))
CLASSES = ("no cell", "cell")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_VERSION = re.compile(r"(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})")
_MAX_SIDE = 256
_MAX_NUMBER = 2.0**63


@dataclass(frozen=True)
class Card:
    """Identity, input and measured quality of a model.

    Attributes
    ----------
    name, version : str
        Lower-case name and semantic version; the file is ``NAME-VERSION.onnx``.
    cube_shape : tuple of int
        Size of the network's input (z, y, x), voxels. A cube of one plane is the plane of the
        candidate as it is in the data, whatever the voxel size along z, as cellfinder's 2D models
        see it.
    voxel_size : tuple of float
        Voxel size of the network's input (z, y, x), um.
    channels : tuple of str
        ``("signal",)`` or ``("signal", "background")``, in the order of the network's input.
    normalisation : str
        ``none``: raw intensities reach the network. ``cube``: zero mean and unit variance
        per cube and channel, done inside the graph. ``dataset``: zero mean and unit variance
        per channel over the whole volume, as cellfinder's ``normalize_channels``; done by the
        runtime before resampling, since only it sees the volume. ``percentile``: per cube and
        channel, the interval between the two ``percentiles`` becomes 0 to 1, beyond which values
        are cut off, and a cube without such an interval becomes 0.5; done inside the graph.
    resampling : str
        Resampling from the data's voxels to the card's. ``trilinear``: align_corners=False
        without antialiasing, as in cellfinder. ``antialias``: the same, with the kernel widened
        where the data are finer than the card's grid.
    percentiles : tuple of float
        Low and high, 0 to 100, for the normalisation ``percentile``; else empty.
    padding : str
        Voxels of a cube that lie outside the volume. ``edge``: those of its faces, repeated.
        ``zero``: 0, before any normalisation.
    standardisation : str
        Statistics by which the network's features are standardised before its linear head.
        ``training``: those in the graph. ``volume``: those of the volume's own candidates, by the
        runtime, since only it sees them all; the graph holds those of the training for any other
        host.
    classes : tuple of str
        Names of the two outputs, always ``("no cell", "cell")``.
    threshold : float
        Lowest probability at which a candidate is a cell, between 0 and 1.
    temperature : float
        Divisor of the logits inside the graph (Guo et al. 2017).
    offset : float
        Summand of the logit of a cell after the division, inside the graph (Platt 1999).
    description, architecture, licence : str
        Free text, the builder's name in the zoo, an SPDX identifier.
    training, metrics, environment : mapping
        Training data and their digests, split and appearance of candidates; measurements;
        versions of libraries.
    features : mapping
        Distributions of the network's features over the training candidates, with which a volume's
        are compared; empty if unstated. See ``cfzoo.runtime.shift``.
    citations : tuple of str
    parent : str
        Digest or source of the weights that training started from, "" for none.
    schema : str
        Version of this description, ``major.minor``. Another major version is refused.
    extra : mapping
        Fields of a later minor schema, unchanged.
    digest : str
        SHA-256 of the artifact, hexadecimal; "" for a card that was not read from one. Not part
        of the JSON, since a file cannot contain its own hash.

    Raises
    ------
    ArtifactError
        A field has an invalid value.
    """

    name: str
    version: str
    cube_shape: tuple[int, int, int]
    voxel_size: tuple[float, float, float]
    channels: tuple[str, ...]
    normalisation: str
    resampling: str = "trilinear"
    percentiles: tuple[float, float] | tuple[()] = ()
    padding: str = "edge"
    standardisation: str = "training"
    classes: tuple[str, str] = CLASSES
    threshold: float = 0.5
    temperature: float = 1.0
    offset: float = 0.0
    description: str = ""
    architecture: str = ""
    licence: str = "BSD-3-Clause"
    training: Mapping[str, Any] = field(default_factory=dict[str, Any])
    metrics: Mapping[str, Any] = field(default_factory=dict[str, Any])
    environment: Mapping[str, Any] = field(default_factory=dict[str, Any])
    features: Mapping[str, Any] = field(default_factory=dict[str, Any])
    citations: tuple[str, ...] = ()
    parent: str = ""
    schema: str = SCHEMA
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    digest: str = ""

    def __post_init__(self):
        for name in ("cube_shape", "voxel_size", "channels", "percentiles", "classes", "citations"):
            value = getattr(self, name)
            if not isinstance(value, (list, tuple)):
                raise _field_error(name, value, "a list")
            object.__setattr__(self, name, tuple(cast(list[Any] | tuple[Any, ...], value)))
        for name in ("training", "metrics", "environment", "features", "extra"):
            if not isinstance(getattr(self, name), Mapping):
                raise _field_error(name, getattr(self, name), "a mapping")
        for name in ("description", "architecture", "licence", "parent"):
            if not isinstance(getattr(self, name), str):
                raise _field_error(name, getattr(self, name), "text")
        if not is_name(self.name):
            raise _field_error("name", self.name, "lower-case letters, digits, '_' and '-'")
        if not is_version(self.version):
            raise _field_error("version", self.version, "a semantic version such as 1.0.0")
        if len(self.cube_shape) != 3 or not all(
            type(n) is int and 1 <= n <= _MAX_SIDE for n in self.cube_shape
        ):
            raise _field_error(
                "cube_shape", self.cube_shape, f"three integers from 1 to {_MAX_SIDE}"
            )
        if len(self.voxel_size) != 3 or not all(_is_positive(s) for s in self.voxel_size):
            raise _field_error("voxel_size", self.voxel_size, "three positive numbers, um")
        object.__setattr__(self, "voxel_size", tuple(float(s) for s in self.voxel_size))
        if self.channels not in CHANNELS:
            raise _field_error("channels", self.channels, f"one of {CHANNELS}")
        if self.normalisation not in NORMALISATIONS:
            raise _field_error("normalisation", self.normalisation, f"one of {NORMALISATIONS}")
        _check_percentiles(self.normalisation, self.percentiles)
        if self.padding not in PADDINGS:
            raise _field_error("padding", self.padding, f"one of {PADDINGS}")
        if self.resampling not in RESAMPLINGS:
            raise _field_error("resampling", self.resampling, f"one of {RESAMPLINGS}")
        if self.standardisation not in STANDARDISATIONS:
            raise _field_error(
                "standardisation", self.standardisation, f"one of {STANDARDISATIONS}"
            )
        if self.classes != CLASSES:
            raise _field_error("classes", self.classes, f"{CLASSES}")
        if not (_is_positive(self.threshold) and self.threshold < 1):
            raise _field_error("threshold", self.threshold, "a number between 0 and 1")
        if not _is_positive(self.temperature):
            raise _field_error("temperature", self.temperature, "a positive number")
        _ = self.appearance  # raises an error if it is not valid
        training = self.training_features
        if self.standardisation != STANDARDISATIONS[0] and training and training.has_intercepts:
            raise _field_error(
                "features", "blocks with intercepts", "none if standardised by volume"
            )
        if type(self.offset) not in (int, float) or not abs(self.offset) < _MAX_NUMBER:
            raise _field_error("offset", self.offset, "a number")

    @property
    def appearance(self) -> dict[str, tuple[float, float]]:
        """Usual range of the measures of the training candidates' appearance; empty if unstated.

        It stands in ``training``; see ``cfzoo.runtime.cubes.measure_appearance``.
        """
        ranges: Any = self.training.get("appearance", {})
        if not isinstance(ranges, Mapping):
            raise _field_error("training appearance", ranges, "a mapping")
        return {str(k): _read_range(k, v) for k, v in cast(Mapping[Any, Any], ranges).items()}

    @property
    def training_features(self) -> TrainingFeatures | None:
        """What ``features`` holds; None if unstated."""
        return read_training(self.features) if self.features else None

    @property
    def file_name(self) -> str:
        """The artifact's file name, ``NAME-VERSION.onnx``."""
        return f"{self.name}-{self.version}.onnx"

    def to_json(self) -> str:
        """Return canonical JSON: equal cards give equal bytes everywhere."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        del fields["digest"]
        if self.standardisation == STANDARDISATIONS[0]:  # so that older cards keep their bytes
            del fields["standardisation"]
        for name, default in (("features", {}), ("percentiles", ()), ("padding", "edge")):
            if fields[name] == default:
                del fields[name]
        fields.update(fields.pop("extra"))
        return json.dumps(fields, sort_keys=True, ensure_ascii=True, allow_nan=False, indent=1)

    @classmethod
    def from_json(cls, text: str, digest: str = "") -> "Card":
        """Parse a card; fields of a later minor schema go to ``extra``.

        Raises
        ------
        ArtifactError
            The text is not a card, its major schema is unknown, or a field has an invalid value.
        """
        fields: dict[str, Any] = read_json(text, "model card")
        if type(fields) is not dict:
            raise _field_error("JSON", type(fields).__name__, "an object")
        schema = fields.get("schema")
        if not (isinstance(schema, str) and re.fullmatch(r"\d{1,4}\.\d{1,4}", schema)):
            raise _field_error("schema", schema, "major.minor, such as 1.0")
        if schema.split(".")[0] != SCHEMA.split(".")[0]:
            raise ArtifactError(
                f"The model card has schema {schema}; this cfzoo reads {SCHEMA.split('.')[0]}.x. "
                "Update cfzoo (pip install -U cfzoo), or use an artifact made for this version."
            )
        names = {f.name for f in dataclasses.fields(cls)} - {"extra", "digest"}
        mandatory = {"name", "version", "cube_shape", "voxel_size", "channels", "normalisation"}
        if gaps := mandatory - fields.keys():
            raise ArtifactError(
                f"The model card lacks {', '.join(sorted(gaps))}. Export the model again."
            )
        extra = {k: v for k, v in fields.items() if k not in names}
        if clashes := extra.keys() & {"extra", "digest"}:
            raise _field_error(clashes.pop(), "a value", "not to be in the JSON")
        return cls(**{k: v for k, v in fields.items() if k in names}, extra=extra, digest=digest)


def is_name(value: Any) -> bool:
    """Whether ``value`` is a valid name of a model."""
    return isinstance(value, str) and bool(_NAME.fullmatch(value))


def is_version(value: Any) -> bool:
    """Whether ``value`` is a semantic version without a suffix."""
    return isinstance(value, str) and bool(_VERSION.fullmatch(value))


def _check_percentiles(normalisation: str, values: Sequence[Any]) -> None:
    """Check that there are two rising percentiles if, and only if, the normalisation uses them."""
    if normalisation != "percentile" and not values:
        return
    if normalisation != "percentile":
        raise _field_error("percentiles", values, f"none with the normalisation {normalisation!r}")
    are_numbers = all(type(value) in (int, float) for value in values)
    if len(values) != 2 or not are_numbers or not 0 <= values[0] < values[1] <= 100:
        raise _field_error("percentiles", values, "two rising numbers from 0 to 100")


def _read_range(name: Any, value: Any) -> tuple[float, float]:
    """Return the ends of a range, two numbers in rising order."""
    is_sequence = isinstance(value, (list, tuple))
    ends = list(cast(Sequence[Any], value)) if is_sequence else []
    if (
        len(ends) != 2
        or any(type(end) not in (int, float) or not abs(end) < _MAX_NUMBER for end in ends)
        or ends[0] > ends[1]
    ):
        raise _field_error(f"training appearance {name!r:.40}", value, "two numbers, low and high")
    return float(ends[0]), float(ends[1])


def _is_positive(value: Any) -> bool:
    return (
        isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < _MAX_NUMBER
    )


def _field_error(name: str, value: object, expected: str) -> ArtifactError:
    return ArtifactError(f"The model card's {name} is {value!r:.200}; expected {expected}.")
