"""cellfinder's own ResNet with weights drawn at random, for benchmarks and tests.

cellfinder's published weights cannot be had without a download. The batch normalisations get
statistics near those of their real inputs, and the last layer is scaled so that the
probabilities spread: with keras' initial values (mean 0, variance 1, logits in the thousands) a
mixed-up layer would go unseen, and all points would get one label.
"""

import numpy as np


def raw_cubes(number: int, channels: int, seed: int = 0) -> np.ndarray:
    """Cubes as a microscope might give them, (n, c, z, y, x) float32 of whole numbers 0 to 4000.

    Background, noise and a blob differ between cubes, so that a network's answers do, too.
    """
    rng = np.random.default_rng(seed)
    shape = (number, channels, 20, 50, 50)
    z, y, x = np.ogrid[-9.5:10:1, -24.5:25:1, -24.5:25:1]
    one = (number, channels, 1, 1, 1)
    width = rng.uniform(2, 12, one)
    blob = np.exp(-((z * 2.5) ** 2 + y**2 + x**2) / (2 * width**2))
    cubes = rng.uniform(50, 1000, one) + rng.uniform(0, 2000, one) * blob
    cubes += rng.uniform(10, 300, one) * rng.standard_normal(shape, np.float32)
    return np.rint(np.clip(cubes, 0, 4000)).astype(np.float32)


def spread(model, cubes: np.ndarray, seed: int = 0) -> None:
    """Give both logits mean 0 and spread 1 over cubes (n, c, z, y, x), by the last layer."""
    import keras
    import torch

    inputs = torch.from_numpy(cubes).permute(0, 3, 4, 2, 1)
    features = keras.Model(model.inputs, model.get_layer("final_average_pool").output)
    with torch.no_grad():
        pooled = features(inputs, training=False).cpu().numpy()
    # Where the features differ most: any other direction would enlarge rounding errors.
    _, sizes, directions = np.linalg.svd(pooled - pooled.mean(axis=0), full_matrices=False)
    rng = np.random.default_rng(seed)
    mixture = np.array([[-1, 1], [0, 0], [0, 0]]) + 0.3 * rng.standard_normal((3, 2))
    kernel = (sizes[:3, None] * directions[:3]).T @ mixture
    kernel /= (pooled @ kernel).std(axis=0)
    bias = -(pooled @ kernel).mean(axis=0)
    model.get_layer("fully_connected").set_weights([kernel, bias])


def random_resnet(depth: int, channels: int, seed: int = 0):
    """Keras model of cellfinder's, random throughout, for cubes of 50 x 50 x 20 (y x z)."""
    import torch
    from cellfinder.core.classify.resnet import build_model  # sets keras' backend, too

    rng = np.random.default_rng(seed)
    model = build_model((50, 50, 20, channels), network_depth=f"{depth}-layer")
    norms = [layer for layer in model.layers if type(layer).__name__ == "BatchNormalization"]
    for layer in model.layers:
        if type(layer).__name__ == "Conv3D":
            shape = layer.kernel.shape
            std = np.sqrt(2 / np.prod(shape[:-1]))
            layer.set_weights([std * rng.standard_normal(shape, np.float32)])
    for layer in norms:
        layer.momentum = 0.0  # one pass in training mode then leaves its own statistics
        mean, var = layer.get_weights()[2:]
        gamma, beta = rng.uniform(0.5, 1.5, mean.shape), rng.normal(0, 0.3, mean.shape)
        layer.set_weights([gamma, beta, mean, var])
    cubes = torch.from_numpy(raw_cubes(12, channels, seed)).permute(0, 3, 4, 2, 1)
    with torch.no_grad():
        model(cubes, training=True)
    for layer in norms:
        gamma, beta, mean, var = layer.get_weights()
        mean += rng.normal(0, 0.2, mean.shape) * np.sqrt(var)
        var *= rng.uniform(0.7, 1.4, var.shape)
        layer.set_weights([gamma, beta, mean, var])
        layer.momentum = 0.99
    spread(model, cubes.permute(0, 4, 3, 1, 2).numpy(), seed)
    return model
