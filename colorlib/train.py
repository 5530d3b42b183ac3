"""Training: the loop around the two steps, as a run that survives.

The procedure is algorithm 1 of Goodfellow et al. 2014. Make both players. For every batch, D's
step, then G's: D learns on every `d_every`-th and G on every `g_every`-th, so that their k is
`g_every / d_every`. Repeat until the budget is spent, or D cannot tell any more.

The learning itself is in `colorlib.steps`. What is here makes a run that can be stopped at any
moment, goes on where it stopped, and ends with the same weights as if it had never stopped.
"""

import math
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from colorlib.color import rgb_to_L_ab
from colorlib.evaluate import at_work, triptych_sheet, triptychs, write_picture
from colorlib.files import Run, RunError, save_generator
from colorlib.recipes import TrainConfig
from colorlib.steps import Players, train_step

EPOCHS = 10  # the budget where none is given
FLUSH_EVERY = 50  # steps between two looks at the losses: each look waits for the device
KEEP_ON_DEVICE = 2**31  # bytes of L and ab that may be converted once and kept
SURE = 0.01  # D whose mean answers over an epoch are this near 1 and 0 has won
ONE_COLOR = 0.05  # G whose ab vary by less than this share of the real ones paints one color
D_HAS_WON = """D told real from invented colors through a whole epoch: G can learn nothing from it.
Try a smaller d_learning_rate, a larger lambda_reconstruction, d_every 2, or adversarial lsgan"""
HAS_COLLAPSED = """G paints everything in nearly one color.
Try a larger lambda_reconstruction, a longer warm_up, or a smaller learning_rate"""


class TrainingError(RuntimeError):
    """Training cannot go on; the message says at which step, why, and what to do."""


class Batches:
    """A data set as batches of (L, real_ab) on the device.

    The order, mirroring and zoom of an epoch follow from the seed and the epoch's number alone, so
    that a run resumed in the middle of an epoch sees what it would have seen. Photos that are
    there as one uint8 tensor (`dataset.rgb`) are gathered without a loop; if they are few, they
    are converted to Lab once and kept.

    Args:
        dataset: gives uint8 rgb, (3, H, W), each.
        config: batch, seed, is_flipped and zoom are read.
        device: where the batches are to be.
    """

    def __init__(self, dataset: Dataset, config: TrainConfig, device: torch.device):
        if len(dataset) == 0:
            raise ValueError("the data set is empty: there is nothing to learn from")
        if tuple(dataset[0].shape) != (3, config.size, config.size):
            wanted, got = (3, config.size, config.size), tuple(dataset[0].shape)
            raise ValueError(f"the config says pictures of {wanted}, the data set has {got}")
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
            places = torch.rand(len(order), 3, generator=random)
            indices, mirrors, places = (
                part.split(self.config.batch)[position:] for part in (order, mirrored, places)
            )
            for batch, mirror, place in zip(self._load(indices), mirrors, places, strict=True):
                mirror = mirror.to(self.device)[:, None, None, None]
                batch = tuple(torch.where(mirror, part.flip(-1), part) for part in batch)
                yield self._zoom(batch, place.to(self.device)) if self.config.zoom > 1 else batch
            step += len(indices)

    def _zoom(self, batch: tuple[Tensor, ...], place: Tensor) -> tuple[Tensor, ...]:
        """Enlarge each picture and cut it to size; place (B, 3), 0..1: how much, and where."""
        shown = 1 / (1 + (self.config.zoom - 1) * place[:, 0])  # share of the width that is kept
        corner = (1 - shown[:, None]) * (2 * place[:, 1:] - 1)
        affine = torch.zeros(len(place), 2, 3, device=self.device)
        affine[:, 0, 0] = affine[:, 1, 1] = shown
        affine[:, :, 2] = corner
        grid = functional.affine_grid(affine, batch[0].shape, align_corners=False)
        options = {"padding_mode": "border", "align_corners": False}
        return tuple(functional.grid_sample(part, grid, **options) for part in batch)

    def _load(self, indices: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, Tensor]]:
        if self.kept is not None:
            for chosen in indices:
                yield tuple(part[chosen.to(self.device)] for part in self.kept)
        elif (rgb := getattr(self.dataset, "rgb", None)) is not None:
            for chosen in indices:
                yield rgb_to_L_ab(rgb[chosen].to(self.device))
        else:
            own = torch.Generator()  # else the loader draws from the run's random numbers
            batches = [part.tolist() for part in indices]
            for rgb in DataLoader(self.dataset, batch_sampler=batches, generator=own):
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
        config: what to learn, how, and for how long. (`data` and `fit` are only recorded.)
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
        RunError: the folder belongs to another configuration or other networks, another process
            holds it, or it cannot be written to.
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
        with closing(loop.bar):
            while not loop.is_done() and not interrupt.is_set() and loop.step != last_step:
                loop.take_step()
            loop.save()
        if interrupt.is_set() or not loop.is_done():
            raise KeyboardInterrupt(f"stopped at step {loop.step}; the same call goes on")
    return Trained(players.generator.eval(), players.discriminator, loop.history)


class Loop:
    """The state of a run between two steps, and the ways to move and to save it."""

    LOSSES = ("loss_d", "loss_g", "loss_adversarial", "loss_reconstruction", "d_real", "d_fake")
    COLUMNS = ("step", "epoch", "stage", "seconds", *LOSSES)
    SAVE_AT_MOST = 5  # seconds between saves, where epochs are shorter
    SAVE_AT_LEAST = 300  # where they are longer

    def __init__(self, players: Players, batches: Batches, run: Run | None, samples: Tensor | None):
        self.players, self.batches, self.run, self.samples = players, batches, run, samples
        self.config = players.config
        self.step, self.saved_step, self.is_balanced = 0, -1, False
        self.history: list[dict] = []
        self.pending: list[tuple[dict, dict[str, Tensor]]] = []
        self.unwritten: list[dict] = []
        self.warned: set[str] = set()
        self.seconds = 0.0  # how long the run has trained, earlier calls included
        self.clock = self.saved_at = time.monotonic()

    def resume(self) -> None:
        """Go back to the last checkpoint, if there is one, and set up what follows from it."""
        state = self.run.load_checkpoint() if self.run else None
        if state is not None:
            self._restore(state)
        if self.run:
            self.history = self.run.cut_history(self.step)
        if state is None:
            self._show_samples()
        self.stream = self.batches.stream(self.step)
        done = 100 * self.share()
        self.bar = tqdm(desc="training", unit="%", total=100, initial=done, disable=self.is_done())
        self.bar.bar_format = "{desc}: {n:.0f}%|{bar}| {elapsed}<{remaining} {postfix}"

    def _restore(self, state: dict) -> None:
        try:
            self.players.load_state_dict(state["players"])
            self.step = self.saved_step = state["step"]
            self.is_balanced = state["is_balanced"]
            self.seconds = state["seconds"]
            torch.set_rng_state(state["random"])
            if self.players.device.type == "cuda" and "random_cuda" in state:
                torch.cuda.set_rng_state(state["random_cuda"], self.players.device)
        except (RuntimeError, KeyError, TypeError, ValueError) as error:
            message = f"the checkpoint in {self.run.folder} is of other networks: {error!s:.300}"
            raise RunError(f"{message}; start over with --fresh (fresh=True)") from error

    def share(self) -> float:
        """Which share of the budget is spent, 0..1."""
        if self.config.seconds is not None:
            return min(self.seconds / self.config.seconds, 1.0)
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
        self.players.has_head_start = share >= warm_up * (1 - self.config.d_head_start)
        if self.config.is_annealed:
            stage = (0.0, warm_up) if self.players.is_warming_up else (warm_up, 1.0)
            self.players.anneal((share - stage[0]) / (stage[1] - stage[0]))
        self.batch = next(self.stream)
        try:
            losses = train_step(self.players, *self.batch, self.step + 1)
        except RuntimeError as error:  # on a CPU it has no class of its own
            if not any(words in str(error) for words in ("out of memory", "allocate memory")):
                raise
            batch, size = self.config.batch, self.config.size
            smaller = f"a batch of {batch // 2}" if batch > 1 else f"a size of {size // 2}"
            message = f"out of memory with a batch of {batch} at {size} pixels; try {smaller}"
            raise TrainingError(message) from error
        now = time.monotonic()
        self.seconds += min(now - self.clock, 60.0)  # a laptop that slept has not trained
        self.clock = now
        self.step += 1
        row = {
            "step": self.step,
            "epoch": 1 + (self.step - 1) // len(self.batches),
            "stage": "warm-up" if self.players.is_warming_up else "game",
            "seconds": round(self.seconds, 3),
        }
        self.pending.append((row, losses))
        if len(self.pending) == FLUSH_EVERY:
            self.flush()
        if self.step % len(self.batches) == 0:
            self.end_epoch()
        elif self.run and now - self.saved_at > self.SAVE_AT_LEAST:
            self.save()

    def flush(self) -> None:
        """Read the losses of the last steps off the device, check them, and write them down."""
        if not self.pending:
            return
        values = [value for _, losses in self.pending for value in losses.values()]
        # the only wait for the device
        numbers = iter(torch.stack(values).tolist() if values else ())
        rows = []
        for row, losses in self.pending:
            row |= {name: next(numbers) for name in losses}
            rows.append({name: row.get(name) for name in self.COLUMNS})
        self.pending = []
        self.history += rows
        self._write(rows)
        self._refuse_infinite(rows)
        self.bar.update(100 * self.share() - self.bar.n)
        shown = {name: rows[-1][name] for name in self.LOSSES if rows[-1][name] is not None}
        self.bar.set_postfix({name.removeprefix("loss_"): f"{x:.3f}" for name, x in shown.items()})

    def _write(self, rows: list[dict]) -> None:
        if self.run is None:
            return
        self.unwritten += rows
        try:
            self.run.append_history(self.unwritten)
            self.unwritten = []
        except PermissionError as error:  # Excel holds what it shows
            warnings.warn(f"{error}: close it elsewhere; its rows wait meanwhile", stacklevel=2)

    def _refuse_infinite(self, rows: list[dict]) -> None:
        for row in rows:
            losses = {name: row[name] for name in self.LOSSES if row[name] is not None}
            if not all(map(math.isfinite, losses.values())):
                self._raise_diverged(f"a loss is not finite at step {row['step']}: {losses}")

    def _raise_diverged(self, what: str) -> None:
        saved = ""
        if self.run:
            last = f"step {self.saved_step}" if self.saved_step > 0 else "none"
            saved = f" The last good checkpoint in {self.run.folder}: {last}."
        advice = "Try a smaller learning rate, or precision float32, in a fresh run"
        raise TrainingError(f"{what}.{saved} {advice}")

    def end_epoch(self) -> None:
        """See whether D still can tell real from fake; save, and show the samples."""
        self.flush()
        rows = self.history[-len(self.batches) :]
        rows = [row for row in rows if row["stage"] == "game" and row["d_real"] is not None]
        if rows:
            real, fake = (sum(row[d] for row in rows) / len(rows) for d in ("d_real", "d_fake"))
            self.is_balanced = max(abs(real - 0.5), abs(fake - 0.5)) < self.config.equilibrium
            if real > 1 - SURE and fake < SURE:
                self._warn_once(D_HAS_WON)
        if time.monotonic() - self.saved_at >= self.SAVE_AT_MOST:
            self.save()

    def save(self) -> None:
        """Write the history, the checkpoint, the generator's weights and the sample pictures."""
        self.flush()
        if self.step == self.saved_step:
            return
        if not self.players.is_finite():
            self._raise_diverged(f"a weight is not finite after step {self.step}")
        if self.step >= FLUSH_EVERY and self.paints_one_color():
            self._warn_once(HAS_COLLAPSED)
        if self.run:
            state = {"step": self.step, "seconds": self.seconds, "is_balanced": self.is_balanced}
            state |= {"players": self.players.state_dict(), "random": torch.get_rng_state()}
            if self.players.device.type == "cuda":
                state["random_cuda"] = torch.cuda.get_rng_state(self.players.device)
            self.run.save_checkpoint(state)
            data = Path(self.config.data).name  # weights travel: no path of somebody's machine
            card = {"data": data, "size": self.config.size, "seed": self.config.seed}
            path = self.run.folder / "generator.safetensors"
            save_generator(path, self.players.generator, **card)
        self._show_samples()
        self.saved_step, self.saved_at = self.step, time.monotonic()

    def paints_one_color(self) -> bool:
        """Whether G's colors hardly vary over the last batch, though the photos' own do."""
        L, real_ab = self.batch
        with at_work(self.players.generator):
            fake_ab = self.players.generator(L)
        fake, real = (ab.std(dim=(0, 2, 3)).max() for ab in (fake_ab, real_ab))
        return bool(fake < ONE_COLOR * real)

    def _warn_once(self, text: str) -> None:
        if text not in self.warned:
            self.warned.add(text)
            warnings.warn(f"step {self.step}: {text}", stacklevel=2)

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
