"""A folder of photos as such folders really are, made for lesson 03 in the shape of DUTS.

Good photos in `DUTS-TE-Image`, their masks in `DUTS-TE-Mask`, and between them what
people, cameras and computers leave behind: see `STRANGE`.
"""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

from colorlib.photos import fit_photo
from colorlib.scenes import LABELS, render_scenes

IMAGES, MASKS = "DUTS-TE-Image", "DUTS-TE-Mask"
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")  # the real ones, from scikit-image
LONG_SIDE = 400  # pixels, as in DUTS
SIDEWAYS = 6  # EXIF: the camera was held upright; turn right by 90 degrees to see the photo
ORIENTATION = 0x0112  # the number of that entry in EXIF

STRANGE = {  # what is mixed in with the ordinary photos, and how it came there
    "Thumbs.db": "Windows keeps small previews here",
    ".DS_Store": "macOS saves the folder's layout here",
    "more": "a subfolder, with one good photo in it",
    "empty.jpg": "0 bytes: the disk was full",
    "not_found.jpg": "a web page that says 404, saved under a photo's name",
    "cut_off.jpg": "half of a photo: the download was cut off",
    "camera.jpg": "a gray photo, one channel",
    "coins_scan.jpg": "a gray photo, saved with three equal channels",
    "moon_16bit.png": "a 16-bit gray photo, like those from a scanner",
    "cutout.png": "an object cut out: the background is transparent, with green underneath",
    "chelsea.jpg": "a good photo, taken with the phone upright: stored sideways",
}


def make_messy_folder(root: str | os.PathLike, scenes: int = 20) -> Path:
    """Write the folder: 4 real photos, painted scenes, masks, and what is in `STRANGE`.

    Args:
        root: the folder to make; it must not exist, or be empty.
        scenes: how many painted scenes, at least 3; one is in the subfolder, one as the cutout.

    Returns:
        root as a Path. Usable in it: 4 photos and all scenes.

    Raises:
        FileExistsError: there is something in the folder already.
    """
    root = Path(root)
    if root.exists() and any(root.iterdir()):
        raise FileExistsError(f"{root} is not empty: give a new folder")
    images, masks = root / IMAGES, root / MASKS
    (images / "more").mkdir(parents=True)
    masks.mkdir()
    pictures = [*_real_photos(), *_scenes(scenes)]
    for name, photo, mask in pictures[:-1]:
        place = images / "more" if name == "scene_00" else images
        _save_photo(place / f"{name}.jpg", photo, is_sideways=name == "chelsea")
        mask.save(masks / f"{name}.png")
    _, photo, mask = pictures[-1]
    _cut_out(photo, mask).save(images / "cutout.png")
    mask.convert("RGB").save(masks / "stray.jpg")  # three such are reported in DUTS-TR
    _put_strange_files(images, photo)
    return root


def _real_photos() -> Iterator[tuple[str, Image.Image, Image.Image]]:
    """Name, photo and mask of each photo of scikit-image; the mask is an ellipse in the middle."""
    for name in PHOTOS:
        photo = Image.fromarray(getattr(data, name)())
        photo.thumbnail((LONG_SIDE, LONG_SIDE), Image.Resampling.BICUBIC)
        y, x = np.ogrid[-1 : 1 : photo.height * 1j, -1 : 1 : photo.width * 1j]
        yield name, photo, Image.fromarray(np.where(x**2 + y**2 < 0.5, 255, 0).astype(np.uint8))


def _scenes(count: int) -> Iterator[tuple[str, Image.Image, Image.Image]]:
    """Name, picture and mask of painted scenes, 256×192; the mask shows all but the background."""
    background = [LABELS.index(name) for name in ("sky", "grass", "water", "sand", "wall", "table")]
    rgb, labels = render_scenes(count, size=256, seed=3)
    for index in range(count):
        picture = Image.fromarray(rgb[index, :, 32:224].permute(1, 2, 0).numpy())
        is_thing = ~np.isin(labels[index, 32:224].numpy(), background)
        yield f"scene_{index:02d}", picture, Image.fromarray(is_thing.astype(np.uint8) * 255)


def _save_photo(path: Path, photo: Image.Image, is_sideways: bool) -> None:
    exif = Image.Exif()
    if is_sideways:
        photo = photo.transpose(Image.Transpose.ROTATE_90)
        exif[ORIENTATION] = SIDEWAYS
    photo.save(path, quality=90, exif=exif)


def _cut_out(photo: Image.Image, mask: Image.Image) -> Image.Image:
    """A thing before nothing; the green of the studio is still there, at alpha 0."""
    cutout = Image.composite(photo, Image.new("RGB", photo.size, (0, 255, 0)), mask)
    cutout.putalpha(mask)
    return cutout


def _put_strange_files(images: Path, photo: Image.Image) -> None:
    """Write what needs no other picture; `photo` is the one whose download was cut off."""
    jpeg = io.BytesIO()
    photo.save(jpeg, "JPEG", quality=90)
    for name, content in {
        "Thumbs.db": b"\xd0\xcf\x11\xe0" + bytes(508),  # the mark of its kind, and nothing
        ".DS_Store": b"\0\0\0\1Bud1" + bytes(504),
        "empty.jpg": b"",
        "not_found.jpg": b"<html><body><h1>404 Not Found</h1></body></html>",
        "cut_off.jpg": jpeg.getvalue()[: len(jpeg.getvalue()) // 2],
    }.items():
        (images / name).write_bytes(content)
    Image.fromarray(data.camera()[::2, ::2]).save(images / "camera.jpg")
    Image.fromarray(data.coins()).convert("RGB").save(images / "coins_scan.jpg")
    moon = fit_photo(Image.fromarray(data.moon()).convert("RGB"), 256).convert("L")
    Image.fromarray(np.asarray(moon).astype(np.uint16) * 257).save(images / "moon_16bit.png")
