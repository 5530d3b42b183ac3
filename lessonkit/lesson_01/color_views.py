"""Looking at colors in lesson 01: HSV, the gamut, histograms, the RGB cube, a slice of Lab."""

from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib import colors
from matplotlib.figure import Figure
from torch import Tensor

from colorlib.color import AB_SCALE, lab_to_rgb, to_unit
from lessonkit.figures import INK, PALE

LAMPS = {"red": ("#C62828", "-"), "green": ("#2E7D32", "--"), "blue": ("#1540C0", ":")}
NO_COLOR = 0.93  # the light gray of colors that a screen cannot show


def rgb_to_hsv(rgb: Tensor) -> Tensor:
    """Convert sRGB to hue, saturation and value.

    Args:
        rgb: (..., 3, H, W), uint8 in 0..255 or float in 0..1.

    Returns:
        hsv: (..., 3, H, W), each in 0..1. Hue runs from red (0) through green (1/3) and blue (2/3)
            back to red. Grays have hue 0.

    Reference: Smith 1978, "Color gamut transform pairs"; computed by matplotlib.
    """
    hsv = colors.rgb_to_hsv(to_unit(rgb).movedim(-3, -1).numpy())
    return torch.from_numpy(hsv).movedim(-1, -3)


def in_gamut(lab: Tensor, tolerance: float = 1e-4) -> Tensor:
    """Tell which colors a screen can show: those whose sRGB is within 0..1.

    Args:
        lab: (..., 3, H, W) in CIE units; float.
        tolerance: how far outside 0..1 still counts as rounding.

    Returns:
        bool, (..., 1, H, W).
    """
    rgb = lab_to_rgb(lab, clip=False)
    return ((rgb >= -tolerance) & (rgb <= 1 + tolerance)).all(dim=-3, keepdim=True)


def draw_histogram(channels: dict[str, np.ndarray | Tensor], label: str) -> Figure:
    """Draw how often each value occurs, one line per channel.

    Args:
        channels: values of any shape, by channel name; red, green and blue get their own color.
        label: what the values are, with their range.
    """
    flat = {name: np.asarray(values).ravel() for name, values in channels.items()}
    low, high = min(v.min() for v in flat.values()), max(v.max() for v in flat.values())
    figure, axes = plt.subplots(figsize=(6, 2.6))
    for name, values in flat.items():
        color, line = LAMPS.get(name, (INK, "-"))
        counts, edges = np.histogram(values, bins=32, range=(low, high))
        shares = 100 * counts / values.size
        axes.stairs(shares, edges, color=color, linestyle=line, linewidth=2.4, label=name)
    axes.set(xlabel=label, ylabel="share of pixels, %")
    axes.legend()
    return figure


def draw_cube(picture: Tensor, turn: float, lift: float) -> Figure:
    """Draw some pixels of a picture as points of the RGB cube, with its corners and its diagonal.

    Args:
        picture: rgb (3, H, W), float 0..1.
        turn: degrees around the blue axis.
        lift: degrees above the red-green plane.
    """
    pixels = picture.flatten(1)[:, :: max(1, picture[0].numel() // 240)].T.numpy()  # (N, 3)
    corners = np.array([[r, g, b] for r in (0, 1) for g in (0, 1) for b in (0, 1)])
    figure = plt.figure(figsize=(4.8, 3.6))
    axes = figure.add_subplot(projection="3d", proj_type="ortho")
    axes.scatter(*pixels.T, c=pixels, s=16, depthshade=False)
    axes.scatter(*corners.T, c=corners, s=220, edgecolors=INK, depthshade=False)
    for first, second in combinations(corners, 2):
        if abs(first - second).sum() == 1:
            axes.plot(*zip(first, second), "-", color=PALE, linewidth=1)
    axes.plot([0, 1], [0, 1], [0, 1], color=INK)
    axes.set(xlabel="red", ylabel="green", zlabel="blue")
    axes.set(xticks=[0, 1], yticks=[0, 1], zticks=[0, 1])
    axes.set_box_aspect((1, 1, 1), zoom=0.85)
    axes.view_init(lift, turn)
    return figure


def ab_plane(lightness: float, count: int = 111) -> Tensor:
    """Make all a*, b* in -110..110 at one L*: Lab (3, count, count), a* to the right."""
    axis = torch.linspace(-AB_SCALE, AB_SCALE, count)
    a, b = torch.meshgrid(axis, axis, indexing="xy")
    return torch.stack([torch.full_like(a, lightness), a, b])


def draw_slice(lab: Tensor, possible: Tensor) -> Figure:
    """Draw a slice of Lab: the colors that a screen can show, and light gray outside.

    Args:
        lab: a slice from `ab_plane`, (3, N, N).
        possible: whether a screen can show each color, bool (1, N, N).
    """
    picture = torch.where(possible, lab_to_rgb(lab), NO_COLOR)
    lightness, a, b = lab
    ends = (-AB_SCALE, AB_SCALE)
    figure, axes = plt.subplots(figsize=(3.8, 3.5))
    axes.imshow(picture.permute(1, 2, 0).numpy(), origin="lower", extent=(*ends, *ends))
    axes.contour(a, b, possible[0], levels=[0.5], colors=INK)
    axes.set(xlabel="a*: green to red", ylabel="b*: blue to yellow")
    axes.set(title=f"L* = {lightness[0, 0]:.0f}")
    return figure
