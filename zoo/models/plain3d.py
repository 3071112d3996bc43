"""``plain3d``: a small plain 3D convolutional network, the zoo's baseline."""

from collections.abc import Sequence

import torch
from torch import nn

# Evidence of the contrast at the centre, added to the network's own (see `Plain3d`). Chosen by
# leave-one-block-out on the four c-Fos blocks; EVEN shifts the threshold, not the ranking.
EVIDENCE = 4.0  # logits per e-fold of contrast
EVEN = 0.13  # contrast that speaks neither for nor against
FAINT, CLEAR = 0.02, 0.4  # below and above, contrast says no more


class Plain3d(nn.Module):
    """Four dense 3x3x3 convolutions, each with batch norm and ReLU, and a linear layer.

    Dense convolutions only: CPUs run them an order of magnitude faster, per operation, than
    depthwise ones. The head reads every place of the last map instead of their mean, since
    the question is whether the *centre* is a cell, not whether one is somewhere in the cube.

    Raw cubes go in (a card with normalisation ``none``). Each channel becomes two maps: its
    z-score, and its deviation relative to the cube's mean, which z-scoring throws away. Both
    let a factor of the whole cube cancel; an offset changes the second, which is why training
    adds offsets.

    In evaluation alone, `EVIDENCE` times the logarithm of the contrast at the centre is added
    to the cell's logit. It is fixed and kept out of training: trained jointly, the network
    unlearns it on brains with dense, noisy labels, and then ranks clean brains worse than the
    contrast alone does (leave-one-block-out).

    Parameters
    ----------
    channels : int
        Of the input: 1 signal, or 2 signal and background.
    cube_shape : (z, y, x), voxels
    widths : four int
        Channels of the convolutions.
    dropout : float
        Of whole channels of the last map, in training only.
    """

    def __init__(
        self,
        channels: int = 1,
        cube_shape: Sequence[int] = (8, 16, 16),
        widths: Sequence[int] = (16, 16, 32, 64),
        dropout: float = 0.2,
    ):
        super().__init__()
        # The first stride leaves z alone: planes lie farther apart than pixels.
        strides = ((1, 2, 2), (2, 2, 2), (1, 1, 1), (2, 2, 2))
        layers: list[nn.Module] = []
        shape, maps = list(cube_shape), 2 * channels
        for width, stride in zip(widths, strides, strict=True):
            layers += [
                nn.Conv3d(maps, width, 3, stride, padding=1, bias=False),
                nn.BatchNorm3d(width),
                nn.ReLU(),
            ]
            maps = width
            shape = [-(-n // s) for n, s in zip(shape, stride, strict=True)]
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout3d(dropout)
        self.head = nn.Linear(maps * shape[0] * shape[1] * shape[2], 2)
        centre, surround = _weights(cube_shape)
        # Derived from the shape, hence no part of the weights' file.
        self.register_buffer("surround", surround, persistent=False)
        self.register_buffer("rise", centre - surround, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, C, z, y, x) raw cubes to (n, 2) logits: no cell, cell."""
        mean = x.mean(dim=(2, 3, 4), keepdim=True)
        deviation = x - mean  # before squaring: E[x^2] - E[x]^2 cancels badly in float32
        spread = torch.sqrt((deviation * deviation).mean(dim=(2, 3, 4), keepdim=True) + 1e-6)
        ratio = (deviation / mean.clamp(min=1.0)).clamp(-1.0, 4.0)
        maps = torch.cat([deviation / spread, 3 * ratio], dim=1)  # 3: about a deviation of one
        logits = self.head(self.dropout(self.features(maps)).flatten(1))
        if self.training:
            return logits
        return logits + self._evidence(deviation[:, :1], mean[:, :1])

    def _evidence(self, deviation: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        """What the signal's contrast at the centre adds to the logits, (n, 2).

        As ``zoo.contrast``, within the cube.
        """
        rise = (deviation * self.rise).sum(dim=(2, 3, 4))
        level = mean.flatten(1) + (deviation * self.surround).sum(dim=(2, 3, 4))
        contrast = torch.log((rise / level.clamp(min=1.0)).clamp(FAINT, CLEAR) / EVEN)
        half = 0.5 * EVIDENCE * contrast
        return torch.cat([-half, half], dim=1)


def _weights(cube_shape: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights of the centre and its surround, (z, y, x), each of sum 1.

    In voxels, for a grid near 6 x 3 x 3 um: a nucleus, and a box of 30 x 34 x 34 um. A cube
    starts half its voxels before the candidate's (``runtime.cubes.Grid.starts``), which is
    therefore half a voxel of data past the middle: half a plane along z, about 0.8 um in the
    plane.
    """
    centre, surround = torch.ones(1, 1, 1), torch.ones(1, 1, 1)
    for axis, (n, sigma, half) in enumerate(
        zip(cube_shape, (0.85, 0.6, 0.6), (2.0, 5.2, 5.2), strict=True)
    ):
        middle = n // 2 if axis == 0 else (n - 1) / 2 + 0.27
        away = (torch.arange(n) - middle).abs()
        line = [1 if a != axis else n for a in range(3)]
        centre = centre * torch.exp(-0.5 * (away / sigma) ** 2).reshape(line)
        surround = surround * (half + 0.5 - away).clamp(0, 1).reshape(line)
    return centre / centre.sum(), surround / surround.sum()
