"""Looking into a U-Net, for lesson 04: costs, receptive fields, and what a skip is worth."""

from contextlib import ExitStack
from itertools import combinations

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from colorlib.color import L_ab_to_rgb, gray_from_lightness
from colorlib.generator import StridedUNet, count_parameters
from colorlib.metrics import psnr_ab
from lessonkit.figures import GENERATOR, INK, PALE, picture_grid

CUTS = {  # the skips cut, by what the reader chooses
    "nothing": [],
    **{f"skip {level}": [level] for level in range(4)},
    **{f"skips {one} and {other}": [one, other] for one, other in combinations(range(4), 2)},
    **{f"all but skip {level}": [each for each in range(4) if each != level] for level in range(4)},
    "all skips": [0, 1, 2, 3],
    "the bottom": [],
}

# --- training in small ---


def learn(
    network: nn.Module, L: Tensor, ab: Tensor, count: int, rate: float = 4e-3
) -> tuple[list[float], list[Tensor]]:
    """Train a network on one batch with L1 and Adam.

    Args:
        network: L to ab; trained in place.
        L: (B, 1, H, W).
        ab: (B, 2, H, W), the truth.
        count: steps.
        rate: Adam's learning rate.
    Returns:
        The loss of each step, and the prediction at every tenth step, (B, 2, H, W), from step 0 on.
    """
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    losses, answers = [], []
    for step in range(count):
        answer = network(L)
        loss = functional.l1_loss(answer, ab)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step % 10 == 0:
            answers.append(answer.detach())
    return losses, answers


# --- through a keyhole ---


def keyhole(picture: Tensor, place: tuple[int, int], window: int) -> Tensor:
    """Cut window×window pixels, an odd number, around a (row, column); outside is black."""
    row, column = place
    padded = functional.pad(picture, [window // 2] * 4)
    return padded[:, row : row + window, column : column + window]


def draw_keyholes(rgb: Tensor, places: dict[str, tuple[int, int]], windows: list[int]) -> Figure:
    """Draw places of a picture through gray windows, one row per size; the last row is in color.

    A frame marks the middle pixel.

    Args:
        rgb: (3, H, W) uint8.
        places: (row, column) by name.
        windows: odd widths in pixels.
    """
    lightness, color = gray_from_lightness(rgb), rgb / 255
    views = [keyhole(lightness, place, each) for each in windows for place in places.values()]
    views += [keyhole(color, place, windows[-1]) for place in places.values()]
    rows = [*(f"{window}×{window}" for window in windows), "in color"]
    titles = [f"{name}, {row}" for row in rows for name in places]
    figure = picture_grid(views, titles, columns=len(places), height=1.7)
    for axes, view in zip(figure.axes, views):
        corner = view.shape[-1] // 2 - 0.5
        look = {"edgecolor": INK, "linewidth": 2}
        axes.add_patch(Rectangle((corner, corner), 1, 1, fill=False, **look))
    return figure


# --- blocks and costs ---


def blocks(network: nn.Module) -> dict[str, nn.Module]:
    """The blocks of a U-Net by name, in the order in which a picture passes them."""
    named = {"first": network.first}
    named |= {f"down.{number}": block for number, block in enumerate(network.down)}
    named |= {f"up.{number}": block for number, block in enumerate(network.up)}
    return named | {"last": network.last}


def outputs(network: nn.Module, L: Tensor) -> dict[str, Tensor]:
    """What each block makes of L, by the block's name."""
    caught: dict[str, Tensor] = {}
    hooks = [
        block.register_forward_hook(lambda _, given, made, name=name: caught.update({name: made}))
        for name, block in blocks(network).items()
    ]
    try:
        network(L)
    finally:
        for hook in hooks:
            hook.remove()
    return caught


def multiplications(network: nn.Module, size: int) -> dict[str, float]:
    """Count the multiplications for a picture of size×size, in billions, by block.

    Args:
        network: a U-Net on the device meta.
        size: in pixels.
    """
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 1, size, size))
    counts, own = counter.get_flop_counts(), type(network).__name__
    return {name: sum(counts[f"{own}.{name}"].values()) / 2e9 for name in blocks(network)}


def draw_costs(kind: type[nn.Module], size: int) -> Figure:
    """Draw where a generator's parameters sit, and where its multiplications are spent."""
    with torch.device("meta"):
        network = kind()
    millions = {name: count_parameters(block) / 1e6 for name, block in blocks(network).items()}
    billions = multiplications(network, size)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True)
    left.barh(list(millions), millions.values(), color=GENERATOR)
    left.set(title=f"parameters: {sum(millions.values()):.1f} million", xlabel="million")
    right.barh(list(billions), billions.values(), color=PALE)
    right.set(title=f"multiplications: {sum(billions.values()):.1f} billion", xlabel="billion")
    left.invert_yaxis()
    return figure


# --- what a number sees ---


def gradient_span(network: nn.Module, block: str, L: Tensor) -> tuple[int, int]:
    """Find the first and last row of L that reach one number in the middle of a block's output.

    Args:
        network: a U-Net in eval mode; with positive weights, so that nothing cancels.
        block: a name of `blocks`.
        L: pictures (B, 1, H, W), whose spans are joined: max-pooling passes on only its winner.
    """
    L = L.clone().requires_grad_()
    out = outputs(network, L)[block]
    middle = out.shape[-1] // 2
    (gradient,) = torch.autograd.grad(out[:, :, middle, middle].sum(), L)
    rows = (gradient != 0).any(dim=(0, 1, 3)).nonzero()
    return rows.min().item(), rows.max().item()


def draw_squares(picture: Tensor, spans: list[tuple[int, int]]) -> Figure:
    """Draw spans as nested squares, from level 0 on, over a gray picture (1, H, W)."""
    width = picture.shape[-1]
    figure, axes = plt.subplots(figsize=(8, 4.6))
    axes.imshow(picture[0].numpy(), vmin=0, vmax=1)
    leader = {"arrowstyle": "-", "color": GENERATOR}
    for level, (first, last) in enumerate(spans):
        side, look = last - first + 1, {"edgecolor": GENERATOR, "linewidth": 2}
        axes.add_patch(Rectangle((first, first), side, side, fill=False, **look))
        height = width * (0.9 - 0.2 * level)  # the labels are beside the picture, level 0 lowest
        place, text = (1.08 * width, height), f"level {level}: {side} pixels"
        axes.annotate(
            text, (last, min(max(height, first), last)), place, va="center", arrowprops=leader
        )
    axes.set_xlim(-0.5, 1.8 * width)  # room for the labels
    axes.axis("off")
    return figure


# --- what a skip is worth ---


def average_skip(layer: nn.Module, given: tuple[Tensor]) -> Tensor:
    """Average the skip, the first half of the channels, over the picture (a forward pre-hook)."""
    skip, risen = given[0].chunk(2, dim=1)
    return torch.cat([skip.mean(dim=(2, 3), keepdim=True).expand_as(skip), risen], dim=1)


def average_risen(layer: nn.Module, given: tuple[Tensor]) -> Tensor:
    """Average what came up, the second half of the channels (a forward pre-hook)."""
    skip, risen = given[0].chunk(2, dim=1)
    return torch.cat([skip, risen.mean(dim=(2, 3), keepdim=True).expand_as(risen)], dim=1)


def drop_skip(layer: nn.Module, given: tuple[Tensor]) -> Tensor:
    """Replace the skip, the first half of the channels, with zeros (a forward pre-hook)."""
    skip, risen = given[0].chunk(2, dim=1)
    return torch.cat([torch.zeros_like(skip), risen], dim=1)


def joins(network: StridedUNet) -> list[nn.Module]:
    """The layers that receive skip 0, 1, 2, ... of a StridedUNet, level 0 first."""
    return [network.last, *reversed(network.up[1:])]


def color_with_cuts(
    network: nn.Module, L: Tensor, levels: list[int], is_bottom_cut: bool = False
) -> Tensor:
    """Predict with some skips averaged over the picture, so that they no longer tell where.

    Args:
        network: a StridedUNet.
        L: (B, 1, H, W).
        levels: which skips, 0 for full size.
        is_bottom_cut: whether what comes up from the bottom is averaged, too.
    Returns:
        ab, (B, 2, H, W).
    """
    layers = joins(network)
    with ExitStack() as hooks, torch.no_grad():  # it removes them, whatever happens
        for level in levels:
            hooks.enter_context(layers[level].register_forward_pre_hook(average_skip))
        if is_bottom_cut:
            hooks.enter_context(layers[-1].register_forward_pre_hook(average_risen))
        return network(L)


def draw_cuts(network: nn.Module, L: Tensor, ab: Tensor, scene: int, cut: str) -> Figure:
    """Draw a scene's true colors and those with a cut, and what the cut costs in dB.

    Args:
        network: a StridedUNet.
        L: scenes (N, 1, H, W).
        ab: their true colors (N, 2, H, W).
        scene: which of them.
        cut: a name of `CUTS`.
    """
    L, ab = L[scene : scene + 1], ab[scene : scene + 1]
    answer = color_with_cuts(network, L, CUTS[cut], is_bottom_cut=cut == "the bottom")
    lost = psnr_ab(color_with_cuts(network, L, []), ab) - psnr_ab(answer, ab)
    pictures = [L_ab_to_rgb(L, each)[0] for each in (ab, answer)]
    return picture_grid(pictures, ["truth", f"lost: {lost.item():.1f} dB"], height=2.8)
