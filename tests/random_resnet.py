"""cellfinder's own ResNet with random weights, for tests and for `benchmarks/speed.py`.

cellfinder's published weights are not available without a download. The batch normalisation layers
get statistics close to those of their real inputs, and the last layer is scaled so that the
probabilities spread. With keras' initial values (mean 0, variance 1, logits in the thousands), a
mixed-up layer would go unnoticed and all points would get the same label.
"""

from contextlib import ExitStack, contextmanager, nullcontext

import numpy as np


def raw_cubes(number: int, channels: int, seed: int = 0) -> np.ndarray:
    """Return cubes as a microscope might produce them.

    Background, noise and a blob differ between cubes, so that a network's answers differ as well.

    Returns
    -------
    (number, channels, 20, 50, 50) float32
        Axes n, c, z, y, x; whole numbers from 0 to 4000.
    """
    rng = np.random.default_rng(seed)
    shape = (number, channels, 20, 50, 50)
    z, y, x = np.ogrid[-9.5:10:1, -24.5:25:1, -24.5:25:1]
    per_channel = (number, channels, 1, 1, 1)
    width = rng.uniform(2, 12, per_channel)
    blob = np.exp(-((z * 2.5) ** 2 + y**2 + x**2) / (2 * width**2))
    cubes = rng.uniform(50, 1000, per_channel) + rng.uniform(0, 2000, per_channel) * blob
    cubes += rng.uniform(10, 300, per_channel) * rng.standard_normal(shape, np.float32)
    return np.rint(np.clip(cubes, 0, 4000)).astype(np.float32)


def spread_logits(model, cubes: np.ndarray, seed: int = 0) -> None:
    """Set the last layer so that both logits have mean 0 and standard deviation 1 over cubes.

    Parameters
    ----------
    model : keras.Model
        Network of `random_resnet`; its last layer is overwritten.
    cubes : (n, c, z, y, x) float32
    seed : int
    """
    import keras
    import torch

    inputs = _keras_axes(model, cubes)
    features = keras.Model(model.inputs, model.get_layer("final_average_pool").output)
    with torch.no_grad():
        pooled = features(inputs, training=False).cpu().numpy()
    # Directions in which the features differ most: any other would amplify rounding errors.
    _, sizes, directions = np.linalg.svd(pooled - pooled.mean(axis=0), full_matrices=False)
    rng = np.random.default_rng(seed)
    mixture = np.array([[-1, 1], [0, 0], [0, 0]]) + 0.3 * rng.standard_normal((3, 2))
    kernel = (sizes[:3, None] * directions[:3]).T @ mixture
    kernel /= (pooled @ kernel).std(axis=0)
    bias = -(pooled @ kernel).mean(axis=0)
    model.get_layer("fully_connected").set_weights([kernel, bias])


def random_resnet(depth: int, channels: int, seed: int = 0, planes: int = 20):
    """Build cellfinder's keras model for cubes of 50 x 50 x 20 voxels (y x z), all weights random.

    With one plane it is the 2D network of cellfinder 1.11, whichever release is installed.

    Parameters
    ----------
    depth : int
        Number of layers: 18, 34, 50, 101 or 152.
    channels : int
    seed : int
    planes : int
        20 or 1.
    """
    import torch
    from cellfinder.core.classify.resnet import build_model  # sets keras' backend, too

    rng = np.random.default_rng(seed)
    with _layers_in_plane() if planes == 1 else nullcontext():
        shape, axis = ((50, 50, channels), 2) if planes == 1 else ((50, 50, 20, channels), 3)
        model = build_model(shape, network_depth=f"{depth}-layer", axis=axis)
    norms = [layer for layer in model.layers if type(layer).__name__ == "BatchNormalization"]
    for layer in model.layers:
        if type(layer).__name__ in ("Conv3D", "Conv2D"):
            shape = layer.kernel.shape
            std = np.sqrt(2 / np.prod(shape[:-1]))
            layer.set_weights([std * rng.standard_normal(shape, np.float32)])
    for layer in norms:
        layer.momentum = 0.0  # so that one pass in training mode stores that pass's statistics
        mean, var = layer.get_weights()[2:]
        gamma, beta = rng.uniform(0.5, 1.5, mean.shape), rng.normal(0, 0.3, mean.shape)
        layer.set_weights([gamma, beta, mean, var])
    cubes = raw_cubes(12, channels, seed)[:, :, (slice(None) if planes > 1 else slice(10, 11))]
    with torch.no_grad():
        model(_keras_axes(model, cubes), training=True)
    for layer in norms:
        gamma, beta, mean, var = layer.get_weights()
        mean += rng.normal(0, 0.2, mean.shape) * np.sqrt(var)
        var *= rng.uniform(0.7, 1.4, var.shape)
        layer.set_weights([gamma, beta, mean, var])
        layer.momentum = 0.99
    spread_logits(model, cubes, seed)
    return model


def _keras_axes(model, cubes: np.ndarray):
    """Cubes (n, c, z, y, x) as a tensor (n, y, x, z, c), or (n, y, x, c) for a 2D model."""
    import torch

    inputs = torch.from_numpy(cubes).permute(0, 3, 4, 2, 1)
    return inputs[:, :, :, 0] if len(model.inputs[0].shape) == 4 else inputs


@contextmanager
def _layers_in_plane():
    """Let `build_model` make 2D layers, as release 1.11 does by itself."""
    from unittest.mock import patch

    from cellfinder.core.classify import resnet
    from keras import layers

    if not hasattr(resnet, "Conv3D"):
        yield
        return

    def in_plane(layer):
        def make(*args, **options):
            cut = [a[:2] if isinstance(a, tuple) else a for a in args]
            named = {k: v[:2] if isinstance(v, tuple) else v for k, v in options.items()}
            return layer(*cut, **named)

        return make

    with ExitStack() as stack:
        for name in ("Conv", "MaxPooling", "GlobalAveragePooling", "ZeroPadding"):
            flat = in_plane(getattr(layers, f"{name}2D"))
            stack.enter_context(patch.object(resnet, f"{name}3D", flat))
        yield
