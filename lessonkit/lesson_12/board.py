"""A picture to click on: pick a color, and the network spreads it. Static mode shows stills."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from IPython.display import display
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn.functional import interpolate, max_pool2d

from colorlib.color import AB_SCALE, L_ab_to_rgb, gray_from_lightness
from colorlib.coloring import model_shape
from colorlib.hints import BIN, BINS, Hint, Hinted, hint_map, within_gamut
from colorlib.metrics import to_image
from lessonkit.figures import picture_grid, show
from lessonkit.widgets import is_static

MOST_CHOICES, LEAST_SHARE = 6, 0.04  # colors on offer, and the smallest probability of each
WIDEST = 640  # width and height of the shown picture, at most
WHEEL, RIM = 160, 100.0  # side in pixels; chroma at the rim in CIE units
A_BINS, B_BINS = len(BINS[:, 0].unique()), len(BINS[:, 1].unique())


class Board:
    """A picture and the hints on it.

    Args:
        hinted: the network.
        picture: PIL image; only its lightness is used.
        size: pixels of the shorter side that the network sees.

    Attributes:
        hints: (x, y, color), as for `colorlib.colorize`.
    """

    def __init__(self, hinted: Hinted, picture: Image.Image, size: int):
        self.hinted, self.picture = hinted.eval(), picture.convert("RGB")
        self.hints: list[Hint] = []
        shape = model_shape(picture.height, picture.width, size)
        self.L = lightness(self.picture.resize(shape[::-1], Image.Resampling.LANCZOS))
        shown = self.picture.copy()
        shown.thumbnail((WIDEST, WIDEST))
        self.shown_L = lightness(shown)
        with torch.no_grad():
            self.ab, self.features = hinted.look(self.L)

    def add(self, x: float, y: float, color: str) -> None:
        """Add a hint; it replaces an earlier one at the same pixel."""
        self.hints = [hint for hint in self.hints if hint[:2] != (x, y)] + [(x, y, color)]

    def paint(self, hints: Sequence[Hint] | None = None) -> Image.Image:
        """Color the picture with the given hints, or with those on the board."""
        marked = hint_map(self.hints if hints is None else hints, self.L, self.picture.size)
        with torch.no_grad():
            ab = self.hinted.apply_hints(self.ab, self.features, marked)
        ab = interpolate(ab, self.shown_L.shape[-2:], mode="bilinear", antialias=True)
        return to_image(L_ab_to_rgb(self.shown_L, ab)[0])

    def likely(self, x: float, y: float) -> list[tuple[str, float]]:
        """Return the likely colors at a pixel with their probabilities, likeliest first.

        Each color is a peak among the bins; its probability includes the bins around it. A bin
        around several peaks is divided equally between them.
        """
        row, column = self._place(x, y, self.features)
        with torch.no_grad():
            share = self.hinted.likely(self.features, column, row).view(1, 1, A_BINS, B_BINS)
        is_peak = (share == max_pool2d(share, 3, stride=1, padding=1)).flatten()
        is_near = (BINS[is_peak, None] - BINS).abs().amax(dim=2) <= BIN  # (peaks, bins)
        around = share.flatten() * is_near / is_near.sum(dim=0).clamp(min=1)
        total = around.sum(dim=1)
        colors = around @ BINS / total[:, None].clamp(min=1e-9)
        found = [(self._color(x, y, ab), part.item()) for ab, part in zip(colors, total)]
        found = sorted(found, key=lambda pair: -pair[1])[:MOST_CHOICES]
        return [pair for pair in found if pair[1] >= LEAST_SHARE]

    def wheel(self, x: float, y: float) -> Image.Image:
        """Draw all colors of a pixel's lightness: gray in the center, white outside the gamut."""
        here = self._lightness_at(x, y).expand(1, 1, WHEEL, WHEEL)
        steps = (torch.arange(WHEEL) + 0.5) / WHEEL * 2 - 1
        ab = (
            torch.stack(torch.meshgrid(-steps, steps, indexing="ij")).flip(0)[None] * RIM / AB_SCALE
        )
        can_show = within_gamut(here, ab) == ab
        return to_image(torch.where(can_show.all(dim=1), L_ab_to_rgb(here, ab), 1.0)[0])

    def on_wheel(self, x: float, y: float, across: float, down: float) -> str:
        """Return the color at a place on the wheel (0..1 each), or the most vivid of its hue."""
        return self._color(x, y, RIM * torch.tensor([2 * across - 1, 1 - 2 * down]))

    def _color(self, x: float, y: float, ab: Tensor) -> str:
        """Return the hex color with this (a*, b*) at a pixel's lightness."""
        here = self._lightness_at(x, y)
        rgb = L_ab_to_rgb(here, within_gamut(here, ab[None, :, None, None] / AB_SCALE))
        return f"#{bytes((255 * rgb).round().flatten().int().tolist()).hex()}"

    def _lightness_at(self, x: float, y: float) -> Tensor:
        row, column = self._place(x, y, self.L)
        return self.L[..., row : row + 1, column : column + 1]

    def _place(self, x: float, y: float, grid: Tensor) -> tuple[int, int]:
        """Return the row and column of a pixel of the picture in a coarser grid (..., h, w)."""
        return tuple(
            int(at / side * cells)
            for at, side, cells in zip((y, x), self.picture.size[::-1], grid.shape[-2:])
        )


def lightness(picture: Image.Image) -> Tensor:
    """Return L*/100 of a PIL image, (1, 1, H, W)."""
    return gray_from_lightness(torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None])


def ask(
    hinted: Hinted,
    picture: Image.Image,
    size: int,
    *,
    alt: str,
    stills: Sequence[Sequence[Hint]],
    titles: Sequence[str],
) -> Board:
    """Show a picture to click on, or stills with given hints in static mode.

    Args:
        hinted: the network.
        picture: PIL image.
        size: pixels of the shorter side that the network sees.
        alt: alternative text of the stills.
        stills: the hints of each still.
        titles: one per still.

    Returns:
        The board; clicks change its `hints`.
    """
    board = Board(hinted, picture, size)
    widget = None if is_static() else make_widget(board)
    if widget is None:
        pictures = [with_marks(board.paint(hints), hints, picture.size) for hints in stills]
        is_small = picture.height < 150
        show(picture_grid(pictures, titles, height=2.8, smooth=not is_small), alt)
    else:
        display(widget)
    return board


def make_widget(board: Board) -> Any:
    """Make the widget of a board; without anywidget, say how to install it and return None."""
    try:
        from lessonkit.lesson_12.board_widget import BoardWidget
    except ImportError:
        print("To click on the picture, install anywidget (pip install anywidget) and restart.")
        return None
    return BoardWidget(board)


def with_marks(shown: Image.Image, hints: Sequence[Hint], size: tuple[int, int]) -> Image.Image:
    """Mark each hint on an enlarged copy of a picture; `size` is that of the hints' picture."""
    scale = max(1, 400 // shown.height)
    large = shown.resize((scale * shown.width, scale * shown.height), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(large)
    for x, y, color in hints:
        at = (x + 0.5) / size[0] * large.width, (y + 0.5) / size[1] * large.height
        draw.circle(at, 9, fill="white", outline="black", width=2)
        draw.circle(at, 6, fill=color)
    return large
