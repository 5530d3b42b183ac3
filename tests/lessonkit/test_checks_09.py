"""The checks of lesson 09 accept the solutions and name the usual mistakes."""

import math

import pytest
import torch
from check_cases import cases, judge

from colorlib.color import rgb_to_L_ab
from lessonkit.lesson_09 import checks


def painter(ab):
    """A colorizer of one color; ab (2,)."""
    return lambda L: ab[:, None, None].expand(len(L), 2, *L.shape[2:])


def mean_color(train_rgb):
    mean_ab = rgb_to_L_ab(train_rgb)[1].mean(dim=(0, 2, 3))  # (2,)

    def paint(L):
        return mean_ab[:, None, None].expand(len(L), 2, *L.shape[2:])

    return paint


def mean_of_rgb(train_rgb):
    mean = (train_rgb.float() / 255).mean(dim=(0, 2, 3), keepdim=True)
    return painter(rgb_to_L_ab(mean)[1].flatten())


def not_expanded(train_rgb):
    mean_ab = rgb_to_L_ab(train_rgb)[1].mean(dim=(0, 2, 3))
    return lambda L: mean_ab[None, :, None, None]


def from_lightness(train_rgb):
    return lambda L: torch.cat([L, L], dim=1)


def in_lab_units(train_rgb):
    return painter(110 * rgb_to_L_ab(train_rgb)[1].mean(dim=(0, 2, 3)))


def median_color(train_rgb):
    return painter(rgb_to_L_ab(train_rgb)[1].movedim(1, 0).flatten(1).median(dim=1).values)


def fool_the_mean(rgb):
    damaged = rgb.clone()
    damaged[..., 20:28, 20:28] = torch.tensor([0.0, 1.0, 0.0])[:, None, None]
    return damaged


def in_place(rgb):
    rgb[..., 20:28, 20:28] = torch.tensor([0.0, 1.0, 0.0])[:, None, None]
    return rgb


def large_spot(rgb):
    damaged = rgb.clone()
    damaged[..., 10:40, 10:40] = torch.tensor([0.0, 1.0, 0.0])[:, None, None]
    return damaged


def black_corner(rgb):
    damaged = rgb.clone()
    damaged[..., :8, :8] = 0
    return damaged


def tiny_spot(rgb):
    damaged = rgb.clone()
    damaged[..., 20:22, 20:22] = torch.tensor([0.0, 1.0, 0.0])[:, None, None]
    return damaged


def colorfulness(rgb):
    red, green, blue = (255 * rgb).flatten(2).unbind(dim=1)  # (B, H·W) each
    rg, yb = red - green, (red + green) / 2 - blue
    spread = (rg.var(dim=1) + yb.var(dim=1)).sqrt()
    offset = (rg.mean(dim=1) ** 2 + yb.mean(dim=1) ** 2).sqrt()
    return spread + 0.3 * offset


def with_parts(rgb, half=0.5, scale=255, weight=0.3, power=1):
    red, green, blue = (scale * rgb).flatten(2).unbind(dim=1)
    rg, yb = red - green, (red + green) * half - blue
    spread = (rg.var(dim=1) ** power + yb.var(dim=1) ** power).sqrt()
    return spread + weight * (rg.mean(dim=1) ** 2 + yb.mean(dim=1) ** 2).sqrt()


def added_deviations(rgb):
    red, green, blue = (255 * rgb).flatten(2).unbind(dim=1)
    rg, yb = red - green, (red + green) / 2 - blue
    offset = (rg.mean(dim=1) ** 2 + yb.mean(dim=1) ** 2).sqrt()
    return rg.std(dim=1) + yb.std(dim=1) + 0.3 * offset


def of_the_batch(rgb):
    return colorfulness(rgb.movedim(1, 0).flatten(1)[None, :, :, None])


def luck(right, trials):
    ways = sum(math.comb(trials, hits) for hits in range(right, trials + 1))
    return ways / 2**trials


RIGHT = {
    "mean_color": mean_color,
    "fool_the_mean": fool_the_mean,
    "colorfulness": colorfulness,
    "luck": luck,
}
WRONG = {
    "mean_color": [
        (lambda train_rgb: rgb_to_L_ab(train_rgb)[1].mean(dim=(0, 2, 3)), "return a colorizer"),
        (mean_of_rgb, "convert each pixel to ab first"),
        (not_expanded, "the same two numbers at each pixel"),
        (from_lightness, "one color, everywhere"),
        (in_lab_units, "110 times too large"),
        (median_color, "one mean over all pixels"),
        (lambda train_rgb: lambda L: [0.1, 0.2], "not a tensor"),
    ],
    "fool_the_mean": [
        (lambda rgb: rgb.clone(), "nobody would be shocked"),
        (tiny_spot, "nobody would be shocked"),
        (lambda rgb: 1 - rgb, "Spoil fewer pixels"),
        (large_spot, "Spoil fewer pixels"),
        (black_corner, "off by about 68.0; with 64 pixels the mean stays below 1 only under 64"),
        (in_place, "you changed the picture"),
        (lambda rgb: 255 * fool_the_mean(rgb), "keep them in 0..1"),
        (lambda rgb: fool_the_mean(rgb)[0], "keep the shape"),
    ],
    "colorfulness": [
        (lambda rgb: with_parts(rgb, scale=1), "255 times too small"),
        (lambda rgb: with_parts(rgb, half=1), "Check the parentheses"),
        (lambda rgb: with_parts(rgb, weight=1), "0.3"),
        (lambda rgb: with_parts(rgb, weight=0), "the means are missing"),
        (lambda rgb: with_parts(rgb, power=2), "do not square them again"),
        (lambda rgb: with_parts(rgb, weight=0.5), "four steps"),
        (added_deviations, "a right angle"),
        (of_the_batch, "three pictures give three numbers"),
    ],
    "luck": [
        (lambda right, trials: math.comb(trials, right) / 2**trials, "exactly 7"),
        (
            lambda right, trials: (
                sum(math.comb(trials, hits) for hits in range(right, trials)) / 2**trials
            ),
            "stops before its end",
        ),
        (lambda right, trials: 100 * luck(right, trials), "not a percentage"),
        (lambda right, trials: 1.5 * luck(right, trials), "0.00098 is expected"),
        (lambda right, trials: 2 * luck(right, trials), "you get 0.001953"),
        (lambda right, trials: right / trials, "you get 1"),
        (
            lambda right, trials: luck(right + 1, trials) or luck(right, trials),
            "more than 7",
        ),
        (lambda right, trials: luck(right, 10), "for 15 right out of 20"),
    ],
}


@pytest.mark.parametrize("check, answer, words", cases(checks, RIGHT, WRONG))
def test_check(check, answer, words):
    judge(check, answer, words)
