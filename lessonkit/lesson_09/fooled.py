"""Lesson 09: what fools a metric or a person, maps of differences, and a blind test.

A pair is two colorings of one picture that a metric ranks the wrong way around.
"""

import math
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

import matplotlib.pyplot as plt
import torch
from IPython.display import Markdown, display
from matplotlib.figure import Figure
from skimage.color import deltaE_ciede2000
from torch import Tensor, nn

from colorlib.color import AB_SCALE, L_ab_to_rgb, rgb_to_L_ab, rgb_to_lab
from colorlib.scenes import BALLOON_BLUE_AB, BALLOON_RED_AB, LABELS
from lessonkit.figures import INK, PALE, encode, picture_grid, render, show
from lessonkit.lpips import lpips
from lessonkit.widgets import is_static

# --- what the metrics miss ---


def kept_for_gradients(network: nn.Module, L: Tensor) -> int:
    """Count the bytes that one forward pass keeps in memory for a backward pass.

    Args:
        network: any network; its weights count too, where gradients need them.
        L: (B, 1, H, W).
    """
    sizes = {}

    def note(tensor: Tensor) -> Tensor:
        sizes[tensor.data_ptr()] = tensor.nbytes  # one place in memory counts once
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        ab = network(L)  # held until everything is counted; deleting it frees what was kept
    del ab
    return sum(sizes.values())


def difference_map(predicted: Tensor, real: Tensor) -> Tensor:
    """Compute ΔE00 at each pixel; `colorlib.metrics.ciede2000` is its mean.

    Args:
        predicted: rgb (B, 3, H, W), float 0..1 or uint8.
        real: the same.
    Returns:
        (B, H, W), float32.
    """
    pair = (rgb_to_lab(rgb).cpu().numpy() for rgb in (predicted, real))
    return torch.from_numpy(deltaE_ciede2000(*pair, channel_axis=1)).float()


def outlines(labels: Tensor) -> Tensor:
    """Find the pixels that have a neighbor, on any of four sides, with another label.

    Args:
        labels: (B, H, W).
    Returns:
        bool, (B, H, W).
    """
    is_outline = torch.zeros_like(labels, dtype=torch.bool)
    for dim in (1, 2):
        differs = labels.diff(dim=dim) != 0  # between each pixel and the next one
        size = differs.shape[dim]
        is_outline.narrow(dim, 0, size).logical_or_(differs)
        is_outline.narrow(dim, 1, size).logical_or_(differs)
    return is_outline


def try_lpips(predicted: Tensor, real: Tensor) -> list[str]:
    """Return LPIPS as text, one per picture; if it isn't available, say why and return "?"."""
    try:
        # torch.hub announces its download on one of these
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            return [f"{value:.3f}" for value in lpips(predicted, real)]
    except (ConnectionError, ImportError):
        print(
            "LPIPS is not available here: it needs torchmetrics, and the weights of a network, "
            "which are downloaded at first use (233 MB). The lesson continues without it."
        )
        return ["?"] * len(real)


# --- pairs ---


def repaint_balloons(rgb: Tensor, labels: Tensor, paint: tuple[float, float] | str) -> Tensor:
    """Give the balloons of scenes another color of the same lightness; change nothing else.

    Args:
        rgb: rendered scenes, (B, 3, H, W), uint8 or float 0..1.
        labels: their label maps, (B, H, W).
        paint: (a*, b*) in CIE units; or "other": red ones become blue, and blue ones red.
    Returns:
        rgb, float 0..1.
    """
    L, ab = rgb_to_L_ab(rgb)
    is_balloon = (labels == LABELS.index("balloon"))[:, None]  # (B, 1, H, W)
    red, blue = (_paint(each, ab) for each in (BALLOON_RED_AB, BALLOON_BLUE_AB))
    other = torch.where(ab[:, 1:] > 0, blue, red)  # b* is positive in the red ones
    new = other if paint == "other" else _paint(paint, ab)
    return L_ab_to_rgb(L, torch.where(is_balloon, new, ab))


def paint_spot(
    rgb: Tensor, row: int, column: int, radius: float, paint: tuple[float, float] = (-75.0, 65.0)
) -> Tensor:
    """Color a round spot in each picture, bright green by default; its lightness stays.

    Args:
        rgb: (B, 3, H, W), uint8 or float 0..1.
        row: the spot's center, in pixels from the top.
        column: the spot's center, in pixels from the left.
        radius: the spot's radius, in pixels.
        paint: (a*, b*) in CIE units.
    Returns:
        rgb, float 0..1.
    """
    L, ab = rgb_to_L_ab(rgb)
    down, across = (torch.arange(length) for length in L.shape[-2:])
    is_spot = torch.hypot(down[:, None] - float(row), across - float(column)) <= radius
    return L_ab_to_rgb(L, torch.where(is_spot, _paint(paint, ab), ab))


def close_up(pictures: Tensor, is_thing: Tensor, width: int) -> Tensor:
    """Cut a square around a thing out of pictures, without leaving them.

    Args:
        pictures: (B, C, H, W).
        is_thing: where the thing is, bool (H, W), not empty.
        width: the square's side, in pixels; at most H and W.
    Returns:
        (B, C, width, width).
    """
    places = is_thing.nonzero().float().mean(dim=0)  # its center: row and column
    row, column = (
        min(max(0, round(place.item() - width / 2)), side - width)
        for place, side in zip(places, is_thing.shape)
    )
    return pictures[..., row : row + width, column : column + width]


def _paint(paint: tuple[float, float], like: Tensor) -> Tensor:
    return like.new_tensor(paint)[:, None, None] / AB_SCALE  # (2, 1, 1)


# --- people ---


def luck(right: int, trials: int, share: float = 0.5) -> float:
    """Compute the chance that a judge is right at least `right` times in `trials`.

    Args:
        right: 0..trials.
        trials: the number of decisions.
        share: how often the judge is right in the long run; 0.5 for a coin.
    """
    chances = [
        math.comb(trials, hits) * share**hits * (1 - share) ** (trials - hits)
        for hits in range(right, trials + 1)
    ]
    return sum(chances)


def needed(trials: int, level: float = 0.05) -> int:
    """Find the fewest right answers that a coin reaches in less than `level` of all tests."""
    return next(right for right in range(trials + 2) if luck(right, trials) < level)


def draw_trials(trials: int, share: float) -> Figure:
    """Draw how often a coin and a judge reach each number of right answers in a test."""
    figure, axes = plt.subplots(figsize=(8, 3.6))
    numbers = range(trials + 1)
    for chance, style in ((0.5, {"color": PALE}), (share, {"color": INK, "fill": False})):
        bars = [luck(right, trials, chance) - luck(right + 1, trials, chance) for right in numbers]
        name = "a coin" if chance == 0.5 else f"a judge who is right {chance:.0%} of the time"
        axes.bar(numbers, bars, width=0.9, label=name, **style)
    border = needed(trials)
    axes.axvline(border - 0.5, color=INK, linestyle=":")
    axes.set(
        xlabel="right answers in a test",
        ylabel="share of such tests",
        title=f"{border} or more, beyond the dotted line: coin {luck(border, trials):.1%}, "
        f"judge {luck(border, trials, share):.0%}",
    )
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    return figure


class BlindTest:
    """Pairs of a real and a painted picture in random order, on random sides: which is real?

    Args:
        real: rgb (N, 3, H, W), float 0..1.
        painted: the same pictures as painted by a network.
        trials: how many pairs to show, at most N.
        seed: decides the order and the sides; None: different each time.
    Attributes:
        is_left_real: (trials,) bool.
        answers: the answers so far; True for "the left one is real".
    """

    def __init__(self, real: Tensor, painted: Tensor, trials: int = 10, seed: int | None = 0):
        generator = torch.Generator()
        if seed is None:
            generator.seed()
        else:
            generator.manual_seed(seed)
        self.is_left_real = torch.rand(trials, generator=generator) < 0.5
        self.answers: list[bool] = []
        chosen = torch.randperm(len(real), generator=generator)[:trials]
        self._pairs = [
            (real[index], painted[index]) if is_left else (painted[index], real[index])
            for index, is_left in zip(chosen, self.is_left_real)
        ]

    def draw(self, trial: int) -> Figure:
        """Draw pair number `trial`, from 0."""
        return picture_grid(self._pairs[trial], ["left", "right"], height=3.2, smooth=True)

    def answer(self, is_left: bool) -> None:
        """Note the answer to the next pair; after the last one nothing more is noted."""
        if len(self.answers) < len(self._pairs):
            self.answers.append(is_left)

    def right(self) -> int:
        """Count the right answers so far."""
        return sum(said == truth for said, truth in zip(self.answers, self.is_left_real.tolist()))

    def verdict(self) -> str:
        """Return the score and what it means, or until the end only how many pairs are answered.

        Feedback in between would turn the judge into a different, better one.
        """
        given, trials = len(self.answers), len(self._pairs)
        if given < trials:
            return f"{given} of {trials} pairs answered"
        right = self.right()
        chance = luck(right, trials)
        return f"{right} of {trials} right; a coin does as well in {chance:.0%} of tests"

    def run(self, alt: str, stills: int = 3) -> None:
        """Ask with two buttons; without widgets, show some pairs with the answers folded."""
        if is_static():
            pictures = [picture for pair in self._pairs[:stills] for picture in pair]
            titles = [f"{n} {side}" for n in range(1, stills + 1) for side in ("left", "right")]
            show(picture_grid(pictures, titles, columns=2, height=2.4, smooth=True), alt)
            sides = ["left" if is_left else "right" for is_left in self.is_left_real[:stills]]
            answers = ", ".join(f"{number} {side}" for number, side in enumerate(sides, 1))
            folded = f"<details><summary>Which are real?</summary>{answers}</details>"
            display(Markdown(folded))
        else:
            display(self.live())

    def live(self) -> Any:
        """Make the box that `run` displays: a pair, two buttons, and a line of progress."""
        import ipywidgets

        picture, line = ipywidgets.Image(format="png"), ipywidgets.HTML()
        buttons = [ipywidgets.Button(description=f"{side} is real") for side in ("left", "right")]

        def advance(button: Any = None) -> None:
            if button is not None:
                self.answer(button is buttons[0])
            line.value = self.verdict()
            is_over = len(self.answers) == len(self._pairs)
            for each in buttons:
                each.disabled = is_over
            if not is_over:
                picture.value = encode(render(self.draw(len(self.answers))))

        for each in buttons:
            each.on_click(advance)
        advance()
        return ipywidgets.VBox([picture, ipywidgets.HBox(buttons), line])
