"""Measure what 8-bit convolutions gain in speed and cost in accuracy on this processor.

    python benchmarks/int8.py --root FOLDER [--rounds N]

FOLDER holds the blocks of cfos.yaml, on which the released weights were trained: the figures
compare an artifact with its own 8-bit version and say nothing about new brains. onnxruntime's tool
quantises the convolutions statically (weights per channel, unsigned activations, ranges from 64
cubes per block); OpenVINO reads the same file. Writes results/int8.json; needs the ``dev`` extra.
"""

import json
import tempfile
import time
from functools import partial
from pathlib import Path

import click
import numpy as np
from stages import summarise

from cfzoo.analysis.measures import measure
from cfzoo.runtime.artifact import INPUT, OUTPUT, Artifact, bundled, read_artifact
from cfzoo.runtime.files import atomic_write
from cfzoo.runtime.session import Settings, best_batch, load_onnxruntime, open_backend
from cfzoo.zoo.data import load, read_data

load_onnxruntime()  # first, because it turns the telemetry off
from onnxruntime.quantization import (  # noqa: E402
    CalibrationDataReader,
    QuantType,
    quantize_static,
)

HERE = Path(__file__).parent
STORED = HERE / "results" / "int8.json"
CALIBRATION = 64  # cubes per block
TIMED = 16  # batches per round
BACKENDS = ("onnxruntime", "openvino")


class CubeReader(CalibrationDataReader):
    """Batches of cubes for the calibration, one after another."""

    def __init__(self, cubes: np.ndarray):
        self._batches = iter(np.array_split(cubes, max(1, len(cubes) // 32)))

    def get_next(self):
        """Return the next input, or None after the last one."""
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}


def quantise(model: bytes, cubes: np.ndarray) -> bytes:
    """Return the model with 8-bit convolutions."""
    with tempfile.TemporaryDirectory() as folder:
        original, quantised = Path(folder, "float32.onnx"), Path(folder, "int8.onnx")
        original.write_bytes(model)
        quantize_static(
            original,
            quantised,
            CubeReader(cubes),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv"],
        )
        return quantised.read_bytes()


def compare(artifact: Artifact, root: Path, rounds: int) -> dict:
    """Compare accuracy, and the speed with each backend, in turns on one thread."""
    blocks = [load(source, artifact.card) for source in read_data([HERE / "cfos.yaml"], root)]
    cubes = [block.cubes() for block in blocks]
    labels = np.concatenate([block.labels for block in blocks])
    rng = np.random.default_rng(0)
    samples = [c[rng.choice(len(c), CALIBRATION, replace=False)] for c in cubes]
    model = artifact.model_with_maps(())
    models = {"float32": model, "int8": quantise(model, np.concatenate(samples))}
    size = best_batch(artifact)
    settings = Settings("cpu", 1, 1, size)
    networks = {
        (kind, name): open_backend(name, partial(bytes, content), kind, settings)
        for kind, content in models.items()
        for name in BACKENDS
    }
    inputs = np.concatenate(cubes)
    count = len(inputs)
    inputs = np.concatenate([inputs, np.zeros((-count % size, *inputs.shape[1:]), np.float32)])
    batches = np.split(inputs, len(inputs) // size)

    def predict(kind: str, name: str) -> np.ndarray:
        backend = networks[kind, name]
        return np.concatenate([backend.run(batch, [OUTPUT])[0][:, 1] for batch in batches])[:count]

    figures: dict = {}
    probability = {kind: predict(kind, "openvino") for kind in models}
    for kind, p in probability.items():
        clipped = np.clip(p.astype(float), 1e-12, 1 - 1e-12)
        rows = measure(labels, np.log(clipped / (1 - clipped)), artifact.card.threshold)
        figures[kind] = {"auc": rows["auc"], "average_precision": rows["average_precision"]}
    difference = np.abs(probability["int8"] - probability["float32"])
    called = [p >= artifact.card.threshold for p in probability.values()]
    figures["largest_difference"] = float(difference.max())
    figures["other_labels"] = float(np.mean(called[0] != called[1]))
    onnxruntime = predict("int8", "onnxruntime")
    figures["between_backends"] = float(np.abs(probability["int8"] - onnxruntime).max())
    rates: dict[tuple[str, str], list[float]] = {pair: [] for pair in networks}
    for number in range(rounds + 1):
        for pair, backend in networks.items():
            start = time.process_time()  # CPU time of one thread: other processes disturb it less
            for batch in batches[:TIMED]:
                backend.run(batch, [OUTPUT])
            if number:
                rates[pair].append(TIMED * size / (time.process_time() - start))
    for name in BACKENDS:
        gain = np.array(rates["int8", name]) / np.array(rates["float32", name])
        figures[f"times_{name}"] = summarise(gain)
    return figures


@click.command()
@click.option("--root", required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--rounds", default=7, show_default=True)
def main(root, rounds):
    """Measure all bundled models and store the figures."""
    models = {}
    for name in bundled():
        models[name] = compare(read_artifact(name), root, rounds)
        click.echo(f"{name}: {models[name]}")
    with atomic_write(STORED) as file:
        file.write(json.dumps(models, indent=1) + "\n")


if __name__ == "__main__":
    main()
