"""Measurements of lesson 05: what a discriminator sees and how often it is right.

Each discriminator takes L (B, 1, H, W) and ab (B, 2, H, W) and returns logits (B, 1, h, w), as in
`colorlib.discriminator`.
"""

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from colorlib.color import AB_SCALE, L_ab_to_rgb
from colorlib.discriminator import PatchDiscriminator
from lessonkit.figures import DISCRIMINATOR, INK, LINE


def receptive_field(discriminator: nn.Module) -> int:
    """The width in pixels of what one score of a discriminator sees.

    Works backward from one output pixel: a convolution with kernel k and stride s turns a field
    of f pixels into (f - 1) · s + k.
    """
    field = 1
    for layer in reversed(list(discriminator.modules())):
        if isinstance(layer, nn.Conv2d):
            field = (field - 1) * layer.stride[0] + layer.kernel_size[0]
    return field


def best_share_right(real: Tensor, fake: Tensor) -> float:
    """Find the accuracy of a single number per picture with its best possible threshold.

    Args:
        real: one number per picture, (N,).
        fake: likewise; numbers at or above the threshold count as real.
    """
    thresholds = torch.cat([real, fake])
    shares = [(real >= t).float().mean() + (fake < t).float().mean() for t in thresholds]
    return max(shares).item() / 2


def draw_chroma(ab: dict[str, Tensor]) -> Figure:
    """Draw a histogram of the chroma of all pixels.

    Args:
        ab: "real" and "fake", (B, 2, H, W) each, scaled.
    """
    figure, axes = plt.subplots(figsize=(8, 3.4))
    for kind, values in ab.items():
        look = {
            "color": LINE[kind]["color"],
            "linestyle": LINE[kind]["linestyle"],
            "linewidth": 2.4,
        }
        chroma = (AB_SCALE * values.norm(dim=1)).flatten().numpy()
        axes.hist(chroma, 60, range=(0, 110), density=True, histtype="step", label=kind, **look)
    axes.set(xlabel="chroma: distance from gray in the ab plane", ylabel="share of pixels")
    axes.set_yticks([])
    axes.legend()
    return figure


# --- what one score sees ---


def message(halve: nn.Module, side: int = 16) -> Tensor:
    """Measure how much gradient each pixel of a noise picture gets through a downsampling layer.

    Returns:
        |gradient| of the outputs' mean square by each pixel, (1, side, side), scaled so that the
        largest is 1.
    """
    pixels = torch.rand(1, 1, side, side, requires_grad=True)
    (gradient,) = torch.autograd.grad(halve(pixels).square().mean(), pixels)
    return gradient[0].abs() / gradient.abs().max()


def influence(layers: int, count: int, side: int = 96) -> Tensor:
    """Measure how strongly each pixel affects the middle score of a patch discriminator.

    Args:
        layers: of `PatchDiscriminator`.
        count: how many untrained discriminators to average over.
        side: of the pictures, in pixels.

    Returns:
        |gradient| of the score by ab, summed over a and b: (side, side), 0 outside the field.
    """
    total = torch.zeros(side, side)
    for _ in range(count):
        L, ab = torch.rand(1, 1, side, side), torch.zeros(1, 2, side, side, requires_grad=True)
        scores = PatchDiscriminator(8, layers, norm="none")(L, ab)
        middle = scores.shape[-1] // 2
        scores[0, 0, middle, middle].backward()
        total += ab.grad[0].abs().sum(dim=0) / count
    return total


def windows(discriminator: nn.Module, side: int) -> tuple[int, int, int]:
    """Compute where the receptive fields of a discriminator's scores are in a picture.

    Args:
        discriminator: a stack of convolutions.
        side: of the picture, in pixels.

    Returns:
        the number of scores across the map; the distance between neighboring fields, in pixels;
        and where the first field starts, in pixels. The start is negative because of the padding.
    """
    count, step, start = side, 1, 0
    for layer in discriminator.modules():
        if isinstance(layer, nn.Conv2d):
            kernel, stride, padding = layer.kernel_size[0], layer.stride[0], layer.padding[0]
            count = (count + 2 * padding - kernel) // stride + 1
            start, step = start - padding * step, step * stride
    return count, step, start


def draw_window(picture: Tensor, discriminator: nn.Module, place: float) -> Figure:
    """Draw the receptive field of one score as a square on a picture.

    Args:
        picture: uint8 (3, side, side).
        discriminator: a stack of convolutions.
        place: which score on the map's diagonal: 0 for the top left, 1 for the bottom right.
    """
    side, field = picture.shape[-1], receptive_field(discriminator)
    count, step, start = windows(discriminator, side)
    corner = start + step * round(place * (count - 1))
    figure, axes = plt.subplots(figsize=(5, 4.8))
    axes.imshow(picture.permute(1, 2, 0).numpy())
    axes.grid(False)
    look = {"edgecolor": DISCRIMINATOR, "linewidth": 4}
    axes.add_patch(plt.Rectangle((corner, corner), field, field, fill=False, **look))
    axes.set(xlim=(-70, side + 70), ylim=(side + 70, -70), xlabel="pixels", ylabel="pixels")
    axes.set_title(f"{count}×{count} scores, each sees {field}×{field} pixels", fontsize=13)
    return figure


# --- its losses and its batch norm ---

Loss = Callable[[Tensor, Tensor], Tensor]


def slopes(loss: Loss, logits: Tensor, label: float) -> Tensor:
    """Differentiate a loss by each logit.

    Args:
        loss: takes logits and labels, (N,) each, and returns one loss per logit.
        logits: (N,).
        label: 1 for real, 0 for fake.
    """
    logits = logits.clone().requires_grad_()
    labels = torch.full_like(logits, label)
    (gradient,) = torch.autograd.grad(loss(logits, labels).sum(), logits)
    return gradient


def draw_slopes(losses: dict[str, Loss], logits: Tensor) -> Figure:
    """Draw the slopes of two losses by the logit, for label 1 and for label 0."""
    looks = (
        {"color": DISCRIMINATOR, "linestyle": "-", "linewidth": 6, "alpha": 0.5},
        {"color": INK, "linestyle": "--"},
    )
    figure, panels = plt.subplots(1, 2, figsize=(11, 4))
    for label, axes in zip((1.0, 0.0), panels):
        for (name, loss), look in zip(losses.items(), looks):
            axes.plot(logits.numpy(), slopes(loss, logits, label).numpy(), label=name, **look)
        axes.set(title=f"label {label:g}", xlabel="logit", ylabel="slope of the loss")
    panels[0].legend(loc="lower right")
    return figure


@torch.no_grad()
def change(discriminator: nn.Module, L: Tensor, ab: Tensor, other_ab: Tensor) -> Tensor:
    """Measure how much each score changes when a batch gets other colors.

    Returns:
        the mean |change| over the batch, in standard deviations of the scores: (1, h, w).
    """
    scores = discriminator(L, ab)
    return (discriminator(L, other_ab) - scores).abs().mean(dim=0) / scores.std()


# --- how often it is right ---


def picture_scores(discriminator: nn.Module, L: Tensor, ab: Tensor) -> Tensor:
    """Average each picture's map to one score per picture, (B,)."""
    return discriminator(L, ab).mean(dim=(1, 2, 3))


def share_right(scores_real: Tensor, scores_fake: Tensor) -> float:
    """Compute the accuracy: real scores should be above 0, fake ones below; both halves count."""
    return ((scores_real > 0).float().mean() + (scores_fake < 0).float().mean()).item() / 2


def steps_to_win(shares: list[float], goal: float = 0.95, window: int = 5) -> str:
    """Say after how many steps a discriminator reached a goal.

    Args:
        shares: its accuracy on the batch of each step.
        goal: the accuracy to reach.
        window: number of steps to average over, since one batch is a small test.
    """
    smooth = np.convolve(shares, np.ones(window) / window, "valid")
    reached = smooth >= goal - 1e-9
    return str(reached.argmax() + window) if reached.any() else "not yet"


def draw_answers(histories: dict[str, list]) -> Figure:
    """Draw a discriminator's mean answers on real and fake pictures at each step.

    Args:
        histories: for each kind of fakes (one panel each) a list of steps, and for each step the
            logits on real and on fake pictures.
    """
    figure, panels = plt.subplots(1, len(histories), figsize=(11, 3.6), sharey=True)
    for (kind, history), axes in zip(histories.items(), panels):
        answers = np.array([[each.sigmoid().mean().item() for each in step] for step in history])
        axes.plot(answers[:, 0], **LINE["real"], label="D(real)")
        axes.plot(answers[:, 1], **LINE["fake"], label="D(fake)")
        axes.set(title=kind, xlabel="step", ylim=(0, 1))
    panels[0].set_ylabel("mean answer (1 = real)")
    panels[-1].legend(loc="lower left")
    return figure


@torch.no_grad()
def examine(discriminator: nn.Module, L: Tensor, real_ab: Tensor, fake_ab: Tensor) -> list[float]:
    """Measure a discriminator's accuracy on the same pictures in three ways.

    Args:
        discriminator: it stays in training mode, and its running averages move a little.
        L: of pictures that it was not trained on, (B, 1, H, W).
        real_ab: their own colors, (B, 2, H, W).
        fake_ab: invented colors, (B, 2, H, W).

    Returns:
        the accuracy with all real pictures in one batch and all fakes in another; with both in one
        batch; and in eval mode, where no picture affects another.
    """
    both_L, both_ab = torch.cat([L, L]), torch.cat([real_ab, fake_ab])
    in_eval_mode = picture_scores(discriminator.eval(), both_L, both_ab).chunk(2)
    mixed = picture_scores(discriminator.train(), both_L, both_ab).chunk(2)
    pure = picture_scores(discriminator, L, real_ab), picture_scores(discriminator, L, fake_ab)
    return [share_right(*scores) for scores in (pure, mixed, in_eval_mode)]


@torch.no_grad()
def draw_seam(
    discriminator: nn.Module, L: Tensor, real_ab: Tensor, fake_ab: Tensor, seam: int
) -> Figure:
    """Join real and invented colors at a seam and draw them beside the map of answers.

    Args:
        discriminator: in eval mode.
        L: (1, H, W).
        real_ab: (2, H, W), used on the left.
        fake_ab: (2, H, W), used on the right.
        seam: the column where `fake_ab` starts.
    """
    width = L.shape[-1]
    L, ab = L[None], torch.where(torch.arange(width) >= seam, fake_ab, real_ab)[None]
    answers = discriminator(L, ab).sigmoid()[0, 0]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 4.3))
    left.imshow(L_ab_to_rgb(L, ab)[0].permute(1, 2, 0).numpy())
    left.set_title({0: "all fake", width: "all real"}.get(seam, "real | fake"))
    right.imshow(answers.numpy(), vmin=0, vmax=1)
    right.set_title(f"map of answers, mean {answers.mean():.2f}")
    for axes in (left, right):
        axes.axis("off")
    return figure
