"""Lesson 10: a handful of photos, Drive, leaks, the time of a step, and a rival for free.

What a run on real photos needs beside `colorlib.training`: mostly, to find out in a minute what
one would else find out after hours.
"""

import os
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, ImageOps
from skimage import data
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, normalize
from torch.utils.data import Dataset

from colorlib.color import L_ab_to_rgb, rgb_to_L_ab
from colorlib.config import RECIPES, TrainConfig
from colorlib.metrics import (
    Colorizer,
    at_work,
    baselines,
    ciede2000,
    colorfulness,
    evaluate_photos,
    psnr_ab,
)
from colorlib.photos import split_by_photo
from colorlib.steps import Networks, train_step
from lessonkit.lpips import lpips

HANDFUL = "handful"
SHIFT = 24  # pixels that the camera moved between the two pictures of the cat
FACTORS = tuple(1 + number / 10 for number in range(21))  # 1.0, 1.1, ..., 3.0
DRIVE = Path("/content/drive")  # where Colab shows a Google Drive
AT_ONCE = 32  # photos colored at a time


# --- before the training ---


def make_handful(folder: str | os.PathLike) -> Path:
    """Write five photos: four of scikit-image's, the cat twice, as if in a burst of shots.

    The second shot of the cat is made from the first: moved by 24 pixels and a little brighter.

    Returns:
        The folder as a Path.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    photos = {name: getattr(data, name)() for name in ("astronaut", "coffee", "rocket")}
    cat = data.chelsea()
    photos["chelsea_1"] = cat[:, :-SHIFT]
    photos["chelsea_2"] = np.minimum(cat[:, SHIFT:] * 1.05, 255).astype(np.uint8)
    for name, photo in photos.items():
        Image.fromarray(photo).save(folder / f"{name}.png")
    return folder


def mount_drive(*paths: str | os.PathLike) -> bool:
    """Mount Google Drive on Colab if one of the paths lies in it; say whether it was.

    It is not asked for anywhere else, nor where no path needs it.
    """
    is_wanted = any(Path(path).is_relative_to(DRIVE) for path in paths)
    if is_wanted and not DRIVE.joinpath("MyDrive").exists():
        from google.colab import drive  # exists on Colab alone

        drive.mount(str(DRIVE))
    return is_wanted


def photo_config(
    recipe: str,
    *,
    generator: str = "StridedUNet",
    width: int = 32,
    zoom: float = 1.0,
    weight_decay: float = 0.0,
    batch: int | None = None,
    **common: str | float | None,
) -> TrainConfig:
    """A recipe for a few thousand photos.

    Args:
        recipe: a name from `RECIPES`. `tutorial` stays as it was published: it takes of the
            following only what is common to all.
        generator: "StridedUNet" or "UNet".
        width: its channels.
        zoom: see `TrainConfig`; with weight_decay it keeps a network from learning by heart.
        weight_decay: likewise.
        batch: photos a step; None: as many as the recipe says.
        common: further fields of `TrainConfig`: data, size, seed, the budget.

    Raises:
        ValueError: there is no such recipe, or a field has an impossible value.
    """
    if recipe not in RECIPES:
        raise ValueError(f"no recipe {recipe!r}; there are {', '.join(RECIPES)}")
    own = {"generator": generator, "generator_width": width}
    own |= {"zoom": zoom, "weight_decay": weight_decay}
    changes = {"fit": "crop"} | common | ({} if recipe == "tutorial" else own)
    return replace(RECIPES[recipe], **changes, **({"batch": batch} if batch else {}))


def series(name: str) -> str:
    """The series that a photo belongs to, by its name: chelsea for chelsea_2.png."""
    return re.sub(r"_\d+$", "", Path(name).stem)


def split_by_series(names: Sequence[str], seed: int = 0) -> tuple[list[str], list[str]]:
    """Divide photos 5:1 so that no series stands on both sides: (train_names, test_names)."""
    _, test = split_by_photo(sorted({series(name) for name in names}), seed)
    return (
        [name for name in names if series(name) not in test],
        [name for name in names if series(name) in test],
    )


def twins(train: Dataset, test: Dataset) -> list[tuple[float, str, str]]:
    """Find for each test photo the training photo that looks most like it.

    Photos are compared as 8×8 pixels, less their mean: 1 is the same picture but for brightness
    and contrast, 0 has nothing in common.

    Args:
        train: with `rgb` (N, 3, H, W) and `names`, as of `colorlib.photos.open_data`.
        test: the same.

    Returns:
        (likeness, name in test, name in train), the most alike first.
    """
    likeness = thumbnails(test.rgb) @ thumbnails(train.rgb).T
    best, places = likeness.max(dim=1)
    pairs = zip(best.tolist(), test.names, (train.names[place] for place in places))
    return sorted(pairs, reverse=True)


def thumbnails(rgb: Tensor) -> Tensor:
    """Photos as 8×8 pixels without their mean, of length 1: (N, 192)."""
    small = [adaptive_avg_pool2d(part.float(), 8) for part in rgb.split(AT_ONCE)]
    small = torch.cat(small)
    return normalize((small - small.mean(dim=(1, 2, 3), keepdim=True)).flatten(1))


def step_seconds(config: TrainConfig, device: torch.device, steps: int = 5) -> float:
    """How long a step of training takes, on random pictures: the median of a few, in seconds.

    Where a recipe has a game, its steps are measured; those before it are quicker.
    """
    networks = Networks(config, device=device)
    if config.adversarial != "none":
        networks.end_warm_up()
    rgb = torch.randint(256, (config.batch, 3, config.size, config.size), dtype=torch.uint8)
    times = []
    for _ in range(steps + 2):  # the first two also prepare
        began = time.perf_counter()
        losses = train_step(networks, *rgb_to_L_ab(rgb.to(device)), config.g_every)
        float(losses["loss_g"])  # waits for the device
        times.append(time.perf_counter() - began)
    return statistics.median(times[2:])


def training_hours(photos: int, epochs: int, batch: int, seconds_a_step: float) -> float:
    """How many hours a training takes; the last batch of an epoch may be a short one."""
    return epochs * -(-photos // batch) * seconds_a_step / 3600


# --- after it ---


class Louder(nn.Module):
    """A generator whose chroma is multiplied by a constant: the rival that costs nothing."""

    def __init__(self, generator: nn.Module, factor: float):
        super().__init__()
        self.generator, self.factor = generator, factor

    def forward(self, L: Tensor) -> Tensor:
        """Predict ab (B, 2, H, W) from L (B, 1, H, W); it may lie beyond -1..1."""
        return self.factor * self.generator(L)


def paint(colorizer: Colorizer, rgb: Tensor) -> tuple[Tensor, Tensor]:
    """Color photos, uint8 (N, 3, H, W), anew: their L and the predicted ab, on the CPU."""
    with at_work(colorizer) as device:
        pairs = []
        for part in rgb.split(AT_ONCE):
            L, _ = rgb_to_L_ab(part.to(device))
            pairs.append((L.cpu(), colorizer(L).detach().float().cpu()))
    return tuple(torch.cat(part) for part in zip(*pairs))


def colorfulness_by_factor(
    colorizer: Colorizer, photos: Dataset, factors: Sequence[float] = FACTORS
) -> dict[float, float]:
    """How colorful photos come out if the chroma is multiplied by each of several factors."""
    L, ab = paint(colorizer, photos.rgb)
    return {k: colorfulness(L_ab_to_rgb(L, k * ab)).mean().item() for k in factors}


def rival_curve(colorizer: Colorizer, photos: Dataset, every: int = 4) -> list[dict]:
    """What multiplying its chroma makes of a colorizer, in figures: a row a factor.

    Args:
        colorizer: one trained with L1, say.
        photos: to test on.
        every: take every so many-th of `FACTORS`.

    Returns:
        Rows of factor, colorfulness, psnr_ab and ciede2000.
    """
    L, ab = paint(colorizer, photos.rgb)
    real, real_ab = photos.rgb / 255, rgb_to_L_ab(photos.rgb)[1]
    rows = []
    for factor in FACTORS[::every]:
        rgb = L_ab_to_rgb(L, factor * ab)
        values = {"colorfulness": colorfulness(rgb), "ciede2000": ciede2000(rgb, real)}
        values["psnr_ab"] = psnr_ab(factor * ab, real_ab)
        means = {name: value.mean().item() for name, value in values.items()}
        rows.append({"factor": round(factor, 2)} | means)
    return rows


def measured_rows(
    colorizers: dict[str, Colorizer], train: Dataset, test: Dataset, with_lpips: bool = False
) -> dict[str, dict]:
    """Measure colorizers on photos they never saw, the baselines first.

    Returns:
        name -> row as `colorlib.metrics.compare` gives it; beside each metric also half of its
        95% interval over the photos, as `METRIC_interval`, if there is more than one photo.
    """
    rows = {}
    for name, colorizer in (baselines(train) | colorizers).items():
        values = evaluate_photos(colorizer, test)
        if with_lpips:
            rgb = L_ab_to_rgb(*paint(colorizer, test.rgb))
            pairs = zip(rgb.split(AT_ONCE), test.rgb.split(AT_ONCE))
            values["lpips"] = torch.cat([lpips(*pair) for pair in pairs])
        rows[name] = {metric: value.mean().item() for metric, value in values.items()}
        if len(test) > 1:
            scale = 1.96 / len(test) ** 0.5
            intervals = {f"{m}_interval": scale * v.std().item() for m, v in values.items()}
            rows[name] |= intervals
        rows[name]["photos"] = len(test)
    return rows


def label_invented(picture: Image.Image, words: str) -> Image.Image:
    """Put a line of words under a picture, so that nobody takes its colors for a fact."""
    height = max(16, picture.height // 12)
    labeled = ImageOps.expand(picture, (0, 0, 0, height), "white")
    font = ImageFont.load_default(0.7 * height)
    room = (picture.width - 16) / font.getlength(words)  # hinted glyphs may be a little wider
    font = ImageFont.load_default(0.7 * height * min(1.0, room))
    ImageDraw.Draw(labeled).text((4, picture.height), words, fill="black", font=font)
    return labeled
