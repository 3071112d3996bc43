"""Weights of cellfinder's own ResNet as an artifact."""

import os
from pathlib import Path

from ..runtime.artifact import CHANNELS, MAX_TOLERANCE, Card
from ..runtime.errors import ArtifactError, InputError
from ..runtime.files import sha256_of_file
from ..zoo.models import CUBE_SHAPE
from ..zoo.registry import MODELS, build
from ..zoo.weights import load_keras_weights
from .graph import export_artifact
from .release import check_free, write_artifact

CITATIONS = (
    "Tyson et al. (2021). A deep learning algorithm for 3D cell detection in whole mouse brain "
    "image datasets. PLoS Computational Biology 17(5): e1009074. doi:10.1371/journal.pcbi.1009074",
    "He et al. (2016). Deep residual learning for image recognition. CVPR. arXiv:1512.03385",
)


def import_cellfinder(
    weights: str | os.PathLike,
    depth: int | None = None,
    output: str | os.PathLike = ".",
    *,
    name: str | None = None,
    version: str = "1.0.0",
    normalisation: str = "none",
    cube_shape: tuple[int, int, int] = (20, 50, 50),
    voxel_size: tuple[float, float, float] = (5, 1, 1),
    licence: str = "unknown",
    tolerance: float | None = None,
    overwrite: bool = False,
) -> Path:
    """Turn a weights file of cellfinder into ``output``/NAME-VERSION.onnx.

    Parameters
    ----------
    weights : path
        Legacy ``.h5``, ``.weights.h5`` or ``.keras``, one or two channels, 3D or 2D.
    depth : int, optional
        18, 34, 50, 101 or 152; by default inferred from the file.
    normalisation : str
        ``none``, or ``dataset`` for weights trained with ``normalize_channels``.
    cube_shape, voxel_size : (z, y, x), voxels and um
        Grid that the network was trained on; one plane for 2D weights.
    tolerance : float, optional
        Largest difference of a probability between onnxruntime and torch, above 0 and at most 0.01;
        by default as much as the rounding of float32 explains. The card states it.

    Returns
    -------
    Path
        The artifact's file.

    Raises
    ------
    InputError
        The file does not hold cellfinder's weights, or the output exists already.
    ArtifactError
        The graph fails the checks.
    EnvironmentProblem
        h5py is not installed, or the disk is full.
    """
    if tolerance is not None and not 0 < tolerance <= MAX_TOLERANCE:
        raise InputError(
            f"The tolerance is {tolerance:g}; expected more than 0 and at most {MAX_TOLERANCE:g}."
        )
    path = Path(weights)
    keras = load_keras_weights(path, depth, cube_shape[2])
    if keras.planes == 1 and cube_shape[0] in (1, CUBE_SHAPE[0]):
        cube_shape = (1, *cube_shape[1:])
    kind = "2D" if keras.planes == 1 else "3D"
    architecture = f"resnet{keras.depth}"
    try:
        card = Card(
            name=name or architecture,
            version=version,
            cube_shape=cube_shape,
            voxel_size=voxel_size,
            channels=CHANNELS[keras.channels - 1],
            normalisation=normalisation,
            description=f"cellfinder's {kind} ResNet-{keras.depth}, imported from {path.name}.",
            architecture=architecture,
            licence=licence,
            citations=CITATIONS,
            parent=f"sha256:{sha256_of_file(path)}",
        )
    except ArtifactError as error:  # the values are the user's, not a file's
        raise InputError(str(error)) from None
    check_free(card, output, overwrite)
    network = build(card)
    network.load_state_dict(keras.state)
    layer = MODELS[architecture].explained_layer
    artifact = export_artifact(network, card, explained_layer=layer, tolerance=tolerance)
    return write_artifact(artifact, output, overwrite)
