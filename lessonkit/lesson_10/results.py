"""Lesson 10: the recorded results on photos, as tables and figures."""

from collections.abc import Sequence
from statistics import mean, stdev

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from PIL import Image
from tabulate import tabulate

from colorlib.metrics import COLUMNS
from lessonkit import course_file, course_results
from lessonkit.figures import FAKE, GENERATOR, PALE, REAL
from lessonkit.results import spread

METRICS = ("psnr_ab", "ciede2000", "colorfulness")  # of fine-tuning
DIGITS = {"ciede2000": 2, "psnr_ab": 2, "lpips": 3, "colorfulness": 1}  # after the point
FIRST_DRAWN = 1000  # step; the errors before it would hide those after it
STARTS = {"from scratch": (FAKE, "--"), "random encoder": (PALE, ":")}
STARTS |= {"ImageNet encoder": (GENERATOR, "-")}


# --- the real run: photo_run.json and photo_run.jpg, made by tools.photo_run ---


def draw_starts(results: dict, metric: str = "ciede2000") -> Figure:
    """Draw how fast three starts learn: the mean over seeds, and a band of one deviation."""
    rows = results["starts"]["rows"]
    figure, axes = plt.subplots(figsize=(8, 4))
    for name, (color, line) in STARTS.items():
        by_step: dict[int, list[float]] = {}
        for row in rows:
            if row["start"] == name:
                by_step.setdefault(row["step"], []).append(row[metric])
        steps, means = list(by_step), [mean(values) for values in by_step.values()]
        around = [stdev(values) if len(values) > 1 else 0 for values in by_step.values()]
        axes.plot(steps, means, color=color, linestyle=line, label=name)
        low, high = zip(*((m - s, m + s) for m, s in zip(means, around)), strict=True)
        axes.fill_between(steps, low, high, color=color, alpha=0.2, linewidth=0)
    lookup = results["starts"]["lookup"][metric]
    axes.axhline(lookup, color=REAL, linewidth=1.2, label="lookup by L")
    axes.set(xlabel="step", ylabel=COLUMNS[metric])
    axes.legend()
    return figure


def draw_run(results: dict) -> Figure:
    """Draw the real run: its loss, and its error and colorfulness on validation photos."""
    figure, panels = plt.subplots(1, 3, figsize=(12, 3.6))
    drawn = {
        name: [row for row in results[name] if row["step"] >= FIRST_DRAWN]
        for name in ("history", "looks")
    }
    history, looks = drawn.values()
    axes = panels[0]
    axes.plot([row["step"] for row in history], [row["loss"] for row in history], color=GENERATOR)
    axes.set(title="L1 loss in training", xlabel="step")
    for axes, metric in zip(panels[1:], ("ciede2000", "colorfulness"), strict=True):
        axes.plot([row["step"] for row in looks], [row[metric] for row in looks], "o-", color=REAL)
        axes.set(title=f"validation: {COLUMNS[metric]}", xlabel="step")
    for axes in panels:
        axes.axvline(results["released"], color=PALE, linestyle=":")
    return figure


def draw_look(results: dict, number: int) -> Image.Image:
    """Cut one look out of the recorded samples: its colors above the real ones.

    Args:
        results: the content of photo_run.json.
        number: of the look, from 0; its row is the one after the gray row.
    """
    sheet = Image.open(course_file("data/results/photo_run.jpg"))
    height = sheet.height // (len(results["samples"]) + 2)
    picture = Image.new("RGB", (sheet.width, 2 * height), "white")
    for place, row in enumerate((number + 1, len(results["samples"]) + 1)):
        strip = sheet.crop((0, row * height, sheet.width, (row + 1) * height))
        picture.paste(strip, (0, place * height))
    return picture


def weights_table(results: dict, chosen: str = "all", style: str = "github") -> str:
    """The content of photo_weights.json as a table: mean ± half of the 95% interval.

    Args:
        results: what `tools.photo_weights` has written.
        chosen: "all", or the name of a folder.
        style: a table format of tabulate.
    """
    rows = results["sets"][chosen]
    lines = [
        [name, *(f"{row[m]:.{d}f} ± {row[f'{m}_interval']:.{d}f}" for m, d in DIGITS.items())]
        for name, row in rows.items()
    ]
    lines.append(["real", "", "", "", f"{rows['gray']['colorfulness_real']:.1f}"])
    headers = ["", *(COLUMNS[metric] for metric in DIGITS)]
    return tabulate(lines, headers, tablefmt=style, disable_numparse=True)


# --- fine-tuning: photos.json, made by `make experiments` ---


def read_results() -> dict | None:
    """What `make experiments` has written, or None if it isn't there."""
    try:
        return course_results("photos")
    except FileNotFoundError:
        return None


def photos_table(results: dict, style: str = "github") -> str:
    """The content of photos.json as a table, a part for each data set.

    Args:
        results: what `Experiments.run` has written.
        style: a table format of tabulate.

    Returns:
        Means over the seeds, ± the standard deviation if there are several.
    """
    lines = []
    for data in dict.fromkeys(run["data"] for run in results["runs"]):
        runs = [run["rows"] for run in results["runs"] if run["data"] == data]
        for name in runs[0]:
            values = [[rows[name].get(metric) for rows in runs] for metric in METRICS]
            lines.append([data, name, *map(_cell, values)])
        real = mean(rows["gray"]["colorfulness_real"] for rows in runs)
        lines.append([data, "real", "", "", f"{real:.2f}"])
    headers = ["photos", "", *(COLUMNS[metric] for metric in METRICS)]
    return tabulate(lines, headers, tablefmt=style, disable_numparse=True)


def _cell(values: Sequence[float | None]) -> str:
    return "" if None in values else spread(list(values))


def device_names(results: dict) -> str:
    """On what the runs were trained: devices and versions of torch."""
    machines = {(r["environment"]["device"], r["environment"]["torch"]) for r in results["runs"]}
    return "; ".join(f"{device}, torch {torch}" for device, torch in sorted(machines))
