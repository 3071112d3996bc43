"""Networks: one architecture per file, and the layers that they share."""

from .attention3d import Attention3d
from .blocks import NEUTRAL_CONTRAST, NUCLEUS_UM, Resize, axis_distances
from .cube_norm import CubeNorm
from .explained_layer import NO_OFFSET, ExplainedLayer, middle_half
from .filters3d import Filters3d
from .input_norm import make_input_norm
from .pipnet3d import MIN_PRESENCE, PipNet3d
from .plain3d import Plain3d
from .pyramid3d import Pyramid3d
from .resnet3d import BN_EPSILON, CUBE_SHAPE, DEPTHS, ResNet3D
from .standardised_head import StandardisedHead
from .wavemix3d import WaveMix3d

__all__ = [
    "BN_EPSILON",
    "CUBE_SHAPE",
    "DEPTHS",
    "MIN_PRESENCE",
    "NEUTRAL_CONTRAST",
    "NO_OFFSET",
    "NUCLEUS_UM",
    "Attention3d",
    "CubeNorm",
    "ExplainedLayer",
    "Filters3d",
    "PipNet3d",
    "Plain3d",
    "Pyramid3d",
    "ResNet3D",
    "Resize",
    "StandardisedHead",
    "WaveMix3d",
    "axis_distances",
    "make_input_norm",
    "middle_half",
]
