"""The checks of lesson 00 accept its solutions and name the usual mistakes."""

import pytest
import torch
from check_cases import cases, judge
from torch.nn.functional import interpolate

from colorlib.color import L_ab_to_rgb, gray_from_lightness, rgb_to_lab
from colorlib.metrics import colorfulness
from lessonkit.lesson_00 import checks
from lessonkit.yuv import gray_from_luma


def gray_of(rgb):
    return rgb_to_lab(rgb)[:, :1] / 100


def join(L, small_ab):
    ab = interpolate(small_ab, L.shape[-2:], mode="bilinear")
    return L_ab_to_rgb(L, ab)


def color_kept(predicted, real):
    return colorfulness(predicted) / colorfulness(real)


VERDICT = {
    "the grass of a painted scene": "known",
    "the balloon of a painted scene": "invented",
    "an orange beside a lemon": "known",
    "a parked car": "invented",
    "a dress in an old photo": "invented",
}


def shrink_L(L, small_ab):
    return L_ab_to_rgb(interpolate(L, small_ab.shape[-2:], mode="bilinear"), small_ab)


def enlarged(L, small_ab, **options):
    return interpolate(small_ab, L.shape[-2:], **options)


RIGHT = {
    "gray_of": gray_of,
    "join": join,
    "color_kept": color_kept,
    "known_or_invented": VERDICT,
}
WRONG = {
    "gray_of": [
        (lambda rgb: rgb_to_lab(rgb)[:, :1], "divide by 100"),
        (lambda rgb: rgb_to_lab(rgb)[:, 0] / 100, "[:, :1] keeps it"),
        (lambda rgb: rgb_to_lab(rgb) / 100, "three channels"),
        (lambda rgb: rgb_to_lab(rgb)[:, :1] / 255, "not at 255"),
        (lambda rgb: rgb_to_lab(rgb)[:, 1:2] / 100, "channel 1, a*"),
        (lambda rgb: rgb.mean(dim=1, keepdim=True), "mean of R, G and B"),
        (gray_from_luma, "luma"),
        (lambda rgb: rgb_to_lab(rgb / 255)[:, :1] / 100, "do not divide rgb by 255"),
        (lambda rgb: gray_from_luma(rgb) / 255, "television's gray, not L*"),
        (lambda rgb: gray_from_lightness(rgb.float()), "wrong for uint8"),
        (lambda rgb: 1 - gray_of(rgb), "take channel 0"),
        (lambda rgb: "gray", "return a tensor"),
    ],
    "join": [
        (shrink_L, "you shrank L"),
        (lambda L, ab: L_ab_to_rgb(L, ab), "agree"),
        (lambda L, ab: L_ab_to_rgb(L, enlarged(L, ab, mode="nearest")), "blocks"),
        (
            lambda L, ab: L_ab_to_rgb(L, enlarged(L, ab, mode="bilinear", align_corners=True)),
            "align_corners",
        ),
        (lambda L, ab: enlarged(L, ab, mode="bilinear"), "enlarged ab alone"),
        (
            lambda L, ab: torch.cat([100 * L, 110 * enlarged(L, ab, mode="bilinear")], dim=1),
            "that is Lab",
        ),
        (
            lambda L, ab: L_ab_to_rgb(L, 110 * enlarged(L, ab, mode="bilinear")),
            "do not multiply ab",
        ),
        (lambda L, ab: L_ab_to_rgb(L, ab).numpy(), "agree"),
        (lambda L, ab: join(L, ab).numpy(), "return a tensor"),
    ],
    "color_kept": [
        (lambda predicted, real: colorfulness(real) / colorfulness(predicted), "upside down"),
        (lambda predicted, real: colorfulness(predicted) - colorfulness(real), "difference"),
        (lambda predicted, real: colorfulness(predicted), "divide it"),
        (lambda predicted, real: 100 * color_kept(predicted, real), "percent"),
        (lambda predicted, real: color_kept(predicted, real).mean(), "one number"),
        (lambda predicted, real: color_kept(predicted, real) ** 2, "divide colorfulness"),
        (lambda predicted, real: color_kept(predicted, real).clamp(max=1), "do not cut at 1"),
    ],
    "known_or_invented": [
        (VERDICT | {"the balloon of a painted scene": "known"}, "a coin"),
        (VERDICT | {"the grass of a painted scene": "invented"}, "grass is green"),
        (VERDICT | {"a parked car": "known"}, "many paints"),
        (VERDICT | {"a dress in an old photo": "known"}, "dresses come in all colors"),
        (VERDICT | {"a parked car": ...}, "still open: a parked car"),
        (VERDICT | {"a parked car": "perhaps"}, 'write "known" or "invented"'),
        ({"a parked car": "invented"}, "missing"),
        (["known", "invented"], "keep the dictionary"),
    ],
}


@pytest.mark.parametrize("check, answer, words", cases(checks, RIGHT, WRONG))
def test_check(check, answer, words):
    judge(check, answer, words)


def test_an_empty_dictionary_is_not_done():
    verdict = checks.known_or_invented.judge(dict.fromkeys(VERDICT, ...))
    assert verdict.kind == "not done"


def test_the_reasons_are_the_tables_own():
    assert {thing: kind for thing, (kind, _) in checks.KINDS.items()} == VERDICT
