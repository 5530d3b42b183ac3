"""Figures of lesson 12: likely colors, hints, their shares, PSNR over the number of hints."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor

from colorlib.color import L_ab_to_rgb
from colorlib.hints import Hint, Hinted, hint_map, places, spread_hints
from lessonkit.figures import GENERATOR, INK, PALE, picture_grid
from lessonkit.lesson_12.board import Board

LINES = {
    "network": {"color": GENERATOR, "linestyle": "-.", "marker": "^"},
    "similar lightness": {"color": INK, "linestyle": "-", "marker": "o"},
    "filled disk": {"color": PALE, "linestyle": "--", "marker": "s"},
}


def draw_likely(board: Board, named: dict[str, tuple[int, int]]) -> Figure:
    """Draw the likely colors at some places as one divided bar per place.

    Args:
        board: holds the picture.
        named: name of each place -> (x, y).
    """
    figure, axes = plt.subplots(figsize=(8, 0.7 * len(named) + 1))
    for row, (x, y) in enumerate(named.values()):
        left = 0.0
        for color, share in board.likely(x, y):
            axes.barh(row, share, left=left, color=color, edgecolor="white", linewidth=2)
            left += share
    axes.set(yticks=range(len(named)), xlabel="probability", xlim=(0, 1))
    axes.set_yticklabels(named)
    axes.invert_yaxis()
    axes.grid(visible=False)
    return figure


def draw_with_hint(L: Tensor, ab: Tensor, hint: Hint) -> Figure:
    """Draw a picture of L (1, 1, H, W) and ab (1, 2, H, W), with a ring around the hinted pixel."""
    figure = picture_grid(L_ab_to_rgb(L, ab), height=3, smooth=True)
    figure.axes[0].plot(*hint[:2], "o", fillstyle="none", color="white", markeredgewidth=2)
    return figure


def hint_shares(hint: Hint, L: Tensor, described: Tensor, strength: float | Tensor) -> Tensor:
    """Return each pixel's share of a hint's color: (H, W), 0..1.

    Args:
        hint: (x, y, color) in pixels of L.
        L: (1, 1, H, W).
        described: (1, C, H, W).
        strength: see `spread_hints`.
    """
    marked = hint_map([hint], L, L.shape[:1:-1])
    marked[:, :2] = marked[:, 2:]  # ask for (1, 1) on a picture that is (0, 0)
    return spread_hints(torch.zeros_like(marked[:, :2]), marked, described, strength)[0, 0]


def learned_shares(hint: Hint, L: Tensor, hinted: Hinted) -> Tensor:
    """Return the same for a trained network whose features have the size of L."""
    with torch.no_grad():
        described = hinted.spread(hinted.look(L)[1])
        return hint_shares(hint, L, described, hinted.spread.strength)


def by_place(L: Tensor, reach: float) -> Tensor:
    """Describe pixels by their place alone: (B, 2, H, W)."""
    return places(L).expand(len(L), -1, -1, -1) / reach


def by_lightness(L: Tensor, reach: float, softness: float) -> Tensor:
    """Describe pixels by place and lightness: (B, 3, H, W)."""
    return torch.cat([by_place(L, reach), L / softness], dim=1)


def draw_curves(results: dict[str, dict], counts: Sequence[int]) -> Figure:
    """Draw PSNR ab over the number of hints, one panel per data set.

    Args:
        results: panel title -> curves as recorded by `tools.hint_weights`.
        counts: the numbers of hints.
    """
    figure, panels = plt.subplots(1, len(results), figsize=(4.5 * len(results), 3.8), squeeze=False)
    for axes, (title, curves) in zip(panels[0], results.items()):
        for name, line in LINES.items():
            axes.plot(range(len(counts)), curves[name]["mean"], **line, label=name)
        axes.set(title=title, xlabel="random hints", xticks=range(len(counts)))
        axes.set_xticklabels([str(count) for count in counts])
    panels[0, 0].set_ylabel("PSNR ab, dB")
    panels[0, 0].legend()
    return figure
