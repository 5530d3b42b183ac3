"""The checks of lesson 12 accept the solutions and name the usual mistakes."""

import pytest
import torch
from check_cases import cases, judge

from lessonkit.lesson_12 import checks


def mark(hints, height, width, is_mask=True, put=None):
    made = torch.zeros(1, 3, height, width)
    for row, column, a, b in hints:
        made[0, :, row, column] = torch.tensor([a, b, float(is_mask)])
    return made


def adds(hints, height, width):
    made = torch.zeros(1, 3, height, width)
    for row, column, a, b in hints:
        made[0, :, row, column] += torch.tensor([a, b, 1.0])
    return made


def only_colored(hints, height, width):
    return mark([hint for hint in hints if hint[2] or hint[3]], height, width)


def swapped(hints, height, width):
    made = torch.zeros(1, 3, height, width)
    for row, column, a, b in hints:
        made[0, :, column % height, row] = torch.tensor([a, b, 1.0])
    return made


def mask_everywhere(hints, height, width):
    made = mark(hints, height, width)
    made[:, 2] = 1
    return made


def shares(apart, strength):
    weights = torch.exp(strength - apart)
    return weights / (1 + weights.sum(dim=1, keepdim=True))


def with_no_change(apart, strength):
    return torch.cat([torch.zeros(len(apart), 1), strength - apart], dim=1).softmax(dim=1)


def random_hint(ab, most=3, fits=True, color=lambda square: square.mean((1, 2), keepdim=True)):
    side = int(torch.randint(1, most + 1, ()))
    top, left = (int(torch.randint(n - side + 1 if fits else n, ())) for n in ab.shape[1:])
    made = torch.zeros(3, *ab.shape[1:])
    square = ab[:, top : top + side, left : left + side]
    made[:2, top : top + side, left : left + side] = color(square)
    made[2, top : top + side, left : left + side] = 1
    return made


def never_at_the_edge(ab):
    inner = random_hint(ab[:, :-1, :-1])
    made = torch.zeros(3, *ab.shape[1:])
    made[:, :-1, :-1] = inner
    return made


def clipped(ab):
    """A square that would leave the picture is moved back into it."""
    side = int(torch.randint(1, 4, ()))
    top, left = (min(int(torch.randint(n, ())), n - side) for n in ab.shape[1:])
    return square_at(ab, side, top, left)


def same_places_for_all_sides(ab):
    side = int(torch.randint(1, 4, ()))
    return square_at(ab, side, *(int(torch.randint(n - 2, ())) for n in ab.shape[1:]))


def mostly_small(ab):
    side = (1, 1, 1, 1, 1, 1, 2, 3)[torch.randint(8, ())]
    return square_at(ab, side, *(int(torch.randint(n - side + 1, ())) for n in ab.shape[1:]))


def in_a_corner(ab):
    side = int(torch.randint(1, 4, ()))
    return square_at(ab, side, *(int(torch.randint(2, ())) * (n - side) for n in ab.shape[1:]))


def square_at(ab, side, top, left):
    made = torch.zeros(3, *ab.shape[1:])
    there = (slice(None), slice(top, top + side), slice(left, left + side))
    made[:2][there] = ab[there].mean((1, 2), keepdim=True)
    made[2:][there] = 1
    return made


def leaves_color_outside(ab):
    made = random_hint(ab)
    made[:2] = torch.where(made[2] > 0, made[:2], ab)
    return made


RIGHT = {
    "mark": mark,
    "shares": shares,
    "random_hint": random_hint,
    "fool": (12, 42, "#c03020"),
}
WRONG = {
    "mark": [
        (lambda *arguments: mark(*arguments)[0], "the batch dimension"),
        (lambda hints, h, w: mark(hints, max(h, w), max(h, w)), "should be (1, 3, 8, 12)"),
        (lambda *arguments: mark(*arguments, is_mask=False), "the mask, channel 2, is 0"),
        (only_colored, "the gray hint at row 7"),
        (lambda *arguments: mark(*arguments)[:, [2, 0, 1]], "in another order"),
        (mask_everywhere, "1 everywhere"),
        (adds, "added up"),
        (lambda hints, h, w: mark(hints[::-1], h, w), "keep the earlier one"),
        (swapped, "swapped"),
        (lambda *arguments: 2 * mark(*arguments), "leave 0 everywhere else"),
        (lambda *arguments: [1], "return a tensor"),
    ],
    "shares": [
        (with_no_change, "the share of no change"),
        (lambda apart, strength: (strength - apart).softmax(dim=1), "the weight of no change"),
        (lambda apart, strength: (strength - apart).softmax(dim=0), "over the pixels"),
        (lambda apart, strength: (strength - apart).exp(), "these are the weights"),
        (lambda apart, strength: (strength - apart).sigmoid(), "each hint by itself"),
        (lambda apart, strength: shares(apart, 0), "the strength is missing"),
        (lambda apart, strength: shares(-apart, -strength), "the sign is wrong"),
        (lambda apart, strength: shares(apart, strength).sum(dim=1), "of shape (4, 2)"),
        (lambda apart, strength: 0.5, "return a tensor"),
        (lambda apart, strength: shares(apart, 2 * strength), "1 plus the pixel's sum"),
    ],
    "random_hint": [
        (lambda ab: random_hint(ab)[None], "should be (3, 6, 9)"),
        (lambda ab: random_hint(ab, most=1), "draw the side at random"),
        (lambda ab: random_hint(ab, most=2), "randint excludes"),
        (lambda ab: random_hint(ab, fits=False), "cut off"),
        (lambda ab: random_hint(ab, color=lambda square: square), "its own color"),
        (lambda ab: random_hint(ab, color=lambda square: square.mean()), "are equal"),
        (lambda ab: random_hint(ab, color=lambda square: square[:, :1, :1]), "take the mean"),
        (clipped, "too often"),
        (in_a_corner, "too often"),
        (same_places_for_all_sides, "no square of side 1 ever touches"),
        (mostly_small, "draw all equally often"),
        (never_at_the_edge, "touches the bottom edge"),
        (leaves_color_outside, "outside the square"),
        (lambda ab: torch.zeros(3, 6, 9), "no hint was marked"),
        (lambda ab: 255 * random_hint(ab), "0 or 1"),
    ],
    "fool": [
        ((20, 50), "a hint is (x, y, color)"),
        ((200, 50, "red"), "outside the photo"),
        ((20, 50, "no color"), "a hint is x, y and a color"),
    ],
}


@pytest.mark.parametrize("check, answer, words", cases(checks, RIGHT, WRONG))
def test_check(check, answer, words):
    judge(check, answer, words)


@pytest.mark.parametrize(
    "name, answer",
    [
        ("mark", lambda hints, height, width: None),
        ("shares", lambda apart, strength: None),
        ("random_hint", lambda ab: None),
        ("fool", ...),
        ("fool", (..., 50, "red")),
    ],
)
def test_untouched(name, answer):
    assert getattr(checks, name).judge(answer).kind == "not done"
