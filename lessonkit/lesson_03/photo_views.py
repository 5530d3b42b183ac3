"""Two figures of lesson 03: what a painter made of crops, and where the colors of photos lie."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from lessonkit.figures import INK, render


def draw_exam(pictures: dict[str, Tensor], names: list[str]) -> Image.Image:
    """Draw crops painted in several ways, side by side: a column a way, a row a photo.

    Args:
        pictures: title and pictures (N, 3, H, W), 0..1, of each column.
        names: of the N photos.

    Returns:
        The figure in 256 colors, which takes less space.
    """
    figure, grid = plt.subplots(len(names), len(pictures), figsize=(11, 9), squeeze=False)
    for column, (title, crops) in zip(grid.T, pictures.items()):
        column[0].set_title(title)
        for axes, crop in zip(column, crops):
            axes.imshow(crop.movedim(0, -1))
            axes.set(xticks=[], yticks=[])
    for axes, name in zip(grid[:, 0], names):
        axes.set_ylabel(name)
    return render(figure).quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=3)


def draw_ab_maps(parts: dict[str, Tensor]) -> Figure:
    """Draw where in the a*b* plane the pixels lie: a map a part, shaded logarithmically.

    Args:
        parts: title and ab, (N, 2, H, W), a* and b* divided by 110, of each map.
    """
    figure, panels = plt.subplots(
        1, len(parts), figsize=(5 * len(parts), 4.4), sharey=True, squeeze=False
    )
    for axes, (title, ab) in zip(panels[0], parts.items()):
        a, b = 110 * ab.movedim(1, 0).flatten(1).numpy()
        weights = np.full(len(a), 100 / len(a))
        style = {"cmap": "gray_r", "norm": LogNorm(0.01, 10)}
        *_, mesh = axes.hist2d(a, b, np.arange(-110, 111, 5), weights=weights, **style)
        axes.axhline(0, color=INK, linewidth=1)
        axes.axvline(0, color=INK, linewidth=1)
        axes.set(title=title, xlabel="a*, green to red", aspect="equal")
    panels[0, 0].set_ylabel("b*, blue to yellow")
    figure.colorbar(mesh, ax=panels, label="% of pixels")
    return figure
