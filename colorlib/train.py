"""Training: the configuration, the recipes, the two steps, and the loop around them.

The procedure is the one of the text. Make both players. For every batch: hold G and train D, on
the photo's own colors with label 1 and on G's with label 0; hold D and train G to be given
label 1. Repeat until the budget is spent. D learns on every `d_every`-th step and G on every
`g_every`-th, so that the text's k is `g_every / d_every`.

The learning itself is in `discriminator_step` and `generator_step`. The rest makes a run that
can be stopped at any moment, goes on where it stopped, and gives the same weights as if it had
never stopped.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from colorlib.color import rgb_to_L_ab
from colorlib.discriminator import ImageDiscriminator, PatchDiscriminator
from colorlib.evaluate import triptych_sheet, triptychs, write_picture
from colorlib.files import Run, save_generator
from colorlib.generator import StridedUNet, UNet
from colorlib.losses import OBJECTIVES, RECONSTRUCTIONS, gradient_penalty

EPOCHS = 10  # the budget where none is given
FLUSH_EVERY = 50  # steps between two looks at the losses: each look waits for the device
KEEP_ON_DEVICE = 2**31  # bytes of L and ab that may be converted once and kept


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides what a run learns. The defaults are the recipe `warm`.

    One of `epochs`, `steps` and `seconds` is the budget; with none it is the tutorial's 10 epochs.
    """

    data: str = "scenes"  # "scenes", or a folder of photos
    size: int = 64  # pixels; height and width of the training pictures
    fit: Literal["crop", "stretch"] = "crop"  # how a photo is made square
    is_flipped: bool = True  # each picture is mirrored with probability 1/2

    generator: Literal["UNet", "StridedUNet"] = "StridedUNet"
    generator_width: int = 32  # channels
    discriminator: Literal["image", "patch"] = "patch"  # one score a picture, or one a patch
    discriminator_width: int = 16  # channels of the patch discriminator's first layer
    discriminator_layers: int = 2  # strided layers of the patch discriminator: it sees 34 pixels

    adversarial: Literal["bce", "lsgan", "hinge", "wgan_gp", "none"] = "bce"
    reconstruction: Literal["l1", "l2", "none"] = "l1"
    lambda_reconstruction: float = 30.0  # weight of the reconstruction beside the adversarial loss
    lambda_penalty: float = 10.0  # weight of WGAN-GP's penalty, as in the paper

    warm_up: float = 0.7  # share of the budget in which G learns the reconstruction alone
    warm_up_learning_rate: float = 4e-3  # Adam's step while it does
    learning_rate: float = 1e-4  # Adam's step of both players while they play
    betas: tuple[float, float] = (0.5, 0.999)  # Adam's memories while they play; 0.5 forgets faster
    is_annealed: bool = True  # the learning rate falls to 0 along a cosine, in each stage
    d_every: int = 1  # D learns on every d_every-th step
    g_every: int = 1  # G learns on every g_every-th step
    share_forward: bool = True  # D's and G's step use one forward pass of G

    batch: int = 16  # pictures a step
    epochs: int | None = None  # budget: passes over the photos
    steps: int | None = None  # budget: batches
    seconds: float | None = None  # budget: time; such a run does not repeat to the bit
    equilibrium: float = 0.0  # stop when D's mean answers stay this near to 1/2; 0: never
    seed: int = 0
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"

    def __post_init__(self) -> None:
        budgets = [b for b in (self.epochs, self.steps, self.seconds) if b is not None]
        if len(budgets) > 1 or any(budget <= 0 for budget in budgets):
            raise ValueError(
                "give one budget above 0, got "
                f"epochs={self.epochs}, steps={self.steps}, seconds={self.seconds}"
            )
        if self.adversarial == self.reconstruction == "none":
            raise ValueError("nothing to learn: adversarial and reconstruction are both none")
        if not 0 <= self.warm_up <= 1 or (self.warm_up and self.reconstruction == "none"):
            raise ValueError(
                f"warm_up={self.warm_up} must be a share from 0 to 1, and needs a reconstruction"
            )
        for name in ("size", "batch", "d_every", "g_every", "generator_width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")


warm = TrainConfig()
only = replace(warm, adversarial="none", warm_up=1.0)
RECIPES: dict[str, TrainConfig] = {
    "tutorial": replace(
        warm,
        generator="UNet",
        generator_width=64,
        size=256,
        batch=4,
        fit="stretch",
        is_flipped=False,
        discriminator="image",
        reconstruction="none",
        warm_up=0.0,
        is_annealed=False,
        g_every=2,
        share_forward=False,
    ),
    "l1": only,
    "l2": replace(only, reconstruction="l2"),
    "gan": replace(warm, reconstruction="none", warm_up=0.0, learning_rate=2e-4),
    "pix2pix": replace(warm, lambda_reconstruction=100.0, warm_up=0.0, learning_rate=2e-4),
    "warm": warm,
    "lsgan": replace(warm, adversarial="lsgan"),
    "hinge": replace(warm, adversarial="hinge"),
    "wgan_gp": replace(warm, adversarial="wgan_gp", betas=(0.0, 0.9), precision="float32"),
}


class TrainingError(RuntimeError):
    """Training cannot go on; the message says at which step, why, and what to do."""


class Players:
    """The two networks with their optimizers: all that a step needs.

    Args:
        config: names the networks, the objective and Adam's settings.
        generator: used in place of the one that config names.
        discriminator: likewise.
        device: where they play.
    """

    def __init__(
        self,
        config: TrainConfig,
        generator: nn.Module | None = None,
        discriminator: nn.Module | None = None,
        device: torch.device | str = "cpu",
    ):
        self.config = config
        self.device = torch.device(device)
        self.generator = self._place(generator or make_generator(config))
        self.discriminator = self.optimizer_d = None
        if config.adversarial != "none":
            self.discriminator = self._place(discriminator or make_discriminator(config))
            self.optimizer_d = self._adam(self.discriminator, config.learning_rate, config.betas)
        self.is_warming_up = config.warm_up > 0
        self.optimizer_g = self._generator_optimizer()
        self.dtype = choose_precision(config.precision, self.device)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)

    def _place(self, network: nn.Module) -> nn.Module:
        # channels last: the layout in which convolutions are fastest on CPU and GPU alike
        return network.to(self.device, memory_format=torch.channels_last).train()

    def _adam(self, network: nn.Module, learning_rate: float, betas: tuple) -> torch.optim.Adam:
        return torch.optim.Adam(network.parameters(), learning_rate, betas=betas, fused=True)

    def _generator_optimizer(self) -> torch.optim.Adam:
        if self.is_warming_up:
            return self._adam(self.generator, self.config.warm_up_learning_rate, (0.9, 0.999))
        return self._adam(self.generator, self.config.learning_rate, self.config.betas)

    def end_warm_up(self) -> None:
        """From now on both play; G's optimizer starts afresh, with the game's settings."""
        self.is_warming_up = False
        self.optimizer_g = self._generator_optimizer()

    def anneal(self, share: float) -> None:
        """Set the learning rates for a stage of which this share (0..1) has passed."""
        factor = 0.5 + 0.5 * torch.cos(torch.tensor(torch.pi * min(share, 1.0))).item()
        rate = (
            self.config.warm_up_learning_rate if self.is_warming_up else self.config.learning_rate
        )
        for optimizer in filter(None, (self.optimizer_g, self.optimizer_d)):
            optimizer.param_groups[0]["lr"] = rate * factor

    def autocast(self) -> torch.autocast:
        """Compute in the run's precision; the losses stay in float32."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def state_dict(self) -> dict:
        """All that changes while they play."""
        parts = (
            self.generator,
            self.discriminator,
            self.optimizer_g,
            self.optimizer_d,
            self.scaler,
        )
        return {
            "is_warming_up": self.is_warming_up,
            "parts": [part.state_dict() if part is not None else None for part in parts],
        }

    def load_state_dict(self, state: dict) -> None:
        """Go back to a saved state."""
        if self.is_warming_up and not state["is_warming_up"]:
            self.end_warm_up()
        parts = (
            self.generator,
            self.discriminator,
            self.optimizer_g,
            self.optimizer_d,
            self.scaler,
        )
        for part, saved in zip(parts, state["parts"], strict=True):
            if part is not None:
                part.load_state_dict(saved)


def discriminator_step(
    players: Players, L: Tensor, real_ab: Tensor, fake_ab: Tensor | None = None
) -> dict[str, Tensor]:
    """Hold G and train D once: real pictures are to get label 1, G's label 0.

    Args:
        players: the networks; only D changes (and G's running statistics, if G is asked here).
        L: L*/100, (B, 1, H, W).
        real_ab: the photo's own a*/110 and b*/110, (B, 2, H, W).
        fake_ab: G's colors for L, if they were already computed; no gradient flows into them.

    Returns:
        loss_d, and d_real and d_fake: D's mean probability of "real" for either. Numbers on the
        device, detached.
    """
    config, discriminator = players.config, players.discriminator
    objective = OBJECTIVES[config.adversarial]
    with players.autocast():
        if fake_ab is None:
            with torch.no_grad():
                fake_ab = players.generator(L)
        fake_ab = fake_ab.detach()
        logits_real = discriminator(L, real_ab)
        logits_fake = discriminator(L, fake_ab)
        loss = objective.discriminator(logits_real.float(), logits_fake.float())
        if objective.has_gradient_penalty:
            penalty = gradient_penalty(discriminator, L, real_ab, fake_ab)
            loss = loss + config.lambda_penalty * penalty
    learn(players, players.optimizer_d, loss)
    return {
        "loss_d": loss.detach(),
        "d_real": torch.sigmoid(logits_real.detach().float()).mean(),
        "d_fake": torch.sigmoid(logits_fake.detach().float()).mean(),
    }


def generator_step(
    players: Players, L: Tensor, real_ab: Tensor, fake_ab: Tensor | None = None
) -> dict[str, Tensor]:
    """Hold D and train G once: D is to give label 1, and the colors are to be near the real ones.

    Args:
        players: the networks; only G changes (and D's running statistics). While they warm up, D
            is not asked.
        L: L*/100, (B, 1, H, W).
        real_ab: the photo's own a*/110 and b*/110, (B, 2, H, W).
        fake_ab: G's colors for L with their graph, if they were already computed.

    Returns:
        loss_g and its parts: loss_adversarial, loss_reconstruction. Numbers on the device,
        detached.
    """
    config, losses = players.config, {}
    has_adversary = config.adversarial != "none" and not players.is_warming_up
    loss = 0.0
    with players.autocast():
        fake_ab = players.generator(L) if fake_ab is None else fake_ab
        if has_adversary:
            with frozen(players.discriminator):
                logits_fake = players.discriminator(L, fake_ab)
            loss = OBJECTIVES[config.adversarial].generator(logits_fake.float())
            losses["loss_adversarial"] = loss.detach()
        if config.reconstruction != "none":
            difference = RECONSTRUCTIONS[config.reconstruction](fake_ab.float(), real_ab)
            losses["loss_reconstruction"] = difference.detach()
            loss = loss + (config.lambda_reconstruction if has_adversary else 1.0) * difference
    learn(players, players.optimizer_g, loss)
    return {"loss_g": loss.detach(), **losses}


def learn(players: Players, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step of an optimizer down a loss."""
    optimizer.zero_grad(set_to_none=True)
    players.scaler.scale(loss).backward()
    players.scaler.step(optimizer)
    players.scaler.update()


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """No gradients for a network's parameters in this block: it passes them on, and learns none."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def train_step(players: Players, L: Tensor, real_ab: Tensor, step: int) -> dict[str, Tensor]:
    """One batch: D's turn, then G's, as the schedule has it; `step` counts from 1."""
    config, losses, fake_ab = players.config, {}, None
    is_d_turn = players.discriminator is not None and not players.is_warming_up
    is_d_turn = is_d_turn and step % config.d_every == 0
    is_g_turn = step % config.g_every == 0 or players.is_warming_up
    if config.share_forward and is_d_turn and is_g_turn:
        with players.autocast():
            fake_ab = players.generator(L)
    if is_d_turn:
        losses |= discriminator_step(players, L, real_ab, fake_ab)
    if is_g_turn:
        losses |= generator_step(players, L, real_ab, fake_ab)
    return losses


def make_generator(config: TrainConfig) -> nn.Module:
    """The generator that a configuration names."""
    return {"UNet": UNet, "StridedUNet": StridedUNet}[config.generator](config.generator_width)


def make_discriminator(config: TrainConfig) -> nn.Module:
    """The discriminator that a configuration names; without batch norm for WGAN-GP."""
    if config.discriminator == "image":
        return ImageDiscriminator(config.size)
    norm = "none" if config.adversarial == "wgan_gp" else "batch"
    return PatchDiscriminator(config.discriminator_width, config.discriminator_layers, norm)


def choose_precision(precision: str, device: torch.device) -> torch.dtype:
    """The type to compute in: bfloat16 on a GPU that has it, float16 on an older one, else float32.

    Raises:
        ValueError: float16 was asked for on a CPU, which has no scaler for its small range.
    """
    if precision == "auto":
        if device.type != "cuda":
            return torch.float32
        has_bfloat16 = torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if has_bfloat16 else torch.float16
    if precision == "float16" and device.type == "cpu":
        raise ValueError("float16 is for GPUs; on a CPU take float32 or bfloat16")
    return getattr(torch, precision)


class Batches:
    """A data set as batches of (L, real_ab) on the device.

    The order and the mirroring of an epoch follow from the seed and the epoch's number alone, so
    that a run resumed in the middle of an epoch sees what it would have seen. Photos that are
    there as one uint8 tensor (`dataset.rgb`) are gathered without a loop; if they are few, they
    are converted to Lab once and kept.

    Args:
        dataset: gives uint8 rgb, (3, H, W), each.
        config: batch, seed and is_flipped are read.
        device: where the batches are to be.
    """

    def __init__(self, dataset: Dataset, config: TrainConfig, device: torch.device):
        if len(dataset) == 0:
            raise ValueError("the data set is empty: there is nothing to learn from")
        self.dataset, self.config, self.device = dataset, config, device
        rgb = getattr(dataset, "rgb", None)
        self.kept = None
        if rgb is not None and rgb.numel() * 4 <= KEEP_ON_DEVICE:
            chunks = [rgb_to_L_ab(chunk.to(device)) for chunk in rgb.split(256)]
            self.kept = [torch.cat(part) for part in zip(*chunks, strict=True)]

    def __len__(self) -> int:
        """Batches in an epoch; the last one may be smaller."""
        return -(-len(self.dataset) // self.config.batch)

    def stream(self, step: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches without end, from the one after `step` on."""
        while True:
            epoch, position = divmod(step, len(self))
            random = torch.Generator().manual_seed(self.config.seed * 1_000_003 + epoch)
            order = torch.randperm(len(self.dataset), generator=random)
            mirrored = torch.rand(len(order), generator=random) < 0.5 * self.config.is_flipped
            indices = order.split(self.config.batch)[position:]
            mirrors = mirrored.split(self.config.batch)[position:]
            for batch, mirror in zip(self._load(indices), mirrors, strict=True):
                mirror = mirror.to(self.device)[:, None, None, None]
                yield tuple(torch.where(mirror, part.flip(-1), part) for part in batch)
            step += len(indices)

    def _load(self, indices: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, Tensor]]:
        if self.kept is not None:
            for chosen in indices:
                yield tuple(part[chosen.to(self.device)] for part in self.kept)
        elif (rgb := getattr(self.dataset, "rgb", None)) is not None:
            for chosen in indices:
                yield rgb_to_L_ab(rgb[chosen].to(self.device))
        else:
            for rgb in DataLoader(self.dataset, batch_sampler=[part.tolist() for part in indices]):
                yield rgb_to_L_ab(rgb.to(self.device))


class Trained(NamedTuple):
    """What `train` returns."""

    generator: nn.Module  # in eval mode
    discriminator: nn.Module | None
    history: list[dict]  # a row a step, as in history.csv


def train(
    config: TrainConfig,
    dataset: Dataset,
    out: str | Path | None = None,
    *,
    generator: nn.Module | None = None,
    discriminator: nn.Module | None = None,
    samples: Tensor | None = None,
    device: torch.device | str | None = None,
    fresh: bool = False,
    stop_after: int | None = None,
) -> Trained:
    """Train a generator, and go on where an earlier call with the same arguments stopped.

    Args:
        config: what to learn, how, and for how long.
        dataset: gives uint8 rgb, (3, size, size), each.
        out: the run's folder; without one nothing is saved.
        generator: takes L (B, 1, H, W) to ab (B, 2, H, W); by default the one config names.
        discriminator: takes (L, ab) to logits; by default the one config names.
        samples: uint8 rgb, (N, 3, size, size): pictures to color and save at every epoch.
        device: by default a GPU if there is one.
        fresh: start over, though the folder holds a run.
        stop_after: stop after so many steps of this call, as if by Ctrl-C; to try resuming.

    Returns:
        Both networks and the history.

    Raises:
        RunError: the folder belongs to another configuration, or another process holds it.
        TrainingError: a loss is not finite, or the memory does not suffice.
        KeyboardInterrupt: on Ctrl-C, once the step is done and everything is saved.
    """
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    run_folder = Run(out, asdict(config), fresh) if out else nullcontext()
    with run_folder as run, own_randomness(config.seed, device), held_interrupt() as interrupt:
        players = Players(config, generator, discriminator, device)
        loop = Loop(players, Batches(dataset, config, device), run, samples)
        loop.resume()
        last_step = loop.step + stop_after if stop_after else None
        while not loop.is_done():
            if interrupt.is_set() or loop.step == last_step:
                loop.save()
                raise KeyboardInterrupt(f"stopped at step {loop.step}; the same call goes on")
            loop.take_step()
        loop.finish()
    return Trained(players.generator.eval(), players.discriminator, loop.history)


class Loop:
    """The state of a run between two steps, and the ways to move and to save it."""

    COLUMNS = ("step", "epoch", "stage", "seconds", "loss_d", "loss_g", "loss_adversarial")
    COLUMNS += ("loss_reconstruction", "d_real", "d_fake")
    SAVE_EVERY = 300  # seconds between checkpoints, where an epoch takes longer

    def __init__(self, players: Players, batches: Batches, run: Run | None, samples: Tensor | None):
        self.players, self.batches, self.run, self.samples = players, batches, run, samples
        self.config = players.config
        self.step, self.saved_step, self.is_balanced = 0, -1, False
        self.history: list[dict] = []
        self.pending: list[tuple[dict, dict[str, Tensor]]] = []
        self.started = self.saved_at = time.monotonic()

    def resume(self) -> None:
        """Go back to the last checkpoint, if there is one, and set up what follows from it."""
        state = self.run.load_checkpoint() if self.run else None
        if state:
            self.players.load_state_dict(state["players"])
            self.step = self.saved_step = state["step"]
            self.is_balanced = state["is_balanced"]
            self.started -= state["seconds"]
            torch.set_rng_state(state["random"])
            if self.players.device.type == "cuda":
                torch.cuda.set_rng_state(state["random_cuda"], self.players.device)
        if self.run:
            self.history = self.run.cut_history(self.step)
        if not state:
            self._show_samples()
        self.stream = self.batches.stream(self.step)
        self.bar = tqdm(desc="training", unit="%", total=100, disable=self.is_done())
        self.bar.bar_format = "{desc}: {n:.0f}%|{bar}| {elapsed}<{remaining} {postfix}"

    def seconds(self) -> float:
        """How long the run has trained, earlier calls included."""
        return time.monotonic() - self.started

    def share(self) -> float:
        """Which share of the budget is spent, 0..1."""
        if self.config.seconds is not None:
            return min(self.seconds() / self.config.seconds, 1.0)
        steps = self.config.steps or (self.config.epochs or EPOCHS) * len(self.batches)
        return min(self.step / steps, 1.0)

    def is_done(self) -> bool:
        """Whether the budget is spent, or D cannot tell any more and that was to end the run."""
        return self.share() >= 1 or self.is_balanced

    def take_step(self) -> None:
        """Learn from the next batch, and do what is due after it."""
        share, warm_up = self.share(), self.config.warm_up
        if self.players.is_warming_up and share >= warm_up and warm_up < 1:
            self.players.end_warm_up()
        if self.config.is_annealed:
            stage = (0.0, warm_up) if self.players.is_warming_up else (warm_up, 1.0)
            self.players.anneal((share - stage[0]) / (stage[1] - stage[0]))
        L, real_ab = next(self.stream)
        try:
            losses = train_step(self.players, L, real_ab, self.step + 1)
        except torch.OutOfMemoryError as error:
            raise TrainingError(
                f"out of memory with a batch of {self.config.batch} at {self.config.size} pixels; "
                f"try a batch of {max(1, self.config.batch // 2)}"
            ) from error
        self.step += 1
        row = {
            "step": self.step,
            "epoch": 1 + (self.step - 1) // len(self.batches),
            "stage": "warm-up" if self.players.is_warming_up else "game",
            "seconds": round(self.seconds(), 3),
        }
        self.pending.append((row, losses))
        if len(self.pending) == FLUSH_EVERY:
            self.flush()
        if self.step % len(self.batches) == 0:
            self.end_epoch()
        elif self.run and time.monotonic() - self.saved_at > self.SAVE_EVERY:
            self.save()

    def flush(self) -> None:
        """Read the losses of the last steps off the device, check them, and write them down."""
        if not self.pending:
            return
        values = torch.stack([value for _, losses in self.pending for value in losses.values()])
        numbers = iter(values.tolist())  # the only wait for the device
        rows = []
        for row, losses in self.pending:
            row |= {name: next(numbers) for name in losses}
            rows.append({name: row.get(name) for name in self.COLUMNS})
        self.pending = []
        self.history += rows
        if self.run:
            self.run.append_history(rows)
        self._refuse_infinite(rows)
        self.bar.update(100 * self.share() - self.bar.n)
        shown = {name: rows[-1][name] for name in self.COLUMNS[4:] if rows[-1][name] is not None}
        self.bar.set_postfix({name.removeprefix("loss_"): f"{x:.3f}" for name, x in shown.items()})

    def _refuse_infinite(self, rows: list[dict]) -> None:
        for row in rows:
            losses = {name: row[name] for name in self.COLUMNS[4:] if row[name] is not None}
            if not all(map(torch.isfinite, map(torch.tensor, losses.values()))):
                self._diverged(f"a loss is not finite at step {row['step']}: {losses}")

    def _diverged(self, what: str) -> None:
        last = f"step {self.saved_step}" if self.saved_step > 0 else "none"
        where = f" in {self.run.folder}" if self.run else ""
        raise TrainingError(
            f"{what}. The last good checkpoint{where}: {last}. "
            "Try a smaller learning rate, or precision float32, in a fresh run"
        )

    def end_epoch(self) -> None:
        """Save, show the samples, and see whether D still can tell real from fake."""
        self.save()
        self._show_samples()
        rows = [row for row in self.history[-len(self.batches) :] if row["d_real"] is not None]
        if rows and self.config.equilibrium:
            means = [sum(row[name] for row in rows) / len(rows) for name in ("d_real", "d_fake")]
            self.is_balanced = all(abs(mean - 0.5) <= self.config.equilibrium for mean in means)

    def save(self) -> None:
        """Write the history, the checkpoint and the generator's weights."""
        self.flush()
        if not all(p.isfinite().all() for p in self.players.generator.parameters()):
            self._diverged(f"a weight of the generator is not finite after step {self.step}")
        if self.run and self.step != self.saved_step:
            state = {"step": self.step, "seconds": self.seconds(), "is_balanced": self.is_balanced}
            state |= {"players": self.players.state_dict(), "random": torch.get_rng_state()}
            if self.players.device.type == "cuda":
                state["random_cuda"] = torch.cuda.get_rng_state(self.players.device)
            self.run.save_checkpoint(state)
            save_generator(self.run.folder / "generator.safetensors", self.players.generator)
        self.saved_step, self.saved_at = self.step, time.monotonic()

    def finish(self) -> None:
        """Save what the last epoch's end has not."""
        if self.step != self.saved_step:
            self.save()
            self._show_samples()
        self.bar.close()

    def _show_samples(self) -> None:
        if self.run and self.samples is not None:
            name = f"epoch_{self.step / len(self.batches):07.2f}.png"
            pictures = triptychs(self.players.generator, self.samples, len(self.samples))
            write_picture(self.run.folder / "samples" / name, triptych_sheet(pictures))


@contextmanager
def own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Seed this block's randomness; the caller's own is as it was, afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@contextmanager
def held_interrupt() -> Iterator[threading.Event]:
    """Let Ctrl-C only raise a flag in this block, so that no step is cut in two.

    A second Ctrl-C interrupts at once. Outside the main thread, where signals do not arrive,
    nothing is changed.
    """
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def handle(*_: object) -> None:
        if flag.is_set():
            raise KeyboardInterrupt
        flag.set()

    previous = signal.signal(signal.SIGINT, handle)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGINT, previous)
