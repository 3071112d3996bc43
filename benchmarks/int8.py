"""What 8-bit convolutions gain in speed and cost in accuracy, on this processor.

    python benchmarks/int8.py --root FOLDER [--rounds N]

FOLDER holds the blocks of cfos.yaml, which the released weights were trained on: the figures
compare an artifact with itself in 8 bits, and say nothing of new brains. Convolutions are
quantised statically (weights a channel, activations unsigned, ranges from 64 cubes a block) by
onnxruntime's own tool; OpenVINO reads the same file. Writes int8.json; needs the ``dev`` extra.
"""

import json
import tempfile
import time
from functools import partial
from pathlib import Path

import click
import numpy as np
from stages import spread

from cfzoo.analysis.measures import measure
from cfzoo.runtime.artifact import INPUT, OUTPUT, Artifact, bundled, read_artifact
from cfzoo.runtime.files import atomic_write
from cfzoo.runtime.session import Settings, best_batch, load_onnxruntime, open_backend
from cfzoo.zoo.data import load, read_data

load_onnxruntime()  # first, since it turns the telemetry off
from onnxruntime.quantization import (  # noqa: E402
    CalibrationDataReader,
    QuantType,
    quantize_static,
)

HERE = Path(__file__).parent
STORED = HERE / "int8.json"
CALIBRATION = 64  # cubes a block
TIMED = 16  # batches a round
BACKENDS = ("onnxruntime", "openvino")


class Cubes(CalibrationDataReader):
    """Cubes, one batch after another."""

    def __init__(self, cubes: np.ndarray):
        self._batches = iter(np.array_split(cubes, max(1, len(cubes) // 32)))

    def get_next(self):
        """The next input, None after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}


def quantised(model: bytes, cubes: np.ndarray) -> bytes:
    """The model with 8-bit convolutions."""
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder, "given.onnx"), Path(folder, "made.onnx")
        given.write_bytes(model)
        quantize_static(
            given,
            made,
            Cubes(cubes),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv"],
        )
        return made.read_bytes()


def compare(artifact: Artifact, root: Path, rounds: int) -> dict:
    """Accuracy of both, and the rates of both with each backend, in turns on one thread."""
    blocks = [load(source, artifact.card) for source in read_data([HERE / "cfos.yaml"], root)]
    cubes = [block.cubes() for block in blocks]
    labels = np.concatenate([block.labels for block in blocks])
    rng = np.random.default_rng(0)
    some = [c[rng.choice(len(c), CALIBRATION, replace=False)] for c in cubes]
    model = artifact.model_with_maps(())
    models = {"float32": model, "int8": quantised(model, np.concatenate(some))}
    size = best_batch(artifact)
    settings = Settings("cpu", 1, 1, size)
    opened = {
        (kind, name): open_backend(name, partial(bytes, content), kind, settings)
        for kind, content in models.items()
        for name in BACKENDS
    }
    given = np.concatenate(cubes)
    count = len(given)
    given = np.concatenate([given, np.zeros((-count % size, *given.shape[1:]), np.float32)])
    batches = np.split(given, len(given) // size)

    def answers(kind: str, backend: str) -> np.ndarray:
        way = opened[kind, backend]
        return np.concatenate([way.run(batch, [OUTPUT])[0][:, 1] for batch in batches])[:count]

    found: dict = {}
    probability = {kind: answers(kind, "openvino") for kind in models}
    for kind, p in probability.items():
        clipped = np.clip(p.astype(float), 1e-12, 1 - 1e-12)
        rows = measure(labels, np.log(clipped / (1 - clipped)), artifact.card.threshold)
        found[kind] = {"auc": rows["auc"], "average_precision": rows["average_precision"]}
    difference = np.abs(probability["int8"] - probability["float32"])
    called = [p >= artifact.card.threshold for p in probability.values()]
    found["largest_difference"] = float(difference.max())
    found["other_labels"] = float(np.mean(called[0] != called[1]))
    other = answers("int8", "onnxruntime")
    found["between_backends"] = float(np.abs(probability["int8"] - other).max())
    rates: dict[tuple[str, str], list[float]] = {way: [] for way in opened}
    for number in range(rounds + 1):
        for way, backend in opened.items():
            start = time.process_time()  # of one thread: what else runs here counts for less
            for batch in batches[:TIMED]:
                backend.run(batch, [OUTPUT])
            if number:
                rates[way].append(TIMED * size / (time.process_time() - start))
    for name in BACKENDS:
        gain = np.array(rates["int8", name]) / np.array(rates["float32", name])
        found[f"times_{name}"] = spread(gain)
    return found


@click.command()
@click.option("--root", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--rounds", default=7, show_default=True)
def main(root, rounds):
    """Measure and store."""
    found = {}
    for name in bundled():
        found[name] = compare(read_artifact(name), root, rounds)
        click.echo(f"{name}: {found[name]}")
    with atomic_write(STORED) as file:
        file.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
