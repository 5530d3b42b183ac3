"""What lesson 08 shows: the colors of balloons, and what a baseline without a GAN reaches.

A coin decides whether a balloon is red or blue, and both look the same in gray. So the colors that
a network gives to balloons show what its loss asks for. `make recipes` measures them with the
functions of the first half of this file and saves them in `data/results/`. The lesson reads them
with the functions of the second half.
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
    """Mark the pixels of label maps (..., H, W) that belong to a balloon."""
    return labels == LABELS.index("balloon")


def large_balloons(labels: Tensor, count: int) -> Tensor:
    """Find the first scenes, at most `count`, with a large enough balloon; return their indices."""
    return (is_balloon(labels).flatten(1).sum(dim=1) > LARGE_BALLOON).nonzero()[:count, 0]


def predict(colorizer: Colorizer, rgb: Tensor) -> tuple[Tensor, Tensor]:
    """Color pictures, uint8 rgb (N, 3, H, W), in batches; return their L and the predicted ab."""
    L, _ = rgb_to_L_ab(rgb)
    with at_work(colorizer):
        return L, torch.cat([colorizer(part) for part in L.split(64)])


def paint(colorizer: Colorizer, rgb: Tensor) -> Tensor:
    """Replace the colors of pictures, uint8 rgb (N, 3, H, W); return float rgb."""
    return L_ab_to_rgb(*predict(colorizer, rgb))


def balloon_row(rgb: Tensor, scenes: Dataset) -> dict:
    """Measure the balloons of `scenes`, colored as in rgb: their `choices` and `histogram`."""
    counts = histogram(rgb, scenes.labels)
    return choices(rgb, scenes.rgb, scenes.labels) | {"histogram": to_lines(counts)}


def histogram(rgb: Tensor, labels: Tensor) -> Tensor:
    """Count the balloons' pixels by their chroma.

    Args:
        rgb: pictures of scenes, (N, 3, H, W), float or uint8.
        labels: their label maps, (N, H, W).
    Returns:
        (36, 24) counts: one row per 5 units of b* over `B_SPAN`, one column per 5 units of a* over
        `A_SPAN`. Pixels outside don't count.
    """
    b_then_a = balloon_chroma(rgb, labels).flip(-1).double()
    bins = [(span[1] - span[0]) // BIN for span in (B_SPAN, A_SPAN)]
    spans = [float(edge) for edge in (*B_SPAN, *A_SPAN)]
    return torch.histogramdd(b_then_a, bins, range=spans).hist.long()


def balloon_chroma(rgb: Tensor, labels: Tensor) -> Tensor:
    """Return the (a*, b*) of all balloon pixels in CIE units, (number of pixels, 2)."""
    return rgb_to_lab(rgb)[:, 1:].movedim(1, -1)[is_balloon(labels)]


def choices(rgb: Tensor, real: Tensor, labels: Tensor) -> dict[str, float | None]:
    """Measure which paint the decided balloon pixels have, and how often it is the true one.

    A pixel is decided if it is close to the red or to the blue paint.

    Args:
        rgb: colored scenes, (N, 3, H, W).
        real: the true scenes, of the same shape.
        labels: their label maps, (N, H, W).

    Returns:
        red: the share of decided pixels that are red; right: the share that have their true paint.
        Both are None without any decided pixel.
    """
    paints = torch.tensor([BALLOON_RED_AB, BALLOON_BLUE_AB])
    painted, true = (torch.cdist(balloon_chroma(x, labels), paints) for x in (rgb, real))
    is_decided = painted.amin(dim=1) <= COMMITTED_DISTANCE
    chosen, coin = painted.argmin(dim=1)[is_decided], true.argmin(dim=1)[is_decided]
    shares = {"red": chosen == 0, "right": chosen == coin}
    return {name: x.float().mean().item() if len(x) else None for name, x in shares.items()}


def factor_rows(generator: Colorizer, validation: Dataset, test: Dataset) -> list[dict]:
    """Measure a generator whose ab is multiplied by a constant, a baseline for GANs.

    Args:
        generator: for example, one trained with L1.
        validation: scenes to choose the factor on.
        test: other scenes, to test it on.

    Returns:
        One row for each of `FACTORS`: factor, validation_colorfulness, and the metrics on `test`.
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
    """Average the rows that agree in one field, such as a recipe's runs with several seeds.

    Args:
        rows: their fields are numbers, or texts, which are left out.
        by: the field, such as "recipe".
    """
    made = []
    for value in dict.fromkeys(row[by] for row in rows):
        group = [row for row in rows if row[by] == value]
        numbers = [name for name in group[0] if not isinstance(group[0][name], str)]
        made.append({name: mean(row[name] for row in group) for name in numbers} | {by: value})
    return made


def photo_colors(count: int) -> Tensor:
    """Draw `count` random pixels from each of four photos; return their (a*, b*), (2, 4·count)."""
    photos = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    colors = [rgb_to_lab(torch.from_numpy(x).permute(2, 0, 1))[1:].flatten(1) for x in photos]
    return torch.cat([ab[:, torch.randint(ab.shape[1], (count,))] for ab in colors], dim=1)


# --- keeping and reading ---


def to_lines(counts: Tensor) -> list[str]:
    """Write a histogram as lines of text, which are short in JSON; `from_lines` reads them."""
    return [" ".join(map(str, row)) for row in counts.tolist()]


def from_lines(lines: Sequence[str]) -> Tensor:
    """Read a histogram that `to_lines` wrote."""
    return torch.tensor([[int(count) for count in line.split()] for line in lines])


def read_sweep() -> list[dict]:
    """Read the rows of `warm` for every recorded λ and its own, sorted by λ and seed."""
    rows = course_results("brown")["lambdas"]
    seeds = {row["seed"] for row in rows}
    usual = {"lambda": RECIPES["warm"].lambda_reconstruction}
    runs = course_results("scenes")["runs"]
    rows += [run | usual for run in runs if run["recipe"] == "warm" and run["seed"] in seeds]
    return sorted(rows, key=lambda row: (row["lambda"], row["seed"]))


def read_row(name: str) -> Tensor:
    """Read the recorded pictures of a run, such as "warm-0": float rgb (8, 3, 64, 64).

    There are also "gray" and "real", seed 0 of every recipe, all seeds of `warm`, and runs with
    other λ, such as "lambda-15-0".
    """
    return cut_row(course_file(f"data/results/scenes/{name}.jpg"))


def write_row(path: Path, rgb: Tensor) -> None:
    """Write pictures, float rgb (N, 3, H, H), side by side into one JPEG."""
    with atomic_write(path) as temporary:
        to_image(torch.cat(list(rgb), dim=-1)).save(temporary, "JPEG", quality=92, subsampling=0)


def cut_row(path: Path) -> Tensor:
    """Cut a row of square pictures apart; return float rgb (N, 3, H, H)."""
    with Image.open(path) as strip:
        pixels = torch.from_numpy(np.array(strip)) / 255  # (H, N·H, 3)
    return torch.stack(pixels.permute(2, 0, 1).split(len(pixels), dim=2))
