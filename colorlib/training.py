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
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from colorlib import parallel
from colorlib.batches import Batches
from colorlib.config import TrainConfig
from colorlib.metrics import at_work, evaluate, triptych_sheet, triptychs, write_picture
from colorlib.runs import Run, RunError, read_card, save_generator
from colorlib.steps import Players, train_step

EPOCHS = 10  # the budget where none is given
HISTORY, LOOKS = "history.csv", "validation.csv"
BEST = "best.safetensors"
FLUSH_EVERY = 50  # steps between two looks at the losses: each look waits for the device
SURE = 0.01  # D whose mean answers over an epoch are this near 1 and 0 has won
ONE_COLOR = 0.05  # G whose ab vary by less than this share of the real ones paints one color
D_HAS_WON = """D told real from invented colors through a whole epoch: G can learn nothing from it.
Try a smaller d_learning_rate, a larger lambda_reconstruction, d_every 2, or adversarial lsgan"""
HAS_COLLAPSED = """G paints everything in nearly one color.
Try a larger lambda_reconstruction, a longer warm_up, or a smaller learning_rate"""


class TrainingError(RuntimeError):
    """Training cannot go on; the message says at which step, why, and what to do."""


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
    validation: Dataset | Tensor | None = None,
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
        validation: photos like the data set's, of which nothing is learned: after an epoch, but
            not within 50 steps, G is measured on them, in validation.csv, and its best weights of
            the stage are kept, in best.safetensors.
        device: by default a GPU if there is one.
        fresh: start over, though the folder holds a run.
        stop_after: stop after so many steps of this call, as if by Ctrl-C; to try resuming.

    Returns:
        Both networks and the history.

    Raises:
        RunError: the folder belongs to another configuration or other networks, another process
            holds it, or it cannot be written to.
        ValueError: the data set is empty, or does not fit the configuration.
        TrainingError: a loss is not finite, or the memory does not suffice.
        KeyboardInterrupt: on Ctrl-C, once the step is done and everything is saved.
    """
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    run_folder = Run(out, asdict(config), fresh) if out and parallel.is_first() else nullcontext()
    with (
        run_folder as run,
        own_randomness(config.seed, device),
        held_interrupt() as interrupt,
        explained(config),
    ):
        players = Players(config, generator, discriminator, device)
        loop = Loop(players, Batches(dataset, config, device), run, samples, validation)
        loop.resume()
        last_step = loop.step + stop_after if stop_after else None
        with closing(loop.bar):
            while not loop.is_done() and loop.step != last_step:
                if parallel.from_first(interrupt.is_set()):
                    break
                loop.take_step()
            if loop.is_done():
                loop.look()
            loop.save()
        if interrupt.is_set() or not loop.is_done():
            raise KeyboardInterrupt(f"stopped at step {loop.step}; the same call goes on")
    return Trained(players.generator.eval(), players.discriminator, loop.history)


class Loop:
    """The state of a run between two steps, and the ways to move and to save it.

    Of several processes that train together all take these steps at the same time, and only the
    first one has a run to write to. What depends on the time is therefore told by the first.

    Args:
        players: the networks.
        batches: what they learn from.
        run: the folder to save to, open; None saves nothing.
        samples: as in `train`.
        validation: likewise.
    """

    LOSSES = ("loss_d", "loss_g", "loss_adversarial", "loss_reconstruction", "loss_colorfulness")
    LOSSES += ("d_real", "d_fake")
    COLUMNS = ("step", "epoch", "stage", "seconds", *LOSSES)  # of history.csv
    MEASURED = ("ciede2000", "psnr_ab", "colorfulness", "colorfulness_real")
    LOOK_COLUMNS = ("step", "epoch", "stage", *MEASURED)  # of validation.csv
    # seconds: a save falls on an epoch's end, but not so soon after the last one (or later still,
    # if saves take long), and without waiting for that end when the last one is so long ago
    SAVE_AT_MOST = 5
    SAVE_AT_LEAST = 300
    LOOK_EVERY = 50  # steps at least between two looks at the validation photos

    def __init__(
        self,
        players: Players,
        batches: Batches,
        run: Run | None = None,
        samples: Tensor | None = None,
        validation: Dataset | Tensor | None = None,
    ):
        self.players, self.batches, self.run = players, batches, run
        self.samples, self.validation = samples, validation
        self.config = players.config
        self.step, self.saved_step, self.is_balanced = 0, -1, False
        self.history: list[dict] = []
        self.looked_step = -math.inf  # at which the validation photos were looked at last
        self.pending: list[tuple[dict, dict[str, Tensor]]] = []  # rows, losses still on the device
        self.unwritten: dict[str, list[dict]] = {HISTORY: [], LOOKS: []}  # rows that wait
        self.warned: set[str] = set()
        self.seconds = self.saved_at = 0.0  # how long the run has trained, earlier calls included
        self.save_took = 0.0
        self.clock = time.monotonic()

    def resume(self) -> None:
        """Go back to the last checkpoint, if there is one; then open the batches and the bar."""
        state = parallel.from_first(self.run.load_checkpoint() if self.run else None)
        if state is not None:
            self._restore(state)
        self.history, self.looked_step = parallel.from_first(self._cut_rows())
        if state is None:
            self._show_samples()
        self.stream = self.batches.stream(self.step)
        done = 100 * self.share()
        is_silent = self.is_done() or not parallel.is_first()
        self.bar = tqdm(desc="training", unit="%", total=100, initial=done, disable=is_silent)
        self.bar.bar_format = "{desc}: {n:.0f}%|{bar}| {elapsed}<{remaining} {postfix}"

    def _cut_rows(self) -> tuple[list[dict], float]:
        """The history up to the step at which the run goes on, and the step of the last look."""
        if self.run is None:
            return [], -math.inf
        history = self.run.cut_rows(HISTORY, self.step, self.COLUMNS)
        looks = self.run.cut_rows(LOOKS, self.step, self.LOOK_COLUMNS)
        return history, looks[-1]["step"] if looks else -math.inf

    def _state(self) -> dict:
        """All that resuming needs."""
        state = {"step": self.step, "seconds": self.seconds, "is_balanced": self.is_balanced}
        state |= {"players": self.players.state_dict(), "random": torch.get_rng_state()}
        if self.players.device.type == "cuda":
            state["random_cuda"] = torch.cuda.get_rng_state(self.players.device)
        return state

    def _restore(self, state: dict) -> None:
        try:
            self.players.load_state_dict(state["players"])
            self.step = self.saved_step = state["step"]
            self.is_balanced = state["is_balanced"]
            self.seconds = self.saved_at = state["seconds"]
            torch.set_rng_state(state["random"])
            if self.players.device.type == "cuda" and "random_cuda" in state:
                torch.cuda.set_rng_state(state["random_cuda"], self.players.device)
        except (RuntimeError, KeyError, TypeError, ValueError) as error:
            where = self.run.folder if self.run else "the run's folder"
            message = f"the checkpoint in {where} is of other networks: {error!s:.300}"
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
        self._set_stage()
        self.batch = next(self.stream)
        losses = train_step(self.players, *self.batch, self.step + 1)
        self._count_seconds()
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
        elif self.seconds - self.saved_at > self.SAVE_AT_LEAST:
            self.save()

    def _set_stage(self) -> None:
        """Tell the players whether they warm up or play, and at which learning rates."""
        share, warm_up = self.share(), self.config.warm_up
        if self.players.is_warming_up and share >= warm_up and warm_up < 1:
            self.players.end_warm_up()
        self.players.has_head_start = share >= warm_up * (1 - self.config.d_head_start)
        if self.config.is_annealed:
            start, end = (0.0, warm_up) if self.players.is_warming_up else (warm_up, 1.0)
            self.players.anneal((share - start) / (end - start))

    def _count_seconds(self) -> None:
        """Add what has passed since the last step."""
        now = time.monotonic()
        took = min(now - self.clock, 60.0)  # a laptop that slept has not trained
        self.seconds, self.clock = parallel.from_first(self.seconds + took), now

    def flush(self) -> None:
        """Read the losses of the last steps off the device, check them, and write them down."""
        if not self.pending:
            return
        values = [value for _, losses in self.pending for value in losses.values()]
        # the only wait for the device; there may be no values, as on some steps nobody learns
        numbers = iter(parallel.mean_of_all(torch.stack(values)).tolist() if values else ())
        rows = []
        for row, losses in self.pending:
            row |= {name: next(numbers) for name in losses}
            rows.append({name: row.get(name) for name in self.COLUMNS})
        self.pending = []
        self.history += rows
        self._write(HISTORY, rows)
        self._refuse_infinite(rows)
        self.bar.update(100 * self.share() - self.bar.n)
        shown = {name: rows[-1][name] for name in self.LOSSES if rows[-1][name] is not None}
        self.bar.set_postfix({name.removeprefix("loss_"): f"{x:.3f}" for name, x in shown.items()})

    def _write(self, name: str, rows: list[dict]) -> None:
        if self.run is None:
            return
        self.unwritten[name] += rows
        try:
            self.run.append_rows(name, self.unwritten[name])
            self.unwritten[name] = []
        except PermissionError as error:  # Excel holds what it shows
            warnings.warn(f"{error}: close it elsewhere; its rows wait meanwhile", stacklevel=2)

    def _refuse_infinite(self, rows: list[dict]) -> None:
        """Stop the run where a loss is NaN or infinite."""
        for row in rows:
            losses = {name: row[name] for name in self.LOSSES if row[name] is not None}
            if not all(map(math.isfinite, losses.values())):
                self._raise_diverged(f"a loss is not finite at step {row['step']}: {losses}")

    def _refuse_broken_weights(self) -> None:
        """Stop the run where a weight is NaN or infinite: such a network is never saved."""
        if not self.players.is_finite():
            self._raise_diverged(f"a weight is not finite after step {self.step}")

    def _raise_diverged(self, what: str) -> None:
        saved = ""
        if self.run:
            last = f"step {self.saved_step}" if self.saved_step > 0 else "none"
            saved = f"The last good checkpoint in {self.run.folder}: {last}. "
        advice = "Try a smaller learning rate, or precision float32, in a fresh run"
        raise TrainingError(f"{what}. {saved}{advice}")

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
        self.look()
        # a large checkpoint is saved less often, so that saving takes a twentieth of the time
        pause = self.SAVE_AT_MOST * max(1.0, 4 * self.save_took)
        if self.seconds - self.saved_at >= pause:
            self.save()

    def look(self) -> None:
        """Measure G on the validation photos; keep its weights if they are its stage's best.

        The best are those of the smallest CIEDE2000, which stands on their card. They are sought
        stage by stage, since a game begins with a step away from the photos' own colors.
        """
        passed = self.step - self.looked_step
        is_due = passed >= self.LOOK_EVERY or (passed and self.is_done())
        if self.validation is None or not is_due or not parallel.is_first():
            return
        self._refuse_broken_weights()
        measured = evaluate(self.players.generator, self.validation)
        stage = "warm-up" if self.players.is_warming_up else "game"
        if self.run and measured["ciede2000"] < self._best_error(stage):
            facts = {"step": self.step, "stage": stage, "ciede2000": measured["ciede2000"]}
            self._save_generator(BEST, **facts)
        row = {"step": self.step, "epoch": round(self.step / len(self.batches), 2), "stage": stage}
        self._write(LOOKS, [row | {name: measured[name] for name in self.MEASURED}])
        self.looked_step = self.step

    def _best_error(self, stage: str) -> float:
        """The CIEDE2000 of the best weights of this stage; infinite if there are none (whole)."""
        with suppress(RunError):
            card = read_card(self.run.folder / BEST)
            if card.get("stage") == stage:
                return card["ciede2000"]
        return math.inf

    def _save_generator(self, name: str, **facts: int | float | str) -> None:
        data = Path(self.config.data).name  # weights travel: no path of somebody's machine
        facts |= {"data": data, "size": self.config.size, "seed": self.config.seed}
        save_generator(self.run.folder / name, self.players.generator, **facts)

    def save(self) -> None:
        """Write the history, the checkpoint, the generator's weights and the sample pictures."""
        self.flush()
        if self.step == self.saved_step:
            return
        began = time.monotonic()
        self._refuse_broken_weights()
        if self.step >= FLUSH_EVERY and self.paints_one_color():
            self._warn_once(HAS_COLLAPSED)
        self._show_samples()
        if self.run:
            self._save_generator("generator.safetensors")
            # last: who goes on from it will not write again what belongs to it
            self.run.save_checkpoint(self._state())
        self.saved_step, self.saved_at = self.step, self.seconds
        self.save_took = parallel.from_first(time.monotonic() - began)

    def paints_one_color(self) -> bool:
        """Whether G's colors hardly vary over the last batch, though the photos' own do."""
        L, real_ab = self.batch
        with at_work(self.players.generator):
            fake_ab = self.players.generator(L)
        fake, real = (ab.std(dim=(0, 2, 3)).max() for ab in (fake_ab, real_ab))
        return bool(fake < ONE_COLOR * real)

    def _warn_once(self, text: str) -> None:
        if text not in self.warned and parallel.is_first():
            self.warned.add(text)
            warnings.warn(f"step {self.step}: {text}", stacklevel=2)

    def _show_samples(self) -> None:
        if self.run and self.samples is not None:
            name = f"epoch_{self.step / len(self.batches):07.2f}.png"
            pictures = triptychs(self.players.generator, self.samples, len(self.samples))
            write_picture(self.run.folder / "samples" / name, triptych_sheet(pictures))


@contextmanager
def explained(config: TrainConfig) -> Iterator[None]:
    """Say what to do about what goes wrong in this block, where that is known."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if message := explain(error, config):
            raise TrainingError(message) from error
        raise


def explain(error: RuntimeError | MemoryError, config: TrainConfig) -> str | None:
    """What to do about an error of torch; None where nothing is known."""
    if is_out_of_memory(error):
        batch, size = config.batch, config.size
        smaller = f"a batch of {batch // 2}" if batch > 1 else f"a size of {size // 2}"
        return f"out of memory with a batch of {batch} at {size} pixels; try {smaller}"
    if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
        said = " ".join(str(error).split())
        return f"torch.compile fails here; take compile none. It says: {said:.300}"
    return None


def is_out_of_memory(error: RuntimeError | MemoryError) -> bool:
    """Whether memory was lacking, the GPU's or the CPU's, for which torch has no class."""
    is_told = any(words in str(error) for words in ("out of memory", "allocate memory"))
    return is_told or isinstance(error, MemoryError)


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
