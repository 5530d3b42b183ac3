"""How well hints are obeyed: two baselines, PSNR over the number of hints, and balloons."""

from collections.abc import Callable, Sequence
from itertools import product

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from colorlib.color import AB_SCALE, L_ab_to_rgb, rgb_to_L_ab
from colorlib.hints import Hinted, hint_map, places, spread_hints, within_gamut
from colorlib.metrics import psnr_ab
from colorlib.scenes import BALLOON_BLUE_AB, BALLOON_RED_AB, LABELS
from lessonkit.lesson_09.fooled import difference_map
from lessonkit.lesson_12.training import random_hints

COUNTS = (0, 1, 2, 5, 10, 20)  # hints
HARD = 50.0  # a strength at which shares are 0 or 1
SMALLEST_BALLOON = 20  # pixels
CLOSE = 10.0  # ΔE within which a balloon has the color that was asked for

Painter = Callable[[Tensor, Tensor, Tensor], Tensor]  # L, ab without hints, hint map -> ab


# --- baselines ---


def filled_disk(radius: float) -> Painter:
    """Shift the painted color inside disks around the hints; where two overlap, by the nearer one.

    Args:
        radius: of the disks, in shorter sides of the picture.
    """

    def paint(L: Tensor, ab: Tensor, hints: Tensor) -> Tensor:
        described = (HARD**0.5 / radius * places(ab)).expand_as(ab)
        return spread_hints(ab, hints, described, HARD).clamp(-1, 1)

    return paint


def similar_lightness(reach: float, softness: float, strength: float) -> Painter:
    """Shift the painted color where lightness and place are like those of a hint.

    Args:
        reach: how far away shares have fallen to 1/e, in shorter sides of the picture.
        softness: the same, for the difference of L*/100.
        strength: as of `spread_hints`.
    """

    def paint(L: Tensor, ab: Tensor, hints: Tensor) -> Tensor:
        described = torch.cat([places(ab).expand_as(ab) / reach, L / softness], dim=1)
        return spread_hints(ab, hints, described, strength).clamp(-1, 1)

    return paint


DISKS = {radius: filled_disk(radius) for radius in (0.05, 0.1, 0.15, 0.2, 0.3, 0.5)}
BY_LIGHTNESS = {
    setting: similar_lightness(*setting)
    for setting in product((0.1, 0.2, 0.4), (0.05, 0.1, 0.2), (1.0, 3.0))
}


# --- PSNR over the number of hints ---


def hint_curves(
    hinted: Hinted,
    rgb: Sequence[Tensor],
    baselines: dict[str, Painter],
    counts: Sequence[int] = COUNTS,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Measure PSNR ab with random hints: the network, and baselines with the same hints.

    Args:
        hinted: takes hints; its own generator paints for the baselines.
        rgb: the pictures, uint8 (3, H, W) each.
        baselines: name -> painter.
        counts: numbers of hints; the first hints of a picture are the same in all counts.
        seed: of the hints.

    Returns:
        name -> (pictures, counts) in dB; the network is called "network".
    """
    curves: dict[str, list] = {name: [] for name in ("network", *baselines)}
    with torch.no_grad():
        for index, picture in enumerate(rgb):
            L, real_ab = rgb_to_L_ab(picture[None])
            ab, features = hinted.look(L)
            rows: dict[str, list] = {name: [] for name in curves}
            for count in counts:
                random = torch.Generator().manual_seed(1_000_003 * seed + index)
                hints = random_hints(real_ab, random, count)
                rows["network"].append(hinted.apply_hints(ab, features, hints))
                for name, paint in baselines.items():
                    rows[name].append(paint(L, ab, hints))
            for name, row in rows.items():
                curves[name].append(psnr_ab(torch.cat(row), real_ab.expand(len(row), -1, -1, -1)))
    return {name: torch.stack(rows) for name, rows in curves.items()}


def best_painter(hinted: Hinted, rgb: Sequence[Tensor], painters: list[Painter]) -> int:
    """The number of the baseline with the best PSNR over all numbers of hints above 0."""
    named = {str(number): painter for number, painter in enumerate(painters)}
    curves = hint_curves(hinted, rgb, named, COUNTS[1:], seed=1)
    return max(range(len(painters)), key=lambda number: curves[str(number)].mean().item())


# --- balloons ---


def ask_balloons(
    hinted: Hinted, rgb: Tensor, labels: Tensor, request: str = "other", seed: int = 0
) -> list[dict[str, float]]:
    """Give one hint to each balloon, at a random pixel inside its rim, and see what happens.

    Args:
        hinted: takes hints.
        rgb: scenes, uint8 (N, 3, H, W).
        labels: their label maps, (N, H, W).
        request: the color to ask for: "other" is the paint that the balloon does not have, "any"
            is a random hue.
        seed: of the pixels and hues.

    Returns:
        For each balloon of 20 pixels and more: `off`, the mean ΔE00 between its color and the one
        asked for; `rest`, the mean ΔE00 by which everything else has changed; `pixels`.
    """
    random, rows = torch.Generator().manual_seed(seed), []
    for picture, of in zip(rgb, labels):
        inside = of == LABELS.index("balloon")
        count = int(inside.sum())
        if count < SMALLEST_BALLOON:
            continue
        # on the rim, a pixel is half sky
        pixels = (-max_pool2d(-inside[None].float(), 3, stride=1, padding=1))[0].nonzero()
        row, column = pixels[int(torch.randint(len(pixels), (), generator=random))].tolist()
        L, real_ab = rgb_to_L_ab(picture[None])
        here = L[:, :, row, column][..., None, None]
        asked = within_gamut(here, wanted_ab(request, real_ab[:, :, row, column], random))
        shown = (255 * L_ab_to_rgb(here, asked)).round().flatten().int().tolist()
        hint = (column, row, f"#{bytes(shown).hex()}")
        with torch.no_grad():
            before = hinted(L)
            after = hinted(L, hint_map([hint], L, picture.shape[:0:-1]))
        target = torch.where(inside, asked, before)
        pictures = [L_ab_to_rgb(L, ab) for ab in (after, target)]
        apart = difference_map(*pictures)[0]
        rows.append(
            {
                "off": apart[inside].mean().item(),
                "rest": apart[~inside].mean().item(),
                "pixels": count,
            }
        )
    return rows


def wanted_ab(request: str, real_ab: Tensor, random: torch.Generator) -> Tensor:
    """The color to ask for at a pixel whose real ab is (1, 2): scaled ab, (1, 2, 1, 1)."""
    if request == "other":
        paint = BALLOON_BLUE_AB if real_ab[0, 1] > 0 else BALLOON_RED_AB
        return torch.tensor(paint)[None, :, None, None] / AB_SCALE
    angle = 6.2832 * torch.rand((), generator=random)
    return 50 / AB_SCALE * torch.stack([angle.cos(), angle.sin()])[None, :, None, None]


def obeyed(rows: list[dict[str, float]]) -> dict[str, float]:
    """Sum up what `ask_balloons` found."""
    off, rest = (torch.tensor([row[name] for row in rows]) for name in ("off", "rest"))
    return {
        "balloons": len(rows),
        "obeyed": (off <= CLOSE).float().mean().item(),
        "off": off.mean().item(),
        "rest": rest.mean().item(),
    }
