"""Eight scenes are learned, others are only measured."""

import matplotlib.pyplot as plt
import torch

from colorlib import rgb_to_L_ab
from colorlib.scenes import render_scenes
from lessonkit.lesson_03.overfitting import EVERY, draw_errors, watch_training


def test_training_error_falls_and_unseen_scenes_change_nothing():
    L, ab = rgb_to_L_ab(render_scenes(6, size=32, seed=0).rgb)
    training, unseen = (L[:2], ab[:2]), (L[2:], ab[2:])
    errors = watch_training(training, [unseen], steps=60, seed=0)
    assert [len(part) for part in errors] == [4, 4]
    assert errors[0][-1] < errors[0][0] / 2
    elsewhere = watch_training(training, [(L[2:], torch.zeros_like(ab[2:]))], steps=60, seed=0)
    assert elsewhere[0] == errors[0] and elsewhere[1] != errors[1]


def test_each_run_has_two_curves_and_the_legend_names_each_kind_once():
    figure = draw_errors(
        [[[9.0, 3.0], [9.0, 7.0], [9.0, 8.0]], [[8.0, 2.0], [8.0, 6.0], [8.0, 6.0]]]
    )
    (axes,) = figure.axes
    plt.close(figure)
    assert [line.get_ydata().tolist() for line in axes.lines] == [[9, 3], [9, 7], [8, 2], [8, 6]]
    assert axes.lines[0].get_xdata().tolist() == [0, EVERY]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["training", "validation"]
