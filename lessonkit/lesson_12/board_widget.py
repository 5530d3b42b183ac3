"""The widget of a `Board` for JupyterLab, VS Code and Colab; imported only if it is shown."""

import base64
from pathlib import Path
from typing import Any

import anywidget
from PIL import Image
from traitlets import Int, List, Unicode

from lessonkit.figures import encode

LEAST_WIDTH = 384  # pixels on the screen: small pictures are enlarged


class BoardWidget(anywidget.AnyWidget):
    """The Python side of board.js. Places run from 0 to 1.

    Attributes:
        board: the `Board` that holds the hints; its module imports this one.
        picture, wheel: PNG as a data URL.
        width: pixels of the picture on the screen.
        choices: [color, percent] of each likely color at the clicked place.
        marks: [x, y, color] of each hint.
        at: [x, y] of the clicked place; empty before the first click.
    """

    _esm = Path(__file__).with_name("board.js")
    _css = Path(__file__).with_name("board.css")
    picture = Unicode().tag(sync=True)
    wheel = Unicode().tag(sync=True)
    width = Int().tag(sync=True)
    choices = List().tag(sync=True)
    marks = List().tag(sync=True)
    at = List().tag(sync=True)

    def __init__(self, board: Any):
        super().__init__(width=max(LEAST_WIDTH, board.shown_L.shape[-1]))
        self.board = board
        self.on_msg(lambda _, message, buffers: self.hear(message))
        self.redraw()

    def hear(self, message: dict) -> None:
        """Handle a click: place, color, wheel, undo or clear."""
        board, kind = self.board, message["kind"]
        if kind == "place":
            self.at = [min(max(message[axis], 0), 0.9999) for axis in "xy"]
            self.choices = [[c, round(100 * share)] for c, share in board.likely(*self.clicked())]
            self.wheel = data_url(board.wheel(*self.clicked()))
            return
        if kind in ("color", "wheel") and self.at:
            color = message.get("color") or board.on_wheel(
                *self.clicked(), message["x"], message["y"]
            )
            board.add(*self.clicked(), color)
        elif kind == "undo":
            board.hints = board.hints[:-1]
        elif kind == "clear":
            board.hints = []
        self.redraw()

    def clicked(self) -> tuple[int, int]:
        """Return the pixel of the picture that was clicked."""
        width, height = self.board.picture.size
        return int(self.at[0] * width), int(self.at[1] * height)

    def redraw(self) -> None:
        """Paint the picture with the current hints."""
        width, height = self.board.picture.size
        self.marks = [
            [(x + 0.5) / width, (y + 0.5) / height, color] for x, y, color in self.board.hints
        ]
        self.picture = data_url(self.board.paint())


def data_url(picture: Image.Image) -> str:
    """Encode a picture as the source of an <img>."""
    return "data:image/png;base64," + base64.b64encode(encode(picture, compress_level=1)).decode()
