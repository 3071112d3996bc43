"""cellfinder's residual network, 3D or 2D, layer by layer, so that its weights can be reused."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...runtime.errors import InputError
from .standardised_head import StandardisedHead

CUBE_SHAPE = (20, 50, 50)  # z y x, voxels
VOXEL_SIZE = (5.0, 1.0, 1.0)  # z y x, um
# Depth: blocks in units 2 to 5, and whether they are bottlenecks. Unit 3 of cellfinder's 152 has
# 6 blocks, that of He et al. 8.
DEPTHS = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 6, 36, 3), True),
}
BN_EPSILON = 1e-5


class PlaneNorm(nn.BatchNorm3d):
    """Batch normalisation with one mean, variance, scale and shift per z plane, not per channel.

    cellfinder's ``BatchNormalization(axis=3)`` does this on keras' (batch, y, x, z, channel),
    whether or not it was intended. Its published weights depend on it. Its 2D networks, of which
    the last axis but one is x, do so per column.

    Parameters
    ----------
    length : int
        Length of z at this layer, or of x for a 2D network.
    flat : bool
        Whether the network is 2D.
    """

    def __init__(self, length: int, flat: bool = False):
        # Keras' momentum of 0.99 is the weight of the old value, torch's that of the new one.
        super().__init__(length, eps=BN_EPSILON, momentum=0.01)
        self.axis = 4 if flat else 2

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]  # x in all models
        """Map (n, c, z, y, x) to the same shape."""
        if self.training:
            return super().forward(x.transpose(1, self.axis)).transpose(1, self.axis)
        # One multiplication and one addition: in an exported graph, two transpositions would copy
        # the whole tensor twice in each of up to 155 layers.
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)  # pyright: ignore[reportOptionalOperand]  # is tracked
        shift = self.bias - self.running_mean * scale  # pyright: ignore[reportOptionalOperand]  # is tracked
        if self.axis == 2:
            scale, shift = scale[:, None, None], shift[:, None, None]
        return x * scale + shift


class Block(nn.Module):
    """Residual block: two 3x3x3 convolutions, or a bottleneck of 1x1x1, 3x3x3 and 1x1x1.

    The first convolution has the stride (as in He et al., not in torchvision), and so has the
    shortcut. In cellfinder the first block of every unit has a shortcut, even if neither shape
    nor width changes.

    Parameters
    ----------
    width_in, width : int
        Channels of the input and of the inner convolutions.
    stride : int
    length : int
        Length of z of the output, or of x for a 2D network.
    bottleneck : bool
    shortcut : bool
        Whether a convolution and a norm lie on the shortcut, as in the first block of a unit.
    flat : bool
        Whether the network is 2D.
    """

    def __init__(
        self,
        width_in: int,
        width: int,
        stride: int,
        length: int,
        bottleneck: bool,
        shortcut: bool,
        flat: bool = False,
    ):
        super().__init__()
        width_out = 4 * width if bottleneck else width
        # In the order in which keras stores the layers of each class.
        self.conv_a = _conv(width_in, width, 1 if bottleneck else 3, stride, flat)
        self.bn_a = PlaneNorm(length, flat)
        self.conv_b = _conv(width, width, 3, 1, flat)
        self.bn_b = PlaneNorm(length, flat)
        self.conv_c = _conv(width, width_out, 1, 1, flat) if bottleneck else None
        self.bn_c = PlaneNorm(length, flat) if bottleneck else None
        self.shortcut_conv = _conv(width_in, width_out, 1, stride, flat) if shortcut else None
        self.shortcut_bn = PlaneNorm(length, flat) if shortcut else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, width_in, z, y, x) to (n, width, ...), or 4 width for a bottleneck; strided."""
        y = F.relu(self.bn_a(self.conv_a(x)))
        y = self.bn_b(self.conv_b(y))
        if self.conv_c is not None and self.bn_c is not None:
            y = self.bn_c(self.conv_c(F.relu(y)))
        if self.shortcut_conv is not None and self.shortcut_bn is not None:
            x = self.shortcut_bn(self.shortcut_conv(x))
        return F.relu(y + x)


class ResNet3D(nn.Module):
    """The network of cellfinder (``cellfinder.core.classify.resnet``).

    The module ``resunit2.block0.conv_a`` is keras' layer ``resunit2_block0_conv_a``: only the
    dots differ.

    Parameters
    ----------
    depth : int
        18, 34, 50, 101 or 152.
    channels : int
        1 (signal) or 2 (signal, background).
    planes : int
        Length of z of the input. It is fixed, since the batch normalisation is per plane. With 1,
        the network is cellfinder's 2D one, whose kernels have no extent along z.
    columns : int
        Length of x of the input, which is fixed for a 2D network, since its batch normalisation is
        per column.

    Notes
    -----
    Inputs are raw intensities. y and x may have any length from 14 voxels, but the published
    weights were trained with 50.

    References
    ----------
    He et al. (2016), Deep residual learning for image recognition, CVPR.
    Tyson et al. (2021), A deep learning algorithm for 3D cell detection in whole mouse brain
    image datasets, PLoS Computational Biology 17(5): e1009074.
    """

    resunit2: nn.Sequential
    resunit3: nn.Sequential
    resunit4: nn.Sequential
    resunit5: nn.Sequential

    def __init__(
        self,
        depth: int,
        channels: int,
        planes: int = CUBE_SHAPE[0],
        columns: int = CUBE_SHAPE[2],
    ):
        super().__init__()
        if depth not in DEPTHS:
            raise InputError(
                f"ResNet depth is {depth!r}; expected one of {', '.join(map(str, DEPTHS))}."
            )
        if channels not in (1, 2):
            raise InputError(f"ResNet channels are {channels!r}; expected 1 or 2.")
        blocks, bottleneck = DEPTHS[depth]
        # cellfinder pads by 3 on every axis though the kernel has only 3 voxels along z, so
        # that the outermost planes are convolved from zeros alone.
        flat = planes == 1
        kernel, stride, padding = ((1, 7, 7), (1, 2, 2), (0, 3, 3)) if flat else ((3, 7, 7), 2, 3)
        self.conv1 = nn.Conv3d(channels, 64, kernel, stride, padding, bias=False)
        length = (columns + 2 * 3 - 7) // 2 + 1 if flat else (planes + 2 * 3 - 3) // 2 + 1
        self.conv1_bn = PlaneNorm(length, flat)
        self.max_pool = nn.MaxPool3d((1, 3, 3) if flat else (2, 3, 3), stride)
        length = (length - 3) // 2 + 1 if flat else length // 2
        width_in = 64
        for unit, block_count in enumerate(blocks):
            width = 64 << unit
            if unit:
                length = (length + 1) // 2
            stack = nn.Sequential()
            for block in range(block_count):
                is_first = block == 0
                stride = 2 if is_first and unit else 1
                stack.add_module(
                    f"block{block}",
                    Block(width_in, width, stride, length, bottleneck, is_first, flat),
                )
                width_in = 4 * width if bottleneck else width
            self.add_module(f"resunit{unit + 2}", stack)
        self.fully_connected = nn.Linear(width_in, 2)
        self.head: StandardisedHead | None = None
        self._initialise()

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of (no cell, cell), before the softmax.

        Parameters
        ----------
        x : (n, c, z, y, x) float32

        Returns
        -------
        (n, 2) float32
        """
        features = self.features(x)
        return self.fully_connected(features) if self.head is None else self.head(features)

    def features(self, x: Tensor) -> Tensor:
        """Map (n, c, z, y, x) to the means of the last maps over space, (n, F)."""
        x = self.max_pool(F.relu(self.conv1_bn(self.conv1(x))))
        x = self.resunit5(self.resunit4(self.resunit3(self.resunit2(x))))
        return x.mean((2, 3, 4))

    @torch.no_grad()
    def use_head(self) -> None:
        """Answer by a head over the features, with the margin of the last layer, for an export.

        The logits are then 0 and the difference of the former two, which changes no probability.
        """
        layer = self.fully_connected
        self.head = StandardisedHead(layer.in_features).eval()
        self.head.weight.copy_((layer.weight[1] - layer.weight[0])[:, None])
        self.head.bias.copy_((layer.bias[1] - layer.bias[0])[None])

    def _initialise(self) -> None:
        # As in cellfinder: He for the blocks, keras' default (Glorot) for the first and last layer.
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv3d) and name != "conv1":
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.xavier_uniform_(self.conv1.weight)
        nn.init.xavier_uniform_(self.fully_connected.weight)
        nn.init.zeros_(self.fully_connected.bias)


def _conv(
    width_in: int, width_out: int, kernel: int, stride: int = 1, flat: bool = False
) -> nn.Conv3d:
    """Return a convolution without bias, padded by half its kernel; along y and x alone if flat."""
    margin = kernel // 2
    if not flat:
        return nn.Conv3d(width_in, width_out, kernel, stride, margin, bias=False)
    sides, strides, margins = (1, kernel, kernel), (1, stride, stride), (0, margin, margin)
    return nn.Conv3d(width_in, width_out, sides, strides, margins, bias=False)
