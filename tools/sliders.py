"""Sliders for the website: plain HTML over the frames that `lessonkit.frames` has written.

Without JavaScript the still pictures are shown, as in the notebook. site/course.js moves the rest.
"""

import json
from html import escape
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_output

FOLDER = "frames"  # of the website


def add_sliders(cell: NotebookNode, frames: Path) -> None:
    """Replace the stills of a cell by sliders, where their frames exist.

    Args:
        cell: A code cell; its outputs change.
        frames: The folder of the lesson's frames.
    """
    outputs, shown, after_caption = [], set(), False
    for output in cell.outputs:
        number = output.get("metadata", {}).get("frames")
        is_still, after_caption = after_caption, False
        if number and (frames / f"{number}.json").exists():
            after_caption = True  # the next output is the picture of this caption
            if number not in shown:
                shown.add(number)
                content = json.loads((frames / f"{number}.json").read_text("utf-8"))
                html = slider_html(content, f"{FOLDER}/{frames.name}", f"frames-{number}")
                outputs.append(new_output("display_data", data={"text/html": html}))
        elif not is_still:
            outputs.append(output)
    cell.outputs = outputs


def slider_html(content: dict, folder: str, name: str) -> str:
    """Make the HTML of one widget.

    Args:
        content: What `lessonkit.frames` has written into its JSON file.
        folder: The address of the folder of its pictures.
        name: Begins the ids of its parts.
    """
    if "pair" in content:
        return pair_html(content, folder, name)
    controls = "".join(
        control_html(control, f"{name}-{index}")
        for index, control in enumerate(content["controls"])
    )
    has_slider = any(control["kind"] == "slider" for control in content["controls"])
    buttons = BUTTONS if has_slider else ""
    start = 0
    for control in content["controls"]:
        start = start * len(control["shown"]) + control["at"]
    stills = "".join(
        f"<p><em>{escape(caption(content, index))}</em></p>{frame_html(content, index, folder)}"
        for index in content["stills"]
    )
    data = {"folder": folder, "alt": content["alt"], "frames": content["frames"]}
    attributes = f'data-film="{escape(json.dumps(data, ensure_ascii=False))}"'
    attributes += f' data-milliseconds="{content["milliseconds"] or 600}"'
    return (
        f'<div class="frames" {attributes}><div class="frames-controls" hidden>{controls}{buttons}'
        f'</div><div class="frame" hidden>{frame_html(content, start, folder)}</div>'
        f"<noscript>{stills}</noscript></div>"
    )


BUTTONS = (
    '<span class="frames-buttons"><button type="button" class="frames-play">Play</button>'
    '<button type="button" class="frames-step">Step</button></span>'
)


def control_html(control: dict, name: str) -> str:
    """Make a labeled slider or a labeled list to choose from."""
    label, shown, at = escape(control["label"]), control["shown"], control["at"]
    if control["kind"] == "choice":
        options = "".join(
            f"<option{' selected' if index == at else ''}>{escape(each)}</option>"
            for index, each in enumerate(shown)
        )
        return f'<label for="{name}">{label} <select id="{name}">{options}</select></label>'
    values = escape(json.dumps(shown, ensure_ascii=False))
    return (
        f'<label for="{name}">{label} <output>{escape(shown[at])}</output>'
        f'<input type="range" id="{name}" min="0" max="{len(shown) - 1}" value="{at}" '
        f'aria-valuetext="{escape(shown[at])}" data-shown="{values}"></label>'
    )


def frame_html(content: dict, index: int, folder: str) -> str:
    """Make one frame: a picture with its alternative text, or HTML such as a table."""
    frame = content["frames"][index]
    if not frame.endswith(".webp"):
        return frame
    alt = escape(f"{content['alt']} ({caption(content, index)})")
    return f'<img src="{folder}/{frame}" alt="{alt}" loading="lazy">'


def caption(content: dict, index: int) -> str:
    """The values of all controls at a frame, in words."""
    words = []
    for control in reversed(content["controls"]):
        index, place = divmod(index, len(control["shown"]))
        words.append(f"{control['label']}: {control['shown'][place]}")
    return ", ".join(reversed(words))


def pair_html(content: dict, folder: str, name: str) -> str:
    """Make two pictures on top of each other, with a slider that moves the line between them."""
    before, after = (f"{folder}/{each}" for each in content["pair"])
    alt, at = escape(content["alt"]), content["at"]
    return (
        f'<div class="frames pair" style="--at: {at}%"><div class="pair-pictures">'
        f'<img src="{after}" alt="{alt}" loading="lazy">'
        f'<img class="pair-before" src="{before}" alt="{alt}: the left part" loading="lazy"></div>'
        f'<div class="frames-controls" hidden><label for="{name}">line between the pictures'
        f'<input type="range" id="{name}" min="0" max="100" value="{at:g}"></label></div></div>'
    )
