"""Generators: from lightness to chroma.

Both are U-Nets: a way down that sees more and more of the picture in fewer and fewer pixels, a
way up that returns to full size, and skips that hand the fine detail of each level straight
across. Input and output are scaled as in `colorlib.color`: L in [0, 1], ab in [-1, 1].
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


class DoubleConv(nn.Sequential):
    """Two 3×3 convolutions, each with batch norm and ReLU; height and width stay."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class Up(nn.Module):
    """One level up: double height and width, put the skip beside it, mix the two."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.enlarge = nn.ConvTranspose2d(in_channels, out_channels, kernel_size=2, stride=2)
        self.mix = DoubleConv(2 * out_channels, out_channels)

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        """Join (B, in, H/2, W/2) from below and (B, out, H, W) from across: (B, out, H, W)."""
        return self.mix(torch.cat([skip, self.enlarge(below)], dim=1))


class UNet(nn.Module):
    """Predict chroma from lightness, with the U-Net of the tutorial.

    With the defaults: five levels of 64, 128, 256, 512 and 1024 channels, 31,042,434 parameters,
    48.1 billion multiplications for one 256×256 picture.

    Args:
        width: channels of the first level; each level below has twice as many.
        depth: how often height and width are halved.

    Reference: Ronneberger et al. 2015, fig. 1. Differs: padded convolutions (the output is as
    large as the input), batch norm, tanh.
    """

    def __init__(self, width: int = 64, depth: int = 4):
        super().__init__()
        self.config = {"width": width, "depth": depth}
        widths = [width * 2**level for level in range(depth + 1)]
        self.first = DoubleConv(1, widths[0])
        self.down = nn.ModuleList(DoubleConv(above, below) for above, below in pairwise(widths))
        self.up = nn.ModuleList(
            Up(below, above) for above, below in reversed(list(pairwise(widths)))
        )
        self.last = nn.Conv2d(widths[0], 2, kernel_size=1)

    def forward(self, L: Tensor) -> Tensor:
        """Predict chroma from lightness.

        Args:
            L: L*/100, (B, 1, H, W), in [0, 1]; H and W multiples of 2**depth.

        Returns:
            ab: a*/110 and b*/110, (B, 2, H, W), in [-1, 1] (tanh).

        Raises:
            ValueError: H or W is not a multiple of 2**depth, or L has the wrong shape.
        """
        check_input(L, self.config["depth"])
        x = self.first(L)  # (B, 64, H, W)
        skips = []
        for block in self.down:
            skips.append(x)
            x = block(functional.max_pool2d(x, 2))  # down to (B, 1024, H/16, W/16)
        for block in self.up:
            x = block(x, skips.pop())  # back up to (B, 64, H, W)
        return torch.tanh(self.last(x))  # (B, 2, H, W)


class StridedUNet(nn.Module):
    """A lean U-Net for laptops: one convolution a level, strides in place of pooling.

    With the defaults 882,322 parameters, and a small share of the multiplications of `UNet()`:
    on the way up each level mixes first and enlarges afterwards, so that every wide layer works
    on few pixels.

    Args:
        width: channels after the first halving; each level below has twice as many.
        depth: how often height and width are halved.

    Reference: the strides follow Radford et al. 2016 and Isola et al. 2017. Differs: pixels are
    repeated to enlarge, since a strided transposed convolution leaves a checkerboard (Odena et
    al. 2016).
    """

    def __init__(self, width: int = 32, depth: int = 4):
        super().__init__()
        self.config = {"width": width, "depth": depth}
        widths = [width // 2 * 2**level for level in range(depth + 1)]
        self.first = convolution(1, widths[0], stride=1)
        self.down = nn.ModuleList(
            convolution(above, below, stride=2) for above, below in pairwise(widths)
        )
        # at every level but the lowest, the skip doubles the channels
        self.up = nn.ModuleList(
            convolution(below if below == widths[-1] else 2 * below, above, stride=1)
            for above, below in reversed(list(pairwise(widths)))
        )
        self.last = nn.Conv2d(2 * widths[0], 2, kernel_size=3, padding=1)

    def forward(self, L: Tensor) -> Tensor:
        """Predict chroma from lightness; arguments, result and errors as `UNet.forward`."""
        check_input(L, self.config["depth"])
        x = self.first(L)  # (B, 16, H, W)
        skips = []
        for block in self.down:
            skips.append(x)
            x = block(x)  # down to (B, 256, H/16, W/16)
        for block in self.up:
            enlarged = functional.interpolate(block(x), scale_factor=2.0, mode="nearest")
            x = torch.cat([skips.pop(), enlarged], dim=1)  # up to (B, 32, H, W)
        return torch.tanh(self.last(x))  # (B, 2, H, W)


GENERATORS = {"UNet": UNet, "StridedUNet": StridedUNet}


def convolution(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """A 3×3 convolution with batch norm and ReLU; stride 2 halves height and width."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def count_parameters(module: nn.Module) -> int:
    """How many numbers a network learns."""
    return sum(parameter.numel() for parameter in module.parameters())


def check_input(L: Tensor, depth: int) -> None:
    """Refuse what a U-Net of this depth cannot halve `depth` times.

    Raises:
        ValueError: with the shape that came and the nearest sizes that would do.
    """
    if L.ndim != 4 or L.shape[1] != 1:
        raise ValueError(f"expected L of shape (B, 1, H, W), got {tuple(L.shape)}")
    multiple = 2**depth
    height, width = L.shape[-2:]
    if height % multiple or width % multiple or not height or not width:
        sizes = [max(multiple, round(side / multiple) * multiple) for side in (height, width)]
        raise ValueError(
            f"a U-Net of depth {depth} takes heights and widths that are multiples of {multiple}, "
            f"got {height}×{width}; resize or pad the picture, to {sizes[0]}×{sizes[1]} say"
        )
