"""Two figures of lesson 03: crops colored from memory, and where the colors of photos lie."""

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor

from colorlib.color import L_ab_to_rgb
from lessonkit.figures import INK, render

BIN = 5  # CIE units
FEWEST, MOST = 0.01, 10  # % of the pixels; palest and strongest color of a map


def draw_exam(
    photos: Tensor, crops: dict[str, Tensor], frame: tuple, names: list[str]
) -> Image.Image:
    """Draw whole photos, and one crop of each, colored in several ways: one row per photo.

    Args:
        photos: rgb (N, 3, H, W), 0..255.
        crops: title and pictures (N, 3, h, w), 0..1, of each further column.
        frame: (row, column, height, width) of the crops in the photos, in pixels.
        names: of the N photos.

    Returns:
        The figure in 256 colors, which takes less space.
    """
    figure, grid = plt.subplots(len(names), 1 + len(crops), figsize=(9, 7.4), squeeze=False)
    columns = {"the photo": photos / 255} | crops
    for column, (title, pictures) in zip(grid.T, columns.items()):
        column[0].set_title(title, fontsize=10)
        for axes, picture in zip(column, pictures):
            axes.imshow(picture.movedim(0, -1))
            axes.set(xticks=[], yticks=[])
    row, left, height, width = frame
    for axes, name in zip(grid[:, 0], names):
        axes.set_ylabel(name)
        for color, thickness in (("white", 4), (INK, 2)):  # visible on dark and on light
            look = {"edgecolor": color, "linewidth": thickness, "fill": False}
            axes.add_patch(Rectangle((left - 0.5, row - 0.5), width, height, **look))
    return render(figure).quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=3)


def draw_ab_maps(parts: dict[str, Tensor]) -> Figure:
    """Draw where in the a*b* plane pixels lie, each place in its own color.

    The more pixels, the stronger the color, on a logarithmic scale.

    Args:
        parts: title and ab, (N, 2, H, W), a* and b* divided by 110, of each map.
    """
    size = (5.5 * len(parts), 5)
    figure, panels = plt.subplots(1, len(parts), figsize=size, sharey=True, squeeze=False)
    for axes, (title, ab) in zip(panels[0], parts.items()):
        _draw_ab_map(axes, ab)
        axes.axhline(0, color=INK, linewidth=1)
        axes.axvline(0, color=INK, linewidth=1)
        axes.set(title=title, xlabel="a*, green to red")
    panels[0, 0].set_ylabel("b*, blue to yellow")
    return figure


def _draw_ab_map(axes: Axes, ab: Tensor) -> None:
    edges = np.arange(-110, 110 + BIN, BIN)
    a, b = 110 * ab.movedim(1, 0).flatten(1).numpy()
    counts, _, _ = np.histogram2d(b, a, [edges, edges])  # a row per b*
    percent = 100 * counts / len(a)
    span = np.log(MOST / FEWEST)
    strength = np.log(np.maximum(percent, FEWEST) / FEWEST) / span
    centers = torch.tensor(edges[:-1] + BIN / 2, dtype=torch.float32) / 110
    plane = torch.stack(torch.meshgrid(centers, centers, indexing="xy"))[None]
    colors = L_ab_to_rgb(torch.full_like(plane[:, :1], 0.6), plane)[0].movedim(0, -1).numpy()
    visible = np.where(percent > 0, 0.2 + 0.8 * strength, 0).clip(0, 1)
    picture = np.dstack([colors, visible])
    axes.imshow(picture, origin="lower", extent=(-110, 110, -110, 110))
