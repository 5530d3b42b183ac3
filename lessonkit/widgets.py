"""Something to play with: controls that redraw a figure, and stills for readers.

    def draw(share, loss):
        figure, axes = plt.subplots()
        ...
        return figure

    play(draw, share=slider(0.5, 1, 0.05, label="share of red"), loss=choice(["l1", "l2"]),
         stills=[{"share": 0.5}, {"share": 0.9}], alt="the loss of each guess")

With COLORLIB_STATIC=1, or outside of a notebook, only the stills are drawn, because committed
notebooks contain no widgets; the frames of the website's sliders are written too if someone asks
for them (see `frames`). Works with ipywidgets 7.7 (Colab) and 8, which is imported when needed.
"""

import os
import traceback
from collections.abc import Callable, Sequence
from html import escape
from typing import Any, NamedTuple

from IPython import get_ipython
from IPython.display import HTML, Markdown, display
from matplotlib.figure import Figure
from PIL import Image

from colorlib.photos import PhotoError
from lessonkit.figures import encode, render, show
from lessonkit.frames import record, record_pair

Drawn = Figure | Image.Image | Any  # anything else is shown by its _repr_html_ or its text


class Control(NamedTuple):
    """A control to be: made by `slider` or `choice`."""

    kind: str
    value: Any
    label: str
    options: dict


def slider(
    low: float, high: float, step: float = 1, value: float | None = None, label: str = ""
) -> Control:
    """Make a slider; of whole numbers where `low` and `step` are. It begins at `low` or `value`."""
    kind = "IntSlider" if isinstance(low, int) and isinstance(step, int) else "FloatSlider"
    value = low if value is None else value
    return Control(kind, value, label, {"min": low, "max": high, "step": step})


def choice(options: Sequence[Any] | dict, value: Any = None, label: str = "") -> Control:
    """Make a list to choose from: values, or {what the reader sees: value}. Begins at the first."""
    values = list(options.values() if isinstance(options, dict) else options)
    shown = list(options.items()) if isinstance(options, dict) else values
    return Control("Dropdown", values[0] if value is None else value, label, {"options": shown})


def is_static() -> bool:
    """Whether nobody can move a control: COLORLIB_STATIC is set, or this is not a notebook."""
    return bool(os.environ.get("COLORLIB_STATIC")) or getattr(get_ipython(), "kernel", None) is None


def play(
    draw: Callable[..., Drawn], *, alt: str, stills: Sequence[dict] = ({},), **controls: Control
) -> None:
    """Redraw a figure as the learner moves controls; show still pictures where nobody can.

    Args:
        draw: Takes a value for each control by name; returns a matplotlib figure, a PIL picture,
            or anything that a notebook shows as HTML, such as a pandas table.
        alt: What there is to see; for the stills, the values are added.
        stills: Values for each still picture; a control that is left out has its first value.
        **controls: Each named as `draw` names it.

    Raises:
        ValueError: a still names an unknown control, or there is no alternative text.
        Exception: whatever `draw` raises for a still, so that tests see it; live, it is shown
            under the controls.
    """
    unknown = {name for still in stills for name in still} - controls.keys()
    if unknown or not alt.strip():
        raise ValueError(f"no control for {unknown}" if unknown else "give `alt`, a sentence")
    if is_static():
        show_stills(draw, alt, stills, controls, record(draw, controls, stills, alt))
    else:
        display(live(draw, controls))


def show_stills(
    draw: Callable[..., Drawn],
    alt: str,
    stills: Sequence[dict],
    controls: dict[str, Control],
    number: str,
) -> None:
    """Show stills, each with its values above it; `number` tells the website whose they are."""
    for still in stills:
        values = {name: still.get(name, control.value) for name, control in controls.items()}
        show_still(draw(**values), controls, values, alt, number)


def show_still(
    drawn: Drawn, controls: dict[str, Control], values: dict, alt: str, number: str = ""
) -> None:
    """Show one still, its values above it and in its alternative text."""
    shown = {controls[name].label or name: value for name, value in values.items()}
    caption = ", ".join(
        f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}"
        for name, value in shown.items()
    )
    if caption:
        emphasized = "*" + caption.replace("*", r"\*") + "*"  # a caption may name L*
        display(Markdown(emphasized), metadata={"frames": number} if number else None)
    if isinstance(drawn, Figure | Image.Image):
        show(drawn, f"{alt} ({caption})" if caption else alt)
    elif isinstance(drawn, str):  # what `attempt` has to say
        display(HTML(as_html(drawn)))
    else:
        display(drawn)


def live(draw: Callable[..., Drawn], controls: dict[str, Control]) -> Any:
    """Make the box that `play` displays: controls, the picture, and a place for errors."""
    return redrawing(draw, {name: make(control, name) for name, control in controls.items()})


def redrawing(draw: Callable[..., Drawn], inputs: dict[str, Any]) -> Any:
    """Put widgets over a picture that is drawn again whenever a value changes."""
    import ipywidgets

    picture, text = ipywidgets.Image(format="png"), ipywidgets.HTML()
    picture.layout.max_width, picture.layout.align_self = "100%", "flex-start"  # not stretched

    def redraw(_: Any = None) -> None:
        drawn = as_picture(attempt(draw, {name: box.value for name, box in inputs.items()}))
        is_picture = isinstance(drawn, Image.Image)
        picture.layout.display = "" if is_picture else "none"
        picture.value = encode(drawn, compress_level=1) if is_picture else b""
        text.value = "" if is_picture else as_html(drawn)

    for widget in inputs.values():
        widget.observe(redraw, "value")
    redraw()
    return ipywidgets.VBox([*inputs.values(), picture, text])


def attempt(draw: Callable[..., Drawn], values: dict) -> Drawn:
    """Draw, or return what went wrong: a notebook would hide it in a log."""
    try:
        return draw(**values)
    except PhotoError as error:
        return str(error)
    except Exception:
        return traceback.format_exc(limit=-3)


def make(control: Control, name: str) -> Any:
    """Make the widget of a control."""
    import ipywidgets

    wide = {"description_width": "initial"}
    layout = ipywidgets.Layout(width="480px")
    return getattr(ipywidgets, control.kind)(
        value=control.value,
        description=control.label or name,
        style=wide,
        layout=layout,
        **control.options,
    )


def as_picture(drawn: Drawn) -> Drawn:
    """Render a matplotlib figure as a picture, and close it; leave anything else as it is."""
    return render(drawn) if isinstance(drawn, Figure) else drawn


def as_html(drawn: Any) -> str:
    """Render anything else as a notebook would: by its HTML, else by its text."""
    render = getattr(drawn, "_repr_html_", None)
    return render() if render else f"<pre>{escape(str(drawn))}</pre>"


def steps(
    draw: Callable[[int], Drawn],
    count: int,
    *,
    alt: str,
    stills: Sequence[int] = (),
    label: str = "step",
    every: int = 1,
    milliseconds: int = 200,
) -> None:
    """Play frames like a film, with a slider to stop at any.

    Args:
        draw: Takes the number of a frame, 0..count − 1, and returns its figure or picture.
        count: How many frames there are.
        alt: What there is to see.
        stills: The frames shown where nobody can play; the first and the last by default.
        label: What the slider counts: "step", "epoch".
        every: How many of them pass from one frame to the next.
        milliseconds: Between two frames.
    """
    if is_static():
        chosen = [{"frame": number * every} for number in stills or (0, count - 1)]
        own, controls = draw_frame(draw, every), {"frame": frame_slider(count, label, every)}
        number = record(own, controls, chosen, alt, milliseconds)
        show_stills(own, alt, chosen, controls, number)
    else:
        display(player(draw, count, label, every, milliseconds))


def draw_frame(draw: Callable[[int], Drawn], every: int) -> Callable[..., Drawn]:
    """Turn a function of a frame's number into one of what the slider counts, named `frame`."""
    return lambda frame: draw(frame // every)


def frame_slider(count: int, label: str, every: int) -> Control:
    """Make the slider of a film; it moves in whole frames."""
    return slider(0, (count - 1) * every, every, label=label)


def player(
    draw: Callable[[int], Drawn], count: int, label: str, every: int, milliseconds: int
) -> Any:
    """Make the box that `steps` displays: a play button tied to the slider of `live`."""
    import ipywidgets

    frames: dict[int, Drawn] = {}

    def draw_once(frame: int) -> Drawn:
        if frame not in frames:
            frames[frame] = as_picture(draw(frame // every))
        return frames[frame]

    control = frame_slider(count, label, every)
    last = control.options["max"]
    box = live(draw_once, {"frame": control})
    button = ipywidgets.Play(min=0, max=last, step=every, interval=milliseconds)
    ipywidgets.jslink((button, "value"), (box.children[0], "value"))
    return ipywidgets.VBox([button, box])


def before_after(
    before: Any, after: Any, *, alt: str, at: float = 50, stills: Sequence[int] = ()
) -> None:
    """Lay one picture over another, with a slider that moves the line between them.

    Args:
        before: the picture on the left of the line: a PIL picture, or a uint8 array (H, W, 3).
        after: the one on the right, of the same size.
        alt: what there is to see.
        at: where the line begins, in percent of the width.
        stills: where it is in the still pictures; where it begins if there are none.
    """
    pair = [
        picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        for picture in (before, after)
    ]

    def draw(line: float) -> Image.Image:
        return split_picture(*pair, line / 100)

    line = slider(0, 100, 1, round(at), label="line, % of the width")
    chosen = [{"line": still} for still in stills] or [{}]
    if is_static():
        show_stills(draw, alt, chosen, {"line": line}, record_pair(*pair, at, alt))
    else:
        display(live(draw, {"line": line}))


def split_picture(before: Image.Image, after: Image.Image, line: float) -> Image.Image:
    """Join the left part of one picture and the right part of another, a white line between.

    Args:
        before: shown left of the line.
        after: shown right of it; of the same size.
        line: where the line is, as a share of the width.
    Returns:
        PIL image, mode RGB, of the same size.
    Raises:
        ValueError: the sizes differ.
    """
    if before.size != after.size:
        raise ValueError(f"the pictures must be of one size: {before.size} and {after.size}")
    width, height = before.size
    column = round(line * width)
    joined = after.convert("RGB")
    joined.paste(before.convert("RGB").crop((0, 0, column, height)), (0, 0))
    thickness = max(1, width // 200)
    if 0 < column < width:
        joined.paste("white", (column - thickness // 2, 0, column + thickness, height))
    return joined
