"""Frames for the sliders of the website: what a widget draws, at about ten places of its controls.

The website runs no Python. `tools.notebooks execute` sets COLORLIB_FRAMES to a folder; then every
`play`, `steps` and `before_after` also draws its frames and writes them there, numbered in the
order of the calls:

    1.json          labels, values, alternative texts, and the names of the frames
    1-000.webp      a frame; the last control varies fastest

`tools/site.py` turns them into plain HTML sliders.
"""

import json
import os
from collections.abc import Callable, Sequence
from itertools import product
from math import prod
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from lessonkit.figures import encode, few_colors, render

ALONE, TOGETHER, FILM = 9, 24, 16  # frames: of one control, of several, of a film
SECONDS = "seconds.txt"  # how long drawing took; for those who time the notebook
LEAST = 3  # places of a slider
WIDEST = 800  # pixels
COLORS_OF_A_DRAWING = 64


def frames_folder() -> Path | None:
    """The folder to write frames to, or None where nobody asks for them."""
    folder = os.environ.get("COLORLIB_FRAMES")
    return Path(folder) if folder else None


def record(
    draw: Callable[..., Any],
    controls: dict[str, Any],
    stills: Sequence[dict],
    alt: str,
    milliseconds: int = 0,
) -> str:
    """Draw and write the frames of a widget, where somebody asks for them.

    Args:
        draw: As `play` takes it.
        controls: name -> Control.
        stills: Values of the stills, as `play` takes them; each of them is among the frames.
        alt: What there is to see.
        milliseconds: Between two frames of a film; 0 for no film.

    Returns:
        The number of the widget in its notebook, "" where no frames are asked for.
    """
    folder, began = frames_folder(), perf_counter()
    if not folder or not controls:
        return ""
    count = places_per_slider(controls.values(), is_film=bool(milliseconds))
    places = {
        name: values_of(control, count, [s[name] for s in stills if name in s])
        for name, control in controls.items()
    }
    number = next_number(folder)
    frames = []
    for index, chosen in enumerate(product(*(list(each.values()) for each in places.values()))):
        drawn = draw(**dict(zip(controls, chosen)))
        frames.append(write_frame(drawn, folder, f"{number}-{index:03}.webp"))
    start = [list(each.values()) for each in places.values()]
    content = {
        "alt": alt,
        "milliseconds": milliseconds,
        "controls": [
            {
                "label": control.label or name,
                "kind": "slider" if control.kind.endswith("Slider") else "choice",
                "shown": list(places[name]),
                "at": values.index(control.value),
            }
            for (name, control), values in zip(controls.items(), start)
        ],
        "frames": frames,
        "stills": [flat_index(still, controls, places) for still in stills],
    }
    (folder / f"{number}.json").write_text(json.dumps(content, ensure_ascii=False), "utf-8")
    with (folder / SECONDS).open("a") as file:  # not part of the lesson's own run time
        file.write(f"{perf_counter() - began}\n")
    return number


def record_pair(before: Image.Image, after: Image.Image, at: float, alt: str) -> str:
    """Write the two pictures of `before_after`; the website moves the line between them."""
    folder = frames_folder()
    if not folder:
        return ""
    number = next_number(folder)
    pair = [
        write_frame(each.convert("RGB"), folder, f"{number}-{index:03}.webp")
        for index, each in enumerate((before, after))
    ]
    content = {"alt": alt, "pair": pair, "at": at}
    (folder / f"{number}.json").write_text(json.dumps(content, ensure_ascii=False), "utf-8")
    return number


def next_number(folder: Path) -> str:
    """The number of the next widget of a notebook, from 1 on."""
    return str(len(list(folder.glob("*.json"))) + 1)


def places_per_slider(controls: Sequence[Any], is_film: bool = False) -> int:
    """How many places each slider gets, so that all frames together stay few."""
    controls = list(controls)
    if len(controls) == 1:
        return FILM if is_film else ALONE
    sliders = [control for control in controls if control.kind.endswith("Slider")]
    others = prod(len(values_of(control, 0, [])) for control in controls if control not in sliders)
    return max(LEAST, int((TOGETHER / others) ** (1 / len(sliders)))) if sliders else 0


def values_of(control: Any, count: int, needed: Sequence[Any]) -> dict[str, Any]:
    """The places of a control: what the reader sees -> value.

    Args:
        control: A Control.
        count: How many places a slider gets; its own places where it has fewer.
        needed: Values that must be among them, beside the one where the control begins.
    """
    if control.kind == "Dropdown":
        options = control.options["options"]
        return dict(o if isinstance(o, tuple) else (str(o), o) for o in options)
    number = float if control.kind == "FloatSlider" else int
    low, high, step = (control.options[key] for key in ("min", "max", "step"))
    last = int((high - low) / step + 1e-9)
    grid = [low + round(index) * step for index in np.linspace(0, last, min(count, last + 1))]
    values = {control.value, *needed, grid[0], grid[-1]}
    for value in grid:
        if min(abs(value - other) for other in values) > (high - low) / (2.5 * count):
            values.add(value)
    exact = sorted({number(round(value, 9)) for value in values})
    return {f"{value:.4g}" if number is float else str(value): value for value in exact}


def flat_index(still: dict, controls: dict[str, Any], places: dict[str, dict]) -> int:
    """The number of the frame that shows a still."""
    index = 0
    for name, control in controls.items():
        values = list(places[name].values())
        index = index * len(values) + values.index(still.get(name, control.value))
    return index


def write_frame(drawn: Any, folder: Path, name: str) -> str:
    """Write a frame and return its name; of anything but a picture, return its HTML."""
    picture = render(drawn) if isinstance(drawn, Figure) else drawn
    if not isinstance(picture, Image.Image):
        return drawn._repr_html_() if hasattr(drawn, "_repr_html_") else f"<pre>{drawn}</pre>"
    picture = picture.convert("RGB")
    if picture.width > WIDEST:
        size = WIDEST, round(picture.height * WIDEST / picture.width)
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    encoded = [encode(picture, "WEBP", quality=75)]
    if few_colors(picture) is not picture:  # a drawing: fewer colors still, and no noise at edges
        drawing = picture.quantize(COLORS_OF_A_DRAWING, dither=Image.Dither.NONE).convert("RGB")
        encoded.append(encode(drawing, "WEBP", lossless=True))
    (folder / name).write_bytes(min(encoded, key=len))
    return name
