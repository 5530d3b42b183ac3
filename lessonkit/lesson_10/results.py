"""Lesson 10: the recorded results on photos, as tables and a figure."""

from statistics import mean

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from tabulate import tabulate

from colorlib.metrics import COLUMNS
from lessonkit import course_results
from lessonkit.figures import FAKE, GENERATOR, INK, PALE, REAL
from lessonkit.results import spread, where

SHIPPED, RIVAL, AHEAD = "shipped", "l1 × k", "shipped − l1 × k"
METRICS = ("psnr_ab", "ciede2000", "lpips", "colorfulness")
DIGITS = {"ciede2000": 2, "psnr_ab": 2, "lpips": 3, "colorfulness": 1}  # after the point


def read_results() -> dict | None:
    """What `make experiments` has written, or None if it is not there."""
    try:
        return course_results("photos")
    except FileNotFoundError:
        return None


def photos_table(results: dict, style: str = "github") -> str:
    """The content of photos.json as a table, a part for each data set.

    Args:
        results: what `Experiments.run` has written.
        style: a table format of tabulate.
    """
    lines = []
    for data in dict.fromkeys(run["data"] for run in results["runs"]):
        runs = [run for run in results["runs"] if run["data"] == data]
        rivals = [run["rows"][RIVAL] for run in runs if run["recipe"] == "warm"]
        groups = {name: [runs[0]["rows"][name]] for name in ("gray", "mean color", "lookup by L")}
        for recipe in dict.fromkeys(run["recipe"] for run in runs):
            groups[recipe] = [run["rows"][recipe] for run in runs if run["recipe"] == recipe]
        groups |= {f"{RIVAL}, as colorful as warm": rivals} if rivals else {}
        for name, rows in groups.items():
            cells = [
                spread([row[metric] for row in rows]) if metric in rows[0] else ""
                for metric in METRICS
            ]
            lines.append([data, name, *cells])
        real = mean(run["rows"]["gray"]["colorfulness_real"] for run in runs)
        lines.append([data, "real", "", "", "", f"{real:.2f}"])
    headers = ["photos", "", *(COLUMNS[metric] for metric in METRICS)]
    return tabulate(lines, headers, tablefmt=style, disable_numparse=True)


def device_names(results: dict) -> str:
    """On what the runs were trained: devices and versions of torch."""
    machines = {(r["environment"]["device"], r["environment"]["torch"]) for r in results["runs"]}
    return "; ".join(f"{device}, torch {torch}" for device, torch in sorted(machines))


def conditions(results: dict) -> str:
    """How the content of photo_weights.json was measured, in a few sentences."""
    rows, factors, size = results["sets"]["all"], results["k"], results["size"]
    steps = ", ".join(f"{count:,} steps (`{name}`)" for name, count in results["steps"].items())
    return (
        f"Each network learned from the same {results['learned_from']:,} photos of {size}×{size} "
        f"pixels for {results['seconds']:,g} seconds ({where(results)}): {steps}. It was tested on "
        f"{rows[SHIPPED]['photos']:,} others: mean ± half of the 95% interval over photos. "
        f"`{SHIPPED}` is `warm` with its last layer × {factors[SHIPPED]:.2f}; `{RIVAL}` is `l1` "
        f"with its colors × {factors[RIVAL]:.2f}, as colorful on validation photos."
    )


def weights_table(results: dict, chosen: str = "all", style: str = "github") -> str:
    """The content of photo_weights.json as a table: mean ± half of the 95% interval.

    Args:
        results: what `PhotoWeights.run` has written.
        chosen: "all", or the name of a folder.
        style: a table format of tabulate.
    """
    rows = results["sets"][chosen]
    metrics = [metric for metric in DIGITS if metric in rows["warm"]]
    lines = [
        [name, *(with_interval(row, metric) for metric in metrics)] for name, row in rows.items()
    ]
    real = f"{rows['warm']['colorfulness_real']:.1f}"
    lines.append(["real", *("" for _ in metrics[:-1]), real])
    headers = ["", *(COLUMNS[metric] for metric in metrics)]
    return tabulate(lines, headers, tablefmt=style, disable_numparse=True)


def with_interval(row: dict[str, float], metric: str) -> str:
    """A measured mean ± half of its interval, with as many digits as its metric deserves."""
    digits = DIGITS[metric]
    return f"{row[metric]:.{digits}f} ± {row[f'{metric}_interval']:.{digits}f}"


def draw_beside_rival(results: dict) -> Figure:
    """How far from the truth, and how colorful: the rival's curve, networks and gray.

    Args:
        results: what `PhotoWeights.run` has written.
    """
    rows = results["sets"]["all"]
    points = {SHIPPED: ("^", GENERATOR), "warm": ("v", PALE), "tutorial": ("X", FAKE)}
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    for axes, metric in zip(panels, ("psnr_ab", "ciede2000"), strict=True):
        curve = [(row["colorfulness"], row[metric]) for row in results["curve"]]
        axes.plot(*zip(*curve, strict=True), "o-", color=INK, label="l1 × 1.0 … 3.0")
        for name, (marker, color) in points.items():
            place = rows[name]["colorfulness"], rows[name][metric]
            axes.plot(*place, marker, color=color, markersize=11, linestyle="", label=name)
        axes.axhline(rows["gray"][metric], color=REAL, linestyle="--", label="gray")
        axes.set(xlabel="colorfulness", ylabel=COLUMNS[metric])
    panels[1].invert_yaxis()  # in both panels up is nearer to the truth
    panels[0].legend()
    return figure
