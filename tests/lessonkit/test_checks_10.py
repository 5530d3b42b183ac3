"""The checks of lesson 10 accept the solutions and name the usual mistakes."""

import math
import random

import pytest
import torch
from check_cases import cases, judge

from colorlib.generator import count_parameters
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


def training_hours(photos, epochs, batch, seconds_per_step):
    return epochs * math.ceil(photos / batch) * seconds_per_step / 3600


def freeze_encoder(network):
    network.encoder.requires_grad_(False)
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def choose_k(rows, least):
    allowed = [row for row in rows if row["psnr_ab"] >= least]
    return max(allowed, key=lambda row: row["colorfulness"])["k"]


def largest_allowed(rows, least):
    return max(row["k"] for row in rows if row["psnr_ab"] >= least)


def frozen(network, part=lambda network: network.encoder):
    part(network).requires_grad_(False)
    return network


def learning(network):
    return [p for p in network.parameters() if p.requires_grad]


def shake_weights(network):
    with torch.no_grad():
        network.last.weight.add_(1)
    return freeze_encoder(network)


def mark_encoder(network):
    network.encoder.requires_grad = False
    return sum(p.numel() for p in network.decoder.parameters())


def mark_stages(network):
    for stage in network.encoder.stages:
        stage.requires_grad = False
    return len(learning(network))


RIGHT = {
    "split_by_series": split_by_series,
    "training_hours": training_hours,
    "freeze_encoder": freeze_encoder,
    "choose_k": choose_k,
}
WRONG = {
    "split_by_series": [
        (split_by_photo, "is on both sides"),
        (lambda names: split_by_photo(sorted({series(name) for name in names})), "not of series"),
        (lambda names: names, "return two lists"),
        (lambda names: (split_by_series(names)[0], []), "exactly one list"),
        (one_series, "2 of the 12 series"),
        (shuffled, "another order"),
        (by_letters, "not the one of split_by_photo"),
    ],
    "training_hours": [
        (lambda *a: 3600 * training_hours(*a), "seconds"),
        (lambda *a: 60 * training_hours(*a), "minutes"),
        (lambda *a: round(training_hours(*a)), "not the hours"),
        (lambda *a: math.ceil(training_hours(*a)), "not the hours"),
        (lambda photos, epochs, batch, s: photos / batch * s / 3600, "one epoch"),
        (lambda photos, epochs, batch, s: epochs * photos * s / 3600, "a step for each photo"),
        (lambda photos, epochs, batch, s: epochs * photos / batch * s / 3600, "Round up"),
        (lambda photos, epochs, batch, s: epochs * (photos // batch) * s / 3600, "Round up"),
        (lambda *a: training_hours(*a) / 24, "1 hour"),
    ],
    "freeze_encoder": [
        (lambda network: len(learning(frozen(network))), "counts tensors"),
        (lambda network: sum(p.numel() for p in frozen(network).parameters()), "all parameters"),
        (lambda network: frozen(network, lambda whole: whole) and 0, "nothing learns"),
        (lambda network: network.encoder.eval() and 1, "eval() doesn't"),
        (lambda network: frozen(network, lambda whole: whole.encoder.stem) and 1, "still learn"),
        (lambda network: frozen(frozen(network), lambda whole: whole.last) and 1, "frozen too"),
        (shake_weights, "have changed"),
        (mark_encoder, "`network.encoder.requires_grad = False` freezes nothing"),
        (mark_stages, "`network.encoder.stages.0.requires_grad = False` freezes nothing"),
        (lambda network: -freeze_encoder(network), "you return -"),
        (lambda network: freeze_encoder(network) - count_parameters(network.last), "network.last"),
    ],
    "choose_k": [
        (lambda rows, least: max(rows, key=lambda row: row["k"])["k"], "gives up its lead"),
        (largest_allowed, "not k"),
        (lambda rows, least: choose_k(rows, least) if len(rows) == 4 else 1.0, "one more row"),
        (lambda rows, least: max(rows, key=lambda row: row["psnr_ab"])["k"], "highest PSNR"),
        (lambda rows, least: max(rows, key=lambda row: row["colorfulness"]), "a whole row"),
        (lambda rows, least: choose_k(rows, least + 0.5), "still above"),
        (lambda rows, least: choose_k(rows, least + 1e-9), "is enough"),
        (lambda rows, least: [r["k"] for r in rows if r["psnr_ab"] >= least][-1], "order"),
        (lambda rows, least: 28.0, "not one of the constants"),
    ],
}


@pytest.mark.parametrize("check, answer, words", cases(checks, RIGHT, WRONG))
def test_check(check, answer, words):
    judge(check, answer, words)
