"""The head of a network: the linear step from its features to the logit of a cell.

A graph with a head ends in

    ((features - head.centre) / head.spread) @ head.weight + head.bias

which is the margin, the logit of a cell less that of no cell; then come temperature, offset and the
softmax of (0, margin). Its four initializers have fixed names. So a program can standardise the
features by other statistics, or replace the head, with numpy alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..errors import ArtifactError
from ..feature_statistics import FeatureStatistics
from .onnx_guard import GRAPH, MODEL, NODE, TENSOR
from .protobuf import Message, Reader, decode, read_text, write_message

FEATURES, PROBABILITY = "features", "probability"  # outputs of the graph
MAX_FEATURES = 4096
HEAD_NAMES = ("head.weight", "head.bias", "head.centre", "head.spread")
PLACES = "head.places"  # the constant (0, 1) that makes (0, margin) of a margin
_STEPS = (  # from the margin back to the features
    ("Add", "head.bias"),
    ("MatMul", "head.weight"),
    ("Div", "head.spread"),
    ("Sub", "head.centre"),
)
_CALIBRATION = ("Div", "Add")  # temperature and offset
_ROWS = 2**20  # numbers at a time, in float64
_PROGRAM, _METADATA = 7, 14  # fields of a model; see `onnx_guard`
_SEAL_KEY = "cfzoo.digest"


@dataclass(frozen=True, eq=False)
class Head:
    """A linear head over standardised features.

    Attributes
    ----------
    weight : (F, 1) float32
    bias : (1,) float32
    centre, spread : (F,) float32
        Statistics of the training.

    Raises
    ------
    ArtifactError
        The arrays are of other shapes or types, a number is not finite, or a spread not positive.
    """

    weight: np.ndarray
    bias: np.ndarray
    centre: np.ndarray
    spread: np.ndarray

    def __post_init__(self) -> None:
        n = self.centre.size
        if not 1 <= n <= MAX_FEATURES:
            raise _error(f"it has {n} features; expected 1 to {MAX_FEATURES}")
        shapes = ((n, 1), (1,), (n,), (n,))
        for name, array, shape in zip(HEAD_NAMES, self.arrays, shapes, strict=True):
            if array.shape != shape or array.dtype != np.float32:
                raise _error(f"{name} is {array.dtype} {array.shape}; expected float32 {shape}")
            if not np.isfinite(array).all():
                raise _error(f"{name} holds NaN or infinite numbers")
        if not (self.spread > 0).all():
            raise _error(f"the smallest head.spread is {self.spread.min():g}; expected more than 0")

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The four arrays, in the order of `HEAD_NAMES`."""
        return self.weight, self.bias, self.centre, self.spread

    @property
    def features(self) -> int:
        """Number of features."""
        return len(self.centre)

    @property
    def training(self) -> FeatureStatistics:
        """The statistics of the training."""
        return FeatureStatistics(self.centre, self.spread)

    def margin(
        self, features: np.ndarray, statistics: FeatureStatistics | None = None
    ) -> np.ndarray:
        """Return the logit of a cell less that of no cell, before temperature and offset.

        Each row depends on its own features alone, to the last bit.

        Parameters
        ----------
        features : (N, F) float32
        statistics : FeatureStatistics, optional
            Centre and spread of the features; by default those of the training.

        Returns
        -------
        (N,) float64
            NaN for a row with NaN.
        """
        used = statistics or self.training
        centre, spread = used.centre.astype(np.float64), used.spread.astype(np.float64)
        weight = self.weight[:, 0].astype(np.float64)
        margin = np.empty(len(features))
        size = max(1, _ROWS // self.features)
        for start in range(0, len(features), size):
            rows = slice(start, start + size)
            with np.errstate(invalid="ignore", over="ignore"):  # infinite features give NaN
                standard = (features[rows].astype(np.float64) - centre) / spread
                # Not a product of matrices, whose rounding depends on the number of rows.
                margin[rows] = (standard * weight).sum(axis=1)
        return margin + float(self.bias[0])

    def answer(
        self,
        features: np.ndarray,
        temperature: float = 1.0,
        offset: float = 0.0,
        statistics: FeatureStatistics | None = None,
    ) -> np.ndarray:
        """Return the probabilities of no cell and cell, (N, 2) float32.

        Parameters
        ----------
        features, statistics
            As for `margin`.
        temperature, offset : float
            Those of the card.
        """
        logit = self.margin(features, statistics) / temperature + offset
        with np.errstate(over="ignore"):  # the probability is then 0, as it should be
            pair = np.stack([1 / (1 + np.exp(logit)), 1 / (1 + np.exp(-logit))], axis=1)
        return pair.astype(np.float32)


def read_head(model: bytes) -> Head:
    """Read the head that a graph ends in.

    Parameters
    ----------
    model : bytes
        ONNX that `onnx_guard.inspect_model` accepts, with an output `FEATURES`.

    Raises
    ------
    ArtifactError
        The graph ends otherwise, an initializer is missing or of another size, or its numbers are
        no head's.
    """
    reader = Reader()
    graph = _read_graph(reader, model)
    tensors = _read_tensors(reader, graph)
    if missing := [name for name in HEAD_NAMES if name not in tensors]:
        raise _error(f"it has no initializer {missing[0]!r}")
    _check_steps(reader, graph)
    places = _read_array(reader, tensors[PLACES], PLACES) if PLACES in tensors else np.empty(0)
    if places.shape != (2,) or tuple(places) != (0, 1):
        raise _error(f"{PLACES} is {places[:3]}; expected 0 and 1")
    arrays = {name: _read_array(reader, tensors[name], name) for name in HEAD_NAMES}
    return Head(*(arrays[name] for name in HEAD_NAMES))


def has_head(model: bytes) -> bool:
    """Whether a model has the four initializers of a head."""
    reader = Reader()
    return set(HEAD_NAMES) <= _read_tensors(reader, _read_graph(reader, model)).keys()


def replace_head(model: bytes, head: Head, metadata: Mapping[str, str] | None = None) -> bytes:
    """Return a model with another head in place of its own, to be sealed again.

    Parameters
    ----------
    model : bytes
        ONNX with a head, such as `Artifact.model`.
    head : Head
        As many features as the model's own head.
    metadata : mapping of str to str, optional
        Values that replace those of the same keys, such as the card and the test vector. Without
        new ones the old test vector stays, which the new head does not give.

    Returns
    -------
    bytes
        ONNX without a digest, for `seal`.

    Raises
    ------
    ArtifactError
        The model has no head, or one of another size, or no such metadata.
    """
    own = read_head(model)
    if own.features != head.features:
        raise ArtifactError(
            f"The head has {head.features} features; expected {own.features}, as the model's own."
        )
    content = bytearray(model)  # in which the arrays are overwritten
    reader = Reader()
    fields = reader.read_message(memoryview(content), MODEL, "file")
    graph = reader.read_message(fields[_PROGRAM][0], GRAPH, "graph")
    tensors = _read_tensors(reader, graph)
    for name, array in zip(
        HEAD_NAMES, (head.weight, head.bias, head.centre, head.spread), strict=True
    ):
        tensors[name][9][0][:] = np.ascontiguousarray(array, "<f4").tobytes()
    rest = dict(metadata or {})
    entries: list[dict[int, list[bytes | memoryview]]] = []
    for raw in fields.get(_METADATA, []):
        entry = reader.read_message(raw, {1: (2, 1), 2: (2, 1)}, "metadata")
        key = read_text(entry, 1, "metadata key")
        if key != _SEAL_KEY:
            value = rest.pop(key).encode() if key in rest else entry[2][0]
            entries.append({1: [key.encode()], 2: [value]})
    if rest:
        raise ArtifactError(f"The model has no metadata {next(iter(rest))!r} to be replaced.")
    return write_message({**fields, _METADATA: entries})


def _read_graph(reader: Reader, model: bytes) -> Message:
    fields = reader.read_message(memoryview(model), MODEL, "file")
    return reader.read_message(fields[_PROGRAM][0], GRAPH, "graph")


def _read_tensors(reader: Reader, graph: Message) -> dict[str, Message]:
    tensors = [reader.read_message(raw, TENSOR, "weight tensor") for raw in graph.get(5, [])]
    return {read_text(tensor, 8, "weight name"): tensor for tensor in tensors}


def _read_array(reader: Reader, tensor: Message, name: str) -> np.ndarray:
    if tensor.get(2) != [1]:
        raise _error(f"{name} is not float32")
    shape = reader.read_integers(tensor, 1)
    return np.frombuffer(tensor[9][0], "<f4").reshape(shape).astype(np.float32)


def _check_steps(reader: Reader, graph: Message) -> None:
    """Check that the probability comes from the features by the steps of a head and no others."""
    producers: dict[str, tuple[str, list[str]]] = {}
    for raw in graph.get(1, []):
        node = reader.read_message(raw, NODE, "node")
        inputs = [decode(name, "input name") for name in node.get(1, [])]
        for name in node.get(2, []):
            producers[decode(name, "output name")] = read_text(node, 4, "operator"), inputs

    def step_back(value: str, operator: str, constant: str | None) -> str:
        producer, inputs = producers.get(value, ("nothing", []))
        if producer != operator or (constant and inputs[1:] != [constant]):
            expected = f"{operator} with {constant}" if constant else operator
            raise _error(
                f"{value!r:.60} comes from {producer} with {inputs[1:]!r:.60}; expected {expected}"
            )
        return inputs[0]

    value = step_back(PROBABILITY, "Softmax", None)
    while producers.get(value, ("", []))[0] in _CALIBRATION:
        if (constant := producers[value][1][1]) in producers or constant in HEAD_NAMES:
            raise _error(f"{value!r:.80} is calibrated by {constant!r:.80}; expected a constant")
        value = producers[value][1][0]
    value = step_back(value, "Mul", PLACES)
    for operator, constant in _STEPS:
        value = step_back(value, operator, constant)
    if value != FEATURES:
        raise _error(f"it starts from {value!r:.80}; expected {FEATURES!r}")


def _error(reason: str) -> ArtifactError:
    return ArtifactError(
        f"The network does not end in a head over its features: {reason}. Export it again with "
        "cfzoo."
    )
