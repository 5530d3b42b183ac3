"""A copier that only remembers, for lesson 03: it shows what a split by crop rewards."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import unfold

CROP = 32  # pixels
WINDOW = 7  # pixels; how much of its surroundings identifies a pixel
EXAM = 3  # crops of each photo
EDGE = WINDOW // 2


class Exam(NamedTuple):
    """Three crops of each photo, and what the copier makes of them."""

    frame: tuple[int, int, int, int]
    """Row, column, height and width of the first crop's colored part in its photo, in pixels."""
    questions: Tensor
    """The crops: L, a and b, (N, 3, 3, 32, 32)."""
    answers: dict[str, Tensor]
    """ab by kind of memory, (N, 3, 2, 26, 26)."""


def cut(pictures: Tensor, stride: int) -> Tensor:
    """Cut each picture (N, C, 128, 128) into crops of 32×32 pixels: (N, crops, C, 32, 32)."""
    corners = range(0, pictures.shape[-1] - CROP + 1, stride)
    crops = [pictures[:, :, y : y + CROP, x : x + CROP] for y in corners for x in corners]
    return torch.stack(crops, dim=1)


def surroundings(crops: Tensor) -> tuple[Tensor, Tensor]:
    """List the pixels of crops with their gray surroundings.

    Args:
        crops: L, a and b, (N, 3, 32, 32).
    Returns:
        The gray 7×7 pixels around each pixel, (P, 49), and its color, (P, 2). Pixels whose window
        reaches beyond their crop are left out.
    """
    gray = unfold(crops[:, :1], WINDOW)  # (N, 49, P / N)
    color = crops[:, 1:, EDGE:-EDGE, EDGE:-EDGE].flatten(2)  # (N, 2, P / N)
    gray, color = (values.movedim(1, 2).flatten(0, 1) for values in (gray, color))
    return gray, color


def remember(memory: Tensor, crops: Tensor, limit: int) -> Tensor:
    """Color pixels by copying the color of the most similar pixel in memory.

    Args:
        memory: crops to remember, (N, 3, 32, 32).
        crops: crops to color, (M, 3, 32, 32); their colors are not looked at.
        limit: how many pixels to remember, drawn at random.
    Returns:
        ab of each pixel of `surroundings(crops)`, (P, 2).
    """
    known, colors = surroundings(memory)
    kept = torch.randperm(len(known))[:limit]
    known, colors = known[kept], colors[kept]
    parts = surroundings(crops)[0].split(1000)  # a thousand pixels at a time, to save memory
    nearest = [torch.cdist(part, known).argmin(dim=1) for part in parts]
    return colors[torch.cat(nearest)]


def take_exam(pictures: Tensor, seed: int, limit: int) -> Exam:
    """Let the copier color three crops of each photo, with three kinds of memory.

    Args:
        pictures: L, a and b of the photos, (N, 3, 128, 128).
        seed: of the exam's crops and of the memory.
        limit: as in `remember`.
    """
    torch.manual_seed(seed)
    side_by_side, overlapping = cut(pictures, CROP), cut(pictures, CROP // 2)
    exam = torch.randperm(16)[:EXAM]
    # crop (r, c) of the 4×4 side by side is crop (2r, 2c) of the 7×7 overlapping ones
    the_same = 14 * (exam // 4) + 2 * (exam % 4)
    questions, count = side_by_side[:, exam], len(pictures)
    asked = questions.flatten(0, 1)
    others = [
        remember(overlapping[torch.arange(count) != photo].flatten(0, 1), questions[photo], limit)
        for photo in range(count)
    ]
    answers = {
        "overlapping crops": remember(_without(overlapping, the_same), asked, limit),
        "crops side by side": remember(_without(side_by_side, exam), asked, limit),
        "other photos": torch.cat(others),
    }
    side = CROP - 2 * EDGE
    shape = (count, EXAM, side, side, 2)
    row, column = divmod(exam[0].item(), 4)
    frame = CROP * row + EDGE, CROP * column + EDGE, side, side
    return Exam(
        frame, questions, {way: ab.view(shape).movedim(-1, 2) for way, ab in answers.items()}
    )


def distances(questions: Tensor, answer: Tensor | None = None) -> Tensor:
    """Mean distance from the true color in CIE units, by photo, (N,); of gray without an answer."""
    truth = questions[:, :, 1:, EDGE:-EDGE, EDGE:-EDGE]
    wrong = truth if answer is None else answer - truth
    return (110 * wrong.norm(dim=2)).flatten(1).mean(dim=1)


def _without(crops: Tensor, numbers: Tensor) -> Tensor:
    """All crops except those with these numbers, (N · others, 3, 32, 32)."""
    kept = [number for number in range(crops.shape[1]) if number not in numbers]
    return crops[:, kept].flatten(0, 1)
