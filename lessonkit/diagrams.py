"""Diagrams drawn by code: the U-Net, the two players, the training procedure."""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from lessonkit.figures import DISCRIMINATOR, FAKE, GENERATOR, INK, PALE, REAL


def draw_unet(width: int = 64, depth: int = 4, size: int = 256) -> Figure:
    """Draw the U-Net: one bar per block, as tall as the picture and as wide as its channels.

    Args:
        width: channels of the first level.
        depth: how many times the picture is halved.
        size: the picture's side in pixels.
    """
    figure, axes = blank((11, 5.6), (0, 11), (-1.4, 4.7))
    spread = 8.4 / (2 * depth)
    centers = [1.3 + spread * index for index in range(2 * depth + 1)]
    levels = [*range(depth + 1), *reversed(range(depth))]
    tops = [3.5 - 3.3 * level / depth for level in levels]
    for index, (x, top, level) in enumerate(zip(centers, tops, levels)):
        bar = 0.1 + 0.3 * level / depth, 0.4 + 1.1 * 0.62**level
        axes.add_patch(Rectangle((x - bar[0] / 2, top - bar[1] / 2), *bar, color=GENERATOR))
        text = f"{width * 2**level} ch\n{size // 2**level}²"
        axes.text(x, top - bar[1] / 2 - 0.08, text, ha="center", va="top", fontsize=12)
        if index:
            style = {"color": INK, "linestyle": "-"}
            arrow(axes, (centers[index - 1] + 0.28, tops[index - 1]), (x - 0.28, top), **style)
    for level in range(depth):
        start, end = centers[level] + 0.3, centers[-1 - level] - 0.3
        y = tops[level] + 0.2 + 0.5 * 0.62**level
        arrow(axes, (start, y), (end, y), color=PALE, linestyle="--")
    axes.text(centers[depth], tops[0] + 0.82, "skip: concatenate", ha="center", color=PALE)
    ends = (centers[0] - 0.25, "L\n1 ch", "right"), (centers[-1] + 0.25, "ab\n2 ch", "left")
    for x, text, side in ends:
        axes.text(x, tops[0], text, ha=side, va="center", fontsize=14, fontweight="bold")
    axes.text(centers[1], -1.1, "down: 2×2 max-pool", ha="center")
    axes.text(centers[-2] - 0.3, -1.1, "up: 2×2 transposed convolution", ha="center")
    return figure


def draw_players() -> Figure:
    """Draw the two players: the painter G colors a gray photo, the critic D judges the colors."""
    figure, axes = blank((11, 4.6), (0, 11), (-0.6, 4.0))
    box(axes, (1.2, 3.3), "photo", INK)
    box(axes, (1.2, 1.1), "gray photo\nL", INK)
    box(axes, (4.2, 1.1), "painter\nG", GENERATOR)
    box(axes, (7.0, 1.1), "painted colors\nfake ab", FAKE)
    box(axes, (7.0, 3.3), "true colors\nreal ab", REAL)
    box(axes, (9.8, 2.2), "critic\nD", DISCRIMINATOR)
    arrow(axes, (2.2, 1.1), (3.2, 1.1))
    arrow(axes, (5.2, 1.1), (6.0, 1.1))
    arrow(axes, (7.6, 1.62), (8.8, 2.1), color=FAKE)
    arrow(axes, (7.6, 2.78), (8.8, 2.4), color=REAL)
    arrow(axes, (1.2, 2.78), (1.2, 1.62))
    arrow(axes, (2.2, 3.3), (6.0, 3.3), color=REAL)
    axes.text(1.35, 2.2, "its lightness", va="center")
    axes.text(4.1, 3.4, "its colors", ha="center", va="bottom")
    axes.text(9.8, 2.8, "sees L and ab:\nreal or fake?", ha="center", va="bottom")
    arrow(axes, (9.8, 1.68), (4.2, 0.58), bend=-0.4, color=GENERATOR, linestyle="--")
    axes.text(7.0, -0.4, "which colors would have fooled D?", ha="center", va="center")
    return figure


def draw_loop() -> Figure:
    """Draw the training procedure: k steps of D, then one of G, each with the other frozen."""
    figure, axes = blank((11, 4.6), (0, 11), (0, 4.6))
    box(axes, (1.2, 3.3), "initialize\nG and D", INK)
    box(axes, (4.2, 3.3), "draw a batch\nL, real ab", INK)
    box(axes, (7.6, 3.3), "freeze G, train D\nreal → 1, fake → 0", DISCRIMINATOR, width=2.7)
    box(axes, (7.6, 1.0), "freeze D, train G\nfake → 1", GENERATOR, width=2.7)
    box(axes, (4.2, 1.0), "D cannot tell,\nor time is up?", INK)
    box(axes, (1.2, 1.0), "test G", INK)
    arrow(axes, (2.2, 3.3), (3.2, 3.3))
    arrow(axes, (5.2, 3.3), (6.25, 3.3))
    arrow(axes, (7.6, 2.78), (7.6, 1.52))
    arrow(axes, (6.25, 1.0), (5.2, 1.0))
    arrow(axes, (3.2, 1.0), (2.2, 1.0))
    arrow(axes, (4.2, 1.52), (4.2, 2.78))
    arrow(axes, (7.9, 3.82), (4.2, 3.82), bend=0.3, color=DISCRIMINATOR, linestyle="--")
    axes.text(9.15, 3.3, "k times", ha="left", va="center")
    axes.text(9.15, 1.0, "once", ha="left", va="center")
    axes.text(4.35, 2.15, "no: again", ha="left", va="center")
    axes.text(2.7, 1.15, "yes", ha="center", va="bottom")
    return figure


def blank(size: tuple, across: tuple, up: tuple) -> tuple[Figure, Axes]:
    """Make a figure without axes, measured in its own units."""
    figure, axes = plt.subplots(figsize=size)
    axes.set(xlim=across, ylim=up)
    axes.axis("off")
    return figure, axes


def box(axes: Axes, center: tuple, text: str, color: str, width: float = 1.9) -> None:
    """Draw a rounded box with a word in it."""
    corner = center[0] - width / 2, center[1] - 0.48
    style = "round,pad=0.02,rounding_size=0.15"
    axes.add_patch(FancyBboxPatch(corner, width, 0.96, boxstyle=style, color=color))
    middle = {"ha": "center", "va": "center"}
    axes.text(*center, text, color="white", fontsize=14, fontweight="bold", **middle)


def arrow(
    axes: Axes, start: tuple, end: tuple, bend: float = 0, color: str = INK, linestyle: str = "-"
) -> None:
    """Draw an arrow, straight or bent by a share of its length."""
    look = {
        "arrowstyle": "-|>,head_length=0.5,head_width=0.25",
        "connectionstyle": f"arc3,rad={bend}",
        "linewidth": 2,
        "linestyle": linestyle,
        "color": color,
        "shrinkA": 0,
        "shrinkB": 0,
    }
    axes.annotate("", end, start, arrowprops=look)
