"""Discriminators: is this color the photo's own, or invented?

Both see lightness and chroma together, because the question is not "is this a nice color?" but
"is it plausible for this picture?". Both return logits: 0 means "can't tell", positive means
"real". `torch.sigmoid` turns a logit into a probability. The losses in `colorlib.losses` work on
the logits directly, because a saturated sigmoid has no gradient.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

IMAGE_WIDTHS = (32, 64, 128, 256, 512, 512)


class ImageDiscriminator(nn.Module):
    """Judge a whole picture with one score, as in the tutorial.

    Six 4×4 convolutions with stride 2, each with batch norm (`PatchDiscriminator` explains what
    that costs in the first layer), then one over the remaining 4×4 pixels. At 256 pixels it has
    6,993,825 parameters and a receptive field of 382 pixels, wider than the picture.

    Args:
        size: height and width of the pictures: 64, 128 or 256. At 128 it has five strided
            convolutions, at 64 four.

    Raises:
        ValueError: any other size.

    Reference: Radford et al. 2016 for strides, batch norm and LeakyReLU(0.2).
    """

    def __init__(self, size: int = 256):
        super().__init__()
        if size not in (64, 128, 256):
            raise ValueError(
                f"ImageDiscriminator judges pictures of 64, 128 or 256 pixels, got size={size}; "
                "PatchDiscriminator takes any size"
            )
        self.config = {"size": size}
        widths = IMAGE_WIDTHS[: {64: 4, 128: 5, 256: 6}[size]]
        layers = []
        for before, after in pairwise((3, *widths)):
            layers += strided_block(before, after, stride=2, norm="batch")
        layers.append(nn.Conv2d(widths[-1], 1, kernel_size=4))
        self.layers = nn.Sequential(*layers)

    def forward(self, L: Tensor, ab: Tensor) -> Tensor:
        """Judge pictures.

        Args:
            L: L*/100, (B, 1, size, size).
            ab: a*/110 and b*/110, (B, 2, size, size).

        Returns:
            logits, (B, 1, 1, 1): one score per picture.

        Raises:
            ValueError: the pictures have another size.
        """
        size = self.config["size"]
        if L.shape[-2:] != (size, size):
            raise ValueError(
                f"this ImageDiscriminator judges pictures of {size}×{size} pixels, got "
                f"{L.shape[-2]}×{L.shape[-1]}; resize them or use a PatchDiscriminator"
            )
        return self.layers(torch.cat([L, ab], dim=1))


class PatchDiscriminator(nn.Module):
    """Judge each patch of a picture separately, with a map of scores.

    With the defaults each score sees 70×70 pixels; `layers=2` sees 34, `layers=1` sees 16. The
    input may have any size from 3 · 2**layers pixels up; patches at the border see padding.

    Args:
        width: channels of the first layer. They double with each layer, up to 8 times as many.
        layers: number of convolutions with stride 2.
        norm: "batch" as published, or "none", the default of the recipes. Without batch norm each
            picture is judged independently, as WGAN-GP's penalty requires, and the generator
            learns less color noise.

    Reference: Isola et al. 2017, section 3.2.2. The first layer never has batch norm, which would
    erase the mean color, often the best sign of a fake.
    """

    def __init__(self, width: int = 64, layers: int = 3, norm: str = "batch"):
        super().__init__()
        if norm not in ("batch", "none"):
            raise ValueError(f'norm is "batch" or "none", got {norm!r}')
        self.config = {"width": width, "layers": layers, "norm": norm}
        widths = [width * min(2**layer, 8) for layer in range(layers + 1)]
        stack = strided_block(3, widths[0], stride=2, norm="none")
        for before, after in pairwise(widths[:-1]):
            stack += strided_block(before, after, stride=2, norm=norm)
        stack += strided_block(widths[-2], widths[-1], stride=1, norm=norm)
        stack.append(nn.Conv2d(widths[-1], 1, kernel_size=4, padding=1))
        self.layers = nn.Sequential(*stack)

    def forward(self, L: Tensor, ab: Tensor) -> Tensor:
        """Judge the patches of pictures.

        Args:
            L: L*/100, (B, 1, H, W).
            ab: a*/110 and b*/110, (B, 2, H, W).

        Returns:
            logits, (B, 1, h, w): one score per patch; by default 30×30 scores at 256 pixels.

        Raises:
            ValueError: the pictures are too small for a single patch.
        """
        smallest = smallest_picture(self.config["layers"])
        if min(L.shape[-2:]) < smallest:
            raise ValueError(
                f"PatchDiscriminator(layers={self.config['layers']}) needs pictures of at least "
                f"{smallest} pixels, got {L.shape[-2]}×{L.shape[-1]}; use fewer layers"
            )
        return self.layers(torch.cat([L, ab], dim=1))


def smallest_picture(layers: int) -> int:
    """The smallest height and width that a `PatchDiscriminator` with so many layers can judge."""
    return 3 * 2**layers


def strided_block(before: int, after: int, stride: int, norm: str) -> list[nn.Module]:
    """A 4×4 convolution, optional batch norm, and LeakyReLU(0.2); stride 2 halves the size."""
    block = [nn.Conv2d(before, after, kernel_size=4, stride=stride, padding=1)]
    if norm == "batch":
        block.append(nn.BatchNorm2d(after))
    return [*block, nn.LeakyReLU(0.2, inplace=True)]
