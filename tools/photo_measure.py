"""Measuring colorizers on photos at their full size, photo by photo.

A network looks at a small copy of a photo, and its chroma is enlarged to the photo's own size. How
large the copy is, whether its mirror image is looked at as well, and how chroma is enlarged is
called a look here, and is chosen on validation photos.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from colorlib.color import L_ab_to_rgb, colorfulness, rgb_to_L_ab
from colorlib.metrics import ciede2000, psnr_ab
from lessonkit.lpips import lpips
from tools.photo_data import decode

MULTIPLE = 32  # what the sides of the small copy are rounded to
GUIDED_RADIUS, GUIDED_SOFTNESS = 4, 1e-3  # pixels of the small copy; of L*/100, squared


@dataclass(frozen=True)
class Look:
    """How a network looks at a photo."""

    size: int  # shorter side of the copy that it sees, in pixels
    is_mirrored: bool = False  # also look at the mirror image, and take the mean of both answers
    is_guided: bool = False  # enlarge chroma along the edges of L* instead of bilinearly


def paint(generator: nn.Module, L: Tensor, look: Look, k: float = 1.0) -> Tensor:
    """Color a photo at its full size.

    Args:
        generator: in eval mode.
        L: L*/100, (1, 1, H, W).
        look: how it is looked at.
        k: what goes into tanh is multiplied by this.

    Returns:
        ab, (1, 2, H, W).
    """
    height, width = L.shape[-2:]
    scale = look.size / min(height, width) / MULTIPLE
    shape = [MULTIPLE * max(1, round(side * scale)) for side in (height, width)]
    small = interpolate(L, shape, mode="bicubic", antialias=True).clamp(0, 1)
    ab = generator(small)
    if look.is_mirrored:
        ab = (ab + generator(small.flip(-1)).flip(-1)) / 2
    if k != 1:
        ab = torch.tanh(k * torch.atanh(ab))
    if look.is_guided:
        return guided_enlargement(L, small, ab)
    return interpolate(ab, (height, width), mode="bilinear", antialias=True)


def guided_enlargement(
    L: Tensor,
    small: Tensor,
    ab: Tensor,
    radius: int = GUIDED_RADIUS,
    softness: float = GUIDED_SOFTNESS,
) -> Tensor:
    """Enlarge chroma so that its edges follow those of lightness.

    Around each pixel, chroma is fitted as slope · L + offset; slope and offset are enlarged in
    place of chroma, and meet the full-size L there.

    Args:
        L: L*/100 of the photo, (1, 1, H, W).
        small: the copy that the network saw, (1, 1, h, w).
        ab: chroma of the copy, (1, 2, h, w).
        radius: of the square in which it is fitted, in pixels of the copy.
        softness: squared contrasts of L well below this count as flat.

    Returns:
        ab, (1, 2, H, W).

    Reference: He and Sun 2015, "Fast guided filter".
    """

    def mean(x: Tensor) -> Tensor:
        return avg_pool2d(x, 2 * radius + 1, 1, radius, count_include_pad=False)

    mean_L, mean_ab = mean(small), mean(ab)
    covariance = mean(small * ab) - mean_L * mean_ab
    slope = covariance / (mean(small * small) - mean_L**2 + softness)
    fit = mean(torch.cat([slope, mean_ab - slope * mean_L], dim=1))  # (1, 4, h, w)
    slope, offset = interpolate(fit, L.shape[-2:], mode="bilinear").chunk(2, dim=1)
    return (slope * L + offset).clamp(-1, 1)


@torch.inference_mode()
def measure(
    colorizer: Callable[[Tensor], Tensor], paths: Iterable[Path], is_quick: bool = False
) -> dict[str, list[float]]:
    """Measure a colorizer on each photo, at the size the file has.

    Args:
        colorizer: takes L (1, 1, H, W) to ab (1, 2, H, W).
        paths: of the photos.
        is_quick: leave out ciede2000 and lpips, which take most of the time.

    Returns:
        psnr_ab, ciede2000, lpips, colorfulness and colorfulness_real, a number for each photo.
    """
    rows = []
    for path in paths:
        rgb = torch.from_numpy(decode(path))[None]
        L, real_ab = rgb_to_L_ab(rgb)
        ab = colorizer(L)
        real, predicted = rgb / 255, L_ab_to_rgb(L, ab)
        values = {
            "psnr_ab": psnr_ab(ab, real_ab),
            "colorfulness": colorfulness(predicted),
            "colorfulness_real": colorfulness(real),
        }
        if not is_quick:
            values["ciede2000"] = ciede2000(predicted, real)
            values["lpips"] = lpips(predicted, real)
        rows.append({name: value.item() for name, value in values.items()})
    return {name: [row[name] for row in rows] for name in rows[0]}


def mean_row(values: dict[str, list[float]]) -> dict[str, float]:
    """Means over the photos, and the half widths of their 95% intervals."""
    row = {"photos": len(next(iter(values.values())))}
    for name, numbers in values.items():
        numbers = torch.tensor(numbers, dtype=torch.float64)
        row[name] = round(numbers.mean().item(), 4)
        row[f"{name}_interval"] = round(1.96 * numbers.std().item() / len(numbers) ** 0.5, 4)
    return row
