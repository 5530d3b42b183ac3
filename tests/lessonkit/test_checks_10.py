"""The checks of lesson 10 accept the solutions and name the usual mistakes."""

import math
import random

import numpy as np
import pytest
from check_cases import cases, judge

from colorlib.photos import split_by_photo
from lessonkit.lesson_10 import checks
from lessonkit.lesson_10.photo_run import series


def split_by_series(names):
    train_series, test_series = split_by_photo(sorted({series(name) for name in names}))
    train = [name for name in names if series(name) in train_series]
    test = [name for name in names if series(name) in test_series]
    return train, test


def shuffled(names):
    kinds = list(dict.fromkeys(map(series, names)))
    chosen = random.Random(0).sample(kinds, 2)
    return [n for n in names if series(n) not in chosen], [n for n in names if series(n) in chosen]


def one_series(names):
    first = series(min(names))
    return [n for n in names if series(n) != first], [n for n in names if series(n) == first]


def by_letters(names):
    return [n for n in names if n[0] not in "ab"], [n for n in names if n[0] in "ab"]


def training_hours(photos, epochs, batch, seconds_a_step):
    return epochs * math.ceil(photos / batch) * seconds_a_step / 3600


def choose_factor(painted, target):
    return min(painted, key=lambda factor: abs(painted[factor] - target))


def ahead_of_rival(colorfulness, error, curve):
    points = np.array(sorted(curve))
    if not points[0, 0] <= colorfulness <= points[-1, 0]:
        return float("nan")
    return np.interp(colorfulness, points[:, 0], points[:, 1]) - error


def nearest_point(colorfulness, error, curve):
    return min(curve, key=lambda point: abs(point[0] - colorfulness))[1] - error


def clamped(colorfulness, error, curve):
    points = np.array(sorted(curve))
    return np.interp(colorfulness, points[:, 0], points[:, 1]) - error


RIGHT = {
    "split_by_series": split_by_series,
    "training_hours": training_hours,
    "needed": {"checkpoint.pt"},
    "choose_factor": choose_factor,
    "ahead_of_rival": ahead_of_rival,
}
WRONG = {
    "split_by_series": [
        (split_by_photo, "stands on both sides"),
        (lambda names: split_by_photo(sorted({series(name) for name in names})), "not of series"),
        (lambda names: names, "return two lists"),
        (lambda names: (split_by_series(names)[0], []), "exactly one list"),
        (one_series, "2 are for the test"),
        (shuffled, "another order"),
        (by_letters, "not the one of split_by_photo"),
    ],
    "training_hours": [
        (lambda *a: 3600 * training_hours(*a), "seconds"),
        (lambda *a: 60 * training_hours(*a), "minutes"),
        (lambda photos, epochs, batch, s: photos / batch * s / 3600, "one epoch"),
        (lambda photos, epochs, batch, s: epochs * photos * s / 3600, "a step for each photo"),
        (lambda photos, epochs, batch, s: epochs * photos / batch * s / 3600, "Round up"),
        (lambda photos, epochs, batch, s: epochs * (photos // batch) * s / 3600, "Round up"),
        (lambda *a: training_hours(*a) / 24, "1 hour"),
    ],
    "needed": [
        ({"generator.safetensors"}, "begins at step 0"),
        ({"checkpoint.pt", "split.txt"}, "the hash of the same names"),
        ({"checkpoint.pt", "generator.safetensors"}, "not to go on"),
        ({"checkpoint.pt", "weights"}, "not in the list"),
        ("checkpoint.pt", "give a set of names"),
    ],
    "choose_factor": [
        (lambda painted, target: max(painted), "loudest"),
        (lambda painted, target: painted[choose_factor(painted, target)], "a key of `painted`"),
        (
            lambda painted, target: next(k for k, value in painted.items() if value >= target),
            "the first that is as colorful",
        ),
        (lambda painted, target: 2.0, "41 is nearer"),
        (lambda painted, target: 1.0, "the nearest is 33"),
        (lambda painted, target: target / 18, "none of the constants"),
    ],
    "ahead_of_rival": [
        (lambda *a: -ahead_of_rival(*a), "the other way round"),
        (nearest_point, "nearest point"),
        (clamped, "nobody has measured"),
        (lambda colorfulness, error, curve: 0.0, "0.4 ahead"),
    ],
}


@pytest.mark.parametrize("check, answer, words", cases(checks, RIGHT, WRONG))
def test_check(check, answer, words):
    judge(check, answer, words)


def test_untouched_sets_are_not_done():
    assert checks.needed.judge({...}).kind == "not done"
    assert checks.needed.judge(...).kind == "not done"
