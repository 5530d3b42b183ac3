"""One picture file of any kind: decoded, upright, in sRGB, and cut to a square.

People bring 16-bit scans, palettes, CMYK, AdobeRGB, colors hidden under alpha, and broken
downloads. Each file is either used correctly or refused with a `PhotoError` that says what is
wrong with it.
"""

import io
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

try:
    from pillow_heif import register_heif_opener

    register_heif_opener()
    NO_HEIF = ""
except ImportError:
    NO_HEIF = " (HEIC photos need pillow-heif: pip install pillow-heif)"

Image.init()
# Not EPS: Pillow would run Ghostscript on it. AVIF and HEIF depend on what is installed.
FORMATS = "JPEG PNG WEBP BMP TIFF GIF PPM MPO JPEG2000 AVIF HEIF".split()
FORMATS = tuple(name for name in FORMATS if name in Image.OPEN)
FITS = ("crop", "stretch")
DEEP_GRAY_MODES = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})

MAX_MEGAPIXELS = 178  # Pillow's own limit
MAX_TRAINING_MEGAPIXELS = 64  # eight photos are decoded at a time, at 4 bytes per pixel
# Pixels converted at a time. The whole photo never exists as floats, and a strip fits in a CPU
# core's cache.
STRIP_PIXELS = 2**16
DARK_TOP = 4095  # 16-bit files that stay below this probably hold 12 bits or 8

GRAY_SPREAD = 12  # levels between the smallest and largest of R, G, B; JPEG noise stays below
GRAY_SHARE = 0.01  # a photo is gray if fewer of its pixels than this exceed GRAY_SPREAD

# Relative colorimetric keeps every color that sRGB can show exactly as it is; perceptual intent
# would also change those, to make room for the rest. Black point compensation keeps CMYK's black
# black.
INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION

# The EXIF entries that stay true in a colored copy. A list, because a TIFF file's own layout is
# stored among them too.
KEPT_EXIF = "ImageDescription Make Model DateTime Artist Copyright".split()
KEPT_EXIF_GROUPS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)

# Pillow warns above 89 megapixels; here `read_photo` checks the size.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class PhotoError(ValueError):
    """A file that can't be used as a photo.

    Attributes:
        reason: what is wrong and what to do, without the file's name.
    """

    def __init__(self, reason: str, name: str = ""):
        super().__init__(f"{name}: {reason}" if name else reason)
        self.reason = reason


def read_photo(
    path_or_file: str | os.PathLike | BinaryIO, shrink_to: int | None = None
) -> Image.Image:
    """Decode a picture file of any kind to upright sRGB; gray ones too.

    Args:
        path_or_file: a path, or a binary file open for reading.
        shrink_to: for training. A JPEG may come out smaller, its shorter side at least this many
            pixels, for a fraction of the time and memory. None: full size.

    Returns:
        PIL image, mode RGB; the first picture of an animation or a document. Its `info` holds the
        file's EXIF (without the orientation) and `dpi`, if it has them.

    Raises:
        PhotoError: unreadable, damaged, cut off, or too large: more than `MAX_MEGAPIXELS`, or
            `MAX_TRAINING_MEGAPIXELS` with `shrink_to`.
    """
    limit = MAX_MEGAPIXELS if shrink_to is None else MAX_TRAINING_MEGAPIXELS
    is_path = isinstance(path_or_file, str | os.PathLike)
    try:
        if is_path:
            status = os.stat(path_or_file)
            if not stat.S_ISREG(status.st_mode):  # reading from a pipe would wait forever
                raise PhotoError("not a regular file: give the path of a photo")
            if not status.st_size:
                raise PhotoError("empty file: copy or download it again")
        with Image.open(path_or_file, formats=FORMATS) as image:
            if image.width * image.height > limit * 1_000_000:
                raise PhotoError(f"more than {limit} megapixels: make it smaller first")
            if shrink_to is not None:
                image.draft(None, (shrink_to, shrink_to))  # does nothing to other formats
            image.load()
            return _to_rgb(image)
    except Exception as error:  # on hostile bytes the decoders raise almost anything
        name = path_or_file if is_path else getattr(path_or_file, "name", "this picture")
        raise PhotoError(explain(error), str(name)) from error


def image_to_rgb(image: Image.Image) -> Image.Image:
    """Turn a PIL image of any mode into a new image as `read_photo` returns it.

    Raises:
        PhotoError: the picture is damaged, or its pixels mean nothing as a photo, such as floats
            outside 0..1.
    """
    try:
        image.load()
        copy = image.copy()
        # `_to_8_bits` needs these to know which value is white
        copy.format, copy.tag_v2 = image.format, getattr(image, "tag_v2", {})
        return _to_rgb(copy)
    except Exception as error:  # as in `read_photo`
        raise PhotoError(explain(error)) from error


def fit_photo(image: Image.Image, size: int, fit: str = "crop") -> Image.Image:
    """Make a photo a square.

    Args:
        image: PIL image, mode RGB.
        size: side of the square, in pixels.
        fit: "crop" scales the shorter side to `size` and cuts out the center; "stretch" squeezes
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


def strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Cut an image into strips of about `STRIP_PIXELS`: yield (top row, strip)."""
    rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def explain(error: Exception) -> str:
    """Say what is wrong with a file to the person who brought it."""
    match error:
        case PhotoError():
            return error.reason
        case Image.DecompressionBombError():
            return f"more than {MAX_MEGAPIXELS} megapixels: make it smaller first"
        case MemoryError():
            return "needs more memory than is free: make it smaller, or close other programs"
        case UnidentifiedImageError():
            return f"not a picture that colorlib can read{NO_HEIF}: save it as JPEG or PNG"
        case OSError(errno=int()):
            return f"cannot be opened ({error.strerror}): check the path and its permissions"
    return f"damaged or cut off ({error}): copy or download it again, or save it as JPEG"


def _to_rgb(image: Image.Image) -> Image.Image:
    """Turn a decoded image that nobody else uses into upright sRGB, with `info` as promised."""
    if 0 in image.size:
        raise PhotoError("a picture without pixels: choose another one")
    info, profile = _metadata(image), image.info.get("icc_profile")
    name = getattr(image, "filename", "") or "a picture"
    with suppress(Exception):  # EXIF that nobody can read must not cost the photo
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode in DEEP_GRAY_MODES:
        image = _to_8_bits(image)
    if image.has_transparency_data:  # any color may hide where alpha is 0: it must not show
        # gray stays gray: its profile, if it has one, is for gray
        image = image.convert("LA" if image.mode in ("1", "L", "LA") else "RGBA")
        white = Image.new(image.mode[:-1], image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        image = white
    if image.mode not in ("L", "CMYK", "RGB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    if profile:
        try:
            image = _apply_profile(image, profile)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            warnings.warn(f"{name}: unusable color profile, so sRGB is assumed", stacklevel=2)
    if image.mode != "RGB":
        image = image.convert("RGB")
    image.info = info
    return image


def _metadata(image: Image.Image) -> dict:
    """The EXIF entries and the resolution that a colored copy may keep."""
    info = {}
    with suppress(Exception):  # cameras and scanners write anything
        found, kept = image.getexif(), Image.Exif()
        for tag in (ExifTags.Base[name] for name in KEPT_EXIF):
            if tag in found:
                kept[tag] = found[tag]
        for group in KEPT_EXIF_GROUPS:
            if entries := found.get_ifd(group):
                kept[group] = entries
        if kept:
            info["exif"] = kept.tobytes()
    with suppress(Exception):
        dpi = tuple(float(value) for value in image.info["dpi"])
        if len(dpi) == 2 and all(1 <= value <= 30_000 for value in dpi):
            info["dpi"] = dpi
    return info


def _apply_profile(image: Image.Image, content: bytes) -> Image.Image:
    """Convert an L, RGB or CMYK image from an embedded color profile to sRGB."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(content))
    options = {"renderingIntent": INTENT, "outputMode": "RGB", "flags": FLAGS}
    srgb = ImageCms.createProfile("sRGB")
    if image.mode == "CMYK":
        return ImageCms.profileToProfile(image, profile, srgb, **options)
    is_for_gray = profile.profile.xcolor_space.strip() == "GRAY"
    ramp = Image.frombytes("L", (256, 1), bytes(range(256))).convert("L" if is_for_gray else "RGB")
    ramp = ImageCms.profileToProfile(ramp, profile, srgb, **options).getchannel("G").tobytes()
    if image.mode == "L":  # 256 levels: look up the pixels
        return image.point(list(ramp))
    # some profiles of linear light have sRGB in their names, but change the grays
    is_named_srgb = "srgb" in ImageCms.getProfileDescription(profile).lower()
    if is_named_srgb and all(abs(level - place) <= 1 for place, level in enumerate(ramp)):
        return image
    return ImageCms.profileToProfile(image, profile, srgb, **options)


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Gray of 16 or 32 bits (0 to the file's white), or float (0..1), as 8 bits, rounded.

    Pillow's own `convert` clips such values, most of them to white.
    """
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(ExifTags.Base.BitsPerSample, (16,))[0]
    stated = tags.get(ExifTags.Base.MaxSampleValue, 2**bits - 1 if bits < 16 else None)
    top = 1 if image.mode == "F" else stated or 65535
    top = top[0] if isinstance(top, tuple) else top
    highest = image.getextrema()[1]
    if image.mode != "F" and stated is None and 0 < highest <= DARK_TOP and image.format != "PPM":
        raise PhotoError(
            f"gray with no value above {highest}, where 65535 would be white: save it as "
            "8-bit PNG or JPEG"
        )
    result = Image.new("L", image.size)
    for row, strip in strips(image):
        values = np.asarray(strip)
        if not (values.min() >= 0 and values.max() <= top):  # "not", to refuse NaN as well
            raise PhotoError(f"values outside 0..{top}: save it as 8-bit PNG or JPEG")
        levels = np.rint(values * np.float32(255 / top))  # in float32, for speed
        result.paste(Image.fromarray(levels.astype(np.uint8)), (0, row))
    if tags.get(ExifTags.Base.PhotometricInterpretation) == 0:  # here 0 is white
        result = ImageOps.invert(result)
    return result
