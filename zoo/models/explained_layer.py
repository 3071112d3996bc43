"""The layer by which a network's answers are explained, and its place in the cube."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ExplainedLayer:
    """A layer for Grad-CAM or HiResCAM, with the positions of its voxels in the cube.

    Attributes
    ----------
    layer : str
        Name of the layer in the network.
    offset, stride : (z, y, x), voxels of the cube, optional
        Position of the layer's first voxel in the cube, and distance between its voxels; see
        `cfzoo.zoo.explain.gradcam.Upsample`.
    relevance_layer : str, optional
        Name of a layer on the cube's own grid, for the relevance map.
    middle : bool
        The layer sees the middle half of the cube alone (`middle_half`), from whose first voxel
        the offset then counts.
    by_voxel : bool
        The map is HiResCAM: the gradient is not averaged over the layer's voxels, as it is for
        Grad-CAM.
    """

    layer: str
    offset: tuple[float, float, float] | None = None
    stride: tuple[float, float, float] | None = None
    relevance_layer: str | None = None
    middle: bool = False
    by_voxel: bool = False

    @property
    def map_names(self) -> tuple[str, ...]:
        """Names of the maps in their order, from `cfzoo.runtime.artifact.MAPS`."""
        first = "hires_cam" if self.by_voxel else "grad_cam"
        is_apart = self.relevance_layer not in (None, self.layer)
        return (first, "relevance") if is_apart else (first,)


def middle_half(shape: Sequence[int]) -> tuple[slice, ...]:
    """Return the middle half of a cube, one slice per axis; the candidate stays in its middle."""
    return tuple(slice(n // 4, n // 4 + n // 2) for n in shape)


NO_OFFSET = (0, 0, 0)  # of a layer behind convolutions that are padded by half their kernel
