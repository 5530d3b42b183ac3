"""Eight scenes are learned, others are only measured."""

import torch

from colorlib import rgb_to_L_ab
from colorlib.scenes import render_scenes
from lessonkit.lesson_03.overfitting import watch_training


def test_training_error_falls_and_unseen_scenes_change_nothing():
    L, ab = rgb_to_L_ab(render_scenes(6, size=32, seed=0).rgb)
    training, unseen = (L[:2], ab[:2]), (L[2:], ab[2:])
    errors = watch_training(training, [unseen], steps=60, seed=0)
    assert [len(part) for part in errors] == [4, 4]
    assert errors[0][-1] < errors[0][0] / 2
    elsewhere = watch_training(training, [(L[2:], torch.zeros_like(ab[2:]))], steps=60, seed=0)
    assert elsewhere[0] == errors[0] and elsewhere[1] != errors[1]
