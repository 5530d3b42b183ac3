"""The GAN game on single numbers: it trains in seconds, and all of it can be drawn.

A "picture" is one number x. The real ones gather around one or two centers. The generator G makes
a number out of noise; the discriminator D gives any number a logit, above 0 for "real".

    game = ToyGame(rounds=300)
    frames = play_game(game)
    show(draw_frame(frames[-1], game), alt="...")

The same seed gives the same frames. Reference: Goodfellow et al. 2014, figure 1 and algorithm 1.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, NamedTuple

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from colorlib.losses import bce_discriminator, bce_generator
from lessonkit.figures import FAKE, LINE, PALE, REAL, render

AXIS = torch.linspace(-6, 6, 481, dtype=torch.float64)  # where densities are computed and drawn
SHOWN = 1000  # numbers in a frame, always from the same noise


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
    """The game after some rounds."""

    round: int
    fake: Tensor
    """G's numbers, (SHOWN,), always from the same noise."""
    lightness: Tensor
    """In a fork L of each of them, (SHOWN, 1); else (SHOWN, 0)."""
    probability: Tensor
    """D's probability of "real" along AXIS, (481,); in a fork that for L = 1."""
    d_real: float
    """D's mean probability of "real" for real numbers."""
    d_fake: float
    """The same for G's numbers."""
    loss_d: float
    """Loss of D's last turn; nan before it."""
    loss_g: float
    """Loss of G's last turn; nan before it."""


class Players:
    """The two networks, their optimizers, and the noise they are shown with."""

    def __init__(self, game: ToyGame):
        self.game = game
        self.random = torch.Generator().manual_seed(game.seed)
        self.shown_L, self.shown_real = draw_real(game, SHOWN, self.random)
        self.shown_noise = torch.randn(SHOWN, game.noise, generator=self.random)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(game.seed)
            self.generator = small_network(max(1, game.noise + game.is_fork))
            self.discriminator = small_network(1 + game.is_fork)
        with torch.no_grad():
            self.generator[-1].bias += game.start
        self.optimizer_d = self._adam(self.discriminator, game.learning_rate_d)
        self.optimizer_g = self._adam(self.generator, game.learning_rate_g)

    def _adam(self, network: nn.Module, rate: float) -> torch.optim.Adam:
        betas = (self.game.beta, 0.999)
        return torch.optim.Adam(network.parameters(), rate, betas=betas, fused=True)

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


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread: for networks this small, sharing the work takes longer than it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@one_thread()
def play_game(game: ToyGame) -> list[Frame]:
    """Play a game from the start, and keep `game.frames` moments of it and the beginning.

    With `g_turns=0` G is held throughout: D learns alone, against a fixed painter.
    """
    players, loss_d, loss_g = Players(game), torch.nan, torch.nan
    kept = {number * game.rounds // game.frames for number in range(game.frames + 1)}
    film = [snapshot(players, 0, loss_d, loss_g)]
    for number in range(1, game.rounds + 1):
        for _ in range(game.d_turns):
            loss_d = discriminator_turn(players)
        for _ in range(game.g_turns):
            loss_g = generator_turn(players)
        if number in kept:
            film.append(snapshot(players, number, float(loss_d), float(loss_g)))
    return film


@torch.no_grad()
def snapshot(players: Players, number: int, loss_d: float, loss_g: float) -> Frame:
    """Keep what both players do at this moment; changes nothing."""
    L = players.shown_L
    fake = players.fake(L, players.shown_noise)
    d_real, d_fake = (
        torch.sigmoid(players.logits(L, x)).mean().item() for x in (players.shown_real, fake)
    )
    along = AXIS.float()[:, None]
    probability = torch.sigmoid(players.logits(torch.ones(len(along), L.shape[1]), along))
    return Frame(number, fake.flatten(), L, probability.flatten(), d_real, d_fake, loss_d, loss_g)


# --- what the theory says ---


def bell(center: float | Tensor, spread: float) -> Tensor:
    """Density of a normal distribution along AXIS, (481,); for centers (N, 1) a row each."""
    return torch.exp(-(((AXIS - center) / spread) ** 2) / 2) / (spread * (2 * torch.pi) ** 0.5)


def smooth_density(numbers: Tensor, width: float = 0.12) -> Tensor:
    """Estimate the density of numbers, (N,), along AXIS: a small bell on each, averaged."""
    return bell(numbers.double()[:, None], width).mean(dim=0)


def best_discriminator(p: Tensor, q: Tensor) -> Tensor:
    """The answer of the best D, p / (p + q): which share of what is seen here is real.

    Args:
        p: density of the real numbers, any shape.
        q: density of G's numbers, the same shape.
    Returns:
        Probability of "real", 0..1; nan where neither ever is.

    Reference: Goodfellow et al. 2014, proposition 1.
    """
    return p / (p + q)


def game_value(probability: Tensor, p: Tensor, q: Tensor) -> float:
    """V(D, G) = E log D(x) over real x, plus E log(1 - D(x)) over fake x; at most 0.

    Args:
        probability: D's answers along AXIS, (481,), 0..1.
        p: density of the real numbers along AXIS, (481,).
        q: density of G's numbers.

    Reference: Goodfellow et al. 2014, equation 1; the integral by the trapezoid rule.
    """
    gain = torch.xlogy(p, probability) + torch.xlogy(q, 1 - probability)
    return torch.trapezoid(gain, AXIS).item()


def jensen_shannon(p: Tensor, q: Tensor) -> float:
    """Jensen-Shannon divergence of two densities along AXIS, 0 (the same) to log 2 (apart)."""
    middle = (p + q) / 2
    excess = [torch.xlogy(each, each) - torch.xlogy(each, middle) for each in (p, q)]
    return torch.trapezoid(sum(excess) / 2, AXIS).item()


def distance_to_real(frame: Frame, game: ToyGame) -> float:
    """Earth mover's distance between G's numbers and as many real ones.

    On a line the cheapest plan carries the smallest number to the smallest, and so on.
    """
    real = draw_real(game, SHOWN, torch.Generator().manual_seed(1))[1].flatten()
    return (frame.fake.sort().values - real.sort().values).abs().mean().item()


# --- pictures ---


def draw_frame(frame: Frame, game: ToyGame) -> Image.Image:
    """Draw one moment: above D's curve over the best one, below both densities and G's numbers."""
    figure, (upper, lower) = plt.subplots(2, 1, figsize=(8, 5.2), sharex=True)
    p = sum(bell(center, game.spread) for center in game.centers) / len(game.centers)
    q = smooth_density(frame.fake)
    seen = torch.where(p + q > 0.01, best_discriminator(p, q), torch.nan)
    upper.plot(AXIS, seen, color=PALE, linewidth=8, alpha=0.5, label="best: p / (p + q)")
    upper.plot(AXIS, frame.probability, **LINE["D"], label="D")
    upper.axhline(0.5, color=PALE, linewidth=1)
    upper.set(ylim=(-0.05, 1.05), yticks=[0, 0.5, 1], ylabel='D: how "real"')
    title = f"round {frame.round}: D says {frame.d_real:.2f} to real, {frame.d_fake:.2f} to fake"
    upper.set_title(title, loc="left", fontsize=13)
    upper.legend(
        loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0, handlelength=1.2
    )
    draw_densities(lower, p, q)
    draw_ticks(lower, frame.fake, -0.08, FAKE)
    lower.set(ylim=(-0.15, 1.7 if len(game.centers) == 1 else 1.1))
    return render(figure)


def draw_ticks(axes: Axes, numbers: Tensor, height: float, color: str) -> None:
    """Draw the first hundred numbers as ticks, each where it is on the axis."""
    few = numbers[:100]
    axes.plot(few, torch.full_like(few, height), "|", color=color, markeredgecolor=color)


def draw_densities(axes: Axes, p: Tensor, q: Tensor) -> None:
    """Draw the densities of the real numbers and of G's, each filled."""
    for density, who in ((p, "real"), (q, "fake")):
        axes.plot(AXIS, density, **LINE[who], label=who)
        axes.fill_between(AXIS, density, color=LINE[who]["color"], alpha=0.2)
    axes.set(xlabel="x, the number", ylabel="density")
    axes.legend(loc="upper left")


def draw_fork(frame: Frame, game: ToyGame, axes: Axes) -> None:
    """Draw the answers over the lightness: the real ones behind, G's before them."""
    L, real = draw_real(game, SHOWN, torch.Generator().manual_seed(game.seed))
    few = slice(0, 400)
    axes.plot(L[few], real[few], "o", color=REAL, alpha=0.4, markersize=5, label="real")
    axes.plot(frame.lightness[few], frame.fake[few], "s", color=FAKE, markersize=5, label="fake")
    axes.set(xlabel="L, the lightness", ylabel="x, the color", ylim=(-2.8, 2.8))
    axes.legend(loc="upper left", markerscale=2)
