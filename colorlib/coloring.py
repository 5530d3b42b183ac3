"""Color a photo of any size: its own lightness, with the network's chroma laid over it.

The eye sees fine detail in lightness and next to none in chroma; television and JPEG rely on that.
So the network looks at a small copy, near the size it was trained at, and only its chroma is
enlarged. Every hair and leaf comes from the photo's own full-size L*.

All full-size work is done strip by strip: a 100-megapixel scan would take gigabytes as floats.
"""

import os
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo
from torch import Tensor, nn
from torch.nn import functional

from colorlib.color import L_ab_to_rgb, gray_from_lightness, to_black_and_white
from colorlib.decode import PhotoError, image_to_rgb, read_photo, strips
from colorlib.hints import Hint, Hinted, hint_map, load_hinted
from colorlib.metrics import Colorizer, at_work
from colorlib.runs import atomic_write, choose_device, load_generator, read_card

MULTIPLE = 32  # the network's height and width are multiples of this; every generator takes these
LONGEST = 4  # limit of the longer side that the network sees, as a multiple of the training size
# L*/100 of the 256 grays: looking them up is faster than converting every pixel
GRAY_LEVELS = gray_from_lightness(torch.arange(256).byte().expand(3, 1, 256)).flatten().numpy()
NOTE = "The colors of this picture were invented by a neural network (colorlib) and may be wrong."


def colorize(
    image: str | os.PathLike | Image.Image | np.ndarray,
    generator: Colorizer | None = None,
    size: int | None = None,
    hints: Sequence[Hint] = (),
) -> Image.Image:
    """Color one photo at its full size.

    A color photo is reduced to its L* first: its own colors play no part. Takes at most 12 bytes
    of memory per pixel.

    Args:
        image: a path, a PIL image of any mode, or a NumPy array that PIL accepts: (H, W),
            (H, W, 3) or (H, W, 4), usually uint8.
        generator: predicts ab from L; any callable. A network is used in eval mode, on its own
            device. By default the network for photos that comes with colorlib, on the GPU if there
            is one.
        size: side of the photos in training, in pixels; by default the shipped network's, or 256.
        hints: colors that you know, as (x, y, color) in pixels of the upright photo; see
            `colorlib.hints.hint_map`.

    Returns:
        PIL image, mode RGB, as large as the upright photo, with the photo's EXIF and dpi in `info`.

    Raises:
        PhotoError: the photo cannot be read.
        ValueError: a hint is outside the photo, or the generator can't take hints.

    Example:
        >>> colorize("old.jpg").save("old_colored.png")
        >>> colorize("old.jpg", hints=[(120, 80, "#c03020")]).save("red_scarf.png")
    """
    if generator is None:
        size = size or read_card("photos")["size"]
        generator = _shipped(choose_device(), bool(hints))
    photo = _open_rgb(image)
    small = _small_lightness(photo, *model_shape(photo.height, photo.width, size or 256))
    if hints and not isinstance(generator, Hinted):
        raise ValueError("this generator takes no hints; one from load_hinted does")
    marked = [hint_map(hints, small, photo.size)] if hints else []
    return _join(photo, _predict(generator, small, *marked))


def model_shape(height: int, width: int, size: int = 256) -> tuple[int, int]:
    """Find the height and width at which a network trained at `size` should see a photo.

    The shorter side becomes `size`, as when training photos were cropped: things appear as large
    as the network knows them, and nothing is cut off. Both sides are rounded to multiples of
    `MULTIPLE`. A very long photo is shrunk further, to bound the work.
    """
    scale = min(size / min(height, width), LONGEST * size / max(height, width))
    rounded = (MULTIPLE * max(1, round(side * scale / MULTIPLE)) for side in (height, width))
    return tuple(rounded)


def black_and_white(path: str | os.PathLike, level: float | None = None) -> Image.Image:
    """Cut a picture file to pure black and white; see `to_black_and_white`.

    Returns:
        PIL image, mode 1, with the file's EXIF and dpi in `info`.

    Raises:
        PhotoError: the file cannot be read.
        ValueError: a level outside 0..1.
    """
    photo = read_photo(path)
    L = torch.cat([_lightness(strip) for _, strip in strips(photo)], dim=-2)
    result = Image.fromarray(to_black_and_white(L, level)[0, 0].numpy())
    result.info = photo.info
    return result


def save_photo(
    path: str | os.PathLike,
    photo: Image.Image,
    format: Literal["png", "jpeg"] = "png",
    note: str = NOTE,
) -> None:
    """Save a photo with the metadata in its `info`, the sRGB profile, and a note.

    Raises:
        PhotoError: the metadata doesn't fit into a JPEG.
    """
    options = {name: photo.info[name] for name in ("exif", "dpi") if name in photo.info}
    if photo.mode == "RGB":
        options["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    if format == "jpeg":
        if len(options.get("exif", b"")) > 65_533:  # bytes
            raise PhotoError("its EXIF data doesn't fit into a JPEG: use the format PNG", str(path))
        options |= {"quality": 95, "subsampling": 0, "comment": note}
    else:
        # the default, 6, is slow; run lengths suit what remains after PNG's filters
        options |= {"compress_level": 1, "compress_type": zlib.Z_RLE, "pnginfo": PngInfo()}
        options["pnginfo"].add_text("Comment", note)
    with atomic_write(Path(path)) as temporary:
        photo.save(temporary, format, **options)


@cache
def _shipped(device: torch.device, takes_hints: bool = False) -> nn.Module:
    return (load_hinted if takes_hints else load_generator)("photos", device)


def _open_rgb(image: str | os.PathLike | Image.Image | np.ndarray) -> Image.Image:
    if isinstance(image, str | os.PathLike):
        return read_photo(image)
    if isinstance(image, np.ndarray):
        try:
            image = Image.fromarray(image.squeeze(2) if image.shape[2:] == (1,) else image)
        except (TypeError, ValueError) as error:
            raise PhotoError(
                f"an array of {image.dtype} {image.shape} is not a picture: give uint8 (H, W), "
                "(H, W, 3) or (H, W, 4)"
            ) from error
    return image_to_rgb(image)


def _lightness(photo: Image.Image) -> Tensor:
    """L*/100 of an RGB image, (1, 1, H, W)."""
    pixels = np.array(photo)
    gray = pixels[..., 0]
    if (pixels[..., 1] == gray).all() and (pixels[..., 2] == gray).all():
        return torch.from_numpy(GRAY_LEVELS.take(gray))[None, None]
    return gray_from_lightness(torch.from_numpy(pixels).permute(2, 0, 1)[None])


def _small_lightness(photo: Image.Image, height: int, width: int) -> Tensor:
    """L*/100 of an RGB image, shrunk without aliasing: (1, 1, height, width)."""
    shrink = {"mode": "bicubic", "antialias": True}  # the two directions are independent
    narrow = [_lightness(strip) for _, strip in strips(photo)]
    narrow = [functional.interpolate(L, (L.shape[-2], width), **shrink) for L in narrow]
    L = functional.interpolate(torch.cat(narrow, dim=-2), (height, width), **shrink)
    return L.clamp(0, 1)


def _predict(generator: Colorizer, L: Tensor, *hints: Tensor) -> Tensor:
    """Call a generator in eval mode, on its device and in its precision; leave it as it was."""
    with at_work(generator) as device:
        dtype = next(generator.parameters(), L).dtype if isinstance(generator, nn.Module) else None
        return generator(*(each.to(device, dtype) for each in (L, *hints))).to(L)


def _join(photo: Image.Image, ab: Tensor) -> Image.Image:
    """Lay ab (1, 2, h, w) over an RGB photo's L*, strip by strip."""
    height, width = photo.height, photo.width
    # If the photo is smaller than what the network saw, ab is shrunk here, without aliasing.
    ab = functional.interpolate(
        ab, (min(ab.shape[-2], height), width), mode="bilinear", antialias=True
    )
    colored = Image.new("RGB", photo.size)
    for top, strip in strips(photo):
        L = _lightness(strip)
        rgb = L_ab_to_rgb(L, _enlarged_rows(ab, top, L.shape[-2], height))[0]  # (3, rows, W)
        pixels = (rgb * 255).round_().byte().permute(1, 2, 0).contiguous().numpy()
        colored.paste(Image.fromarray(pixels), (0, top))
    colored.info = photo.info
    return colored


def _enlarged_rows(ab: Tensor, top: int, rows: int, height: int) -> Tensor:
    """Enlarge ab (1, 2, h, W) to `height` rows bilinearly, and return those from `top` on.

    By hand, because a strip that is enlarged by itself would have edges of its own.
    """
    last = ab.shape[-2] - 1
    centers = torch.arange(top, top + rows) + 0.5
    position = (centers * (ab.shape[-2] / height) - 0.5).clamp(0, last)  # in rows of ab
    above = position.long()
    below = (above + 1).clamp(max=last)
    return ab[:, :, above].lerp(ab[:, :, below], (position - above)[:, None])
