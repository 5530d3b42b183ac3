"""What lesson 05 measures on critics: what they see, how often they are right, what they look at.

A critic takes L (B, 1, H, W) and ab (B, 2, H, W) and returns logits (B, 1, h, w), as in
`colorlib.discriminator`.
"""

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional

from colorlib.color import AB_SCALE, L_ab_to_rgb
from colorlib.discriminator import PatchDiscriminator, receptive_field
from lessonkit.figures import DISCRIMINATOR, INK, LINE, picture_grid


def best_share_right(real: Tensor, fake: Tensor) -> float:
    """Share of pictures rightly judged by one number each, with the best threshold there is.

    Args:
        real: a number a picture, (N,).
        fake: likewise; numbers at or above the threshold count as real.
    """
    thresholds = torch.cat([real, fake])
    shares = [(real >= t).float().mean() + (fake < t).float().mean() for t in thresholds]
    return max(shares).item() / 2


def draw_chroma(ab: dict[str, Tensor]) -> Figure:
    """Draw how strongly pixels are colored, as a histogram.

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


# --- what a score sees ---


def message(halve: nn.Module, side: int = 16) -> Tensor:
    """Measure how strongly each pixel of a noise picture is heard through a layer that halves it.

    Returns:
        |gradient| of the outputs' mean square by each pixel, (1, side, side), the largest being 1.
    """
    pixels = torch.rand(1, 1, side, side, requires_grad=True)
    (gradient,) = torch.autograd.grad(halve(pixels).square().mean(), pixels)
    return gradient[0].abs() / gradient.abs().max()


def influence(layers: int, count: int, side: int = 96) -> Tensor:
    """Measure how strongly each pixel acts on the middle score of a patch critic's map.

    Args:
        layers: of `PatchDiscriminator`.
        count: untrained critics to take the mean of; each has its accidents.
        side: of the pictures, in pixels.

    Returns:
        |gradient| of the score by ab, summed over a and b: (side, side), 0 where it sees nothing.
    """
    total = torch.zeros(side, side)
    for _ in range(count):
        L, ab = torch.rand(1, 1, side, side), torch.zeros(1, 2, side, side, requires_grad=True)
        scores = PatchDiscriminator(8, layers, norm="none")(L, ab)
        middle = scores.shape[-1] // 2
        scores[0, 0, middle, middle].backward()
        total += ab.grad[0].abs().sum(dim=0) / count
    return total


def windows(critic: nn.Module, side: int) -> tuple[int, int, int]:
    """Work out where the windows lie through which a critic's scores see a picture.

    Args:
        critic: a stack of convolutions.
        side: of the picture, in pixels.

    Returns:
        how many scores the map has across; how many pixels from one window to the next; and where
        the first begins, in pixels: negative, since padding lets it begin outside of the picture.
    """
    count, step, start = side, 1, 0
    for layer in critic.modules():
        if isinstance(layer, nn.Conv2d):
            kernel, stride, padding = layer.kernel_size[0], layer.stride[0], layer.padding[0]
            count = (count + 2 * padding - kernel) // stride + 1
            start, step = start - padding * step, step * stride
    return count, step, start


def draw_window(picture: Tensor, critic: nn.Module, right: float, down: float) -> Figure:
    """Draw a square around what one score of a critic sees.

    Args:
        picture: uint8 (3, side, side).
        critic: a stack of convolutions.
        right: which score of a row of the map, from 0 for the first to 1 for the last.
        down: likewise in its column.
    """
    side, field = picture.shape[-1], receptive_field(critic)
    count, step, start = windows(critic, side)
    x, y = (start + step * round(place * (count - 1)) for place in (right, down))
    figure, axes = plt.subplots(figsize=(3.4, 3.2))
    axes.imshow(picture.permute(1, 2, 0).numpy())
    axes.grid(False)
    look = {"edgecolor": DISCRIMINATOR, "linewidth": 4}
    axes.add_patch(plt.Rectangle((x, y), field, field, fill=False, **look))
    axes.set(xlim=(-70, side + 70), ylim=(side + 70, -70), xlabel="pixels", ylabel="pixels")
    axes.set_title(f"{count}×{count} scores, each sees {field}×{field}", fontsize=13)
    return figure


# --- what its losses and its batch norm do ---

Loss = Callable[[Tensor, Tensor], Tensor]


def slopes(loss: Loss, logits: Tensor, label: float) -> Tensor:
    """Differentiate a loss by each logit.

    Args:
        loss: takes logits and labels, (N,) each, and returns a loss for each.
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
def change(critic: nn.Module, L: Tensor, ab: Tensor, other_ab: Tensor) -> Tensor:
    """Measure how much each score changes when a batch is colored otherwise.

    Returns:
        the mean |change| over the batch, in standard deviations of the scores: (1, h, w).
    """
    scores = critic(L, ab)
    return (critic(L, other_ab) - scores).abs().mean(dim=0) / scores.std()


# --- how often it is right ---


def picture_scores(critic: nn.Module, L: Tensor, ab: Tensor) -> Tensor:
    """Give one score a picture, (B,): the mean of a critic's map."""
    return critic(L, ab).mean(dim=(1, 2, 3))


def share_right(scores_real: Tensor, scores_fake: Tensor) -> float:
    """Share of pictures rightly judged: real ones above 0, fakes below; half of them are fake."""
    return ((scores_real > 0).float().mean() + (scores_fake < 0).float().mean()).item() / 2


def steps_to_win(shares: list[float], goal: float = 0.95, window: int = 5) -> str:
    """Say after how many steps a critic was right often enough.

    Args:
        shares: of the batch rightly judged, one a step.
        goal: the share to reach.
        window: steps over which the mean is taken, since one batch is a small test.
    """
    smooth = np.convolve(shares, np.ones(window) / window, "valid")
    reached = smooth >= goal - 1e-9
    return str(reached.argmax() + window) if reached.any() else "not yet"


def draw_answers(histories: dict[str, list]) -> Figure:
    """Draw a critic's mean answers on real and on fake, step by step, a panel for each painter.

    Args:
        histories: painter -> its steps, each a pair: logits on real, logits on fake.
    """
    figure, panels = plt.subplots(1, len(histories), figsize=(11, 3.6), sharey=True)
    for (painter, history), axes in zip(histories.items(), panels):
        answers = np.array([[each.sigmoid().mean().item() for each in step] for step in history])
        axes.plot(answers[:, 0], **LINE["real"], label="D(real)")
        axes.plot(answers[:, 1], **LINE["fake"], label="D(fake)")
        axes.set(title=painter, xlabel="step", ylim=(0, 1))
    panels[0].set_ylabel("mean answer, 1: real")
    panels[-1].legend(loc="lower left")
    return figure


@torch.no_grad()
def examine(critic: nn.Module, L: Tensor, real_ab: Tensor, fake_ab: Tensor) -> list[float]:
    """Measure in three ways how many of the same pictures a critic judges rightly.

    Args:
        critic: is left in train mode; its running averages move a little.
        L: of pictures that it was not trained on, (B, 1, H, W).
        real_ab: their own colors, (B, 2, H, W).
        fake_ab: a painter's, (B, 2, H, W).

    Returns:
        the share with all real pictures in one batch and all fakes in another; with both in one
        batch; and in eval mode, where no picture matters to another.
    """
    both_L, both_ab = torch.cat([L, L]), torch.cat([real_ab, fake_ab])
    in_eval_mode = picture_scores(critic.eval(), both_L, both_ab).chunk(2)
    mixed = picture_scores(critic.train(), both_L, both_ab).chunk(2)
    pure = picture_scores(critic, L, real_ab), picture_scores(critic, L, fake_ab)
    return [share_right(*scores) for scores in (pure, mixed, in_eval_mode)]


# --- what it looks at ---


@torch.no_grad()
def draw_seam(critic: nn.Module, L: Tensor, left_ab: Tensor, right_ab: Tensor, seam: int) -> Figure:
    """Join two colorings of one picture at a seam, and draw it beside a critic's map of answers.

    Args:
        critic: in eval mode.
        L: (1, H, W).
        left_ab: (2, H, W).
        right_ab: (2, H, W).
        seam: the column from which `right_ab` is taken.
    """
    is_right = torch.arange(L.shape[-1]) >= seam
    L, ab = L[None], torch.where(is_right, right_ab, left_ab)[None]
    answers = critic(L, ab).sigmoid()[0, 0]
    figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.6))
    left.imshow(L_ab_to_rgb(L, ab)[0].permute(1, 2, 0).numpy())
    left.set_title("real | painted")
    right.imshow(answers.numpy(), vmin=0, vmax=1)
    right.set_title(f"map of answers, mean {answers.mean():.2f}")
    for axes in (left, right):
        axes.axis("off")
    return figure


def gradient_map(critic: nn.Module, L: Tensor, ab: Tensor) -> Tensor:
    """Measure how much a small change of each pixel's color would change a picture's score.

    Args:
        critic: without batch norm or in eval mode, so that each picture stands for itself.
        L: (B, 1, H, W).
        ab: (B, 2, H, W).

    Returns:
        the length of the score's gradient by ab, (B, 1, H, W), as a share of the picture's largest.
    """
    ab = ab.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(picture_scores(critic, L, ab).sum(), ab)
    strength = gradient.norm(dim=1, keepdim=True)
    return strength / strength.amax(dim=(2, 3), keepdim=True)


def ring(mask: Tensor, width: int) -> Tensor:
    """Find the pixels up to `width` beside a mask (B, 1, H, W) of bools, across or diagonally."""
    grown = functional.max_pool2d(mask.float(), 2 * width + 1, stride=1, padding=width)
    return grown.bool() & ~mask


def times_mean(strength: Tensor, mask: Tensor) -> float:
    """Say how strong maps (B, 1, H, W) are on a mask, in multiples of their picture's mean."""
    return (strength / strength.mean(dim=(2, 3), keepdim=True))[mask].mean().item()


def smooth(strength: Tensor, width: int = 9) -> Tensor:
    """Blur maps (B, 1, H, W), so that regions show; each is scaled to 1 at its brightest."""
    blurred = functional.avg_pool2d(strength, width, 1, width // 2, count_include_pad=False)
    return blurred / blurred.amax(dim=(2, 3), keepdim=True)


def draw_gradients(
    L: Tensor,
    mauve_ab: Tensor,
    real_ab: Tensor,
    untrained: Tensor,
    on_mauve: Tensor,
    on_real: Tensor,
    count: int = 3,
) -> Figure:
    """Draw scenes with mauve balloons and with their own, and gradient maps beside them.

    Args:
        L: (B, 1, H, W).
        mauve_ab: with mauve balloons, (B, 2, H, W).
        real_ab: their own colors, (B, 2, H, W).
        untrained: gradient map of an untrained critic on the mauve pictures, (B, 1, H, W).
        on_mauve: likewise, of the trained one.
        on_real: likewise, on the real pictures.
        count: how many scenes, a row each.
    """
    columns = {
        "mauve": L_ab_to_rgb(L, mauve_ab),
        "gradient": on_mauve,
        "smoothed": smooth(on_mauve),
        "real": L_ab_to_rgb(L, real_ab),
        "real, smoothed": smooth(on_real),
        "untrained": smooth(untrained),
    }
    pictures = [column[i] for i in range(count) for column in columns.values()]
    titles = [*columns, *[""] * (len(pictures) - len(columns))]
    return picture_grid(pictures, titles, columns=len(columns), height=1.75)
