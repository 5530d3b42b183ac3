"""One visual language for all lessons: style, colors, pictures side by side, alternative text.

Real, fake, G and D each keep their color, line style and marker in every figure of the course:

    axes.plot(steps, losses, **LINE["G"], label="G's loss")
    show(figure, "G's loss falls from 5 to 1 within 100 steps, then stays.")
"""

import base64
import io
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from cycler import cycler
from IPython.display import display
from matplotlib.figure import Figure
from PIL import Image, ImageChops

# Distinguishable with color blindness (the tests simulate it), contrast 3:1 on white.
REAL = "#004182"
FAKE = "#F65A26"
GENERATOR = "#22A57F"
DISCRIMINATOR = "#B167F4"
INK = "#222222"
PALE = "#8A8A8A"

LINE = {  # ten markers per line, however many points there are
    "real": {"color": REAL, "linestyle": "-", "marker": "o", "markevery": 0.1},
    "fake": {"color": FAKE, "linestyle": "--", "marker": "s", "markevery": 0.1},
    "G": {"color": GENERATOR, "linestyle": "-.", "marker": "^", "markevery": 0.1},
    "D": {"color": DISCRIMINATOR, "linestyle": ":", "marker": "D", "markevery": 0.1},
}
LARGEST_PNG = 40_000  # bytes; larger ones may become JPEG, since GitHub won't show big notebooks
LEAST_VISIBLE = 12  # levels of 255: 99% of the pixels drawn may differ by this much

STYLE = {
    "figure.figsize": (8, 4),
    "figure.dpi": 100,
    "savefig.dpi": 100,
    "figure.constrained_layout.use": True,
    "font.size": 14,
    "axes.titlesize": 15,
    "axes.labelsize": 14,
    "figure.titlesize": 16,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "legend.fontsize": 12,
    "legend.frameon": False,
    "lines.linewidth": 2.4,
    "lines.markersize": 9,
    "lines.markeredgecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.25,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "image.interpolation": "nearest",
    "image.cmap": "gray",
    "axes.prop_cycle": cycler(color=[REAL, FAKE, GENERATOR, DISCRIMINATOR, INK, PALE])
    + cycler(linestyle=["-", "--", "-.", ":", "-", "--"]),
}


def use_style() -> None:
    """Draw all later figures in the course's style, legible from the back row."""
    plt.rcParams.update(STYLE)


def render(figure: Figure) -> Image.Image:
    """Render a figure as a picture and close it, so the notebook doesn't show it twice."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor="white")
    plt.close(figure)
    return Image.open(buffer).convert("RGB")


def encode(picture: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    """Encode a picture with Pillow, in the given format and with its options."""
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def few_colors(picture: Image.Image) -> Image.Image:
    """Reduce a picture to a palette if the difference is invisible; drawings shrink to a third."""
    if picture.mode == "P":
        return picture
    rgb = picture.convert("RGB")
    reduced = rgb.quantize(256, kmeans=2, dither=Image.Dither.NONE)
    difference = np.asarray(ImageChops.difference(rgb, reduced.convert("RGB"))).max(axis=2)
    is_drawn = (np.asarray(rgb) < 255).any(axis=2)  # a wide margin would excuse bad colors
    is_visible = difference[is_drawn] > LEAST_VISIBLE
    return picture if is_visible.sum() > 0.01 * is_visible.size else reduced


def show(figure: Figure | Image.Image, alt: str) -> None:
    """Display a figure or a picture with alternative text for people who can't see it.

    Args:
        figure: a matplotlib figure, which will be closed, or a PIL picture.
        alt: what there is to see, in a sentence that could replace the figure.

    Raises:
        ValueError: there is no alternative text.
    """
    if not alt.strip():
        raise ValueError("say in `alt` what the figure shows, for people who can't see it")
    picture = figure if isinstance(figure, Image.Image) else render(figure)
    kind, data = "image/png", encode(few_colors(picture), optimize=True)
    if len(data) > LARGEST_PNG:
        fine = {"quality": 80, "subsampling": 1}  # 1: half the color resolution, across only
        jpeg = encode(picture.convert("RGB"), "JPEG", **fine)
        if len(jpeg) < len(data):
            kind, data = "image/jpeg", jpeg
    bundle = {kind: base64.b64encode(data).decode(), "text/plain": alt}
    display(bundle, raw=True, metadata={kind: {"alt": alt}})


def show_pictures(
    pictures: Sequence[Any],
    titles: Sequence[str] = (),
    alt: str = "",
    columns: int | None = None,
    height: float = 2.6,
    smooth: bool = False,
) -> None:
    """Display pictures side by side, each with a title.

    Args:
        pictures: as `picture_grid` takes them.
        titles: one per picture, or none.
        alt: what there is to see.
        columns: pictures per row; None puts all of them in one row.
        height: of one picture, in inches (100 pixels each).
        smooth: as `picture_grid` takes it.

    Raises:
        ValueError: the alternative text is missing, the titles don't match, or there is no picture.
    """
    show(picture_grid(pictures, titles, columns, height, smooth), alt)


def picture_grid(
    pictures: Sequence[Any],
    titles: Sequence[str] = (),
    columns: int | None = None,
    height: float = 2.6,
    smooth: bool = False,
) -> Figure:
    """Draw what `show_pictures` displays, for use inside a widget or another figure.

    Args:
        pictures: a batch (B, 3, H, W) or a list of pictures, each as `to_picture` takes it.
        titles: one per picture, or none.
        columns: pictures per row; None puts all of them in one row.
        height: of one picture, in inches.
        smooth: enlarge small pictures smoothly; otherwise each pixel shows as a square.
    """
    arrays = [to_picture(picture) for picture in pictures]
    if not arrays or len(titles) not in (0, len(arrays)):
        raise ValueError(
            f"got {len(arrays)} pictures and {len(titles)} titles; give one per picture"
        )
    columns = columns or len(arrays)
    rows = -(-len(arrays) // columns)
    widest = max(array.shape[1] / array.shape[0] for array in arrays)
    size = (columns * height * widest, rows * (height + (0.35 if titles else 0)))
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, array in zip(grid.flat, arrays):
        axes.imshow(array, vmin=0, vmax=1, interpolation="bicubic" if smooth else None)
    for axes, title in zip(grid.flat, titles):
        axes.set_title(title, fontsize=13)
    return figure


def to_picture(picture: Any) -> np.ndarray:
    """Convert a picture of any kind to what `imshow` takes.

    Args:
        picture: tensor or array, uint8 0..255, float 0..1 or bool; (3, H, W), (H, W, 3),
            (1, H, W) or (H, W); or a PIL image.
    Returns:
        float (H, W, 3), or (H, W) for a gray one, 0..1.
    Raises:
        ValueError: the shape is different, or values are outside 0..1.
    """
    if isinstance(picture, torch.Tensor):
        picture = picture.detach().cpu().numpy()
    array = np.asarray(picture)
    if array.ndim == 3 and array.shape[0] in (1, 3):
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or array.ndim == 3 and array.shape[2] != 3:
        raise ValueError(f"a picture is (3, H, W), (H, W, 3), (1, H, W) or (H, W): {array.shape}")
    array = array / 255 if array.dtype == np.uint8 else array.astype(np.float64)
    if array.min() < -1e-3 or array.max() > 1 + 1e-3:
        span = f"{array.min():.3g}..{array.max():.3g}"
        raise ValueError(f"float pictures run 0..1, this one {span}: scale or clip it first")
    return array.clip(0, 1)
