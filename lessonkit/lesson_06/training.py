"""What lesson 06 measures: what a step moves, what a run must save, how balloons are painted."""

import signal
from collections.abc import Collection
from copy import deepcopy
from dataclasses import replace
from functools import cache

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from colorlib.color import AB_SCALE, rgb_to_L_ab, rgb_to_lab
from colorlib.config import RECIPES
from colorlib.metrics import COMMITTED_DISTANCE, at_work
from colorlib.scenes import BALLOON_BLUE_AB, BALLOON_RED_AB, LABELS, render_scenes
from colorlib.steps import Networks, train_step

# --- what a step moves ---


class Before:
    """Remember networks as they are now, to report later what has changed.

    Args:
        **networks: the networks, by their names in the report.
    """

    def __init__(self, **networks: nn.Module):
        self.networks = networks
        self.states = {name: deepcopy(each.state_dict()) for name, each in networks.items()}

    def report(self) -> pd.DataFrame:
        """Count the tensors that have moved and those that hold a gradient: one row per network."""
        return pd.DataFrame({name: self._row(name) for name in self.networks}).T

    def _row(self, name: str) -> dict[str, str]:
        network, state = self.networks[name], self.states[name]
        weights, statistics = dict(network.named_parameters()), dict(network.named_buffers())
        moved = {key for key, value in network.state_dict().items() if (value != state[key]).any()}
        heard = [each for each in weights.values() if each.grad is not None and each.grad.any()]
        return {
            "weights that moved": f"{len(moved & weights.keys())} of {len(weights)}",
            "weights with a gradient": f"{len(heard)} of {len(weights)}",
            "running statistics that moved": f"{len(moved - weights.keys())} of {len(statistics)}",
        }


def gradient_of(network: nn.Module) -> Tensor:
    """All gradients stored in a network, as one vector, with 0 where a weight has no gradient."""
    weights = network.parameters()
    waiting = [torch.zeros_like(each) if each.grad is None else each.grad for each in weights]
    return torch.cat([gradient.flatten() for gradient in waiting])


# --- what a run must save ---


class StopsItself(Dataset):
    """A data set that presses Ctrl-C once, when its `last`-th picture is read.

    Args:
        rgb: the pictures, uint8 (N, 3, H, W).
        last: counted from 1; `train` reads the first picture once more, to check it.
    """

    def __init__(self, rgb: Tensor, last: int):
        self.pictures, self.last, self.taken = rgb, last, 0

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Tensor:
        self.taken += 1
        if self.taken == self.last:
            signal.raise_signal(signal.SIGINT)  # what Ctrl-C and the stop button send
        return self.pictures[index]


PARTS = ("weights of G", "weights of D", "optimizer of G", "optimizer of D", "step number")
PARTS += ("losses so far", "sample pictures")
TRIAL = replace(
    RECIPES["pix2pix"],
    lambda_reconstruction=1.0,
    learning_rate=1e-3,
    d_learning_rate=1e-3,
    generator_width=4,
    discriminator_width=4,
    discriminator_layers=2,
)
TRIAL_STEPS = 10
STOPPED_AT = 6


def resume_error(kept: Collection[str]) -> float:
    """Stop a small run, resume it with only the parts that were kept, and compare.

    The other parts start over: new weights, a new optimizer, step 0.

    Args:
        kept: names from `PARTS`.

    Returns:
        The largest difference between the colors of the resumed and of an unstopped run's
        generator, in units of a* and b*. If it is 0, nothing was lost.
    """
    stopped, wanted, L = _unstopped_trial()
    networks, state = _trial_networks(), deepcopy(stopped)
    state["parts"] = [part if name in kept else None for name, part in zip(PARTS, state["parts"])]
    networks.load_state_dict(state)
    first = STOPPED_AT if "step number" in kept else 0
    _play_trial(networks, range(first + 1, first + 1 + TRIAL_STEPS - STOPPED_AT))
    return AB_SCALE * (_colors(networks, L) - wanted).abs().max().item()


@cache
def _unstopped_trial() -> tuple[dict, Tensor, Tensor]:
    """The state at the stop, the colors at the end, and what was colored."""
    networks = _trial_networks()
    _play_trial(networks, range(1, STOPPED_AT + 1))
    stopped = deepcopy(networks.state_dict())
    _play_trial(networks, range(STOPPED_AT + 1, TRIAL_STEPS + 1))
    L = _trial_batches()[0][0]
    return stopped, _colors(networks, L), L


def _trial_networks() -> Networks:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Networks(TRIAL)


@cache
def _trial_batches() -> list[tuple[Tensor, Tensor]]:
    rgb = render_scenes(4 * TRIAL_STEPS, size=32, seed=1).rgb
    return [rgb_to_L_ab(part) for part in rgb.split(4)]


def _play_trial(networks: Networks, steps: range) -> None:
    for step in steps:
        networks.decay_learning_rates((step - 1) / TRIAL_STEPS)
        train_step(networks, *_trial_batches()[step - 1], step)


def _colors(networks: Networks, L: Tensor) -> Tensor:
    with at_work(networks.generator):
        return networks.generator(L)


# --- balloons ---


def balloon_colors(rgb: Tensor, labels: Tensor) -> list[str | None]:
    """Name the color of each scene's balloon: "red", "blue", "neither", or None without a balloon.

    Args:
        rgb: (B, 3, H, W), float 0..1 or uint8.
        labels: the scenes' label maps, (B, H, W).
    """
    ab = rgb_to_lab(rgb)[:, 1:]
    paints = torch.tensor([BALLOON_RED_AB, BALLOON_BLUE_AB])
    colors = []
    for picture, is_balloon in zip(ab, labels == LABELS.index("balloon")):
        if not is_balloon.any():
            colors.append(None)
            continue
        distances = (picture[:, is_balloon].mean(dim=1) - paints).norm(dim=1)
        nearest = ("red", "blue")[distances.argmin()]
        colors.append(nearest if distances.min() <= COMMITTED_DISTANCE else "neither")
    return colors
