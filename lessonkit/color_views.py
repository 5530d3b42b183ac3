"""Looking at colors, for lessons 00 and 01: histograms, the RGB cube, numbers as bars, a slice."""

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from colorlib.color import AB_SCALE, lab_to_rgb
from lessonkit.figures import INK

LAMPS = {"red": ("#C62828", "-"), "green": ("#2E7D32", "--"), "blue": ("#1540C0", ":")}
SPACES = {  # a color space -> its letters, and where the axis of its bars begins and ends
    "RGB": ("RGB", 0, 1),
    "HSV": ("HSV", 0, 1),
    "YUV": ("YUV", -0.7, 1),
    "Lab": (("L*", "a*", "b*"), -AB_SCALE, AB_SCALE),
}
NO_COLOR = 0.93  # the light gray of what a screen cannot show


def draw_histogram(channels: dict[str, np.ndarray | Tensor], label: str) -> Figure:
    """Draw how often each value occurs, one line a channel.

    Args:
        channels: the values of each, of any shape, by name; red, green and blue get their color.
        label: what is counted, with its range.
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
    axes.plot([0, 1], [0, 1], [0, 1], color=INK)
    axes.set(xlabel="red", ylabel="green", zlabel="blue")
    axes.set(xticks=[0, 1], yticks=[0, 1], zticks=[0, 1])
    axes.set_box_aspect((1, 1, 1), zoom=0.85)
    axes.view_init(lift, turn)
    return figure


def draw_numbers(rgb: Tensor, numbers: dict[str, Tensor]) -> Figure:
    """Draw a patch of one color, and its three numbers in each space as bars.

    Args:
        rgb: the color, (3, 1, 1), float 0..1.
        numbers: (3, 1, 1) for each of some `SPACES`, by name.
    """
    figure, (patch, *others) = plt.subplots(1, 1 + len(numbers), figsize=(10, 2.1))
    patch.imshow(rgb.permute(1, 2, 0).numpy())
    patch.axis("off")
    for axes, (space, values) in zip(others, numbers.items()):
        letters, low, high = SPACES[space]
        three = values.flatten().tolist()
        axes.barh(range(3), three, color=INK)
        axes.set_yticks(range(3), [f"{x} {v:.2f}" for x, v in zip(letters, three)])
        axes.set(title=space, xlim=(low, high), ylim=(2.5, -0.5))
    return figure


def ab_plane(lightness: float, count: int = 111) -> Tensor:
    """Make all a*, b* in -110..110 at one L*: Lab (3, count, count), a* to the right."""
    axis = torch.linspace(-AB_SCALE, AB_SCALE, count)
    a, b = torch.meshgrid(axis, axis, indexing="xy")
    return torch.stack([torch.full_like(a, lightness), a, b])


def draw_slice(lab: Tensor, possible: Tensor) -> Figure:
    """Draw a slice of Lab, what a screen can show in color, the rest in gray.

    Args:
        lab: as `ab_plane` makes it, (3, N, N).
        possible: whether a screen can show it, bool (1, N, N).
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
