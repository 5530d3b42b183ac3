"""Color a photo of any size: its own lightness, with the network's chroma laid over it.

The eye sees fine detail in lightness and next to none in chroma (television and JPEG live by that).
So the network looks at a small copy, near the size it was trained at, and only its chroma is
enlarged; every hair and leaf comes from the full-size L* of the photo.
"""

import os

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from colorlib.color import L_ab_to_rgb, gray_from_lightness
from colorlib.decode import PhotoError, image_to_rgb, read_photo
from colorlib.metrics import at_work

MULTIPLE = 16  # what the generators' four halvings need
LONGEST = 4  # the longer side the network sees, in model sizes; longer photos are seen smaller
STRIP_PIXELS = 2**18  # converted at a time, so that floats of the whole photo are never in memory


@torch.inference_mode()
def colorize(
    generator: nn.Module, image: str | os.PathLike | Image.Image | np.ndarray, size: int = 256
) -> Image.Image:
    """Color one photo at its full size.

    A color photo is turned to its L* first: its own colors play no part. Memory is about 16 bytes
    a pixel; the float pictures are made strip by strip.

    Args:
        generator: predicts ab from L; any callable will do. A network is used in eval mode.
        image: a path, a PIL image of any mode or a NumPy array that PIL takes: (H, W), (H, W, 3)
            or (H, W, 4), mostly uint8.
        size: the photos' side in training, in pixels.

    Returns:
        PIL image, mode RGB, as large as the photo seen upright.

    Raises:
        PhotoError: the photo cannot be read.
    """
    L = _lightness(_open_rgb(image))
    small = functional.interpolate(
        L, model_shape(*L.shape[-2:], size), mode="bicubic", antialias=True
    )
    return _join(L, _predict(generator, small.clamp(0, 1)))


def model_shape(height: int, width: int, size: int = 256) -> tuple[int, int]:
    """Find the height and width at which a network trained at `size` should see a photo.

    The shorter side becomes `size`, as when training photos were cropped: things appear as large
    as the network knows them, and none is cut off. Both sides are rounded to multiples of 16; a
    very long photo is shrunk further, to bound the work.
    """
    scale = min(size / min(height, width), LONGEST * size / max(height, width))
    rounded = (MULTIPLE * max(1, round(side * scale / MULTIPLE)) for side in (height, width))
    return tuple(rounded)


def _open_rgb(image: str | os.PathLike | Image.Image | np.ndarray) -> Image.Image:
    if isinstance(image, str | os.PathLike):
        return read_photo(image)
    if isinstance(image, np.ndarray):
        try:
            image = Image.fromarray(image.squeeze(2) if image.shape[2:] == (1,) else image)
        except (TypeError, ValueError) as error:
            raise PhotoError(
                f"no picture in an array of {image.dtype} {image.shape}: uint8 (H, W), (H, W, 3) "
                "or (H, W, 4) is needed"
            ) from error
    return image_to_rgb(image)


def _lightness(photo: Image.Image) -> Tensor:
    """L*/100 of an RGB image, (1, 1, H, W)."""
    return gray_from_lightness(torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None])


def _predict(generator: nn.Module, L: Tensor) -> Tensor:
    """Call a generator in eval mode, on its device and in its precision; leave it as it was."""
    with at_work(generator) as device:
        dtype = next(generator.parameters(), L).dtype if isinstance(generator, nn.Module) else None
        return generator(L.to(device, dtype)).to(L)


def _join(L: Tensor, ab: Tensor) -> Image.Image:
    """Enlarge ab (1, 2, h, w) bilinearly to L (1, 1, H, W), join them, convert, strip by strip."""
    height, width = L.shape[-2:]
    # Full width at once. The rows in between are made when their strip comes, and by hand: alone,
    # a strip would have edges of its own. If the photo is smaller than what the network saw, all
    # is done here.
    ab = functional.interpolate(
        ab, (min(ab.shape[-2], height), width), mode="bilinear", antialias=True
    )
    last = ab.shape[-2] - 1
    rgb = np.empty((height, width, 3), np.uint8)
    strip_height = max(1, STRIP_PIXELS // width)
    for top in range(0, height, strip_height):
        rows = slice(top, min(top + strip_height, height))
        centers = torch.arange(rows.start, rows.stop) + 0.5
        position = (centers * (ab.shape[-2] / height) - 0.5).clamp(0, last)  # in rows of ab
        above = position.long()
        below = (above + 1).clamp(max=last)
        weight = (position - above)[:, None]  # (rows, 1)
        strip_ab = ab[:, :, above].lerp(ab[:, :, below], weight)
        strip = L_ab_to_rgb(L[:, :, rows], strip_ab)[0]  # (3, rows, W), 0..1
        rgb[rows] = (strip * 255).round().byte().permute(1, 2, 0).numpy()
    return Image.fromarray(rgb)
