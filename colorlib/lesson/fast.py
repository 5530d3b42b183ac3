"""Lesson 11: what it counts, draws and starts.

Waits for a device are counted where there is none; a toy CPU and GPU are drawn on a time line;
gradients are taken in parts; and the cost of many GPUs is worked out from measured parts.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch
from IPython.display import Markdown
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn.functional import l1_loss
from torch.utils._python_dispatch import TorchDispatchMode

from colorlib.bench import Meter, bench_table
from colorlib.lesson.figures import FAKE, GENERATOR, INK, PALE, REAL

READS = (torch.ops.aten._local_scalar_dense, torch.ops.aten.equal, torch.ops.aten.nonzero)
BYTES = 4  # of a float32
BACKWARD = 2 / 3  # of a step: a backward pass is as much work as two forward passes
IN_A_MACHINE = 8  # GPUs that are usually joined by links of their own

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else torch's profiler writes notes into a cell


# --- measured ---


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


def table(rows: list[dict], meter: Meter) -> Markdown:
    """The stages measured so far, as `colorlib bench` prints them."""
    device = f"this device ({meter.device.type})"
    result = {"stages": rows, "matrix_tflops": meter.matrix_rate / 1e12}
    return Markdown(bench_table(result | {"environment": {"device": device}}))


def gains(rows: list[dict]) -> str:
    """The last stage beside the one before it, in a sentence."""
    before, after = rows[-2:]
    if "failed" in after:
        return f"{after['name']}: cannot be run here ({after['failed'].splitlines()[0]})"
    loading, step, whole = (after[key] / before[key] for key in ("loading", "step", "end_to_end"))
    return (
        f"{after['name']}: loading ×{loading:.2f}, the step ×{step:.2f}, end to end ×{whole:.2f} "
        "of the line before"
    )


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


def did_not_pay(result: dict, least: float = 1.03) -> list[str]:
    """What changed neither the step nor the whole by a few percent for the better, in sentences."""
    found, before = [], result["stages"][0]
    for row in result["stages"][1:]:
        if "failed" in row:
            found.append(f"{row['name']}: could not be run")
            continue
        step, whole = (row[key] / before[key] for key in ("step", "end_to_end"))
        if "Lab" not in row["name"] and "decoded" not in row["name"] and max(step, whole) < least:
            found.append(f"{row['name']}: the step ×{step:.2f}, end to end ×{whole:.2f}")
        before = row
    return found


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
    """Draw a line for each name, through points {x: y}, on logarithmic axes."""
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


def run_processes(script: Path, processes: int, threads: int = 1) -> str:
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
    return draw_lines(lines, "GPUs", "share of the time computing", ylim=(0, 1.05))
