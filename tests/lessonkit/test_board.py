"""The board of lesson 12: what a click offers and does, live and in still pictures."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.color import rgb2lab
from torch import nn

from colorlib.generator import StridedUNet
from colorlib.hints import BINS, Hinted, Spread
from lessonkit.lesson_12 import board as module
from lessonkit.lesson_12.board import WHEEL, Board, ask, with_marks
from lessonkit.lesson_12.board_widget import BoardWidget


@pytest.fixture
def board():
    """A picture of 60×40 pixels, on the network's 32 rows; gray painter, and hints reach far."""
    torch.manual_seed(0)
    generator = StridedUNet(8)
    nn.init.zeros_(generator.last.weight)
    nn.init.zeros_(generator.last.bias)
    spread = Spread(8, width=8)
    nn.init.zeros_(spread.body.last.weight)
    nn.init.zeros_(spread.guess.weight)
    values = np.random.default_rng(0).integers(110, 130, (40, 60), dtype=np.uint8)
    return Board(Hinted(generator, spread), Image.fromarray(values), 32)


def lab_of(color):
    rgb = np.float64([[[int(color[i : i + 2], 16) for i in (1, 3, 5)]]])
    return rgb2lab(rgb / 255)[0, 0]


def probabilities(board, shares):
    """Let the network find these colors likely, (a, b) -> probability."""
    logits = torch.full((len(BINS),), -20.0)
    for ab, share in shares.items():
        logits[(torch.tensor(ab) - BINS).norm(dim=1).argmin()] = np.log(share)
    board.hinted.spread.guess.bias.data = logits


def test_likely_colors_are_the_peaks_at_the_pixels_lightness(board):
    probabilities(board, {(10, 30): 0.5, (30, 30): 0.1, (-50, -10): 0.38, (90, -110): 0.02})
    found = board.likely(30, 20)
    assert [round(share, 2) for _, share in found] == [0.6, 0.38]
    for (color, _), ab in zip(found, [(10 + 20 / 6, 30), (-50, -10)]):
        lab = lab_of(color)
        assert abs(lab[0] - 100 * board.L[0, 0, 16, 32]) < 1.5
        if ab[0] > 0:
            np.testing.assert_allclose(lab[1:], ab, atol=1.5)
        else:
            assert lab[1] < -20, "teal, made paler until a screen can show it"


def test_a_bin_between_two_peaks_counts_once(board):
    probabilities(board, {(10, 30): 0.4, (30, 30): 0.2, (50, 30): 0.4})
    found = board.likely(30, 20)
    assert [round(share, 2) for _, share in found] == [0.5, 0.5]


def test_the_wheel_has_the_colors_that_it_gives(board):
    wheel = np.asarray(board.wheel(30, 20))
    assert wheel.shape == (WHEEL, WHEEL, 3)
    for across, down in ((0.5, 0.5), (0.6, 0.5), (0.5, 0.4), (0.4, 0.6)):
        color = board.on_wheel(30, 20, across, down)
        here = wheel[int(down * WHEEL), int(across * WHEEL)] / 255
        assert np.abs(lab_of(color) - rgb2lab(here[None, None])[0, 0]).max() < 3
    assert lab_of(board.on_wheel(30, 20, 0.7, 0.5))[1] > 30, "to the right a* grows"
    assert lab_of(board.on_wheel(30, 20, 0.5, 0.3))[2] > 30, "up b* grows"
    assert (wheel[:, -1] == 255).all(), "what no screen shows is white"


def test_a_hint_replaces_the_one_at_its_pixel(board):
    board.add(5, 6, "#aa2020")
    board.add(50, 30, "#2020aa")
    board.add(5, 6, "#20aa20")
    assert board.hints == [(50, 30, "#2020aa"), (5, 6, "#20aa20")]


def test_paint_shows_the_picture_with_hints(board):
    plain = np.asarray(board.paint(), int)
    assert (plain.max(axis=2) - plain.min(axis=2) <= 2).all()
    told = board.paint([(30, 20, "#a05050")])
    assert told.size == (60, 40)
    assert np.asarray(told, int)[20, 30, 0] - np.asarray(told, int)[20, 30, 1] > 40


# --- the widget ---


def shown(widget):
    return Image.open(io.BytesIO(base64.b64decode(widget.picture.partition(",")[2])))


def test_clicks_color_undo_and_clear(board):
    probabilities(board, {(30, 30): 0.7, (-30, 10): 0.3})
    widget = BoardWidget(board)
    plain = widget.picture
    widget.hear({"kind": "color", "color": "#aa2020"})
    assert board.hints == [], "no place was clicked yet"
    widget.hear({"kind": "place", "x": 0.5, "y": 0.5})
    assert [percent for _, percent in widget.choices] == [70, 30]
    assert widget.wheel.startswith("data:image/png") and widget.picture == plain
    widget.hear({"kind": "color", "color": widget.choices[0][0]})
    assert board.hints == [(30, 20, widget.choices[0][0])]
    red = np.asarray(shown(widget), int)[20, 30]
    assert red[0] > red[2] + 30 and widget.marks == [
        [pytest.approx(30.5 / 60), pytest.approx(20.5 / 40), widget.choices[0][0]]
    ]
    widget.hear({"kind": "place", "x": 1.0, "y": -0.01})
    widget.hear({"kind": "wheel", "x": 0.5, "y": 0.7})
    assert board.hints[1][:2] == (59, 0) and lab_of(board.hints[1][2])[2] < -20
    widget.hear({"kind": "undo"})
    assert len(board.hints) == 1
    widget.hear({"kind": "clear"})
    assert board.hints == [] and widget.marks == [] and widget.picture == plain


# --- where nobody can click ---


def test_still_pictures(board, monkeypatch, capsys):
    made = []
    monkeypatch.setattr(module, "show", lambda figure, alt: made.append((figure, alt)))
    stills = [[], [(30, 20, "#a05050")]]
    ask(board.hinted, board.picture, 32, alt="two", stills=stills, titles=["plain", "one hint"])
    [(figure, alt)] = made
    assert alt == "two" and [axes.get_title() for axes in figure.axes] == ["plain", "one hint"]
    monkeypatch.setattr(module, "is_static", lambda: False)
    monkeypatch.setitem(__import__("sys").modules, "lessonkit.lesson_12.board_widget", None)
    ask(board.hinted, board.picture, 32, alt="two", stills=stills, titles=["plain", "one hint"])
    assert len(made) == 2 and "pip install anywidget" in capsys.readouterr().out


def test_marks_are_where_the_hints_are():
    marked = np.asarray(with_marks(Image.new("RGB", (60, 40), "gray"), [(15, 30, "red")], (60, 40)))
    assert marked.shape == (400, 600, 3)
    assert (marked[305, 155] == (255, 0, 0)).all() and (marked[100, 100] == 128).all()
