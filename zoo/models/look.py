"""The layers by which a network's answers are explained."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ExplainedLayer:
    """What a network is explained by.

    Attributes
    ----------
    layer : str
        Of the Grad-CAM, by its name in the network.
    first, step : (z, y, x), voxels of the cube, optional
        Where in the cube its voxels look; see `Spread`.
    fine : str, optional
        A layer on the cube's own grid, for the relevance.
    """

    layer: str
    first: tuple[float, float, float] | None = None
    step: tuple[float, float, float] | None = None
    fine: str | None = None


START = (0, 0, 0)  # where the first voxel of a layer looks, with convolutions padded by half
