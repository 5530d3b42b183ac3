"""What lesson 08 draws: balloons cut out, their colors, losses, and a baseline without a GAN."""

from collections.abc import Sequence
from statistics import mean

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from torch import Tensor

from colorlib.losses import OBJECTIVES
from colorlib.metrics import COLUMNS, COMMITTED_DISTANCE
from colorlib.scenes import BALLOON_BLUE_AB, BALLOON_RED_AB
from lessonkit.figures import DISCRIMINATOR, GENERATOR, INK, PALE
from lessonkit.lesson_08.brown import A_SPAN, B_SPAN, is_balloon, mean_rows

FREE = {"bce": 100.0, "lsgan": 1.0, "hinge": 1.0, "wgan_gp": 0.0}  # real logits with loss 0
# hinge and wgan_gp have the same loss for G: a wide pale line shows beneath a thin one
LOOKS = {
    "bce": {"linestyle": "-"},
    "lsgan": {"linestyle": "--"},
    "hinge": {"linestyle": "-", "linewidth": 8, "alpha": 0.35, "zorder": 1},
    "wgan_gp": {"linestyle": "-."},
}
LOWEST = 1e-5  # guesses whose loss is this close to the minimum are marked


def crop_balloons(rgb: Tensor, labels: Tensor, side: int = 28) -> Tensor:
    """Cut out a square around each scene's balloon.

    Args:
        rgb: pictures, (N, 3, H, W).
        labels: their label maps, each with a balloon.
        side: the side of the square in pixels.

    Returns:
        (N, 3, side, side).
    """
    crops = []
    for picture, inside in zip(rgb, is_balloon(labels)):
        corner = []
        for axis, size in ((1, picture.shape[1]), (0, picture.shape[2])):
            places = inside.any(dim=axis).nonzero()
            middle = int(places.min() + places.max() + 1) // 2
            corner.append(min(max(middle - side // 2, 0), size - side))
        top, left = corner
        crops.append(picture[:, top : top + side, left : left + side])
    return torch.stack(crops)


def draw_histograms(counts: dict[str, Tensor], columns: int = 5) -> Figure:
    """Draw histograms of the colors of balloon pixels, darker where there are more pixels.

    Circles surround the two paints. Pixels inside a circle count as committed.

    Args:
        counts: name -> histogram, as `brown.histogram` returns it.
        columns: plots per row.
    """
    rows = -(-len(counts) // columns)
    size = (1.9 * columns + 0.6, 2.7 * rows + 0.4)
    figure, grid = plt.subplots(rows, columns, figsize=size, sharex=True, sharey=True)
    for axes in np.ravel(grid)[len(counts) :]:
        axes.axis("off")
    for axes, (name, values) in zip(np.ravel(grid), counts.items()):
        share = (values / values.max()).sqrt().numpy()  # the root makes few pixels visible
        axes.imshow(share, cmap="Greys", origin="lower", extent=(*A_SPAN, *B_SPAN))
        for center, ink in ((BALLOON_RED_AB, "#D62728"), (BALLOON_BLUE_AB, "#1F5FD6")):
            axes.add_patch(Circle(center, COMMITTED_DISTANCE, fill=False, color=ink, linewidth=2))
        axes.set(title=name, xticks=[0, 50], yticks=[-50, 0, 50])
    figure.supxlabel("a*", fontsize=14)
    figure.supylabel("b*", fontsize=14)
    return figure


def draw_losses(guesses: Tensor, losses: dict[str, Tensor]) -> Figure:
    """Draw the loss of each guess of a balloon's color, and mark where it is lowest.

    Args:
        guesses: (N,), from 0 (blue) to 1 (red), a few beyond.
        losses: name -> the loss of each guess, (N,).
    """
    figure, axes = plt.subplots(figsize=(8, 3.2))
    for (name, values), line in zip(losses.items(), ("-", "--")):
        axes.plot(guesses, values, line, color=INK, label=name)
        lowest = values < values.min() + LOWEST
        axes.plot(guesses[lowest], values[lowest], "o", color=GENERATOR, markersize=7)
    axes.set(xlabel="guess", ylabel="mean loss", xticks=[0, 0.5, 1])
    axes.set_xticklabels(["0, blue", "0.5, mauve", "1, red"])
    figure.legend(loc="outside right upper")
    return figure


def draw_sweep(rows: Sequence[dict], metrics: Sequence[str]) -> Figure:
    """Draw metrics over λ, one line per seed.

    Args:
        rows: metrics with their lambda and seed, sorted by lambda.
        metrics: one panel for each.
    """
    weights = list(dict.fromkeys(row["lambda"] for row in rows))
    figure, panels = plt.subplots(1, len(metrics), figsize=(9, 3.4))
    for axes, metric in zip(panels, metrics):
        for seed, line in zip(dict.fromkeys(row["seed"] for row in rows), ("o-", "s--", "^:")):
            values = [row[metric] for row in rows if row["seed"] == seed]
            axes.plot(range(len(values)), values, line, color=GENERATOR, label=f"seed {seed}")
        axes.set(xlabel="λ", ylabel=COLUMNS[metric], xticks=range(len(weights)))
        axes.set_xticklabels([f"{weight:g}" for weight in weights])
        axes.legend()
    return figure


def draw_objectives(logits: Tensor) -> Figure:
    """Draw G's and D's loss on a fake over its logit, for four objectives; below, their slopes.

    Args:
        logits: D's logits for the fake, (N,).
    """
    figure, grid = plt.subplots(2, 2, figsize=(9, 5.6), sharex=True)
    for name, logit in FREE.items():
        objective, free = OBJECTIVES[name], torch.tensor(logit)
        networks = (
            (objective.generator, GENERATOR),
            (lambda fake: objective.discriminator(free, fake), DISCRIMINATOR),  # noqa: B023
        )
        for (upper, lower), (loss, ink) in zip(grid.T, networks):
            fakes = logits.clone().requires_grad_()
            losses = torch.stack([loss(fake) for fake in fakes])
            (slopes,) = torch.autograd.grad(losses.sum(), fakes)
            upper.plot(logits, losses.detach(), color=ink, label=name, **LOOKS[name])
            lower.plot(logits, slopes, color=ink, **LOOKS[name])
    grid[0, 0].set(title="generator", ylabel="loss on a fake", ylim=(-6.5, 10))
    grid[0, 1].set(title="discriminator", ylim=(-6.5, 10))
    grid[1, 0].set(xlabel="logit of the fake", ylabel="slope of the loss", ylim=(-7, 7))
    grid[1, 1].set(xlabel="logit of the fake", ylim=(-7, 7))
    for axes in grid[0]:
        axes.legend(loc="upper center", ncols=2, framealpha=0.9, frameon=True, edgecolor="none")
    return figure


def draw_rival(factors: Sequence[dict], runs: Sequence[dict]) -> Figure:
    """Draw CIEDE2000 and `committed` over colorfulness: l1 times k, and every recipe.

    Args:
        factors: rows as `brown.factor_rows` returns them, for one or more seeds.
        runs: rows of scenes.json, each with its recipe.
    """
    rows = mean_rows(factors, "factor")
    recipes = [name for name in dict.fromkeys(run["recipe"] for run in runs) if name != "l1"]
    figure, panels = plt.subplots(1, 2, figsize=(11, 4.4))
    for axes, metric in zip(panels, ("ciede2000", "committed")):
        curve = [[row[name] for row in rows] for name in ("colorfulness", metric)]
        axes.plot(*curve, color=PALE, label="l1 × k")
        axes.plot(curve[0][0], curve[1][0], "o", color=INK, label="l1")
        for recipe, marker in zip(recipes, "sX^DvP<>H8"):
            chosen = [run for run in runs if run["recipe"] == recipe]
            point = [mean(run[name] for run in chosen) for name in ("colorfulness", metric)]
            ink = INK if recipe == "l2" else GENERATOR  # green: with a discriminator
            axes.plot(*point, marker, color=ink, label=recipe)
        axes.set(xlabel="colorfulness", ylabel=COLUMNS[metric], xlim=(86, 116))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper")
    return figure
