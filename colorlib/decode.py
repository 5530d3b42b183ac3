"""One picture file of whatever kind: decoded to RGB, upright, and made a square.

People bring 16-bit gray, palettes, CMYK, hidden colors under alpha, cut-off downloads and bombs.
Each is either used rightly or refused with a `PhotoError`, which says what is wrong with it.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")  # not EPS: it would run a program
FITS = ("crop", "stretch")
DEEP_GRAY_MODES = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
GRAY_MODES = DEEP_GRAY_MODES | {"1", "L", "LA", "La"}

MAX_MEGAPIXELS = 64  # decoding takes 8 bytes a pixel, 16 with alpha: a gigabyte at most
GRAY_SPREAD = 12  # levels from the smallest of R, G, B to the largest; JPEG noise stays below
GRAY_SHARE = 0.01  # a photo with fewer pixels than this above GRAY_SPREAD counts as gray


class PhotoError(ValueError):
    """A file that is no usable color photo.

    Attributes:
        reason: what is wrong and what to do, without the file's name.
    """

    def __init__(self, reason: str, name: str = ""):
        super().__init__(f"{name}: {reason}" if name else reason)
        self.reason = reason


def read_photo(
    path_or_file: str | os.PathLike | BinaryIO, shrink_to: int | None = None
) -> Image.Image:
    """Decode a picture file of any kind to RGB, upright; gray ones too.

    Args:
        path_or_file: a path, or a binary file open for reading.
        shrink_to: a JPEG may come out smaller, its shorter side no less than this many pixels,
            for a fraction of the time and memory. None: full size.

    Returns:
        PIL image, mode RGB; of an animation the first picture.

    Raises:
        PhotoError: unreadable, damaged, cut off, larger than `MAX_MEGAPIXELS`, ...
    """
    with opened(path_or_file) as image:
        if shrink_to is not None:
            image.draft(None, (shrink_to, shrink_to))  # does nothing to other formats
        return image_to_rgb(image)


def image_to_rgb(image: Image.Image) -> Image.Image:
    """Turn a PIL image of any mode into a new RGB image: EXIF-rotated, alpha flattened on white.

    Gray of 16 bits is scaled to 8 (PIL's own `convert` clips it, most of it to white), float is
    taken as 0..1. Color profiles are not applied: numbers are taken as sRGB, as torchvision does.

    Raises:
        PhotoError: the pixels mean nothing as a photo, such as floats beyond 0..1.
    """
    if 0 in image.size:
        raise PhotoError("a picture without pixels: take another")
    image = image.copy()  # decodes, and leaves the caller's picture as it is
    with suppress(Exception):  # EXIF that nobody can read must not cost the photo
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode in DEEP_GRAY_MODES:
        image = Image.fromarray(_to_8_bits(np.asarray(image)))
    if image.has_transparency_data:  # any color may hide where alpha is 0: it must not show
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode != "RGB":
        image = image.convert("RGB")
    image.info = {}  # the rotation noted in EXIF or XMP is done: nobody shall do it again
    return image


def fit_photo(image: Image.Image, size: int, fit: str = "crop") -> Image.Image:
    """Make a photo a square.

    Args:
        image: PIL image, mode RGB.
        size: side of the square, in pixels.
        fit: "crop" brings the shorter side to `size` and cuts out the center; "stretch" squeezes
            the whole photo in, the tutorial's plain resize.

    Returns:
        PIL image, mode RGB, size × size.
    """
    if fit not in FITS:
        raise ValueError(f"fit must be one of {', '.join(FITS)}, got {fit!r}")
    if fit == "crop":
        return ImageOps.fit(image, (size, size), method=Image.Resampling.BICUBIC)
    return image.resize((size, size), Image.Resampling.BICUBIC)


def is_gray(rgb: np.ndarray) -> bool:
    """Tell whether a photo, uint8 (3, H, W), has practically no color: a gray scan, a mask."""
    spread = rgb.max(axis=0) - rgb.min(axis=0)
    return bool((spread > GRAY_SPREAD).mean() < GRAY_SHARE)


@contextmanager
def opened(file: str | os.PathLike | BinaryIO) -> Iterator[Image.Image]:
    """Open a picture by its header; say in plain words what goes wrong until it is closed."""
    is_path = isinstance(file, str | os.PathLike)
    try:
        if is_path:
            status = os.stat(file)
            if not stat.S_ISREG(status.st_mode):  # reading from a pipe would wait for ever
                raise PhotoError("no regular file: give the paths of photos")
            if not status.st_size:
                raise PhotoError("empty file: copy or download it again")
        with Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > MAX_MEGAPIXELS * 1_000_000:
                raise Image.DecompressionBombError
            yield image
    except Exception as error:  # on hostile bytes the decoders raise almost anything
        name = file if is_path else getattr(file, "name", "this picture")
        raise PhotoError(explain(error), str(name)) from error


def explain(error: Exception) -> str:
    """Say what is wrong with a file to the person who brought it."""
    match error:
        case PhotoError():
            return error.reason
        case Image.DecompressionBombError() | Image.DecompressionBombWarning() | MemoryError():
            return f"more than {MAX_MEGAPIXELS} megapixels: make it smaller first"
        case UnidentifiedImageError():
            return "no picture that can be read here: save it as JPEG or PNG"
        case OSError(errno=int()):
            return f"cannot be opened ({error.strerror}): check the path and its permissions"
    return f"damaged or cut off ({error}): copy or download it again, or save it as JPEG"


def _to_8_bits(values: np.ndarray) -> np.ndarray:
    """Gray of 16 bits (0..65535) or float (0..1) as uint8, rounded."""
    is_float = values.dtype.kind == "f"
    top = 1 if is_float else 65535
    if not (values.min() >= 0 and values.max() <= top):  # "not", to refuse NaN as well
        raise PhotoError(f"values beyond 0..{top}: save it as 8-bit PNG or JPEG")
    if is_float:
        return np.rint(values * 255).astype(np.uint8)
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)  # round(values / 257)
