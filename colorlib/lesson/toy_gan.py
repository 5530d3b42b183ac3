"""The GAN game on single numbers: it trains in seconds, and all of it can be drawn.

A "picture" is one number x. The real ones gather around one or two centers. The generator G makes
a number out of noise; the discriminator D gives any number a logit, above 0 for "real".

    game = ToyGame(rounds=300)
    frames = play_game(game)
    show(draw_frame(frames[-1], game), "…")

The same seed gives the same frames. Reference: Goodfellow et al. 2014, figure 1 and algorithm 1.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional

from colorlib.lesson.figures import FAKE, LINE, PALE
from colorlib.losses import bce_discriminator, bce_generator

LINE_OF_NUMBERS = torch.linspace(-6, 6, 481, dtype=torch.float64)  # where densities are drawn
SHOWN = 1000  # of G's numbers in a frame, always from the same noise


@dataclass(frozen=True)
class ToyGame:
    """What is played, and how."""

    centers: tuple[float, ...] = (2.0,)  # the real numbers gather here, equally often
    spread: float = 0.5  # standard deviation of the real numbers around a center
    is_fork: bool = False  # the real numbers follow a lightness L instead: see `draw_real`
    start: float = -1.0  # G's numbers gather here before it learns
    noise: int = 1  # random numbers that G gets for each answer; 0: none
    objective: Literal["non-saturating", "saturating"] = "non-saturating"
    d_turns: int = 1  # D's steps in a round, each on a new batch
    g_turns: int = 1  # G's steps in a round
    learning_rate_d: float = 5e-3  # Adam's step
    learning_rate_g: float = 2e-3
    beta: float = 0.5  # how long Adam remembers a direction; 0.9 is its default
    batch: int = 128  # numbers in a step
    rounds: int = 300
    frames: int = 30  # kept for the film, beside the one before the first round
    seed: int = 0


class Frame(NamedTuple):
    """The game after some rounds; losses are those of the last turn, None before the first."""

    round: int
    fake: Tensor
    """G's numbers, (SHOWN,)."""
    lightness: Tensor
    """L for each of them, (SHOWN, 1) in a fork, else (SHOWN, 0)."""
    probability: Tensor
    """D's probability of "real" along LINE_OF_NUMBERS, (481,); in a fork, for L = 1."""
    loss_d: float | None
    loss_g: float | None


class Players:
    """The two networks, their optimizers, and the noise they are shown with."""

    def __init__(self, game: ToyGame):
        self.game = game
        self.random = torch.Generator().manual_seed(game.seed)
        self.shown_L, _ = draw_real(game, SHOWN, self.random)
        self.shown_noise = torch.randn(SHOWN, game.noise, generator=self.random)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(game.seed)
            self.generator = small_network(max(1, game.noise + game.is_fork))
            self.discriminator = small_network(1 + game.is_fork)
        with torch.no_grad():
            self.generator[-1].bias += game.start
        betas = (game.beta, 0.999)
        self.optimizer_d = torch.optim.Adam(
            self.discriminator.parameters(), game.learning_rate_d, betas=betas
        )
        self.optimizer_g = torch.optim.Adam(
            self.generator.parameters(), game.learning_rate_g, betas=betas
        )

    def draw_noise(self, count: int) -> Tensor:
        """Fresh noise for `count` answers, (count, noise)."""
        return torch.randn(count, self.game.noise, generator=self.random)

    def fake(self, L: Tensor, noise: Tensor) -> Tensor:
        """G's numbers, (B, 1), for a lightness (B, 0 or 1) and noise (B, 0 or more)."""
        known = torch.cat([L, noise], dim=1)
        if known.shape[1] == 0:  # nothing goes in: G sees the same 1 every time
            known = torch.ones(len(known), 1)
        return self.generator(known)

    def logits(self, L: Tensor, x: Tensor) -> Tensor:
        """D's logits, (B, 1), for numbers (B, 1) with their lightness."""
        return self.discriminator(torch.cat([L, x], dim=1))


def small_network(inputs: int) -> nn.Sequential:
    """Two hidden layers of 32, from `inputs` numbers to one; tanh, for smooth curves."""
    return nn.Sequential(
        nn.Linear(inputs, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1)
    )


def draw_real(game: ToyGame, count: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw real numbers.

    Returns:
        L, (count, 0), and x, (count, 1), around the game's centers. In a fork L is (count, 1),
        uniform in 0..1, and x is near +2 L or -2 L, by the toss of a coin.
    """
    around = torch.randn(count, 1, generator=random)
    if game.is_fork:
        L = torch.rand(count, 1, generator=random)
        side = 2 * torch.randint(2, (count, 1), generator=random) - 1
        return L, 2 * L * side + 0.15 * around
    which = torch.randint(len(game.centers), (count, 1), generator=random)
    return torch.empty(count, 0), torch.tensor(game.centers)[which] + game.spread * around


def discriminator_turn(players: Players) -> Tensor:
    """Hold G, train D once on a new batch: real numbers are to get label 1, G's label 0."""
    L, real = draw_real(players.game, players.game.batch, players.random)
    with torch.no_grad():  # G is held
        fake = players.fake(L, players.draw_noise(len(L)))
    loss = bce_discriminator(players.logits(L, real), players.logits(L, fake))
    players.optimizer_d.zero_grad()
    loss.backward()
    players.optimizer_d.step()
    return loss.detach()


def generator_turn(players: Players) -> Tensor:
    """Hold D, train G once on new noise: G's numbers are to get label 1 from D."""
    L, _ = draw_real(players.game, players.game.batch, players.random)
    logits = players.logits(L, players.fake(L, players.draw_noise(len(L))))
    if players.game.objective == "saturating":
        loss = -functional.softplus(logits).mean()  # log(1 - D), to be made small
    else:
        loss = bce_generator(logits)
    players.optimizer_g.zero_grad()
    loss.backward()  # D gets gradients too, which its own turn clears; only G takes a step
    players.optimizer_g.step()
    return loss.detach()
