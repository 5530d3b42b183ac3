"""Learn where the colors of hints go: random hints, and one step of the training.

`tools.hint_weights` trains the shipped weights with it, lesson 12 a network of its own.
"""

import copy
import math

import torch
from skimage.segmentation import flood
from torch import Tensor
from torch.nn.functional import cross_entropy

from colorlib.color import AB_SCALE, rgb_to_L_ab
from colorlib.hints import BIN, BINS, Hinted

MOST = 16  # hints on a training picture
ONE_MORE = 3 / 4  # how likely another hint is: 4 per picture on average
SMALL = 64  # a hint is at most this small a part of a picture's height, but at least a pixel
EVEN = 0.25  # the same chance for every pixel, in mean errors
REPAINTED = 0.5  # share of the training pictures in which a thing is repainted
SAME = 10.0  # what is less apart in (a*, b*) and connected counts as one thing
STRONGEST = 80 / AB_SCALE  # chroma of the new color
GUESSES, GUESS_WEIGHT = 64, 0.02  # pixels per picture whose color is guessed; weight of that loss
SQUARES_WEIGHT = 5.0  # of the squared error beside the absolute one
AVERAGE = 0.99  # of each step's averaged weights, the share that comes from before it


def random_hints(ab: Tensor, random: torch.Generator, count: int | None = None) -> Tensor:
    """Mark random squares with their mean color.

    Args:
        ab: the colors to be hinted at, (B, 2, H, W).
        random: gives the random numbers.
        count: hints per picture; None draws it for each picture, from a geometric distribution.

    Returns:
        hint map, (B, 3, H, W).

    Reference: Zhang et al. 2017, section 3.2. Differs: at least one hint, since without any the
    plain generator answers; places are uniform, and squares are smaller, because a square that
    reaches over an edge mixes two colors.
    """
    made = ab.new_zeros(len(ab), 3, *ab.shape[-2:])
    sides = max(1, ab.shape[-2] // SMALL)
    for truth, marked in zip(ab, made):
        for _ in range(count if count is not None else draw_count(random)):
            side = int(torch.randint(1, sides + 1, (), generator=random))
            corner = [int(torch.randint(n - side + 1, (), generator=random)) for n in ab.shape[-2:]]
            rows, columns = (slice(at, at + side) for at in corner)
            marked[:2, rows, columns] = truth[:, rows, columns].mean(dim=(1, 2), keepdim=True)
            marked[2, rows, columns] = 1
    return made


def draw_count(random: torch.Generator) -> int:
    """Draw a number of hints, from 1 to `MOST`: each next one comes with probability 3/4."""
    chance = 1 - torch.rand((), generator=random).item()  # above 0
    return min(MOST, 1 + int(math.log(chance) / math.log(ONE_MORE)))


def repaint(ab: Tensor, error: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Repaint the thing at a random pixel of some pictures, mostly where a network errs.

    A hint should reach all of its thing and nothing else, whatever color it asks for. With true
    colors alone, the network would learn to spread only colors that it gets wrong. A thing is
    found as with a paint bucket: everything connected to the pixel in nearly the same color.

    Args:
        ab: real colors, (B, 2, H, W).
        error: how wrong the network is without hints, (B, H, W): people give hints there.
        random: gives the random numbers.

    Returns:
        ab: (B, 2, H, W); and the row and column of the pixel in each picture, (B, 2).
    """
    made, chances = ab.clone(), error.flatten(1).cpu()
    chances = chances + EVEN * chances.mean(dim=1, keepdim=True) + 1e-6
    pixels = chances.multinomial(1, generator=random)[:, 0]
    pixels = torch.stack([pixels // ab.shape[-1], pixels % ab.shape[-1]], dim=1)
    for picture, (row, column) in zip(made, pixels.tolist()):
        color = picture[:, row, column, None, None].clone()
        angle, chroma, chance = torch.rand(3, generator=random)
        if chance < REPAINTED:
            apart = AB_SCALE * (picture - color).norm(dim=0)
            thing = torch.from_numpy(flood(apart.cpu().numpy(), (row, column), tolerance=SAME))
            direction = torch.stack([(2 * math.pi * angle).cos(), (2 * math.pi * angle).sin()])
            new = (STRONGEST * chroma * direction).to(ab)[:, None, None]
            picture += thing.to(ab.device) * (new - color)
    return made.clamp(-1, 1), pixels


class HintTraining:
    """Everything that changes while a network learns where hints go.

    Args:
        hinted: gets trained; its generator stays as it is.
        seed: of the random hints.
        learning_rate: of the first step; it falls to 0 along a half cosine.

    Attributes:
        average: the network with averaged weights, which are better than the last ones.
        losses: of all steps.
    """

    def __init__(self, hinted: Hinted, seed: int = 0, learning_rate: float = 3e-3):
        self.hinted, self.learning_rate = hinted.train(), learning_rate
        self.average = Hinted(hinted.generator, copy.deepcopy(hinted.spread)).eval()
        self.random = torch.Generator().manual_seed(seed)
        self.optimizer = torch.optim.AdamW(hinted.spread.parameters(), weight_decay=0.02)
        self.losses: list[float] = []

    def take_step(self, rgb: Tensor, share: float) -> None:
        """Learn from a batch.

        Args:
            rgb: uint8 or float, (B, 3, H, W).
            share: of the training that is over, 0..1.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * (0.5 + 0.5 * math.cos(math.pi * share))
        L, real_ab = rgb_to_L_ab(rgb)
        ab, features = self.hinted.look(L)
        wanted, pixels = repaint(real_ab, (ab - real_ab).norm(dim=1), self.random)
        hints = random_hints(wanted, self.random).to(ab)
        for marked, colors, (row, column) in zip(hints, wanted, pixels):
            marked[:2, row, column], marked[2, row, column] = colors[:, row, column], 1
        error = self.hinted.apply_hints(ab, features, hints) - wanted
        loss = error.abs().mean() + SQUARES_WEIGHT * error.square().mean()
        guessed = self._loss_of_guesses(features, real_ab)
        self.optimizer.zero_grad()
        (loss + GUESS_WEIGHT * guessed).backward()
        self.optimizer.step()
        self.losses.append(loss.item())
        self._follow()

    def _loss_of_guesses(self, features: Tensor, real_ab: Tensor) -> Tensor:
        """Cross-entropy of the guessed colors at some pixels."""
        scale = real_ab.shape[-1] // features.shape[-1]
        pixels = torch.randint(features[0, 0].numel(), (GUESSES,), generator=self.random)
        at = features.flatten(2)[:, :, pixels].mT  # (B, pixels, width)
        truth = real_ab[..., ::scale, ::scale].flatten(2)[:, :, pixels].mT
        logits = self.hinted.spread.guess(at)
        return cross_entropy(logits.flatten(0, 1), in_bins(truth).flatten(0, 1))

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the averaged weights and statistics a little toward the current ones."""
        states = self.average.spread.state_dict(), self.hinted.spread.state_dict()
        for mean, value in zip(*(state.values() for state in states)):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - AVERAGE)


def in_bins(ab: Tensor) -> Tensor:
    """Share each color out among the four nearest bins: (..., 2) to (..., bins)."""
    apart = (AB_SCALE * ab[..., None, :] - BINS.to(ab)).abs() / BIN
    weights = (1 - apart).clamp(min=0).prod(dim=-1)
    return weights / weights.sum(dim=-1, keepdim=True).clamp(min=1e-6)
