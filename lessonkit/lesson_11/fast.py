"""Lesson 11: what it counts, draws and starts.

Multiplications, and waits for a device, are counted where there is none; the ways to train take
turns under a stopwatch; a toy CPU and GPU are drawn on a time line; gradients are rounded and taken
in parts; and the cost of many GPUs is worked out from measured parts.
"""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from statistics import median

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, l1_loss
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from colorlib.config import RECIPES
from colorlib.discriminator import ImageDiscriminator
from colorlib.steps import Networks, train_step
from lessonkit.figures import FAKE, GENERATOR, INK, PALE, REAL
from lessonkit.lesson_06.training import gradient_of
from lessonkit.lesson_11.bench import Meter, Stage, spread

READS = (torch.ops.aten._local_scalar_dense, torch.ops.aten.equal, torch.ops.aten.nonzero)
RATES = {"loading": "loading", "step": "step", "end_to_end": "end to end"}  # as rows name them
BYTES = 4  # of a float32
BACKWARD = 2 / 3  # of a step: a backward pass is as much work as two forward passes
IN_A_MACHINE = 8  # GPUs that are usually joined by links of their own

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else torch's profiler writes notes into a cell


# --- measured ---


def forward_work(generator: nn.Module, size: int) -> tuple[float, float]:
    """Billions of multiplications in a forward pass of a generator, and of the image discriminator.

    Counted for a photo of `size` pixels, from shapes alone: nothing is computed.
    """
    with torch.device("meta"):
        L, ab = torch.empty(1, 1, size, size), torch.empty(1, 2, size, size)
        of_g, of_d = FlopCounterMode(display=False), FlopCounterMode(display=False)
        with of_g:
            generator.to("meta")(L)
        with of_d:
            ImageDiscriminator(size)(L, ab)
    return of_g.get_total_flops() / 2e9, of_d.get_total_flops() / 2e9  # a product and its sum: 2


def adam_step(network: nn.Module, **options: bool) -> Callable[[], None]:
    """A step of Adam to be timed, on a network whose gradients are random; options: as Adam's."""
    for weight in network.parameters():
        weight.grad = torch.randn_like(weight)
    return torch.optim.Adam(network.parameters(), **options).step


class _Reads(TorchDispatchMode):
    """Counts how often Python asks for the value of a tensor, but for some."""

    def __init__(self, besides: list[Tensor]):
        super().__init__()
        self.besides, self.count = besides, 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        if operation.overloadpacket in READS:
            self.count += not any(args[0] is tensor for tensor in self.besides)
        return operation(*args, **(kwargs or {}))


def count_waits(
    work: Callable[[], object], optimizers: Sequence[torch.optim.Optimizer] = ()
) -> int:
    """How often a piece of work asks for a tensor's value: on a GPU, Python would wait each time.

    The count needs no GPU: `item()`, `float()`, `bool()` and printing ask on every device alike.

    Args:
        work: is done once.
        optimizers: have taken a step before. Adam's that is not fused asks for its own count of
            steps, which lies on the CPU wherever the rest is: nobody waits, so it is left out.
    """
    states = [state for optimizer in optimizers for state in optimizer.state.values()]
    with _Reads([state["step"] for state in states]) as reads:
        work()
    return reads.count


def operations(record: torch.profiler.profile, rows: int = 8) -> pd.DataFrame:
    """The most expensive operations that torch's profiler saw, with the CPU's own time in ms."""
    events = sorted(record.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    table = [
        (event.key, event.count, event.self_cpu_time_total / 1000, event.self_cpu_time_total)
        for event in events[:rows]
    ]
    frame = pd.DataFrame(table, columns=["operation", "calls", "ms", "share"])
    frame["share"] = (frame["share"] / total).map("{:.0%}".format)
    return frame.round(1)


def race(meter: Meter, stages: Sequence[Stage]) -> list[dict]:
    """Measure several stages, which take turns: a round of each, then the next round of each.

    So whatever slows the machine down for a while slows them all, and their ratios stay.

    Returns:
        The row of each: the medians of its rounds, and in "rounds" all of them.
    """
    with ExitStack() as stack:
        races = [stack.enter_context(closing(meter.rounds(stage))) for stage in stages]
        rounds = [[next(each) for each in races] for _ in range(meter.ROUNDS)]
    return [meter.summary(*pair) for pair in zip(stages, map(list, zip(*rounds)), strict=True)]


def table(rows: list[dict]) -> pd.DataFrame:
    """Stages as `colorlib bench` prints them, but for their memory: photos a second."""
    naive, lines = rows[0], []
    for row in rows:
        rates = [f"{row[key]:,.2f}" for key in RATES]
        ratios = [f"{row[key] / naive[key]:.2f}" for key in RATES]
        lines.append([row["name"], *rates, *ratios, f"{row['share']:.0%}"])
    ratios = [f"{name} ×" for name in RATES.values()]
    return pd.DataFrame(lines, columns=["photos a second", *RATES.values(), *ratios, "share"])


def gains(before: dict, after: dict) -> str:
    """A stage beside the one before it, in a sentence: the median of the rounds, and the extremes.

    Both were measured in the same rounds.
    """
    said = []
    for key, name in RATES.items():
        pairs = zip(before["rounds"][key], after["rounds"][key], strict=True)
        ratios = [new / old for old, new in pairs]
        said.append(f"{name} ×{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    return f"{after['name']}:\n    {', '.join(said)}"


# --- recorded ---


def recorded(folder: Path) -> list[dict]:
    """What `colorlib bench` has written into a folder: a result a device, GPUs last."""
    paths = sorted(folder.glob("bench-*.json"))
    results = [json.loads(path.read_text("utf-8")) for path in paths]
    return sorted(results, key=is_gpu)


def is_gpu(result: dict) -> bool:
    """Whether a recorded result is a GPU's."""
    return not result["environment"]["device"].lower().startswith("cpu")


def of_full_width(result: dict) -> list[dict]:
    """The stages of a result that could be run and train the full U-Net, in order."""
    return [row for row in result["stages"] if "failed" not in row and "lean" not in row["name"]]


def photos_a_second(results: list[dict]) -> float | None:
    """The best end-to-end rate of a recorded GPU on the full U-Net; None where there is no GPU."""
    rates = [row["end_to_end"] for r in results if is_gpu(r) for row in of_full_width(r)]
    return max(rates, default=None)


def error(row: dict) -> float:
    """How far a recorded stage's numbers may be off, as far as they tell themselves; 3% at least.

    The rounds of one measurement differ, and end to end cannot be faster than the step alone.
    """
    rounds = spread(row) if "rounds" in row else 0.0  # results of older versions have none
    return max(0.03, rounds, row["end_to_end"] / row["step"] - 1)


def verdicts(result: dict) -> pd.DataFrame:
    """Each change of a recorded table, and whether it paid: by more than what may be error."""
    lines, before = [], result["stages"][0]
    for row in result["stages"][1:]:
        if "failed" in row:
            lines.append((row["name"], "", "", "", "could not be run"))
            continue
        step, whole = (row[key] / before[key] for key in ("step", "end_to_end"))
        doubt = max(error(before), error(row))
        verdict = "yes" if max(step, whole) > 1 + doubt else "no, or not to be told"
        lines.append((row["name"], f"{step:.2f}", f"{whole:.2f}", f"{doubt:.0%}", verdict))
        before = row
    columns = ["change", "step ×", "end to end ×", "may be error", "paid"]
    return pd.DataFrame(lines, columns=columns)


def best_that_paid(result: dict) -> dict:
    """The fastest stage, end to end, of those that train the full U-Net and paid."""
    table = verdicts(result)
    paid = set(table["change"][table["paid"] == "yes"])
    rows = [row for row in of_full_width(result) if row["name"] in paid]
    return max(rows, key=lambda row: row["end_to_end"], default=result["stages"][0])


# --- drawn ---


def draw_bars(values: dict[str, float], unit: str) -> Figure:
    """Lay a bar for each value, in the order given, with its number beside it."""
    figure, axes = plt.subplots(figsize=(8, 0.5 * len(values) + 1))
    bars = axes.barh(list(values), list(values.values()), color=REAL)
    axes.bar_label(bars, fmt="{:,.3g}", padding=4)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(unit)
    axes.set_xlim(0, 1.15 * max(values.values()))
    return figure


def draw_lines(lines: dict[str, dict[float, float]], across: str, up: str, **options) -> Figure:
    """Draw a line for each name, through points {x: y}; x is logarithmic, y is not."""
    figure, axes = plt.subplots()
    for name, points in lines.items():
        axes.plot(list(points), list(points.values()), marker="o", label=name)
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(points), [f"{x:g}" for x in points])
    axes.set(xlabel=across, ylabel=up, **options)
    if len(lines) > 1:
        axes.legend()
    return figure


def draw_roof(rate: float, bandwidth: float, points: dict[str, tuple[float, float]]) -> Figure:
    """Draw the roof of a device, and under it what was measured.

    Args:
        rate: operations a second in products of large matrices.
        bandwidth: bytes a second from and to memory.
        points: for each piece of work its operations a byte, and its operations a second.
    """
    figure, axes = plt.subplots()
    ridge = rate / bandwidth
    across = [0.02, ridge, max(20 * ridge, 2000)]
    roof = [min(rate, bandwidth * x) / 1e9 for x in across]
    axes.plot(across, roof, color=INK)
    axes.annotate("memory's slope", (across[0], 2.8 * roof[0]), rotation=33, color=PALE)
    axes.annotate("rate of the arithmetic", (ridge, 1.25 * roof[1]), color=PALE)
    for (name, (x, y)), marker in zip(points.items(), "osD^v", strict=False):
        axes.plot(x, y / 1e9, marker, label=name)
    axes.set(xscale="log", yscale="log", xlabel="operations a byte", ylabel="GFLOP/s")
    axes.set_ylim(top=5 * rate / 1e9)
    axes.legend(loc="lower right")
    return figure


def below_roof(rate: float, bandwidth: float, points: dict[str, tuple[float, float]]) -> str:
    """What `draw_roof` shows, a line for each piece of work; takes the same."""
    lines = []
    for name, (intensity, reached) in points.items():
        roof, spare = min(rate, bandwidth * intensity), rate / (bandwidth * intensity)
        line = f"{name}: {intensity:.3g} operations a byte, {reached / roof:.0%} of its roof"
        while_bytes_come = f"while its bytes come, ×{spare:.0f} the arithmetic could be done"
        lines.append(f"{line}; {while_bytes_come if spare > 1 else 'arithmetic decides'}")
    return "\n".join(lines)


# --- a toy: one who asks and one who computes ---


def timeline(
    prepare: float, compute: float, read_every: int, count: int = 8
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """When a CPU asks and when a GPU computes, as (start, length) in ms.

    Args:
        prepare: ms that the CPU needs to describe a step.
        compute: ms that the GPU needs to do it.
        read_every: the CPU waits for the result of every so-manieth step; 0: of none.
        count: steps.
    """
    cpu, gpu, now, free = [], [], 0.0, 0.0
    for number in range(1, count + 1):
        cpu.append((now, prepare))
        now += prepare
        start = max(now, free)  # the GPU works in order, and on nothing that was not asked for
        gpu.append((start, compute))
        free = start + compute
        if read_every and number % read_every == 0:
            now = free
    return cpu, gpu


def draw_timeline(prepare: float, compute: float, read_every: int) -> Figure:
    """Draw a toy CPU and a toy GPU at work, side by side in time; see `timeline`."""
    cpu, gpu = timeline(prepare, compute, read_every)
    end = sum(gpu[-1])
    figure, axes = plt.subplots(figsize=(9, 2.3))
    for row, (spans, color) in enumerate([(gpu, GENERATOR), (cpu, FAKE)]):
        axes.broken_barh(spans, (row - 0.35, 0.7), color=color, edgecolor="white", linewidth=1.5)
    axes.set_yticks([0, 1], ["GPU computes", "CPU asks"])
    axes.set_xlim(0, 8 * (prepare + compute))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("time, ms")
    busy = sum(length for _, length in gpu) / end
    axes.set_title(f"8 steps in {end:g} ms; the GPU is busy {busy:.0%} of the time")
    return figure


# --- fewer digits ---


def first_step(
    recipe: str, precision: str, L: Tensor, real_ab: Tensor, seed: int = 0, **changes: object
) -> tuple[dict[str, float], Tensor, Tensor]:
    """The first step of a small lean U-Net: the losses, and the gradients of G and of D.

    Args:
        recipe: its name.
        precision: as in `TrainConfig`.
        L: (B, 1, H, W), as many rows as columns.
        real_ab: (B, 2, H, W).
        seed: of the weights.
        changes: other fields of the configuration.
    """
    torch.manual_seed(seed)
    options = {"size": L.shape[-1], "generator": "StridedUNet", "generator_width": 8, "g_every": 1}
    config = replace(RECIPES[recipe], precision=precision, **options | changes)
    networks = Networks(config, device=L.device)
    losses = train_step(networks, L, real_ab, step=1)
    gradients = [gradient_of(each) for each in (networks.generator, networks.discriminator)]
    return {name: loss.item() for name, loss in losses.items()}, *gradients


def degrees(a: Tensor, b: Tensor) -> float:
    """The angle between two directions, each a row of numbers."""
    cosine = cosine_similarity(a.double(), b.double(), dim=0).item()
    return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))


def rounded(
    recipe: str, L: Tensor, real_ab: Tensor, seeds: Sequence[int], **changes: object
) -> tuple[str, str, str]:
    """What bfloat16 does to the first step: the losses' largest change, how far G's and D's turn.

    Takes what `first_step` takes. The gradients' angles are given from the least to the largest of
    the seeds.
    """
    losses, angles = [], ([], [])
    for seed in seeds:
        exact, *exact_gradients = first_step(recipe, "float32", L, real_ab, seed, **changes)
        coarse, *gradients = first_step(recipe, "bfloat16", L, real_ab, seed, **changes)
        losses += [abs(coarse[name] / exact[name] - 1) for name in ("loss_d", "loss_g")]
        for found, one, other in zip(angles, gradients, exact_gradients, strict=True):
            found.append(degrees(one, other))
    return f"{max(losses):.2%}", *(f"{min(each):.0f}° to {max(each):.0f}°" for each in angles)


# --- several GPUs ---


def averaged_gradient(network: nn.Module, L: Tensor, real_ab: Tensor, parts: int) -> list[Tensor]:
    """The gradient of the L1 distance, taken on each part of a batch and averaged.

    Args:
        network: takes L to ab; its gradients are cleared.
        L: (B, 1, H, W).
        real_ab: (B, 2, H, W).
        parts: how many, of one size.

    Returns:
        A tensor for each of the network's parameters.
    """
    network.zero_grad()
    for part_L, part_ab in zip(L.chunk(parts), real_ab.chunk(parts), strict=True):
        (l1_loss(network(part_L), part_ab) / parts).backward()
    return [parameter.grad.clone() for parameter in network.parameters()]


def run_processes(script: str | Path, processes: int, threads: int = 1) -> str:
    """Run a script in several processes, as torchrun starts them, and return what they printed.

    Raises:
        RuntimeError: one of them failed; the message is its own last words.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={processes}", str(script)]
    # on the CPU, also where there is a GPU: two processes cannot share one in this way
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the processes failed: {done.stderr[-2000:]}")
    return done.stdout.strip()


def ring_bytes(parameters: int, gpus: int) -> float:
    """Bytes that each GPU sends to average a gradient in float32 along a ring."""
    return 2 * (gpus - 1) / gpus * BYTES * parameters


def efficiency(compute: float, exchange: float) -> float:
    """Which share of the time GPUs compute: the exchange hides behind the backward pass.

    Args:
        compute: seconds of a step on one GPU alone.
        exchange: seconds that the exchange of a step's gradients takes.
    """
    return compute / (compute + max(0.0, exchange - BACKWARD * compute))


def draw_scaling(
    parameters: int, photos_a_second: float, batch: int, links: dict[str, float], inside: float
) -> Figure:
    """Draw which share of their time N GPUs compute, for some networks between machines.

    Args:
        parameters: of all networks that learn.
        photos_a_second: of one GPU alone.
        batch: photos a step and GPU.
        links: bytes a second between two machines, by name.
        inside: bytes a second between two GPUs of one machine, of which there are eight.
    """
    counts = [1, 2, 4, 8, 16, 32, 64]
    lines = {}
    for name, between in links.items():
        rates = {n: inside if n <= IN_A_MACHINE else between for n in counts}
        lines[name] = {
            n: efficiency(batch / photos_a_second, ring_bytes(parameters, n) / rates[n])
            for n in counts
        }
    figure = draw_lines(
        lines, "GPUs", "share of the time computing", xlim=(0.9, 90), ylim=(0, 1.05)
    )
    for shares in lines.values():
        figure.axes[0].annotate(f"{shares[64]:.0%}", (68, shares[64]), va="center")
    return figure
