"""Discriminators: is this color the photo's own, or invented?

Both look at lightness and chroma together, since the question is not "is this a nice color?"
but "is it the right kind of color for this picture?". Both answer in logits: any number, 0 for
"cannot tell", a positive one for "real". `torch.sigmoid` turns a logit into a probability; the
losses in `colorlib.losses` never do, because a sigmoid that is sure loses its gradient.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

IMAGE_WIDTHS = (32, 64, 128, 256, 512, 512)


class ImageDiscriminator(nn.Module):
    """Judge a whole picture with one score, as in the tutorial.

    Six 4×4 convolutions of stride 2, each with batch norm (see `PatchDiscriminator` for what that
    costs in the first), then one that looks at the 4×4 pixels that are left. For pictures of 256
    pixels: 6,993,825 parameters, and a receptive field of 382 pixels, more than the picture has.

    Args:
        size: height and width of the pictures, 64, 128 or 256. For 128 and 64 the last one and
            the last two of the six convolutions are left out.

    Raises:
        ValueError: another size.

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
            logits, (B, 1, 1, 1): one score a picture.

        Raises:
            ValueError: pictures of another size.
        """
        size = self.config["size"]
        if L.shape[-2:] != (size, size):
            raise ValueError(
                f"this ImageDiscriminator judges {size}×{size} pixels, got "
                f"{L.shape[-2]}×{L.shape[-1]}; resize them, or take a PatchDiscriminator"
            )
        return self.layers(torch.cat([L, ab], dim=1))


class PatchDiscriminator(nn.Module):
    """Judge every patch of a picture by itself, with a map of scores.

    With the defaults each score sees 70×70 pixels. `layers=2` sees 34, `layers=1` sees 16. It
    takes any size from 3 · 2**layers pixels on; near the rim a patch sees padding.

    Args:
        width: channels of the first layer; each further layer has twice as many, at most 8 times.
        layers: convolutions of stride 2.
        norm: "batch" as published, or "none": each picture is judged by itself, which WGAN-GP's
            penalty needs, and which teaches G less color noise (it is the recipes' default).

    Reference: Isola et al. 2017, section 3.2.2. The first layer never has batch norm: it would
    erase the mean color, by which a fake is often known.
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
            logits, (B, 1, h, w): one score a patch; 30×30 of them at 256 pixels by default.

        Raises:
            ValueError: pictures too small for a single patch.
        """
        smallest = 3 * 2 ** self.config["layers"]
        if min(L.shape[-2:]) < smallest:
            raise ValueError(
                f"PatchDiscriminator(layers={self.config['layers']}) needs pictures of {smallest} "
                f"pixels or more, got {L.shape[-2]}×{L.shape[-1]}; use fewer layers"
            )
        return self.layers(torch.cat([L, ab], dim=1))


def strided_block(before: int, after: int, stride: int, norm: str) -> list[nn.Module]:
    """A 4×4 convolution, batch norm if asked for, LeakyReLU(0.2); stride 2 halves the size."""
    block = [nn.Conv2d(before, after, kernel_size=4, stride=stride, padding=1)]
    if norm == "batch":
        block.append(nn.BatchNorm2d(after))
    return [*block, nn.LeakyReLU(0.2, inplace=True)]


def receptive_field(discriminator: nn.Module) -> int:
    """How many pixels across one score of a discriminator sees.

    Walks back from one output pixel: each convolution of kernel k and stride s turns a field of
    f pixels into (f - 1) · s + k.
    """
    field = 1
    for layer in reversed(list(discriminator.modules())):
        if isinstance(layer, nn.Conv2d):
            field = (field - 1) * layer.stride[0] + layer.kernel_size[0]
    return field
