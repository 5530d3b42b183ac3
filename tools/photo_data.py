"""The photos that the shipped weights learn from, are chosen on, and are tested on.

Four folders lie side by side: `natural` and `caltech101`, of which the photos named in
data/splits/photos.txt are for the test, and `landscapes` and `tiny-imagenet`, only for training.
A few photos of the first two are kept apart for validation: every choice is made on them.
"""

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, normalize
from torchvision.transforms.functional import resized_crop

from colorlib.photos import read_split, split_by_photo

VALIDATION, VALIDATION_SEED = 240, 1  # photos; a seed of their own
TWINS = 0.97  # photos whose thumbnails are more alike than this may be the same one
LONGEST = 2  # a photo keeps at most this ratio of its sides


class Source(NamedTuple):
    """Folders whose photos are trained on at one size."""

    folders: tuple[str, ...]
    size: int  # side of a training square, in pixels
    batch: int
    stored: int  # shorter side of the decoded photos
    smallest: float  # share of the shorter side that a random square shows at least


# One batch of each in turn. Zooming out to 1 and in to 2/3 shows the first ones at every scale
# between 128 and 192 pixels, which is where the network will look at photos.
SOURCES = (
    Source(("natural", "caltech101"), size=128, batch=8, stored=192, smallest=2 / 3),
    Source(("landscapes",), size=96, batch=12, stored=100, smallest=0.8),
    Source(("tiny-imagenet",), size=64, batch=24, stored=64, smallest=0.85),
)


class Photos(NamedTuple):
    """Names of photos as FOLDER/NAME, by what they are for."""

    training: tuple[list[str], ...]  # one list for each of SOURCES
    validation: list[str]
    test: list[str]
    twins: list[str]  # not trained on: nearly the same as a photo of the other two


def split_photos(root: Path, split: Path) -> Photos:
    """Decide what each photo is for; the same on every machine.

    Args:
        root: the folder of the four folders.
        split: the file with the names of the test photos.

    Raises:
        FileNotFoundError: a test photo isn't there.
    """
    pools = [names_in(root, source.folders) for source in SOURCES]
    test = read_split(split)[1]
    if missing := set(test) - set(pools[0]):
        raise FileNotFoundError(f"{len(missing)} test photos are not in {root}: {min(missing)}")
    own = sorted(set(pools[0]) - set(test))
    pools[0], validation = split_by_photo(own, VALIDATION_SEED, VALIDATION / len(own))
    held_back = squares(root, test + validation, 64)
    held_back = thumbnails(torch.cat([held_back, held_back.flip(-1)]))
    training, twins = [], []
    for pool in pools:
        likeness = (thumbnails(squares(root, pool, 64)) @ held_back.T).amax(1)
        training.append([name for name, value in zip(pool, likeness) if value < TWINS])
        twins += [name for name, value in zip(pool, likeness) if value >= TWINS]
    return Photos(tuple(training), validation, test, twins)


def names_in(root: Path, folders: Sequence[str]) -> list[str]:
    """The photos of some folders as FOLDER/NAME, sorted."""
    return sorted(
        f"{folder}/{path.name}" for folder in folders for path in root.glob(f"{folder}/*.jpg")
    )


def thumbnails(rgb: Tensor) -> Tensor:
    """Photos (N, 3, H, W) as 8×8 pixels without their mean, of length 1: (N, 192)."""
    small = torch.cat([adaptive_avg_pool2d(part.float(), 8) for part in rgb.split(1000)])
    return normalize((small - small.mean(dim=(1, 2, 3), keepdim=True)).flatten(1))


def squares(root: Path, names: Sequence[str], size: int) -> Tensor:
    """The middle squares of photos: uint8 (N, 3, size, size)."""
    return torch.stack(decode_all(root, names, size, longest=1))


def decode_all(
    root: Path, names: Sequence[str], shorter: int, longest: float = LONGEST
) -> list[Tensor]:
    """Decode photos on all cores: uint8 (3, H, W) each; see `decode`."""
    with ThreadPoolExecutor(4) as pool:  # PIL frees the GIL
        arrays = pool.map(lambda name: decode(root / name, shorter, longest), names)
        return [torch.from_numpy(array) for array in arrays]


def decode(path: Path, shorter: int | None = None, longest: float = LONGEST) -> np.ndarray:
    """Decode a photo: uint8 (3, H, W).

    Args:
        path: of the file.
        shorter: resize the photo so that its shorter side is this; None leaves it as it is.
        longest: in a resized photo, cut the longer side to this many shorter ones.
    """
    with Image.open(path) as image:
        photo = ImageOps.exif_transpose(image).convert("RGB")
    if shorter is not None:
        sides = [round(side * shorter / min(photo.size)) for side in photo.size]
        sides = [min(side, int(longest * shorter)) for side in sides]
        photo = ImageOps.fit(photo, sides, Image.Resampling.LANCZOS)
    return np.ascontiguousarray(np.asarray(photo).transpose(2, 0, 1))


class Mixture:
    """Training batches from all sources in turn; what is in one depends only on seed and step.

    Args:
        photos: the decoded photos of each source.
        seed: of the choice of photos, squares and mirroring.
        sources: sizes and batches.
    """

    def __init__(
        self, photos: Sequence[Sequence[Tensor]], seed: int, sources: Sequence[Source] = SOURCES
    ):
        self.photos, self.seed, self.sources = photos, seed, sources

    def batch(self, step: int) -> Tensor:
        """The batch of a step: uint8 rgb (B, 3, size, size)."""
        random = torch.Generator().manual_seed(1_000_003 * self.seed + step)
        turn = step % len(self.sources)
        source, photos = self.sources[turn], self.photos[turn]
        picks = torch.randint(len(photos), (source.batch,), generator=random).tolist()
        return torch.stack([random_square(photos[pick], source, random) for pick in picks])

    def stream(self, step: int, workers: int = 1) -> Iterator[Tensor]:
        """The batches from a step on, made ahead of time by other threads."""
        with ThreadPoolExecutor(workers) as pool:
            waiting = deque(pool.submit(self.batch, step + ahead) for ahead in range(2 * workers))
            for number in itertools.count(step + len(waiting)):
                waiting.append(pool.submit(self.batch, number))
                yield waiting.popleft().result()


def random_square(photo: Tensor, source: Source, random: torch.Generator) -> Tensor:
    """A random square of a photo, mirrored half the time: uint8 (3, size, size)."""
    zoom, down, right, coin = torch.rand(4, generator=random).tolist()
    height, width = photo.shape[-2:]
    side = round(min(height, width) * (1 - zoom * (1 - source.smallest)))
    top, left = int(down * (height - side + 1)), int(right * (width - side + 1))
    square = resized_crop(photo, top, left, side, side, [source.size, source.size])
    return square.flip(-1) if coin < 0.5 else square
