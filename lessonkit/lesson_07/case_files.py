"""The case files of lesson 07: read the recorded runs and draw them.

`lessonkit.lesson_07.recordings` plays the runs; `python -m tools.recordings` records them.
"""

import json
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from lessonkit import course_file
from lessonkit.figures import LINE, PALE, render

LETTERS = {  # D and G are left out, because they name the two networks
    "A": "no_reconstruction",
    "B": "labels_swapped",
    "C": "healthy",
    "E": "learning_rate",
    "F": "mode_collapse",
    "H": "batch_norm",
    "J": "d_too_strong",
    "K": "no_detach",
}


class Kept(NamedTuple):
    """A recorded run."""

    name: str
    changed: str
    history: pd.DataFrame
    """One row every few steps: what `d_turn`, `g_turn` and `measure` return."""
    moments: list[int]
    picture: Image.Image
    """The sheet of test pictures: one row per moment, then the truth."""
    yardsticks: dict[str, dict[str, float]]


def read_recording(name: str, folder: str = "data/results/curves") -> Kept:
    """Read a recorded run from anywhere inside the course's folder.

    Raises:
        FileNotFoundError: there is no such recording.
    """
    facts = json.loads(course_file(f"{folder}/{name}.json").read_text("utf-8"))
    picture = Image.open(course_file(f"{folder}/{name}.jpg")).convert("RGB")
    known = {kind: facts[kind] for kind in ("real", "gray")}
    history = pd.DataFrame(facts["columns"])
    return Kept(name, facts["changed"], history, facts["moments"], picture, known)


# title -> columns, each with the network or half whose line it gets, and its label
PANELS = {
    "losses": {"loss_d": ("D", "D"), "loss_g": ("G", "G")},
    "D's accuracy on each half": {"right_real": ("real", "real"), "right_fake": ("fake", "fake")},
    "D's mean answer to fakes": {
        "d_fake": ("D", "D's turn"),
        "d_fake_in_g_turn": ("G", "G's turn"),
    },
    "gradient norms": {"gradient_d": ("D", "D"), "gradient_g": ("G", "G")},
}


def draw_case(kept: Kept) -> Image.Image:
    """Draw a recorded run: some of its pictures and four panels of curves."""
    figure = plt.figure(figsize=(11, 5.6))
    grid = figure.add_gridspec(2, 3, width_ratios=(1.5, 1, 1))
    draw_sheet(figure.add_subplot(grid[:, 0]), kept, rows=(0, 2, 4))
    for number, title in enumerate(PANELS):
        axes = figure.add_subplot(grid[number // 2, 1 + number % 2])
        draw_panel(axes, kept, title)
        if number < 2:
            axes.tick_params(labelbottom=False)
            axes.set_xlabel("")
    return render(figure).quantize(256, kmeans=3)  # a third of the size, nearly the same colors


def draw_panel(axes: Axes, kept: Kept, title: str) -> None:
    """Draw one of `PANELS`; a pale line marks the value of a D that can't tell real from fake."""
    share = kept.history["step"] / kept.moments[-1]
    for column, (who, label) in PANELS[title].items():
        axes.plot(100 * share, kept.history[column], **LINE[who], label=label)
    axes.set_title(title, fontsize=12)
    axes.set_xlabel("part of the run, %")
    if title == "gradient norms":
        axes.set(yscale="log", ylim=(0.05, 500))
    elif title == "losses":
        axes.axhline(np.log(2), color=PALE, linewidth=1)
        axes.set_ylim(0, max(1, axes.get_ylim()[1]))
    else:
        axes.axhline(0.5, color=PALE, linewidth=1)
        axes.set_ylim(-0.05, 1.05)
    axes.legend(loc="best", handlelength=1.6, labelspacing=0.2, borderaxespad=0.1)


def draw_losses(cases: dict[str, Kept]) -> Figure:
    """Draw the losses of some runs side by side, to one scale."""
    figure, panels = plt.subplots(1, len(cases), figsize=(10, 3.4), sharey=True)
    for axes, (letter, kept) in zip(panels, cases.items()):
        draw_panel(axes, kept, "losses")
        axes.set_title(f"run {letter}")
    panels[0].set_ylabel("loss")
    return figure


def draw_last(cases: dict[str, Kept], columns: int = 6) -> Figure:
    """Draw the final pictures of some runs, one row each, and the truth below them.

    Args:
        cases: letter -> run.
        columns: pictures per row, at most 6.
    """
    truth = len(next(iter(cases.values())).moments)
    rows = {f"run {letter}": row_of(kept, truth - 1, columns) for letter, kept in cases.items()}
    rows["truth"] = row_of(next(iter(cases.values())), truth, columns)
    return draw_large(rows)


def draw_large(rows: dict[str, Image.Image]) -> Figure:
    """Draw rows of square pictures, smoothly enlarged."""
    first = next(iter(rows.values()))
    inches = 1.15  # per picture
    width = inches * first.width / first.height + 0.8
    figure, axes = plt.subplots(figsize=(width, inches * len(rows)))
    draw_rows(axes, rows, first.height, interpolation="bicubic")
    return figure


def draw_sheet(axes: Axes, kept: Kept, rows: tuple[int, ...], columns: int = 3) -> None:
    """Draw some rows of a run's sheet and the truth below them."""
    shares = {row: 5 * round(20 * kept.moments[row] / kept.moments[-1]) for row in rows}
    named = {f"{share}%": row_of(kept, row, columns) for row, share in shares.items()}
    # 42 of 64 pixels per picture: eight such figures must fit into one notebook
    draw_rows(axes, {**named, "truth": row_of(kept, len(kept.moments), columns)}, side=42)


def row_of(kept: Kept, row: int, columns: int = 6) -> Image.Image:
    """Cut the first pictures out of a row of a run's sheet; the last row is the truth."""
    side = kept.picture.height // (len(kept.moments) + 1)
    return kept.picture.crop((0, row * side, columns * side, (row + 1) * side))


def draw_rows(
    axes: Axes, rows: dict[str, Image.Image], side: int, interpolation: str = "nearest"
) -> None:
    """Draw rows of square pictures of `side` pixels, with their names on the left."""
    joined = np.concatenate([np.asarray(row) for row in rows.values()])
    height = len(joined) // len(rows)
    size = (side * joined.shape[1] // height, side * len(rows))
    axes.imshow(Image.fromarray(joined).resize(size), interpolation=interpolation)
    for x in range(side, size[0], side):  # else two scenes look like one wide one
        axes.axvline(x - 0.5, color="white", linewidth=2)
    axes.set_yticks([(number + 0.5) * side for number in range(len(rows))], list(rows))
    axes.set_xticks([])
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
