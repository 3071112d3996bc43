"""cellfinder's ResNet-50 as an artifact: imported if cellfinder is there, else built."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from sample_cubes import write_planes


def measure(settings) -> Iterator[dict]:
    """Yield its file, and where its weights are from; random ones do not change the speed."""
    work = Path(settings.work)
    if settings.weights or find_spec("cellfinder"):
        from inputs import import_resnet

        folders, zyx = write_planes(work / "planes")
        weights = Path(settings.weights) if settings.weights else None
        file, used = import_resnet(work, folders, zyx, weights)
        yield {
            "file": file,
            "weights": "given" if weights else "random",
            "keras_weights": str(used),
        }
        return
    if not find_spec("torch"):
        raise SystemExit(
            "torch is not installed, which makes the artifact: pip install 'cfzoo[export]'."
        )
    from cfzoo.export.graph import export_artifact
    from cfzoo.export.release import write_artifact
    from cfzoo.runtime.artifact import CHANNELS, Card
    from cfzoo.zoo.registry import build

    card = Card(
        name="resnet50", version="1.0.0", architecture="resnet50", cube_shape=(20, 50, 50),
        voxel_size=(5, 1, 1), channels=CHANNELS[1], normalisation="none",
    )  # fmt: skip
    yield {
        "file": str(write_artifact(export_artifact(build(card), card), work, True)),
        "weights": "random",
    }
