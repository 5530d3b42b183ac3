"""Watch a run while it trains: its newest samples and its curves, drawn from its folder.

Everything is read from the run's folder (`colorlib.runs.Run`), so the training loop needs no code
for it: a second thread reads what `colorlib.training.train` writes.
"""

import contextvars
import csv
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from colorlib.runs import read_config
from lessonkit.figures import INK, LINE, PALE, encode, render, show
from lessonkit.widgets import is_static


@contextmanager
def watch(folder: str | Path, alt: str, seconds: float = 3.0) -> Iterator[None]:
    """Show a run's newest samples and its curves while this block trains it.

    With COLORLIB_STATIC, only the curves are drawn, once, after the run.

    Args:
        folder: the run's folder.
        alt: alternative text for the curves.
        seconds: time between two drawings; if drawing is slow, it becomes longer.
    """
    if is_static():
        yield
        show(draw_curves(read_history(Path(folder, "history.csv"))), alt)
        return
    import ipywidgets

    picture, ended = ipywidgets.Image(format="png"), threading.Event()
    picture.layout.max_width = "100%"
    display(picture)
    # the kernel shows a widget in the cell whose context it runs in: use this cell's
    context = contextvars.copy_context()
    arguments = (_draw_until, picture, Path(folder), ended, seconds)
    thread = threading.Thread(target=context.run, args=arguments, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _draw_until(picture: Any, folder: Path, ended: threading.Event, seconds: float) -> None:
    is_over = False
    while not is_over:
        is_over = ended.wait(seconds)  # after the end, draw once more
        began = time.monotonic()
        with suppress(OSError, ValueError, KeyError):  # a file is being written
            picture.value = encode(draw_run(folder), compress_level=1)
        seconds = max(seconds, 20 * (time.monotonic() - began))


def draw_run(folder: str | Path) -> Image.Image:
    """Draw a run's newest samples above its curves."""
    curves = render(draw_curves(read_history(Path(folder, "history.csv"))))
    if not saved_samples(folder):
        return curves
    samples = draw_samples(folder, -1)
    both = Image.new("RGB", (max(curves.width, samples.width), curves.height + samples.height))
    both.paste("white", (0, 0, *both.size))
    both.paste(samples, (0, 0))
    both.paste(curves, (0, samples.height))
    return both


def saved_samples(folder: str | Path) -> list[Path]:
    """Find the pictures of its samples that a run has saved, in order."""
    return sorted(Path(folder, "samples").glob("epoch_*.png"))


def draw_samples(folder: str | Path, number: int) -> Image.Image:
    """Draw the samples saved at one moment: predicted colors above the real ones.

    Args:
        folder: the run's folder.
        number: index into `saved_samples`; -1 is the newest.
    """
    path = saved_samples(folder)[number]
    size = read_config(Path(folder, "config.json"))["size"]
    epoch = float(path.stem.removeprefix("epoch_"))
    rows = cut_sheet(Image.open(path).convert("RGB"), size)
    side, gap = rows[0].height, 4
    picture = Image.new("RGB", (len(rows) * (side + gap), 24 + 2 * (side + gap)), "white")
    for column, row in enumerate(rows):
        x, middle = column * (side + gap), (row.width - side) // 2
        picture.paste(row.crop((row.width - side, 0, row.width, side)), (x, 24))
        picture.paste(row.crop((middle, 0, middle + side, side)), (x, 24 + side + gap))
    if picture.width > 800:  # photos of many pixels
        picture = picture.resize((800, round(800 * picture.height / picture.width)))
    moment = f"after {epoch:g} epochs" if epoch else "untrained"
    words = f"{moment}: predicted above, real below"
    ImageDraw.Draw(picture).text((2, 1), words, fill=INK, font=ImageFont.load_default(17))
    return picture


def cut_sheet(sheet: Image.Image, size: int) -> list[Image.Image]:
    """Cut a sheet made by `colorlib.metrics.triptych_sheet` into its rows.

    Args:
        sheet: the sheet as it was saved.
        size: side of the pictures when they were predicted, in pixels.
    """
    height = size * max(1, 128 // size)
    header, step = height // 4, height + height // 32
    count = (sheet.height - header) // step
    tops = [header + number * step for number in range(count)]
    return [sheet.crop((0, top, sheet.width, top + height)) for top in tops]


def draw_curves(history: list[dict]) -> Figure:
    """Draw a run's curves: G's distance to the true colors, and D's mean answers.

    Args:
        history: the rows of a history.csv. Columns that a recipe doesn't have are left out.
    """
    figure = Figure(figsize=(8, 3.4))
    left, right = figure.subplots(1, 2)
    name = "loss_reconstruction"
    if draw_curve(left, history, name, **LINE["G"]):
        left.set_yscale("log")
    else:
        name = "loss_g"
        draw_curve(left, history, name, **LINE["G"])
    left.set(xlabel="step", ylabel=name.replace("_", " "))
    game = next((row["step"] for row in history if row["stage"] == "game"), None)
    if game is not None and game > 1:
        for axes in (left, right):
            axes.axvline(game, color=PALE, linestyle="--")
        left.set_title("dashed: the GAN stage begins", fontsize=13)
    answers = [
        draw_curve(right, history, f"d_{kind}", kind, **LINE[kind]) for kind in ("real", "fake")
    ]
    if any(answers):
        right.axhline(0.5, color=PALE)
        right.set(ylim=(0, 1), ylabel="D's mean answer")
        right.legend(loc="lower left")
    elif not draw_curve(right, history, "loss_d", **LINE["D"]):
        right.text(0.5, 0.5, "D isn't training", ha="center", transform=right.transAxes)
    right.set(xlabel="step", xlim=left.get_xlim())
    return figure


def draw_curve(axes: Axes, history: list[dict], column: str, label: str = "", **look: Any) -> bool:
    """Draw a column of a history, smoothed over 20 steps; return whether it had any values."""
    points = [(row["step"], row[column]) for row in history if row.get(column) is not None]
    if points:
        steps, values = zip(*points)
        smooth = pd.Series(values).rolling(20, min_periods=1).mean()
        axes.plot(steps, smooth, label=label or column, **look)
    return bool(points)


def read_history(path: str | Path) -> list[dict]:
    """Read the rows of a history.csv or validation.csv; [] if there is none yet."""
    if not Path(path).exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return [{name: _parse(text) for name, text in row.items()} for row in csv.DictReader(file)]


def _parse(text: str) -> float | int | str | None:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text or None
