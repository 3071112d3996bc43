"""The artifact, one file ``NAME-VERSION.onnx``: network, card, test vector and their digest.

The last bytes of an artifact are a metadata entry ``cfzoo.digest`` whose value, 64 hexadecimal
digits, is the SHA-256 of every byte before it. This reveals any changed, missing or appended
byte, and to every ONNX tool the file is still an ordinary model.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, cast

import numpy as np

from ..errors import ArtifactError
from .card import Card
from .head import FEATURES, MAX_FEATURES, PROBABILITY, Head, has_head, read_head
from .json_text import MAX_CARD, read_json
from .onnx_guard import Outline, inspect_model
from .onnx_prune import keep_outputs

CARD_KEY, TEST_KEY = "cfzoo.card", "cfzoo.test"
INPUT, OUTPUT = "cubes", PROBABILITY
# Optional outputs of the cube's shape, see `Session.explain`; of the first two a network has one.
MAPS = ("grad_cam", "hires_cam", "relevance")
# ModelProto.metadata_props (field 14) of 80 bytes: key (field 1, 12 bytes), value (field 2, 64).
SEAL = b"\x72\x50\x0a\x0ccfzoo.digest\x12\x40"
TEST_TOLERANCE = 1e-4
MAX_TOLERANCE = 1e-2  # that a card may ask for
PARITY_KEY = "parity"  # of a card's metrics; see `Artifact.tolerance`


@dataclass(frozen=True)
class Artifact:
    """A verified model.

    Attributes
    ----------
    source : str
        File name, for error messages.
    card : Card
    outline : Outline
        Operators and shapes of the graph.
    test_cube : (1, C, z, y, x) float32
        Raw intensities of the test vector.
    test_output : (1, 2) float32
        Probabilities that the network must return for them.
    load : callable
        Function that returns the bytes of the file.
    head : Head, optional
        The linear head over the network's features, if the graph ends in one.
    """

    source: str
    card: Card
    outline: Outline
    test_cube: np.ndarray
    test_output: np.ndarray
    load: Callable[[], bytes] = field(repr=False, compare=False)
    head: Head | None = field(default=None, repr=False, compare=False)

    @property
    def model(self) -> bytes:
        """The bytes of the verified file.

        They are not kept, since those of a ResNet-50 take more memory than running it. An artifact
        from a file reads the file again, which must not have changed.

        Raises
        ------
        InputError, ArtifactError
            The file can no longer be read, or was changed.
        """
        return self.load()

    @property
    def maps(self) -> tuple[str, ...]:
        """Names of the explanation maps that the network can return, from `MAPS`."""
        return tuple(name for name in MAPS if name in self.outline.outputs)

    @property
    def layer_map(self) -> str:
        """Name of the map of a late layer: ``hires_cam`` if there is one, else ``grad_cam``."""
        return "hires_cam" if "hires_cam" in self.maps else "grad_cam"

    @property
    def n_features(self) -> int:
        """Number of features that the network returns as output `FEATURES`; 0 for none."""
        return int(self.outline.outputs.get(FEATURES, (0, 0))[1])

    @property
    def by_volume(self) -> bool:
        """Whether the volume's own candidates standardise the features; see `Card`."""
        return self.card.standardisation == "volume"

    @property
    def has_intercepts(self) -> bool:
        """Whether the volume's candidates decide on an intercept; see `TrainingFeatures`."""
        training = self.card.training_features
        return training is not None and training.has_intercepts

    @property
    def tolerance(self) -> float:
        """How far from its test vector the network's answer may be on another computer.

        A network that amplifies rounding states in its card, ``metrics: parity: tolerance``, how
        far two runs of it may differ.
        """
        parity: Any = self.card.metrics.get(PARITY_KEY)
        value: Any = cast(Any, parity).get("tolerance") if isinstance(parity, Mapping) else None
        if type(value) not in (int, float) or not value > TEST_TOLERANCE:
            return TEST_TOLERANCE
        return min(float(value), MAX_TOLERANCE)

    def model_with_maps(self, maps: Sequence[str] = ()) -> bytes:
        """Return the model without the nodes that only maps other than ``maps`` need."""
        model = self.model
        if not set(self.maps) - set(maps):
            return model
        features = (FEATURES,) if self.n_features else ()
        return keep_outputs(model, (OUTPUT, *features, *maps))

    @property
    def parameters(self) -> int:
        """Number of parameters behind the probabilities; those of maps do not count."""
        return inspect_model(self.model_with_maps()).parameters


def seal(model: bytes) -> bytes:
    """Append the digest entry to a serialised model without one."""
    body = model + SEAL
    return body + hashlib.sha256(body).hexdigest().encode()


def encode_test(cube: np.ndarray, output: np.ndarray) -> str:
    """Encode a (1, C, z, y, x) uint16 cube and its (1, 2) float32 probabilities as text."""
    raw = np.ascontiguousarray(cube, "<u2").tobytes()
    fields = {"cube": base64.b64encode(raw).decode(), "output": [float(p) for p in output[0]]}
    return json.dumps(fields, sort_keys=True)


def body_digest(data: bytes) -> bytes:
    """Return the digest that the last 64 bytes must hold, hexadecimal."""
    # A view, since a slice of bytes would be a copy.
    return hashlib.sha256(memoryview(data)[:-64]).hexdigest().encode()


def verify(data: bytes, source: str = "model") -> Artifact:
    """Verify the bytes of an artifact and parse them.

    Raises
    ------
    ArtifactError
        The data are damaged, hold what an artifact must not, or have no card.
    """
    digest = data[-64:]
    has_seal = data[-64 - len(SEAL) : -64] == SEAL
    if has_seal and body_digest(data) != digest:
        raise ArtifactError(
            "The digest does not fit the content: the file was damaged or changed after its "
            "export. Get it again from its source."
        )
    outline = inspect_model(data)
    if CARD_KEY not in outline.metadata:
        raise ArtifactError(
            "This ONNX model has no cfzoo card, so its cube, voxel size and normalisation "
            "are unknown. Export it with `cfzoo export` or `cfzoo import`."
        )
    if not has_seal:
        raise ArtifactError(
            "The file does not end with its digest: bytes were added or lost after its export. "
            "Get it again from its source."
        )
    card = Card.from_json(outline.text(CARD_KEY, MAX_CARD), digest.decode())
    _check_shapes(outline, card)
    cube, output = _decode_test(outline, card)
    return Artifact(
        source, card, outline, cube, output, lambda: data, _find_head(data, card, outline)
    )


def _find_head(data: bytes, card: Card, outline: Outline) -> Head | None:
    """Return the head of a graph that has one; a card may require it."""
    if FEATURES not in outline.outputs:
        if card.standardisation == "volume":
            raise ArtifactError(
                "The card says that the volume's own candidates standardise the features, but the "
                f"network has no output {FEATURES!r}. Export it again with cfzoo."
            )
        return None
    return read_head(data) if card.standardisation == "volume" or has_head(data) else None


def _decode_test(outline: Outline, card: Card) -> tuple[np.ndarray, np.ndarray]:
    shape = (1, len(card.channels), *card.cube_shape)
    limit = 3 * prod(shape) + 1000  # base64 takes 4 characters for 3 bytes, and a voxel has 2
    fields = read_json(outline.text(TEST_KEY, limit), "test vector", limit)
    try:
        raw = base64.b64decode(fields["cube"], validate=True)
        cube = np.frombuffer(raw, "<u2").reshape(shape).astype(np.float32)
        output = np.array(fields["output"], np.float32).reshape(1, 2)
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise ArtifactError(
            f"The model's test vector is missing or does not have the shape {shape}."
        ) from None
    if not (np.all(output >= 0) and abs(output.sum() - 1) < 1e-3):
        raise ArtifactError(f"The model's test vector has {output[0]}; expected probabilities.")
    return cube, output


def _check_shapes(outline: Outline, card: Card) -> None:
    expected = (len(card.channels), *card.cube_shape)
    shape = outline.inputs.get(INPUT, ())
    if set(outline.inputs) != {INPUT} or not (
        len(shape) == 5 and isinstance(shape[0], str) and shape[1:] == expected
    ):
        raise ArtifactError(
            f"The network's inputs are {dict(outline.inputs)}; the card requires "
            f"{INPUT!r} of (batch, {', '.join(map(str, expected))})."
        )
    shape = outline.outputs.get(OUTPUT, ())
    if len(shape) != 2 or not isinstance(shape[0], str) or shape[1] != len(card.classes):
        raise ArtifactError(
            f"The network's outputs are {dict(outline.outputs)}; the card requires "
            f"{OUTPUT!r} of (batch, {len(card.classes)})."
        )
    for name, shape in outline.outputs.items():
        is_map = name in MAPS and isinstance(shape[0], str) and shape[1:] == card.cube_shape
        if name not in (OUTPUT, FEATURES) and not is_map:
            raise ArtifactError(
                f"The network has an output {name!r} of {shape}; expected {OUTPUT!r}, and at most "
                f"{FEATURES!r} of (batch, number) and {' and '.join(MAPS)} of (batch, "
                f"{', '.join(map(str, card.cube_shape))})."
            )
    shape = outline.outputs.get(FEATURES, ("batch", 1))
    if len(shape) != 2 or isinstance(shape[1], str) or not 1 <= shape[1] <= MAX_FEATURES:
        raise ArtifactError(
            f"The network has an output {FEATURES!r} of {shape}; expected (batch, 1 to "
            f"{MAX_FEATURES})."
        )
    training, number = card.training_features, outline.outputs.get(FEATURES, (0, 0))[1]
    if training is not None and len(training.edges) + training.learnt != number:
        learnt = f" and counts {training.learnt} learnt ones" if training.learnt else ""
        raise ArtifactError(
            f"The card describes {len(training.edges)} features of the training{learnt}, and the "
            f"network gives {number}. Export it again with cfzoo."
        )
