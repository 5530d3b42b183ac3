"""The naive way of training against ours on this device, one change at a time: `tools.bench`.

The naive way is written as many tutorials write it. Every photo is opened, resized and converted
to Lab whenever it is needed, one at a time, in float64, by the process that trains. Batches have 4
photos, numbers are float32, G runs forward once for each of the two steps, and the losses are read
at every step. Each stage changes one thing, until the loop is what `colorlib train` does. All
stages train the recipe `tutorial`, except that G learns at every step, as D does.

What is measured of each stage:

    loading      photos per second that become batches of L and ab on the device
    step         photos per second that both networks learn from, once the batch is there
    end to end   photos per second with loading and with the losses written down; no checkpoints
    memory       the peak: of tensors on a GPU, otherwise of the process
    share        what the steps would use of the device's rate at matrix products, which is
                 measured too, if each did the least work: one forward pass of G for both networks
    spread       the difference between the rounds, whose median is reported (step, end to end)
"""

import gc
import math
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, redirect_stderr
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from statistics import median
from typing import TextIO

import numpy as np
import torch
from PIL import Image
from tabulate import tabulate
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from colorlib.batches import Batches
from colorlib.config import RECIPES, TrainConfig
from colorlib.photos import PhotoFolder
from colorlib.runs import Run
from colorlib.steps import (
    Networks,
    choose_precision,
    make_discriminator,
    make_generator,
    train_step,
)
from colorlib.training import Loop

HEIGHT, WIDTH = 300, 400  # pixels of the photos that are made here: a usual size in DUTS


@dataclass(frozen=True)
class Stage:
    """One line of the table: how photos are loaded, and how a step is taken."""

    name: str
    config: TrainConfig
    loading: str = "files"
    """"files"; "decoded": bytes, converted one by one; "bytes": converted in batches, from the
    computer's memory; "batches": as colorlib does, on a GPU from the GPU's own memory."""
    is_naive: bool = True
    """Whether the step is the naive one."""
    is_channels_last: bool = False
    compile: str = "none"
    """The mode of torch.compile."""


def stages(size: int, width: int, batch: int, has_gpu: bool) -> list[Stage]:
    """List all stages; each differs from the one before in what its name says."""
    loading = "bytes" if has_gpu else "batches"
    lab = "Lab in batches on the device" if has_gpu else "Lab computed once"
    lean = {"generator": "StridedUNet", "generator_width": max(2, width // 2)}
    changes = [  # name, whether only a GPU has it, what changes in the stage and in its config
        ("photos decoded once", False, {"loading": "decoded"}, {}),
        (lab, False, {"loading": loading}, {}),
        ("photos kept on the GPU", True, {"loading": "batches"}, {}),
        # frozen: in G's step D gets no gradients, and for D's step G paints without a graph
        ("G and D frozen, fused Adam, losses read rarely", False, {"is_naive": False}, {}),
        ("one forward pass of G for both", False, {}, {"reuse_forward": True}),
        ("half precision", True, {}, {"precision": "auto"}),
        ("channels last", False, {"is_channels_last": True}, {}),
        (f"batches of {batch}", True, {}, {"batch": batch}),
        ("torch.compile", False, {"compile": "default"}, {}),
        ("CUDA graphs", True, {"compile": "reduce-overhead"}, {}),
        ("the lean U-Net", False, {"compile": "none"}, lean),
        ("the lean U-Net, torch.compile", False, {"compile": "default"}, {}),
    ]
    options = {"generator_width": width, "size": size, "g_every": 1, "precision": "float32"}
    made = [Stage("the naive way", replace(RECIPES["tutorial"], **options, steps=10**9))]
    for name, needs_gpu, of_stage, of_config in changes:
        if has_gpu or not needs_gpu:
            config = replace(made[-1].config, **of_config)
            made.append(replace(made[-1], name=name, config=config, **of_stage))
    return made


class OneByOne(Dataset):
    """Photos that are converted to L and ab one by one, whenever they are needed.

    Args:
        read: returns the RGB of a photo, given its number: uint8 (H, W, 3).
        count: the number of photos.
    """

    def __init__(self, read: Callable[[int], np.ndarray], count: int):
        self.read, self.count = read, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return L (1, H, W) and ab (2, H, W) of one photo, scaled for the networks."""
        from skimage.color import rgb2lab  # here, because this import takes half a second

        lab = torch.from_numpy(rgb2lab(self.read(index))).permute(2, 0, 1).float()
        return lab[:1] / 100, lab[1:] / 110


class Naive:
    """Both networks, trained as a tutorial would."""

    def __init__(self, config: TrainConfig, device: torch.device):
        self.generator = make_generator(config).to(device)
        self.discriminator = make_discriminator(config).to(device)
        self.optimizer_g, self.optimizer_d = (
            torch.optim.Adam(network.parameters(), config.learning_rate, config.betas)
            for network in (self.generator, self.discriminator)
        )

    def step(self, L: Tensor, real_ab: Tensor) -> dict[str, float]:
        """Take D's step, then G's, on one batch; return the losses."""
        criterion = functional.binary_cross_entropy_with_logits
        fake_ab = self.generator(L)
        real, fake = self.discriminator(L, real_ab), self.discriminator(L, fake_ab.detach())
        loss_d = criterion(real, torch.ones_like(real)) + criterion(fake, torch.zeros_like(fake))
        loss_d = loss_d / 2
        self.optimizer_d.zero_grad()
        loss_d.backward()
        self.optimizer_d.step()

        fake = self.discriminator(L, self.generator(L))
        loss_g = criterion(fake, torch.ones_like(fake))
        self.optimizer_g.zero_grad()
        loss_g.backward()
        self.optimizer_g.step()
        return {"loss_d": loss_d.item(), "loss_g": loss_g.item()}


class Meter:
    """Measures stages, all on one device and with the same photos.

    Args:
        device: where to train.
        seconds: the least time to measure each number.
        folder: photos; damaged and gray ones are left out.
        size: height and width of the training pictures, in pixels.
        scratch: a folder for logs.
    """

    ROUNDS = 3  # of every measurement; their median counts
    TURNS = 2  # the least number of batches per round

    def __init__(
        self, device: torch.device, seconds: float, folder: Path, size: int, scratch: Path
    ):
        self.device, self.seconds, self.size, self.scratch = device, seconds, size, scratch
        self.photos = PhotoFolder(folder, size, "stretch")
        self.paths = [folder / name for name in self.photos.names]
        self.matrix_rate = self._matrix_rate()

    def measure(self, stage: Stage) -> dict:
        """Return all numbers of a stage; if it can't run, "failed" says why."""
        print(f"measuring: {stage.name}", flush=True)
        gc.collect()
        can_tell = forget_peak(self.device)
        try:
            with closing(self.rounds(stage)) as measuring:
                rounds = [next(measuring) for _ in range(self.ROUNDS)]
        except RuntimeError as error:  # too little memory, no compiler, ...
            return {"name": stage.name, "failed": f"{error!s:.200}"}
        memory = read_peak(self.device) if can_tell else None
        return self.summary(stage, rounds) | {"memory": memory}

    def summary(self, stage: Stage, rounds: list[dict[str, float]]) -> dict:
        """Return the numbers of a stage, given what `rounds` yielded."""
        by_name = {name: [each[name] for each in rounds] for name in rounds[0]}
        row = {name: median(rates) for name, rates in by_name.items()}
        row["share"] = row["step"] * work(stage.config, self.device) / self.matrix_rate
        return {"name": stage.name, **row, "rounds": by_name}

    def rounds(self, stage: Stage) -> Iterator[dict[str, float]]:
        """Measure a stage: each item is one round, with loading, step and end_to_end.

        Close the generator when you are done.
        """
        torch.manual_seed(0)
        torch.compiler.reset()
        batches = self._batches(stage)
        stream = batches.stream(0) if batches else self._one_by_one(stage)
        L, real_ab = next(stream)
        turns = {"loading": lambda: len(next(stream)[0])}
        turns["step"] = lambda: step(L, real_ab=real_ab) and len(L)
        folder = Path(tempfile.mkdtemp(dir=self.scratch))
        with open(folder / "log.txt", "w", encoding="utf-8") as log, ExitStack() as stack:
            if stage.is_naive:
                step = Naive(stage.config, self.device).step
                turns["end_to_end"] = self._naive(stream, step, log)
            else:
                networks = Networks(stage.config, device=self.device)
                layout = torch.channels_last if stage.is_channels_last else torch.contiguous_format
                for network in (networks.generator, networks.discriminator):
                    network.to(memory_format=layout)
                    if stage.compile != "none":
                        network.compile(mode=stage.compile, dynamic=False)
                step = partial(train_step, networks, step=1)
                turns["end_to_end"] = self._ours(networks, batches, log, stack)
            for turn in list(turns.values()) * (3 if self.device.type == "cuda" else 1):
                torch.compiler.cudagraph_mark_step_begin()
                turn()  # the first ones are slow: memory, choice of kernels, graphs
            while True:
                yield {name: self.rate(turn) for name, turn in turns.items()}

    def _batches(self, stage: Stage) -> Batches | None:
        """Make colorlib's batches, unless the stage loads photos one by one."""
        if stage.loading not in ("bytes", "batches"):
            return None
        batches = Batches(self.photos, stage.config, self.device)
        if stage.loading == "bytes":  # undo what colorlib keeps on a GPU
            batches.kept = None
        return batches

    def _one_by_one(self, stage: Stage) -> Iterator[tuple[Tensor, Tensor]]:
        def read(index: int) -> np.ndarray:
            if stage.loading == "decoded":
                return self.photos.rgb[index].permute(1, 2, 0).contiguous().numpy()
            photo = Image.open(self.paths[index]).convert("RGB")
            return np.array(photo.resize((self.size, self.size), Image.Resampling.BICUBIC))

        dataset = OneByOne(read, len(self.photos))
        loader = DataLoader(dataset, batch_size=stage.config.batch, shuffle=True)
        for L, ab in chain.from_iterable(repeat(loader)):
            yield L.to(self.device), ab.to(self.device)

    def _naive(self, stream: Iterator, step: Callable, log: TextIO) -> Callable:
        def turn() -> int:
            L, real_ab = next(stream)
            print(step(L, real_ab), file=log, flush=True)
            return len(L)

        return turn

    def _ours(
        self, networks: Networks, batches: Batches, log: TextIO, stack: ExitStack
    ) -> Callable:
        run = stack.enter_context(Run(Path(log.name).with_name("run"), asdict(networks.config)))
        loop = Loop(networks, batches, run)
        loop.SAVE_AT_MOST = loop.SAVE_AT_LEAST = math.inf
        with redirect_stderr(log):
            loop.resume()  # the progress bar keeps writing to the log
        stack.enter_context(closing(loop.bar))
        return lambda: loop.take_step() or len(loop.batch[0])

    def rate(self, turn: Callable[[], int]) -> float:
        """Measure one round: how many photos per second, if a `turn` returns how many it did."""
        is_cpu = self.device.type == "cpu"
        wait = (lambda: None) if is_cpu else torch.accelerator.synchronize
        wait()
        start, done = time.perf_counter(), []
        while len(done) < self.TURNS or time.perf_counter() - start < self.seconds / self.ROUNDS:
            torch.compiler.cudagraph_mark_step_begin()  # CUDA graphs reuse memory
            done.append(turn())
        wait()
        return sum(done) / (time.perf_counter() - start)

    def _matrix_rate(self) -> float:
        """Measure floating-point operations per second in products of large matrices."""
        side = 8192 if self.device.type == "cuda" else 2048
        dtype = choose_precision("auto", self.device)
        a, b = torch.randn(2, side, side, device=self.device, dtype=dtype)
        rows = median(self.rate(lambda: len(a @ b)) for _ in range(self.ROUNDS))
        return rows * 2 * side**2  # each number is a sum of `side` products


def work(config: TrainConfig, device: torch.device) -> int:
    """Count the operations per photo of both steps, with one forward pass of G for both."""
    config = replace(config, reuse_forward=True, precision="float32")
    networks = Networks(config, device=device)
    L, real_ab = torch.rand(1, 3, config.size, config.size, device=device).split((1, 2), dim=1)
    with FlopCounterMode(display=False) as counter:
        train_step(networks, L, real_ab, step=1)
    return counter.get_total_flops()


def forget_peak(device: torch.device) -> bool:
    """Reset the peak of the memory in use; False if this system doesn't tell it."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return True
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # only Linux has it
        return False
    return True


def read_peak(device: torch.device) -> int:
    """Return the peak of the memory in use since `forget_peak`, in bytes."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


def make_photos(folder: Path, count: int) -> None:
    """Write JPEG files of a size usual in DUTS: crops of the photos in scikit-image."""
    from skimage import data

    sources = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    random = np.random.default_rng(0)
    for index in range(count):
        source = sources[index % len(sources)]
        top = random.integers(source.shape[0] - HEIGHT, endpoint=True)
        left = random.integers(source.shape[1] - WIDTH, endpoint=True)
        piece = source[top : top + HEIGHT, left : left + WIDTH]
        Image.fromarray(piece).save(folder / f"{index:05}.jpg", quality=90)


def bench_table(result: dict) -> str:
    """Make a Markdown table of the stages in a bench-DEVICE.json."""
    naive, lines = result["stages"][0], []
    for row in result["stages"]:
        if "failed" in row:
            lines.append((row["name"], row["failed"].splitlines()[0]))
            continue
        memory = f"{row['memory'] / 1e6:,.0f}" if row["memory"] else "unknown"
        numbers = [f"{row[key]:,.2f}" for key in ("loading", "step", "end_to_end")]
        gain = f"×{row['end_to_end'] / naive['end_to_end']:.2f}"
        apart = f"{spread(row):.0%}" if "rounds" in row else "unknown"
        lines.append((row["name"], *numbers, gain, memory, f"{row['share']:.1%}", apart))
    headers = ("photos per second", "loading", "step", "end to end")
    headers += ("gain", "memory, MB", "share", "spread")
    table = tabulate(lines, headers, tablefmt="pipe", disable_numparse=True)
    rate = f"{result['matrix_tflops']:.3g} TFLOP/s in matrix products"
    return f"{result['environment']['device']}, {rate}\n\n{table}"


def spread(row: dict) -> float:
    """Compare the best round of a stage with its worst, of step or end to end; 0: they agree."""
    rounds = [row["rounds"][name] for name in ("step", "end_to_end")]
    return max(max(rates) / min(rates) for rates in rounds) - 1
