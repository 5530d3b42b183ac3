"""Lesson 10: an example folder, near-copies, splits by series, and a label for invented colors."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, ImageOps
from skimage import data
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, normalize
from torch.utils.data import Dataset

from colorlib.photos import split_by_photo
from colorlib.scenes import render_scenes

EXAMPLE = "example"
SHIFT = 8  # pixels that the camera moved between the two pictures of the cat
SCENES_SEED = 10  # not one of the seeds that the network for scenes has seen
DRIVE = Path("/content/drive")  # where Colab shows a Google Drive
AT_ONCE = 256  # photos made small at a time


def make_example(folder: str | os.PathLike, scenes: int = 115) -> Path:
    """Write a folder of pictures as people have them: most of one kind, and a few surprises.

    It holds painted scenes of 128 pixels, four photos of scikit-image (the cat twice, as if in a
    burst of shots), one gray photo, one exact copy, one file that is cut off, and one text.

    Returns:
        The folder as a Path.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {name: getattr(data, name)() for name in ("astronaut", "coffee", "rocket", "camera")}
    cat = data.chelsea()
    pictures["chelsea_2"] = cat[:, :-SHIFT]
    pictures["chelsea_3"] = np.minimum(cat[:, SHIFT:] * 1.05, 255).astype(np.uint8)
    rgb = render_scenes(scenes, size=128, seed=SCENES_SEED).rgb
    pictures |= {f"scene{i:03d}": each.permute(1, 2, 0).numpy() for i, each in enumerate(rgb)}
    for name, picture in pictures.items():
        Image.fromarray(picture).save(folder / f"{name}.png")
    coffee = (folder / "coffee.png").read_bytes()
    (folder / "coffee copy.png").write_bytes(coffee)
    (folder / "download.png").write_bytes(coffee[: len(coffee) // 2])
    (folder / "notes.txt").write_text("what is in these pictures\n")
    return folder


def mount_drive(*paths: str | os.PathLike) -> bool:
    """Mount Google Drive on Colab if one of the paths is in it; return whether one is."""
    is_wanted = any(Path(path).is_relative_to(DRIVE) for path in paths)
    if is_wanted and not DRIVE.joinpath("MyDrive").exists():
        from google.colab import drive  # exists only on Colab

        drive.mount(str(DRIVE))
    return is_wanted


def series(name: str) -> str:
    """The series that a photo belongs to, judged by its name: chelsea for chelsea_2.png."""
    return re.sub(r"_\d+$", "", Path(name).stem)


def split_by_series(names: Sequence[str], seed: int = 0) -> tuple[list[str], list[str]]:
    """Divide photos 5:1 so that no series is on both sides: (train_names, test_names)."""
    _, test = split_by_photo(sorted({series(name) for name in names}), seed)
    return (
        [name for name in names if series(name) not in test],
        [name for name in names if series(name) in test],
    )


def twins(train: Dataset, test: Dataset) -> list[tuple[float, str, str]]:
    """Find the training photo that looks most like each test photo.

    Photos are compared as 8×8 pixels minus their mean: 1 is the same picture except for brightness
    and contrast; at 0 they have nothing in common.

    Args:
        train: has `rgb` (N, 3, H, W) and `names`, like those of `colorlib.photos.open_data`.
        test: likewise.

    Returns:
        (similarity, name in test, name in train), the most alike first.
    """
    similarity = thumbnails(test.rgb) @ thumbnails(train.rgb).T
    best, places = similarity.max(dim=1)
    pairs = zip(best.tolist(), test.names, (train.names[place] for place in places))
    return sorted(pairs, reverse=True)


def thumbnails(rgb: Tensor) -> Tensor:
    """Photos as 8×8 pixels without their mean, of length 1: (N, 192)."""
    small = torch.cat([adaptive_avg_pool2d(part.float(), 8) for part in rgb.split(AT_ONCE)])
    return normalize((small - small.mean(dim=(1, 2, 3), keepdim=True)).flatten(1))


def training_hours(photos: int, epochs: int, batch: int, seconds_per_step: float) -> float:
    """How many hours a training takes; the last batch of an epoch may be smaller."""
    return epochs * -(-photos // batch) * seconds_per_step / 3600


def label_invented(picture: Image.Image, words: str) -> Image.Image:
    """Put a line of words under a picture, so that nobody takes its colors for a fact."""
    height = max(16, picture.height // 12)
    labeled = ImageOps.expand(picture, (0, 0, 0, height), "white")
    font = ImageFont.load_default(0.7 * height)
    room = (picture.width - 16) / font.getlength(words)  # hinted glyphs may be a little wider
    font = ImageFont.load_default(0.7 * height * min(1.0, room))
    ImageDraw.Draw(labeled).text((4, picture.height), words, fill="black", font=font)
    return labeled
