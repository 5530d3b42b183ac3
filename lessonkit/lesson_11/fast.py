"""Lesson 11: what it counts, measures and draws.

Multiplications, and waits for a device, are counted without that device. Versions of the training
loop take turns under a stopwatch. A toy CPU and a toy GPU are drawn on a time line, and gradients
are averaged over the parts of a batch.
"""

import json
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median

import matplotlib.pyplot as plt
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn.functional import l1_loss
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from colorlib.discriminator import ImageDiscriminator
from lessonkit.figures import FAKE, GENERATOR, INK, PALE, REAL
from lessonkit.lesson_11.bench import Meter, Stage, spread

READS = (torch.ops.aten._local_scalar_dense, torch.ops.aten.equal, torch.ops.aten.nonzero)
READINGS = {"never": 0, "every 4 steps": 4, "every 2 steps": 2, "at every step": 1}
RATES = {"loading": "loading", "step": "step", "end_to_end": "end to end"}  # as rows name them

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else torch's profiler writes notes into a cell


# --- measured ---


def forward_work(generator: nn.Module, size: int) -> tuple[float, float]:
    """Count the multiplications in a forward pass of a generator, and of the image discriminator.

    They are counted from shapes alone; nothing is computed.

    Args:
        generator: any; it is moved to the device "meta".
        size: height and width of the photo, in pixels.
    Returns:
        Both counts, in billions per photo.
    """
    with torch.device("meta"):
        L, ab = torch.empty(1, 1, size, size), torch.empty(1, 2, size, size)
        of_g, of_d = FlopCounterMode(display=False), FlopCounterMode(display=False)
        with of_g:
            generator.to("meta")(L)
        with of_d:
            ImageDiscriminator(size)(L, ab)
    return of_g.get_total_flops() / 2e9, of_d.get_total_flops() / 2e9  # a product and its sum: 2


def work_of_a_step(g: float, d: float, is_shared: bool) -> float:
    """Count the work of D's step and G's step, given that of a forward pass of each network."""
    return 3 * g + 8 * d if is_shared else 4 * g + 9 * d


class _Reads(TorchDispatchMode):
    """Counts how often Python asks for the value of a tensor, except for some tensors."""

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
    """Count how often a piece of work asks for a tensor's value: on a GPU, Python waits each time.

    The count needs no GPU: `item()`, `float()`, `bool()` and printing ask on every device.

    Args:
        work: called once.
        optimizers: each has taken a step before. Unless it is fused, Adam asks for its own step
            count, which is always on the CPU: this isn't a wait, so it doesn't count.
    """
    states = [state for optimizer in optimizers for state in optimizer.state.values()]
    with _Reads([state["step"] for state in states]) as reads:
        work()
    return reads.count


def operations(record: torch.profiler.profile, rows: int = 8) -> pd.DataFrame:
    """List the most expensive operations in a profile, with their own CPU time in ms."""
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
    """Measure several stages in turns: one round of each, then the next round of each.

    Whatever slows the machine down for a while slows them all, and their ratios stay.

    Returns:
        A row for each stage: the medians of its rounds, and in "rounds" all of them.
    """
    with ExitStack() as stack:
        races = [stack.enter_context(closing(meter.rounds(stage))) for stage in stages]
        rounds = [[next(each) for each in races] for _ in range(meter.ROUNDS)]
    return [meter.summary(*pair) for pair in zip(stages, map(list, zip(*rounds)), strict=True)]


def table(rows: list[dict]) -> pd.DataFrame:
    """Make a table of the stages' median rates, and of their shares of the matrix rate."""
    lines = [
        [row["name"], *(f"{row[key]:,.2f}" for key in RATES), f"{row['share']:.0%}"] for row in rows
    ]
    return pd.DataFrame(lines, columns=["photos per second", *RATES.values(), "share"])


def gains(before: dict, after: dict, error: Sequence[dict] = ()) -> str:
    """Compare a stage with the one before it: the median ratio of the rounds, and the extremes.

    Args:
        before: a row of `race`.
        after: another one, measured in the same rounds.
        error: two rows of the same stage. If they are given, each ratio gets a verdict: it isn't
            error if it is outside the range of theirs and 1, and its own range doesn't include 1.
    """
    lines = [f"{after['name']}:"]
    for key, name in RATES.items():
        ratios = ratios_of(before, after, key)
        middle, low, high = median(ratios), min(ratios), max(ratios)
        line = f"    {name:10} ×{middle:.2f} ({low:.2f} to {high:.2f})"
        if error:
            noise = [1.0, *ratios_of(*error, key)]
            is_error = min(noise) <= middle <= max(noise) or low <= 1 <= high
            line += "  may be error" if is_error else "  gain" if middle > 1 else "  loss"
        lines.append(line)
    return "\n".join(lines)


def ratios_of(before: dict, after: dict, key: str) -> list[float]:
    """Divide a rate of one stage by that of another, round by round."""
    pairs = zip(before["rounds"][key], after["rounds"][key], strict=True)
    return [new / old for old, new in pairs]


# --- recorded ---


def recorded(folder: Path) -> list[dict]:
    """Read what `tools.bench` has written into a folder: one result per device, GPUs last."""
    paths = sorted(folder.glob("bench-*.json"))
    results = [json.loads(path.read_text("utf-8")) for path in paths]
    return sorted(results, key=is_gpu)


def is_gpu(result: dict) -> bool:
    """Whether a recorded result was measured on a GPU."""
    return not result["environment"]["device"].lower().startswith("cpu")


def of_full_width(result: dict) -> list[dict]:
    """Select the stages of a result that ran and train the full U-Net, in order."""
    return [row for row in result["stages"] if "failed" not in row and "lean" not in row["name"]]


def error(row: dict) -> float:
    """Estimate how far a recorded stage's numbers may be off: by at least 3%.

    The rounds of one measurement differ, and end to end can't be faster than the step alone.
    """
    rounds = spread(row) if "rounds" in row else 0.0  # results of older versions have none
    return max(0.03, rounds, row["end_to_end"] / row["step"] - 1)


def verdicts(result: dict) -> pd.DataFrame:
    """List each change of a recorded table, and whether it brought more than the error."""
    lines, before = [], result["stages"][0]
    for row in result["stages"][1:]:
        if "failed" in row:
            lines.append((row["name"], "", "", "", "did not run"))
            continue
        step, whole = (row[key] / before[key] for key in ("step", "end_to_end"))
        doubt = error(before) + error(row)  # both may be off, in opposite directions
        verdict = "yes" if max(step, whole) > 1 + doubt else "no, or within the error"
        lines.append((row["name"], f"{step:.2f}", f"{whole:.2f}", f"{doubt:.0%}", verdict))
        before = row
    columns = ["change", "step ×", "end to end ×", "may be error", "paid"]
    return pd.DataFrame(lines, columns=columns)


def best_that_paid(result: dict) -> dict:
    """Find the fastest stage, end to end, of those that train the full U-Net and paid."""
    table = verdicts(result)
    paid = set(table["change"][table["paid"] == "yes"])
    rows = [row for row in of_full_width(result) if row["name"] in paid]
    return max(rows, key=lambda row: row["end_to_end"], default=result["stages"][0])


# --- drawn ---


def draw_bars(values: dict[str, float], unit: str) -> Figure:
    """Draw a horizontal bar for each value, in the order given, with its number next to it."""
    figure, axes = plt.subplots(figsize=(8, 0.5 * len(values) + 1))
    bars = axes.barh(list(values), list(values.values()), color=REAL)
    axes.bar_label(bars, fmt="{:,.3g}", padding=4)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(unit)
    axes.set_xlim(0, 1.15 * max(values.values()))
    return figure


def draw_roof(rate: float, bandwidth: float, points: dict[str, tuple[float, float]]) -> Figure:
    """Draw the roof of a device, and below it what was measured.

    Args:
        rate: operations per second in products of large matrices.
        bandwidth: bytes per second from and to memory.
        points: for each piece of work, its operations per byte and its operations per second.
    """
    figure, axes = plt.subplots()
    ridge = rate / bandwidth
    across = [0.02, ridge, max(20 * ridge, 2000)]
    roof = [min(rate, bandwidth * x) / 1e9 for x in across]
    axes.plot(across, roof, color=INK)
    axes.annotate("memory's limit", (across[0], 2.8 * roof[0]), rotation=33, color=PALE)
    axes.annotate("arithmetic's limit", (ridge, 1.25 * roof[1]), color=PALE)
    for (name, (x, y)), marker in zip(points.items(), "osD^v", strict=False):
        axes.plot(x, y / 1e9, marker, label=name)
    axes.set(xscale="log", yscale="log", xlabel="operations per byte", ylabel="GFLOP/s")
    axes.set_ylim(top=5 * rate / 1e9)
    axes.legend(loc="lower right")
    return figure


def below_roof(rate: float, bandwidth: float, points: dict[str, tuple[float, float]]) -> str:
    """Put what `draw_roof` shows into words, one line for each piece of work."""
    lines = []
    for name, (intensity, reached) in points.items():
        roof, limit = rate, "arithmetic"
        if bandwidth * intensity < rate:
            roof, limit = bandwidth * intensity, "memory"
        line = f"{name}: {intensity:.3g} operations per byte, so {limit} sets the limit"
        lines.append(f"{line}; it reaches {reached / roof:.0%} of that")
    return "\n".join(lines)


# --- a toy: one who sends work and one who computes ---


def timeline(
    prepare: float, compute: float, read_every: int, count: int = 8
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Compute when a CPU sends steps and when a GPU computes them, as (start, length) in ms.

    Args:
        prepare: ms that the CPU needs to send a step to the GPU.
        compute: ms that the GPU needs to compute it.
        read_every: the CPU waits for the result of every step with a multiple of this number;
            0: it never waits.
        count: the number of steps.
    """
    cpu, gpu, now, free = [], [], 0.0, 0.0
    for number in range(1, count + 1):
        cpu.append((now, prepare))
        now += prepare
        start = max(now, free)  # the GPU works in order, and never before a step is sent
        gpu.append((start, compute))
        free = start + compute
        if read_every and number % read_every == 0:
            now = free
    return cpu, gpu


def draw_timeline(prepare: float, compute: float, reading: str) -> Figure:
    """Draw a toy CPU and a toy GPU at work over time; see `timeline` and `READINGS`."""
    cpu, gpu = timeline(prepare, compute, READINGS[reading])
    end = sum(gpu[-1])
    figure, axes = plt.subplots(figsize=(9, 2.3))
    for row, (spans, color) in enumerate([(gpu, GENERATOR), (cpu, FAKE)]):
        axes.broken_barh(spans, (row - 0.35, 0.7), color=color, edgecolor="white", linewidth=1.5)
    axes.set_yticks([0, 1], ["GPU computes", "CPU sends"])
    axes.set_xlim(0, 8 * (prepare + compute))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("time, ms")
    busy = sum(length for _, length in gpu) / end
    axes.set_title(f"8 steps in {end:g} ms; the GPU is busy {busy:.0%} of the time")
    return figure


# --- several GPUs ---


def averaged_gradient(network: nn.Module, L: Tensor, real_ab: Tensor, parts: int) -> list[Tensor]:
    """Compute the gradient of the L1 loss on each part of a batch, and average.

    Args:
        network: maps L to ab; its gradients are cleared.
        L: (B, 1, H, W).
        real_ab: (B, 2, H, W).
        parts: the number of parts, all of one size.

    Returns:
        A tensor for each of the network's parameters.
    """
    network.zero_grad()
    for part_L, part_ab in zip(L.chunk(parts), real_ab.chunk(parts), strict=True):
        (l1_loss(network(part_L), part_ab) / parts).backward()
    return [parameter.grad.clone() for parameter in network.parameters()]
