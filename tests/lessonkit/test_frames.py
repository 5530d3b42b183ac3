"""Frames for the website: few, complete, the stills among them, and only where asked for."""

import json

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from PIL import Image

from lessonkit import frames, widgets
from lessonkit.widgets import before_after, choice, play, slider, steps


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of the frames; what is displayed is dropped."""
    monkeypatch.setenv("COLORLIB_FRAMES", str(tmp_path))
    monkeypatch.setattr(widgets, "display", lambda *_, **__: None)
    monkeypatch.setattr(widgets, "show", lambda *_: None)
    return tmp_path


def square(side, hue="red"):
    return Image.new("RGB", (side, side), hue)


def content(folder, number=1):
    return json.loads((folder / f"{number}.json").read_text("utf-8"))


def test_nothing_is_written_where_nobody_asks(tmp_path, monkeypatch, folder):
    monkeypatch.delenv("COLORLIB_FRAMES")
    play(square, alt="a square", side=slider(1, 9))
    assert list(tmp_path.iterdir()) == []


def test_a_slider_has_about_ten_places_its_ends_and_the_stills_among_them(folder):
    stills = [{"side": 18}, {}]
    play(square, alt="a square", side=slider(1, 200, value=77), stills=stills)
    made = content(folder)
    shown = made["controls"][0]["shown"]
    assert {"1", "200", "77", "18"} <= set(shown) and 7 <= len(shown) <= 11
    assert shown == sorted(shown, key=int) and shown[made["controls"][0]["at"]] == "77"
    assert [shown[index] for index in made["stills"]] == ["18", "77"]
    sizes = [Image.open(folder / name).width for name in made["frames"]]
    assert sizes == [int(each) for each in shown]


def test_several_controls_share_the_frames_and_the_last_one_varies_fastest(folder):
    hue = choice({"warm": "red", "cold": "blue"}, label="paint")
    play(square, alt="a square", hue=hue, side=slider(4, 40), stills=[{"hue": "blue", "side": 40}])
    made = content(folder)
    paint, side = made["controls"]
    assert paint["shown"] == ["warm", "cold"] and paint["kind"] == "choice"
    count = len(side["shown"])
    assert count >= 3 and len(made["frames"]) == 2 * count <= frames.TOGETHER
    assert made["stills"] == [2 * count - 1]
    last = Image.open(folder / made["frames"][-1]).convert("RGB")
    assert last.size == (40, 40) and last.getpixel((0, 0))[2] > 200


def test_fractions_stay_exact(folder):
    play(lambda share: square(round(100 * share)), alt="a", share=slider(0.1, 0.9, 0.1, value=0.3))
    assert content(folder)["controls"][0]["shown"][:3] == ["0.1", "0.2", "0.3"]


def test_every_kind_of_control_has_places():
    boxes = {"choice": choice([1, 2]), "named": choice({"one": 1}), "slider": slider(0, 4)}
    made = {name: frames.values_of(box, 5, []) for name, box in boxes.items()}
    assert made["choice"] == {"1": 1, "2": 2} and made["named"] == {"one": 1}
    assert list(made["slider"].values()) == [0, 1, 2, 3, 4]


def test_figures_are_closed_and_tables_are_kept_as_html(folder):
    play(lambda n: plt.subplots(figsize=(20, 2))[0], alt="empty", n=slider(0, 1))
    assert Image.open(folder / content(folder)["frames"][0]).width == frames.WIDEST
    assert len(plt.get_fignums()) == 1, "the still, which `show` would close"
    plt.close("all")
    play(lambda n: pd.DataFrame({"a": [n]}), alt="a table", n=slider(17, 18))
    assert "<td>17</td>" in content(folder, 2)["frames"][0]


def test_a_film_has_more_frames_and_its_speed(folder):
    steps(lambda number: square(number + 1), 100, alt="it grows", milliseconds=150)
    made = content(folder)
    assert made["milliseconds"] == 150 and 14 <= len(made["frames"]) <= 18
    assert made["stills"] == [0, len(made["frames"]) - 1]


def test_before_and_after_are_two_pictures(folder):
    before_after(square(8), square(8, "blue"), alt="red and blue", at=30)
    made = content(folder)
    assert made["at"] == 30 and len(made["pair"]) == 2
    assert Image.open(folder / made["pair"][1]).convert("RGB").getpixel((4, 4))[2] > 200


def test_an_error_in_a_frame_is_raised(folder):
    with pytest.raises(ZeroDivisionError):
        play(lambda n: 1 / n, alt="nothing", n=slider(0, 1, value=1))
