"""A small network that learns eight scenes too well, for lesson 03."""

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import l1_loss

from colorlib.generator import StridedUNet
from lessonkit.figures import INK, PALE

EVERY = 20  # steps between two measurements


def watch_training(
    training: tuple[Tensor, Tensor], unseen: list[tuple[Tensor, Tensor]], steps: int, seed: int
) -> list[list[float]]:
    """Train on a few scenes, and measure on these and on others.

    Args:
        training: L (B, 1, H, W) and ab (B, 2, H, W) of the scenes to learn, all in each step.
        unseen: the same of other parts: validation, test.
        steps: how many.
        seed: of the network's first weights.
    Returns:
        For training and for each other part the mean absolute error of a* and b* in CIE units,
        at steps 0, 20, 40, ..., with the network in evaluation mode.
    """
    torch.manual_seed(seed)
    network = StridedUNet(8)
    optimizer = torch.optim.Adam(network.parameters(), lr=4e-3)
    L, ab = training
    errors = [[] for _ in (training, *unseen)]
    for step in range(steps + 1):
        if step % EVERY == 0:
            with torch.no_grad():
                network.eval()
                for part, (its_L, its_ab) in zip(errors, (training, *unseen)):
                    part.append(110 * l1_loss(network(its_L), its_ab).item())
                network.train()
        loss = l1_loss(network(L), ab)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return errors


def draw_errors(runs: list[list[list[float]]]) -> Figure:
    """Draw the training and validation errors of some runs, two curves per run.

    Args:
        runs: results of `watch_training`, with validation as the first other part.
    """
    figure, axes = plt.subplots(figsize=(9, 4.2))
    for training, validation, *_ in runs:
        steps = range(0, EVERY * len(training), EVERY)
        (dashed,) = axes.plot(steps, training, color=PALE, linestyle="--")
        (solid,) = axes.plot(steps, validation, color=INK, linestyle="-")
    axes.set(xlabel="step", ylabel="mean error of a* and b*", ylim=(0, 30))
    axes.legend([dashed, solid], ["training", "validation"])
    return figure
