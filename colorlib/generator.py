"""Generators: from lightness to chroma.

All are U-Nets: a way down that sees more and more of the picture in fewer and fewer pixels, a
way up that returns to full size, and skips that hand the fine detail of each level straight
across. Input and output are scaled as in `colorlib.color`: L in [0, 1], ab in [-1, 1].
"""

from collections.abc import Sequence
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
        self.multiple = 2**depth  # height and width must be multiples of this
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
        check_input(L, self.multiple)
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
        self.multiple = 2**depth  # height and width must be multiples of this
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
        check_input(L, self.multiple)
        return torch.tanh(self.last(self.features(L)))  # (B, 2, H, W)

    def features(self, x: Tensor) -> Tensor:
        """Compute what the last layer sees, (B, width, H, W), from what the first one does."""
        x = self.first(x)  # (B, 16, H, W)
        skips = []
        for block in self.down:
            skips.append(x)
            x = block(x)  # down to (B, 256, H/16, W/16)
        for block in self.up:
            enlarged = functional.interpolate(block(x), scale_factor=2.0, mode="nearest")
            x = torch.cat([skips.pop(), enlarged], dim=1)  # up to (B, 32, H, W)
        return x


# EfficientNet-Lite0, a stage a row: how many times a block widens its input, the side of its
# depthwise kernel, the stride of the stage's first block, channels out, blocks.
LITE0_STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


class LiteConv(nn.Sequential):
    """A convolution with batch norm and, unless it is linear, ReLU6.

    Padding is TensorFlow's "same": at stride 2, the odd pixel goes to the right and below.
    """

    def __init__(self, inputs: int, outputs: int, kernel=1, stride=1, groups=1, linear=False):
        padding = (kernel - stride) // 2
        super().__init__(
            nn.ZeroPad2d((0, 1, 0, 1)) if stride == 2 else nn.Identity(),
            nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
            nn.BatchNorm2d(outputs, eps=1e-3),
            nn.Identity() if linear else nn.ReLU6(inplace=True),
        )


class LiteBlock(nn.Module):
    """Widen, filter each channel by itself, narrow again; add the input where shapes allow.

    Reference: the inverted residual of Sandler et al. 2018, fig. 4. Differs: no squeeze-excitation
    (which EfficientNet adds), so that it is quick everywhere.
    """

    def __init__(self, in_channels: int, expand: int, kernel: int, stride: int, out_channels: int):
        super().__init__()
        wide = expand * in_channels
        self.expand = LiteConv(in_channels, wide) if expand > 1 else nn.Identity()
        self.depthwise = LiteConv(wide, wide, kernel, stride, groups=wide)
        self.project = LiteConv(wide, out_channels, linear=True)
        self.is_residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Take (B, in, H, W) to (B, out, H / stride, W / stride)."""
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.is_residual else y


class Lite0Encoder(nn.Module):
    """EfficientNet-Lite0 without its head: 2,958,848 parameters that may come from ImageNet.

    Batch norm always uses its stored statistics, also in training: those of ImageNet are worth
    more than those of a small batch.

    Reference: Tan and Le 2019, table 1, as the Lite variant of 2020: no squeeze-excitation, ReLU6
    in place of swish, stem fixed at 32 channels.
    """

    CHANNELS = (16, 24, 40, 112, 320)  # of what `forward` returns

    def __init__(self):
        super().__init__()
        self.stem = LiteConv(3, 32, kernel=3, stride=2)
        self.stages, channels = nn.ModuleList(), 32
        for expand, kernel, first_stride, out_channels, repeats in LITE0_STAGES:
            blocks = []
            for stride in (first_stride, *[1] * (repeats - 1)):
                blocks.append(LiteBlock(channels, expand, kernel, stride, out_channels))
                channels = out_channels
            self.stages.append(nn.Sequential(*blocks))
        self.train()

    def train(self, mode: bool = True) -> "Lite0Encoder":
        """Stay in eval mode, whatever mode the rest of the network is in."""
        return super().train(False)

    def forward(self, rgb: Tensor) -> list[Tensor]:
        """Take a picture (B, 3, H, W) in [-1, 1] to its features at strides 2, 4, 8, 16 and 32."""
        x, features = self.stem(rgb), []
        for stage, (_, _, stride, _, _) in zip(self.stages, LITE0_STAGES):
            if stride == 2:
                features.append(x)
            x = stage(x)
        return [*features, x]


class PretrainedUNet(nn.Module):
    """A U-Net whose way down can be a network that has already learned to recognize things.

    The encoder knows grass from fur, because it was trained to name what is on 1.3 million photos.
    The decoder only has to learn what colors these things have. 3,695,042 parameters, about 370
    million multiplications for one 128×128 picture. A new network is random; the tools that
    train the shipped weights copy published ImageNet weights into its encoder.

    Args:
        widths: the decoder's channels at strides 16, 8, 4 and 2. Chroma is predicted at stride 2
            and enlarged: the eye sees no finer detail in it.
    """

    multiple = 32  # height and width must be multiples of this

    def __init__(self, widths: Sequence[int] = (128, 96, 64, 32)):
        super().__init__()
        self.config = {"widths": list(widths)}
        self.encoder = Lite0Encoder()
        *skips, deepest = Lite0Encoder.CHANNELS
        below = (deepest, *widths[:-1])
        self.decoder = nn.ModuleList(
            convolution(skip + narrow, width, stride=1)
            for skip, narrow, width in zip(reversed(skips), below, widths, strict=True)
        )
        self.last = nn.Conv2d(widths[-1], 2, kernel_size=3, padding=1)

    def forward(self, L: Tensor) -> Tensor:
        """Predict chroma from lightness, as `UNet.forward`; H and W are multiples of 32."""
        check_input(L, self.multiple)
        *skips, x = self.encoder((2 * L - 1).expand(-1, 3, -1, -1))  # x: (B, 320, H/32, W/32)
        for block in self.decoder:
            enlarged = functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = block(torch.cat([skips.pop(), enlarged], dim=1))  # up to (B, 32, H/2, W/2)
        ab = torch.tanh(self.last(x))  # (B, 2, H/2, W/2)
        return functional.interpolate(ab, scale_factor=2.0, mode="bilinear")  # (B, 2, H, W)


GENERATORS = {"UNet": UNet, "StridedUNet": StridedUNet, "PretrainedUNet": PretrainedUNet}


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


def check_input(L: Tensor, multiple: int) -> None:
    """Refuse an L whose sides the network can't halve often enough.

    Raises:
        ValueError: with the shape that came and the nearest sizes that would do.
    """
    if L.ndim != 4 or L.shape[1] != 1:
        raise ValueError(f"expected L of shape (B, 1, H, W), got {tuple(L.shape)}")
    height, width = L.shape[-2:]
    if height % multiple or width % multiple or not height or not width:
        sizes = [max(multiple, round(side / multiple) * multiple) for side in (height, width)]
        raise ValueError(
            f"this network takes heights and widths that are multiples of {multiple}, got "
            f"{height}×{width}; resize or pad the picture, to {sizes[0]}×{sizes[1]} say"
        )
