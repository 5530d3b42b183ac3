"""What lesson 08 shows: how balloons were painted, and what a cheap rival of the GAN reaches.

A balloon is red or blue by the toss of a coin, and its gray picture is the same. So the chroma
that a network gives to balloons tells what its loss asks for. `make recipes` measures it, with the
functions of the first half, and keeps it in `data/results/`; the lesson reads it with the others.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from PIL import Image
from skimage import data
from torch import Tensor
from torch.utils.data import Dataset

from colorlib.color import L_ab_to_rgb, rgb_to_L_ab, rgb_to_lab
from colorlib.config import RECIPES
from colorlib.metrics import (
    COMMITTED_DISTANCE,
    Colorizer,
    at_work,
    ciede2000,
    colorfulness,
    committed,
    psnr_ab,
    to_image,
)
from colorlib.runs import atomic_write
from colorlib.scenes import BALLOON_BLUE_AB, BALLOON_RED_AB, LABELS
from lessonkit import course_file, course_results

BIN = 5  # units of a* and b*
A_SPAN, B_SPAN = (-20, 100), (-100, 80)  # what the histograms cover
LARGE_BALLOON = 60  # pixels
FACTORS = tuple(1 + number / 50 for number in range(26))  # 1.00, 1.02, ..., 1.50


# --- measuring ---


def is_balloon(labels: Tensor) -> Tensor:
    """Which pixels of label maps (..., H, W) are a balloon's."""
    return labels == LABELS.index("balloon")


def large_balloons(labels: Tensor, count: int) -> Tensor:
    """The numbers of the first scenes, at most `count`, with a balloon that is large enough."""
    return (is_balloon(labels).flatten(1).sum(dim=1) > LARGE_BALLOON).nonzero()[:count, 0]


def predict(colorizer: Colorizer, rgb: Tensor) -> tuple[Tensor, Tensor]:
    """Color pictures, uint8 rgb (N, 3, H, W), in batches: their L, and the predicted ab."""
    L, _ = rgb_to_L_ab(rgb)
    with at_work(colorizer):
        return L, torch.cat([colorizer(part) for part in L.split(64)])


def paint(colorizer: Colorizer, rgb: Tensor) -> Tensor:
    """Color pictures, uint8 rgb (N, 3, H, W), anew: float rgb of the same shape."""
    return L_ab_to_rgb(*predict(colorizer, rgb))


def balloon_row(rgb: Tensor, scenes: Dataset) -> dict:
    """What is recorded of the balloons in `scenes`, painted as in rgb: `choices`, `histogram`."""
    counts = histogram(rgb, scenes.labels)
    return choices(rgb, scenes.rgb, scenes.labels) | {"histogram": to_lines(counts)}


def histogram(rgb: Tensor, labels: Tensor) -> Tensor:
    """Count the balloons' pixels by their chroma.

    Args:
        rgb: pictures of scenes, (N, 3, H, W), float or uint8.
        labels: their label maps, (N, H, W).
    Returns:
        (36, 24) counts: a row for each 5 units of b* over `B_SPAN`, a column for each 5 of a* over
        `A_SPAN`; pixels outside are left out.
    """
    b_then_a = balloon_chroma(rgb, labels).flip(-1).double()
    bins = [(span[1] - span[0]) // BIN for span in (B_SPAN, A_SPAN)]
    spans = [float(edge) for edge in (*B_SPAN, *A_SPAN)]
    return torch.histogramdd(b_then_a, bins, range=spans).hist.long()


def balloon_chroma(rgb: Tensor, labels: Tensor) -> Tensor:
    """The (a*, b*) of all balloon pixels, (number of them, 2), in CIE units."""
    return rgb_to_lab(rgb)[:, 1:].movedim(1, -1)[is_balloon(labels)]


def choices(rgb: Tensor, real: Tensor, labels: Tensor) -> dict[str, float | None]:
    """Of the balloon pixels that are decidedly one of the paints: which one, and is it true?

    Args:
        rgb: colored scenes, (N, 3, H, W).
        real: their truth, of the same shape.
        labels: their label maps, (N, H, W).
    Returns:
        red: the share that is red; right: the share that has its true paint. None if none is.
    """
    paints = torch.tensor([BALLOON_RED_AB, BALLOON_BLUE_AB])
    painted, true = (torch.cdist(balloon_chroma(x, labels), paints) for x in (rgb, real))
    is_decided = painted.amin(dim=1) <= COMMITTED_DISTANCE
    chosen, coin = painted.argmin(dim=1)[is_decided], true.argmin(dim=1)[is_decided]
    shares = {"red": chosen == 0, "right": chosen == coin}
    return {name: x.float().mean().item() if len(x) else None for name, x in shares.items()}


def factor_rows(generator: Colorizer, validation: Dataset, test: Dataset) -> list[dict]:
    """Measure a generator whose ab is multiplied by a constant: the cheap rival of a GAN.

    Args:
        generator: one trained with L1, say.
        validation: scenes to choose the factor on.
        test: scenes to test it on; other ones.
    Returns:
        A row for each of `FACTORS`: factor, validation_colorfulness, and the metrics on `test`.
    """
    (L, ab), (other_L, other_ab) = (predict(generator, part.rgb) for part in (test, validation))
    real_ab, rows = rgb_to_L_ab(test.rgb)[1], []
    for factor in FACTORS:
        rgb, other_rgb = L_ab_to_rgb(L, factor * ab), L_ab_to_rgb(other_L, factor * other_ab)
        row = {
            "factor": factor,
            "validation_colorfulness": colorfulness(other_rgb).mean().item(),
            "psnr_ab": psnr_ab(factor * ab, real_ab).mean().item(),
            "ciede2000": ciede2000(rgb, test.rgb / 255).mean().item(),
            "colorfulness": colorfulness(rgb).mean().item(),
            "committed": committed(rgb, test.labels),
        }
        rows.append(row)
    return rows


def mean_rows(rows: Sequence[dict], by: str) -> list[dict]:
    """The mean of rows that agree in one field, such as the runs of a recipe with several seeds.

    Args:
        rows: with numbers in their fields, and perhaps texts, which are left out.
        by: the field, such as "recipe".
    """
    made = []
    for value in dict.fromkeys(row[by] for row in rows):
        group = [row for row in rows if row[by] == value]
        numbers = [name for name in group[0] if not isinstance(group[0][name], str)]
        made.append({name: mean(row[name] for row in group) for name in numbers} | {by: value})
    return made


def photo_colors(count: int) -> Tensor:
    """Colors of photographs: (a*, b*) of `count` random pixels of each of four, (2, 4·count)."""
    photos = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    colors = [rgb_to_lab(torch.from_numpy(x).permute(2, 0, 1))[1:].flatten(1) for x in photos]
    return torch.cat([ab[:, torch.randint(ab.shape[1], (count,))] for ab in colors], dim=1)


# --- keeping and reading ---


def to_lines(counts: Tensor) -> list[str]:
    """A histogram as lines of text, short in a JSON file; `from_lines` reads them."""
    return [" ".join(map(str, row)) for row in counts.tolist()]


def from_lines(lines: Sequence[str]) -> Tensor:
    """The histogram that `to_lines` wrote."""
    return torch.tensor([[int(count) for count in line.split()] for line in lines])


def read_sweep() -> list[dict]:
    """The rows of `warm` with each recorded λ and seed, the recipe's own λ among them; sorted."""
    rows = course_results("brown")["lambdas"]
    seeds = {row["seed"] for row in rows}
    usual = {"lambda": RECIPES["warm"].lambda_reconstruction}
    runs = course_results("scenes")["runs"]
    rows += [run | usual for run in runs if run["recipe"] == "warm" and run["seed"] in seeds]
    return sorted(rows, key=lambda row: (row["lambda"], row["seed"]))


def read_row(name: str) -> Tensor:
    """The recorded pictures of a run, such as "warm-0": float rgb (8, 3, 64, 64).

    There are "gray" and "real" too, seed 0 of every recipe, all seeds of `warm`, and for some λ
    "lambda-3-0" and the like.
    """
    return cut_row(course_file(f"data/results/scenes/{name}.jpg"))


def write_row(path: Path, rgb: Tensor) -> None:
    """Write pictures, float rgb (N, 3, H, H), side by side, as a JPEG of fine quality."""
    with atomic_write(path) as temporary:
        to_image(torch.cat(list(rgb), dim=-1)).save(temporary, "JPEG", quality=92, subsampling=0)


def cut_row(path: Path) -> Tensor:
    """Cut a picture of square pictures side by side: float rgb (N, 3, H, H)."""
    with Image.open(path) as strip:
        pixels = torch.from_numpy(np.array(strip)) / 255  # (H, N·H, 3)
    return torch.stack(pixels.permute(2, 0, 1).split(len(pixels), dim=2))
