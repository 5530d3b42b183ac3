"""Widgets: live they redraw, static they show stills, and an error is never lost."""

import io
import sys
from types import SimpleNamespace

import ipywidgets
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from PIL import Image

from colorlib.photos import PhotoError
from lessonkit import widgets
from lessonkit.lesson_00 import upload as uploads
from lessonkit.widgets import before_after, choice, play, slider, steps


@pytest.fixture
def displayed(monkeypatch):
    """Everything displayed: figures as (alt, size), captions as text, widgets as they are."""
    things = []
    for module in (widgets, uploads):
        monkeypatch.setattr(module, "display", lambda thing, **_: things.append(thing))
    monkeypatch.setattr(
        widgets, "show", lambda drawn, alt: things.append((alt, widgets.as_picture(drawn).size))
    )
    return things


@pytest.fixture
def is_live(monkeypatch):
    monkeypatch.delenv("COLORLIB_STATIC", raising=False)
    kernel = SimpleNamespace(kernel=object())
    monkeypatch.setattr(widgets, "get_ipython", lambda: kernel)


def png(picture):
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def square(side, hue="red"):
    return Image.new("RGB", (side, side), hue)


# --- static ---


def test_static_where_no_notebook_runs_or_the_variable_is_set(monkeypatch, is_live):
    assert not widgets.is_static()
    monkeypatch.setenv("COLORLIB_STATIC", "1")
    assert widgets.is_static()
    monkeypatch.delenv("COLORLIB_STATIC")
    monkeypatch.setattr(widgets, "get_ipython", lambda: None)
    assert widgets.is_static()


def test_stills_have_captions_and_alternative_text(displayed):
    controls = {"side": slider(2, 9, value=4), "hue": choice(["red", "blue"], label="paint")}
    play(square, alt="a square", stills=[{"side": 3}, {"hue": "blue"}], **controls)
    first, one, second, other = displayed
    assert one == ("a square (side: 3, paint: red)", (3, 3))
    assert other == ("a square (side: 4, paint: blue)", (4, 4))
    assert [first.data, second.data] == ["*side: 3, paint: red*", "*side: 4, paint: blue*"]


def test_an_asterisk_in_a_caption_does_not_end_its_emphasis(displayed):
    play(square, alt="a square", side=slider(2, 9, value=4, label="L*"), hue=choice(["red"]))
    assert displayed[0].data == r"*L\*: 4, hue: red*"


def test_stills_show_figures_and_tables(displayed):
    play(lambda: plt.subplots(figsize=(2, 1))[0], alt="an empty figure")
    table = pd.DataFrame({"a": [1]})
    play(lambda: table, alt="a table")
    assert displayed == [("an empty figure", (200, 100)), table]
    assert not plt.get_fignums()


def test_an_error_in_a_still_is_raised():
    with pytest.raises(ZeroDivisionError):
        play(lambda x: 1 / x, alt="nothing", x=slider(0, 1))


def test_arguments_refused():
    with pytest.raises(ValueError, match="shade"):
        play(square, alt="a square", stills=[{"shade": 1}], side=slider(1, 2))
    with pytest.raises(ValueError, match="alt"):
        play(square, alt="", side=slider(1, 2))


def test_first_and_last_frame_are_the_stills(displayed):
    steps(lambda number: square(number + 1), 5, alt="it grows", label="epoch")
    assert displayed[1::2] == [("it grows (epoch: 0)", (1, 1)), ("it grows (epoch: 4)", (5, 5))]
    displayed.clear()
    steps(lambda number: square(number + 1), 5, alt="it grows", stills=[2])
    assert displayed[1:] == [("it grows (step: 2)", (3, 3))]


def test_a_film_may_count_rounds_instead_of_frames(displayed):
    steps(lambda number: square(number + 1), 5, alt="it grows", label="round", every=10, stills=[2])
    assert displayed[1:] == [("it grows (round: 20)", (3, 3))]


# --- live ---


def parts(box):
    *inputs, picture, text = box.children
    return inputs, picture, text


def test_controls_redraw_the_picture(displayed, is_live):
    play(square, alt="a square", side=slider(2, 9), hue=choice({"warm": "red", "cold": "blue"}))
    (side, hue), picture, text = parts(displayed[0])
    side.value = 7
    hue.value = "blue"
    assert picture.value == widgets.encode(square(7, "blue"), compress_level=1)
    assert text.value == ""
    assert (side.description, hue.description) == ("side", "hue")


def test_every_control():
    made = [
        widgets.make(control, "name")
        for control in (slider(0, 5), slider(0.0, 1.0, 0.1), slider(0, 1, 0.1), choice([1, 2]))
    ]
    kinds = "IntSlider FloatSlider FloatSlider Dropdown"
    assert [type(widget).__name__ for widget in made] == kinds.split()
    assert [widget.value for widget in made] == [0, 0.0, 0.0, 1]
    assert widgets.make(slider(0, 5, label="radius"), "name").description == "radius"


def test_an_error_is_shown_under_the_controls_and_goes_away(is_live):
    box = widgets.live(lambda side: square(10 // side), {"side": slider(0, 3)})
    (side,), picture, text = parts(box)
    assert "ZeroDivisionError" in text.value
    side.value = 2
    assert text.value == "" and Image.open(io.BytesIO(picture.value)).size == (5, 5)


def test_tables_and_text_are_shown_too(is_live):
    table = pd.DataFrame({"a": [17]})
    box = widgets.live(lambda which: table if which else "a < b", {"which": choice([False, True])})
    (which,), picture, text = parts(box)
    assert text.value == "<pre>a &lt; b</pre>" and picture.layout.display == "none"
    which.value = True
    assert "<td>17</td>" in text.value


def test_player_draws_each_frame_once(displayed, is_live):
    drawn = []
    steps(lambda number: drawn.append(number) or square(number + 1), 3, alt="it grows")
    button, box = displayed[0].children
    assert isinstance(button, ipywidgets.Play) and button.max == 2
    for number in (1, 2, 1):
        box.children[0].value = number
    assert drawn == [0, 1, 2]
    assert Image.open(io.BytesIO(parts(box)[1].value)).size == (2, 2)


def test_player_counts_rounds(displayed, is_live):
    drawn = []
    steps(lambda number: drawn.append(number) or square(number + 1), 3, alt="it grows", every=10)
    button, box = displayed[0].children
    assert (button.max, button.step) == (20, 10)
    box.children[0].value = 20
    assert drawn == [0, 2]


# --- before and after ---


def test_split_picture():
    joined = widgets.split_picture(square(10), square(10, "blue"), 0.5)
    assert joined.getpixel((0, 0)) == (255, 0, 0)
    assert joined.getpixel((5, 0)) == (255, 255, 255)
    assert joined.getpixel((9, 9)) == (0, 0, 255)
    for line, hue in ((0, "blue"), (1, "red")):
        whole = widgets.split_picture(square(10), square(10, "blue"), line)
        assert whole.tobytes() == square(10, hue).tobytes()
    with pytest.raises(ValueError, match="one size"):
        widgets.split_picture(square(10), square(9), 0.5)


def test_before_after(displayed):
    before_after(square(8), square(8, "blue"), alt="red and blue")
    assert displayed[1] == ("red and blue (line, % of the width: 50)", (8, 8))


def test_before_after_with_stills(displayed):
    before_after(square(8), square(8, "blue"), alt="red and blue", stills=[20, 80])
    assert [caption for caption, _ in displayed[1::2]] == [
        f"red and blue (line, % of the width: {line})" for line in (20, 80)
    ]


# --- upload ---


def test_upload_of_a_path(tmp_path, displayed):
    square(6).save(tmp_path / "photo.png")
    upload = uploads.upload_photo(tmp_path / "photo.png", lambda image: image.rotate(90), "mine")
    assert upload.image.size == (6, 6)
    assert displayed == [("mine", (6, 6))]
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    with pytest.raises(PhotoError):
        uploads.upload_photo(tmp_path / "broken.jpg")


def test_upload_is_empty_in_static_mode(displayed):
    assert uploads.upload_photo().image is None
    assert displayed == []


@pytest.mark.parametrize("wrap", [lambda e: (e,), lambda e: {"photo.png": e}], ids=["8", "7"])
def test_upload_in_jupyter(wrap):
    upload = uploads.Upload()
    assert upload.read_widget(wrap({"content": memoryview(png(square(6)))})).size == (6, 6)
    assert upload.image.size == (6, 6)
    assert uploads.Upload().read_widget(()) == uploads.Upload().read_widget({}) == ""


def test_the_upload_button(displayed, is_live):
    upload = uploads.upload_photo()
    (button,), _, text = parts(displayed[0])
    assert isinstance(button, ipywidgets.FileUpload)
    assert upload.image is None and text.value == "<pre></pre>"


def test_a_bad_upload_is_explained_without_a_traceback():
    drawn = widgets.attempt(uploads.Upload().read_widget, {"files": ({"content": b"no photo"},)})
    assert drawn and "Traceback" not in drawn


def test_upload_on_colab(displayed, is_live, monkeypatch):
    files = SimpleNamespace(upload=lambda: {"photo.png": png(square(6))})
    monkeypatch.setitem(sys.modules, "google.colab", SimpleNamespace(files=files))
    assert uploads.upload_photo().image.size == (6, 6)
    assert displayed == [("the photo that was uploaded", (6, 6))]
