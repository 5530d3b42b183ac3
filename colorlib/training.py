"""Training: the loop around the two steps, as a run that survives interruptions.

The procedure is algorithm 1 of Goodfellow et al. 2014. Initialize both networks. For every batch,
take D's step, then G's: D trains on every `d_every`-th and G on every `g_every`-th step, so their
k is `g_every / d_every`. Repeat until the budget is spent, or until D can't tell real from fake.

The steps themselves are in `colorlib.steps`. This module makes a run that can be stopped at any
moment, continues where it stopped, and ends with the same weights as if it had never stopped.
Everything that resuming needs is in the checkpoint; the run's other files follow from it.
"""

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from colorlib import parallel
from colorlib.batches import Batches
from colorlib.config import TrainConfig
from colorlib.metrics import evaluate, triptych_sheet, triptychs, write_picture
from colorlib.runs import EPOCHS, Run, RunError, choose_device, load_generator, save_generator
from colorlib.steps import Networks, train_step

HISTORY, LOOKS = "history.csv", "validation.csv"
BEST = "best.safetensors"
FLUSH_EVERY = 50  # steps; reading the losses waits for the device
LOSSES = ("loss_d", "loss_g", "loss_adversarial", "loss_reconstruction", "d_real", "d_fake")
ADVICE = "The last checkpoint is good. In a fresh run, try a smaller learning rate or float32"


class TrainingError(RuntimeError):
    """Training has diverged; the message says at which step, and what to do."""


class Trained(NamedTuple):
    """What `train` returns."""

    generator: nn.Module  # in eval mode
    discriminator: nn.Module | None
    history: list[dict]  # one row per step, as in history.csv


def train(
    config: TrainConfig,
    dataset: Dataset,
    out: str | Path | None = None,
    *,
    generator: nn.Module | None = None,
    discriminator: nn.Module | None = None,
    samples: Tensor | None = None,
    validation: Dataset | Tensor | None = None,
    device: torch.device | str | None = None,
    fresh: bool = False,
    stop_after: int | None = None,
) -> Trained:
    """Train a generator, or continue where an earlier call with the same arguments stopped.

    With a larger budget of the same kind, a finished run is extended: its schedule is stretched.

    Args:
        config: what to learn, how, and for how long. `data` is replaced by the data set's `source`.
        dataset: items are uint8 rgb, (3, size, size).
        out: the run's folder; without one nothing is saved.
        generator: maps L (B, 1, H, W) to ab (B, 2, H, W); by default the one config names. To
            fine-tune, set `config.init`, or pass a loaded generator (config.json doesn't record
            that); `Networks` says which parts are trained. To compile it, call
            `generator.compile()` first.
        discriminator: maps (L, ab) to logits; by default the one config names.
        samples: uint8 rgb, (N, 3, size, size): photos that are colored at every save.
        validation: photos like the data set's that are not trained on. From time to time G is
            measured on them (validation.csv), and the stage's best weights are kept
            (best.safetensors). For every photo measured, at least 50 are trained on.
        device: see `choose_device`.
        fresh: start over even if the folder has a run.
        stop_after: stop after this many steps of this call, as Ctrl-C does; to try resuming.

    Returns:
        Both networks and the history.

    Raises:
        RunError: the folder has a run with another configuration or other networks, has files that
            aren't a run's, is held by another process, or can't be written to.
        ValueError: the data set is empty or does not fit the configuration.
        TrainingError: a loss or weight is not finite.
        KeyboardInterrupt: on Ctrl-C, after the step is finished and everything is saved.
    """
    config = replace(config, data=str(getattr(dataset, "source", config.data)))
    device = choose_device(device)
    if generator is None and config.init:
        generator = load_generator(config.init)
    has_folder = out and parallel.is_first()
    folder = Run(out, asdict(config), fresh, device) if has_folder else nullcontext()
    gpus = [device] if device.type == "cuda" else []  # the caller's random numbers are restored
    with torch.random.fork_rng(gpus), held_interrupt() as interrupt:
        torch.manual_seed(config.seed)
        networks = Networks(config, generator, discriminator, device)
        batches = Batches(dataset, config, device)
        with folder as run:  # only now, so that a refused call leaves no trace in it
            loop = Loop(networks, batches, run, samples, validation)
            loop.resume()
            last_step = loop.step + stop_after if stop_after else None
            with closing(loop.bar):
                while not loop.is_done() and loop.step != last_step:
                    if parallel.from_first(interrupt.is_set()):
                        break
                    loop.take_step()
                loop.save()
        if interrupt.is_set() or not loop.is_done():
            raise KeyboardInterrupt(f"stopped at step {loop.step}; the same call continues")
    return Trained(networks.generator.eval(), networks.discriminator, loop.history)


class Loop:
    """The state of a run between two steps.

    If several processes train together, they all take these steps at the same time, but only the
    first one has a run to write to. It also decides everything that depends on time.

    Args:
        networks: the networks.
        batches: what they learn from.
        run: the folder to save to, open; None saves nothing.
        samples: as in `train`.
        validation: likewise.
    """

    # Seconds between saves. A run saves at the end of an epoch, unless the last save was less than
    # SAVE_AT_MOST ago (more if saving is slow). After SAVE_AT_LEAST it saves in mid-epoch.
    SAVE_AT_MOST = 5
    SAVE_AT_LEAST = 300
    TRAINED_PER_LOOK = 50  # photos trained on for each photo measured: a look costs 2% or less

    def __init__(
        self,
        networks: Networks,
        batches: Batches,
        run: Run | None = None,
        samples: Tensor | None = None,
        validation: Dataset | Tensor | None = None,
    ):
        self.networks, self.batches, self.run = networks, batches, run
        self.samples, self.validation = samples, validation
        self.config = networks.config
        self.step, self.saved_step, self.d_is_at_half = 0, -1, False
        self.history: list[dict] = []  # a row per step
        self.looks: list[dict] = []  # a row per look at the validation photos
        self.best: dict | None = None  # the generator's state at the best look of the stage
        self.best_look: dict = {}
        self.pending: list[tuple[dict, dict[str, Tensor]]] = []  # rows, losses on the device
        self.seconds = self.saved_at = 0.0  # training time, including earlier calls
        self.save_took = 0.0
        self.clock = time.monotonic()

    SAVED = ("step", "seconds", "d_is_at_half", "history", "looks", "best", "best_look")

    def resume(self) -> None:
        """Go back to the last checkpoint, if there is one; then open the batches and the bar."""
        state = parallel.from_first(self.run.load_checkpoint() if self.run else None)
        if state is None:
            self._show_samples()
        else:
            self._restore(state)
        self.stream = self.batches.stream(self.step)
        done = 100 * self.progress()
        is_silent = self.is_done() or not parallel.is_first()
        self.bar = tqdm(desc="training", unit="%", total=100, initial=done, disable=is_silent)
        self.bar.bar_format = "{desc}: {n:.0f}%|{bar}| {elapsed}<{remaining} {postfix}"
        self.clock = time.monotonic()

    def _restore(self, state: dict) -> None:
        try:
            self.networks.load_state_dict(state["networks"])
        except (RuntimeError, KeyError, TypeError, ValueError) as error:
            message = f"the checkpoint belongs to other networks: {error!s:.300}"
            raise RunError(f"{message}; start over with --fresh (fresh=True)") from error
        for name in self.SAVED:
            setattr(self, name, state[name])
        self.saved_step, self.saved_at = self.step, self.seconds
        if not self.is_done():  # files may be newer, from a process that was killed while saving
            self._write_files()

    def progress(self) -> float:
        """The fraction of the budget that is spent, 0..1."""
        if self.config.seconds is not None:
            return min(self.seconds / self.config.seconds, 1.0)
        steps = self.config.steps or (self.config.epochs or EPOCHS) * len(self.batches)
        return min(self.step / steps, 1.0)

    def is_done(self) -> bool:
        """Whether the budget is spent, or D's answers reached 1/2 and `stop_at_half` is set."""
        return self.progress() >= 1 or self.d_is_at_half

    def take_step(self) -> None:
        """Train on the next batch, and do what is due after it."""
        self._set_stage()
        # random numbers depend only on the step, so a run that resumes draws the same ones
        torch.manual_seed(self.config.seed + 1_000_003 * self.step)
        self.batch = next(self.stream)
        losses = train_step(self.networks, *self.batch, self.step + 1)
        self._count_seconds()
        self.step += 1
        row = {
            "step": self.step,
            "epoch": 1 + (self.step - 1) // len(self.batches),
            "stage": self._stage(),
            "seconds": round(self.seconds, 3),
        }
        self.pending.append((row, losses))
        if len(self.pending) == FLUSH_EVERY:
            self.flush()
        if self.step % len(self.batches) == 0:
            self.end_epoch()
        elif self.seconds - self.saved_at > self.SAVE_AT_LEAST:
            self.save()

    def _stage(self) -> str:
        return "warm-up" if self.networks.is_warming_up else "game"

    def _set_stage(self) -> None:
        """Set the stage, D's head start, and the learning rates."""
        progress, warm_up = self.progress(), self.config.warm_up
        if self.networks.is_warming_up and progress >= warm_up and warm_up < 1:
            self.networks.end_warm_up()
        self.networks.has_head_start = progress >= warm_up * (1 - self.config.d_head_start)
        if self.config.learning_rate_decay:
            start, end = (0.0, warm_up) if self.networks.is_warming_up else (warm_up, 1.0)
            self.networks.decay_learning_rates((progress - start) / (end - start))

    def _count_seconds(self) -> None:
        """Count the time since the clock was last read or set."""
        now = time.monotonic()
        took = min(now - self.clock, 60.0)  # while a laptop sleeps, it doesn't train
        self.seconds, self.clock = parallel.from_first(self.seconds + took), now

    def flush(self) -> None:
        """Read the losses of the last steps from the device, check them, and note them."""
        if not self.pending:
            return
        values = [value for _, losses in self.pending for value in losses.values()]
        # the only wait for the device; the list is empty if no network was due in these steps
        numbers = iter(parallel.mean_of_all(torch.stack(values)).tolist() if values else ())
        for row, losses in self.pending:
            row |= dict.fromkeys(LOSSES) | {name: next(numbers) for name in losses}
            self.history.append(row)
            if not all(math.isfinite(row[name]) for name in losses):
                raise TrainingError(f"a loss is not finite at step {row['step']}: {row}. {ADVICE}")
        self.pending = []
        self._count_seconds()
        self.bar.update(100 * self.progress() - self.bar.n)
        self.bar.set_postfix({name.removeprefix("loss_"): f"{row[name]:.3f}" for name in losses})

    def _refuse_broken_weights(self) -> None:
        """Stop the run if a weight is NaN or infinite: such a network is never saved."""
        if not self.networks.is_finite():
            raise TrainingError(f"a weight is not finite after step {self.step}. {ADVICE}")

    def end_epoch(self) -> None:
        """Check whether D can still tell real from fake; look at the validation photos; save."""
        self.flush()
        rows = self.history[-len(self.batches) :]
        rows = [row for row in rows if row["stage"] == "game" and row["d_real"] is not None]
        if rows:
            answers = [fmean(row[name] for row in rows) for name in ("d_real", "d_fake")]
            self.d_is_at_half = max(abs(d - 0.5) for d in answers) < self.config.stop_at_half
        if not self.is_done():
            self.look()
        # saving a large checkpoint takes long, so it happens less often: 1/20 of the time at most
        if self.seconds - self.saved_at >= self.SAVE_AT_MOST * max(1.0, 4 * self.save_took):
            self.save()

    def look(self) -> None:
        """Measure G on the validation photos if it is time, and keep its weights if they are best.

        The best weights are those with the smallest ΔE. Each stage has its own, because a GAN
        stage starts by moving away from the real colors.
        """
        if self.validation is None or not parallel.is_first():
            return
        passed = self.step - (self.looks[-1]["step"] if self.looks else 0)
        trained = math.inf if self.is_done() else passed * self.config.batch
        if trained < self.TRAINED_PER_LOOK * len(self.validation):
            return
        self._refuse_broken_weights()
        look = {"step": self.step, "epoch": round(self.step / len(self.batches), 2)}
        look |= {"stage": self._stage()}
        look |= evaluate(self.networks.generator, self.validation, is_quick=True)
        is_best = self.best_look.get("stage") != look["stage"]
        if is_best or look["delta_e"] < self.best_look["delta_e"]:
            self.best, self.best_look = deepcopy(self.networks.generator.state_dict()), look
        self.looks.append(look)
        self.clock = time.monotonic()  # don't count the look as training time

    def save(self) -> None:
        """Write the weights, the tables, the sample pictures, and then the checkpoint."""
        self.flush()
        if self.step == self.saved_step:
            return
        if self.is_done():
            self.look()
        began = time.monotonic()
        self._refuse_broken_weights()
        self._show_samples()
        self._write_files()
        if self.run:  # checkpoint last: the files it stands for must already exist
            state = {name: getattr(self, name) for name in self.SAVED}
            self.run.save_checkpoint(state | {"networks": self.networks.state_dict()})
        self.saved_step, self.saved_at = self.step, self.seconds
        self.clock = time.monotonic()  # don't count the save as training time
        self.save_took = parallel.from_first(self.clock - began)

    def _write_files(self) -> None:
        """Write the generator's weights, the best ones, and the tables."""
        if self.run is None:
            return
        data = Path(self.config.data).name  # weights are shared, so no path of this machine
        facts = {"data": data, "size": self.config.size, "seed": self.config.seed}
        generator = self.networks.generator
        save_generator(self.run.folder / "generator.safetensors", generator, **facts)
        if self.best:
            best = deepcopy(generator)
            best.load_state_dict(self.best)
            save_generator(self.run.folder / BEST, best, **facts, **self.best_look)
        self.run.write_table(HISTORY, self.history)
        if self.looks:
            self.run.write_table(LOOKS, self.looks)

    def _show_samples(self) -> None:
        if self.run and self.samples is not None:
            name = f"epoch_{self.step / len(self.batches):07.2f}.png"
            pictures = triptychs(self.networks.generator, self.samples, len(self.samples))
            write_picture(self.run.folder / "samples" / name, triptych_sheet(pictures))


@contextmanager
def held_interrupt() -> Iterator[threading.Event]:
    """Let Ctrl-C only set a flag in this block, so that no step is cut in two.

    A second Ctrl-C interrupts at once. Outside the main thread, which gets the signals, this does
    nothing.
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
