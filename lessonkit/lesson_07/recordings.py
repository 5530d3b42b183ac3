"""The runs that lesson 07 diagnoses: one healthy, the others with one fault each.

All runs share one loop, `play`, the same pictures, the same initial weights and a fixed number of
steps, so on one machine they repeat to the bit. `python -m tools.recordings` records them in
`data/results/curves`. The faults exist only here; for correct steps see `colorlib.steps`.
"""

from dataclasses import dataclass
from statistics import mean
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from colorlib.color import AB_SCALE, L_ab_to_rgb, rgb_to_L_ab
from colorlib.discriminator import PatchDiscriminator
from colorlib.generator import StridedUNet
from colorlib.losses import bce_discriminator, bce_generator
from colorlib.metrics import colorfulness
from colorlib.photos import TEST_SCENES_SEED
from colorlib.scenes import BALLOON_BLUE_AB, BALLOON_RED_AB, LABELS, Scenes, render_scenes

EVERY = 10  # steps per row
MOMENTS = (0.05, 0.15, 0.4, 0.7, 1.0)  # when pictures are kept, as shares of the run


@dataclass(frozen=True)
class Case:
    """One run. The defaults are the healthy run; a case overrides what it does differently."""

    changed: str  # in words
    learning_rate_d: float = 2e-4  # Adam's step
    learning_rate_g: float = 1e-3
    lambda_l1: float = 2.0  # weight of the distance to the true colors in G's loss; 0: none
    d_turns: int = 1  # D's turns per step
    g_turns: int = 1  # G's turns per step
    rounds: float = 1.0  # share of the steps to play, for runs with more turns per step
    is_detached: bool = True  # whether the fakes are detached in D's turn
    is_at_once: bool = False  # whether both losses share one backward pass
    is_swapped: bool = False  # whether D is trained with real 0, fake 1
    is_together: bool = False  # whether real and fake go through D in one batch


CASES = {
    "healthy": Case("nothing"),
    "d_too_strong": Case("D learns five times a step, at 10 times the rate", 2e-3, d_turns=5),
    "no_detach": Case("one backward pass of both losses, nothing detached", is_at_once=True),
    "labels_swapped": Case("D is taught real 0, fake 1; G still asks for 1", is_swapped=True),
    "no_reconstruction": Case("no distance to the true colors in G's loss", lambda_l1=0.0),
    "learning_rate": Case("both learning rates 30 times as high", 6e-3, 3e-2),
    "batch_norm": Case("real and fake go through D in one batch", is_together=True),
    "mode_collapse": Case(
        "G learns ten times a step, without a reconstruction",
        lambda_l1=0.0,
        g_turns=10,
        rounds=0.2,
    ),
}


class Data(NamedTuple):
    """The training and test data of every run."""

    L: Tensor
    real_ab: Tensor
    test: Scenes
    test_L: Tensor
    test_ab: Tensor
    shown: Tensor
    """Indices of the test pictures to draw: the first six with a balloon."""


class Game:
    """Both networks with their optimizers and their batches."""

    def __init__(self, case: Case, data: Data, batch: int = 8, width: int = 16):
        self.case, self.data, self.batch = case, data, batch
        self.generator, self.discriminator = StridedUNet(width), PatchDiscriminator(16, 2)
        players = (self.generator, case.learning_rate_g), (self.discriminator, case.learning_rate_d)
        self.optimizer_g, self.optimizer_d = (
            torch.optim.Adam(player.parameters(), rate, betas=(0.5, 0.999), fused=True)
            for player, rate in players
        )

    def draw(self) -> tuple[Tensor, Tensor]:
        """Draw a batch (L, real_ab)."""
        chosen = torch.randint(len(self.data.L), (self.batch,))
        return self.data.L[chosen], self.data.real_ab[chosen]


def play(game: Game) -> dict[str, float]:
    """One step: D's turns, then G's. Returns the measurements of the last turn of each."""
    if game.case.is_at_once:
        return both_at_once(game)
    for _ in range(game.case.d_turns):
        seen = d_turn(game)
    for _ in range(game.case.g_turns):
        seen |= g_turn(game)
    return seen


def d_turn(game: Game) -> dict[str, float]:
    """Train D once; G stays as it is."""
    L, real_ab = game.draw()
    fake_ab = game.generator(L)
    if game.case.is_detached:
        fake_ab = fake_ab.detach()
    game.optimizer_d.zero_grad()
    loss, seen = d_loss(game, L, real_ab, fake_ab)
    loss.backward()
    game.optimizer_d.step()
    return {**seen, "gradient_d": gradient_norm(game.discriminator)}


def g_turn(game: Game) -> dict[str, float]:
    """Train G once. D keeps gradients from this turn, but its own turn clears them first."""
    L, real_ab = game.draw()
    loss, seen = g_loss(game, L, real_ab, game.generator(L))
    loss.backward()
    seen["gradient_g"] = gradient_norm(game.generator)
    game.optimizer_g.step()
    game.optimizer_g.zero_grad()
    return seen


def both_at_once(game: Game) -> dict[str, float]:
    """A fault: one backward pass of both losses, with nothing detached or frozen."""
    L, real_ab = game.draw()
    fake_ab = game.generator(L)
    of_d, seen_d = d_loss(game, L, real_ab, fake_ab)
    of_g, seen_g = g_loss(game, L, real_ab, fake_ab)
    game.optimizer_d.zero_grad()
    game.optimizer_g.zero_grad()
    (of_d + of_g).backward()
    game.optimizer_d.step()
    game.optimizer_g.step()
    pulses = gradient_norm(game.discriminator), gradient_norm(game.generator)
    return {**seen_d, **seen_g, "gradient_d": pulses[0], "gradient_g": pulses[1]}


def d_loss(
    game: Game, L: Tensor, real_ab: Tensor, fake_ab: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """D's loss and answers. Unless the case says otherwise, real should get 1 and fake 0."""
    if game.case.is_together:
        logits = game.discriminator(torch.cat([L, L]), torch.cat([real_ab, fake_ab]))
        real, fake = logits.chunk(2)
    else:
        real, fake = game.discriminator(L, real_ab), game.discriminator(L, fake_ab)
    loss = bce_discriminator(fake, real) if game.case.is_swapped else bce_discriminator(real, fake)
    return loss, {
        "loss_d": loss.item(),
        "d_real": torch.sigmoid(real).mean().item(),
        "d_fake": torch.sigmoid(fake).mean().item(),
        "right_real": (real > 0).float().mean().item(),
        "right_fake": (fake < 0).float().mean().item(),
    }


def g_loss(
    game: Game, L: Tensor, real_ab: Tensor, fake_ab: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """G's loss: D should answer 1, and the colors should be close to the real ones."""
    logits = game.discriminator(L, fake_ab)
    loss, distance = bce_generator(logits), functional.l1_loss(fake_ab, real_ab)
    seen = {"loss_g": loss.item(), "d_fake_in_g_turn": torch.sigmoid(logits).mean().item()}
    return loss + game.case.lambda_l1 * distance, seen


def gradient_norm(network: nn.Module) -> float:
    """Length of all of a network's gradients, as one vector."""
    gradients = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
    return torch.cat(gradients).norm().item()


# --- measurements on test pictures ---


@torch.no_grad()
def paint(game: Game) -> Tensor:
    """Color the test pictures in eval mode: ab, (N, 2, H, W)."""
    ab = game.generator.eval()(game.data.test_L)
    game.generator.train()
    return ab


def measure(ab: Tensor, data: Data) -> dict[str, float]:
    """Measure predicted or real colors of the test pictures.

    Returns:
        distance: mean distance from the true color in the ab plane, CIE units.
        colorfulness: mean over the pictures, as in `colorlib.metrics`.
        spread: standard deviation of the pictures' mean colors, CIE units.
        red: share of the balloons that are closer to the red paint than to the blue one, 0..1.
    """
    is_balloon = (data.test.labels == LABELS.index("balloon"))[:, None]
    paints = torch.tensor([BALLOON_RED_AB, BALLOON_BLUE_AB]) / AB_SCALE
    balloons = (ab * is_balloon).sum(dim=(2, 3)) / is_balloon.sum(dim=(2, 3))  # nan: none there
    to_red, to_blue = torch.cdist(balloons[~balloons[:, 0].isnan()], paints).unbind(dim=1)
    return {
        "distance": AB_SCALE * (ab - data.test_ab).norm(dim=1).mean().item(),
        "colorfulness": colorfulness(L_ab_to_rgb(data.test_L, ab)).mean().item(),
        "spread": AB_SCALE * ab.mean(dim=(2, 3)).std(dim=0).norm().item(),
        "red": (to_red < to_blue).float().mean().item(),
    }


# --- a run ---


class Recording(NamedTuple):
    """The record of a run."""

    columns: dict[str, list[float]]
    moments: list[int]
    """The steps after which the pictures were colored."""
    pictures: list[Tensor]
    """G's colors for the shown pictures, (6, 2, H, W) each."""


def record(
    case: Case, data: Data, steps: int = 240, every: int = EVERY, seed: int = 0
) -> Recording:
    """Play a run and measure it.

    Args:
        case: the run's settings.
        data: from `make_data`.
        steps: number of steps, before `rounds` shortens it.
        every: steps per row. Turns are averaged; test pictures are measured at the row's end.
        seed: of weights and batches.
    """
    steps = round(steps * case.rounds)
    every = max(1, round(every * case.rounds))
    moments = sorted({max(1, round(share * steps)) for share in MOMENTS})
    rows, pictures, turns = [], [], []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        game = Game(case, data)
        for step in range(1, steps + 1):
            turns.append(play(game))
            if step % every == 0:
                ab = paint(game)
                means = {name: mean(turn[name] for turn in turns) for name in turns[0]}
                rows.append({"step": step, **means, **measure(ab, data)})
                turns = []
            if step in moments:
                pictures.append(paint(game)[data.shown])
    columns = {name: [short(row[name]) for row in rows] for name in rows[0]}
    return Recording(columns, moments, pictures)


def short(number: float) -> float:
    """Round to five significant digits, which keeps the file small. Integers stay as they are."""
    return number if isinstance(number, int) else float(f"{number:.5g}")


def make_data(count: int = 1000, size: int = 64, test_count: int = 32) -> Data:
    """Render the training and test scenes."""
    L, real_ab = rgb_to_L_ab(render_scenes(count, size, seed=0).rgb)
    test = render_scenes(test_count, size, seed=TEST_SCENES_SEED)
    has_balloon = (test.labels == LABELS.index("balloon")).flatten(1).any(dim=1)
    return Data(L, real_ab, test, *rgb_to_L_ab(test.rgb), has_balloon.nonzero()[:6, 0])
