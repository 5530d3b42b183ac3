"""The case files of lesson 07: reading and drawing."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from lessonkit.figures import render
from lessonkit.lesson_07 import case_files
from lessonkit.lesson_07.case_files import LETTERS, read_recording
from lessonkit.lesson_07.recordings import CASES


@pytest.fixture(scope="module")
def cases():
    return {letter: read_recording(LETTERS[letter]) for letter in "BC"}


def test_a_letter_for_each_suspect_and_none_is_a_player():
    assert len(LETTERS) == len(set(LETTERS.values())) == 8
    assert set(LETTERS.values()) <= set(CASES)
    assert not set("DG") & set(LETTERS)


def test_a_case_is_drawn_in_few_colors_that_look_the_same(cases, monkeypatch):
    full = []
    monkeypatch.setattr(case_files, "render", lambda figure: full.append(render(figure)) or full[0])
    drawn = case_files.draw_case(cases["C"])
    assert isinstance(drawn, Image.Image) and drawn.mode == "P"
    assert not plt.get_fignums()
    difference = np.asarray(full[0], float) - np.asarray(drawn.convert("RGB"), float)
    pictures = difference[40:500, 70:420]
    assert np.abs(pictures).mean() < 4


def test_only_losses_and_only_last_pictures(cases):
    assert render(case_files.draw_losses(cases)).width == 1000
    figure = case_files.draw_last(cases)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    plt.close(figure)
    assert labels == ["run B", "run C", "truth"]


def test_a_row_of_the_sheet(cases):
    kept = cases["C"]
    truth = case_files.row_of(kept, len(kept.moments))
    assert truth.size == (kept.picture.width, kept.picture.width // 6)
    others = case_files.row_of(cases["B"], len(kept.moments))
    difference = np.abs(np.asarray(truth, float) - np.asarray(others, float))
    assert difference.mean() < 1  # the same pictures, but for JPEG


def test_a_missing_recording_is_named():
    with pytest.raises(FileNotFoundError, match="nobody.json"):
        read_recording("nobody")
