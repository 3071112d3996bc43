"""Networks: one architecture a file, and the layers that they share."""

from .attention3d import Attention3d
from .blocks import NUCLEUS_UM, Resize, distances
from .cube_norm import CubeNorm
from .look import START, ExplainedLayer
from .pipnet3d import FAINT, PipNet3d
from .plain3d import Plain3d
from .resnet3d import BN_EPSILON, CUBE_SHAPE, DEPTHS, ResNet3D
from .wavemix3d import WaveMix3d

__all__ = [
    "BN_EPSILON",
    "CUBE_SHAPE",
    "DEPTHS",
    "FAINT",
    "NUCLEUS_UM",
    "START",
    "Attention3d",
    "CubeNorm",
    "ExplainedLayer",
    "PipNet3d",
    "Plain3d",
    "ResNet3D",
    "Resize",
    "WaveMix3d",
    "distances",
]
