"""Checks of lesson 09: the mean-color baseline, a fooled mean, colorfulness, luck."""

import torch
from torch.nn.functional import avg_pool2d

from colorlib import metrics
from colorlib.color import rgb_to_L_ab
from colorlib.scenes import render_scenes
from lessonkit.checks import alike, check, filled, require, require_close
from lessonkit.lesson_09 import fooled


@check
def mean_color(answer):
    """Exercise 1: the baseline that paints the training pictures' mean chroma everywhere."""
    train = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    train[0, 0], train[1, 2], train[1, :, :4] = 200, 180, 255  # red; blue and white
    paint = answer(train)
    require(
        callable(paint),
        f"return a colorizer, a function of L; you return a {type(paint).__name__}. Define a "
        "function inside yours and return it",
    )
    L = torch.rand(3, 1, 4, 6)
    ab = filled(paint(L))
    require(
        isinstance(ab, torch.Tensor), f"the colorizer returns a {type(ab).__name__}, not a tensor"
    )
    require(
        tuple(ab.shape) == (3, 2, 4, 6),
        f"for L of shape (3, 1, 4, 6) your colorizer returns {tuple(ab.shape)}; it should be "
        "(3, 2, 4, 6): the same two numbers at each pixel, as in `expand`",
    )
    spread = ab.flatten(2).amax(dim=2) - ab.flatten(2).amin(dim=2)
    require(
        spread.max() < 1e-6,
        "your color changes from pixel to pixel; it should be one color, everywhere",
    )
    train_ab = rgb_to_L_ab(train)[1]
    got, wanted = ab[0, :, 0, 0], train_ab.mean(dim=(0, 2, 3))
    of_mean = rgb_to_L_ab(train.float().mean(dim=(0, 2, 3), keepdim=True) / 255)[1].flatten()
    require(
        not alike(got, of_mean, 1e-3),
        "you take the mean of red, green and blue, and convert it; convert each pixel to ab first, "
        "then take the mean: the results differ, because the conversion isn't linear",
    )
    require(
        not alike(got, 110 * wanted, 1e-2),
        "your a and b are 110 times too large: a colorizer returns them scaled, like rgb_to_L_ab",
    )
    require_close(got, wanted, "one mean over all pixels of all training pictures: dim=(0, 2, 3)")
    return "the least you can know about the training pictures, in one color."


@check
def fool_the_mean(answer):
    """Exercise 2: a picture that looks wrong to everyone and right to the mean ΔE."""
    real = render_scenes(1, seed=5).rgb.float() / 255
    given = real.clone()
    damaged = answer(given)
    require(isinstance(damaged, torch.Tensor), "return a picture, a tensor like the one you get")
    require(
        damaged.shape == real.shape,
        f"the picture is {tuple(real.shape)}, yours {tuple(damaged.shape)}: keep the shape",
    )
    require(
        damaged.min() >= -1e-4 and damaged.max() <= 1 + 1e-4,
        f"your values run from {damaged.min():.3g} to {damaged.max():.3g}; keep them in 0..1",
    )
    require(
        torch.equal(given, real),
        "you changed the picture that you were given: start with `damaged = rgb.clone()`",
    )
    mean = metrics.ciede2000(damaged, real).item()
    squares = avg_pool2d(fooled.difference_map(damaged, real)[None], 8, stride=1)
    worst = squares.max().item()
    require(
        worst >= 20,
        f"the worst 8×8 pixels are off by {worst:.1f} on average: nobody would be shocked. They "
        "should be off by 20 or more",
    )
    changed = (damaged != real).any(dim=1).sum().item()
    if changed <= 64:  # the square is small enough, but its color is too far off
        off, allowed = mean * real[0, 0].numel() / changed, real[0, 0].numel() / changed
        require(
            mean < 1,
            f"your square is off by about {off:.1f}; with {changed} pixels the mean stays below 1 "
            f"only under {allowed:.0f}: choose a milder color",
        )
    require(
        mean < 1,
        f"the mean ΔE is {mean:.1f}; it should stay below 1. Spoil fewer pixels: a square of 8×8 "
        "is enough. Leave the others exactly as they are",
    )
    return f"the mean ΔE is only {mean:.2f}, but the worst square is off by {worst:.0f}."


@check
def colorfulness(answer):
    """Exercise 3: Hasler and Süsstrunk's colorfulness."""
    pictures = torch.rand(3, 3, 16, 16) * torch.tensor([1.0, 0.6, 0.2]).view(3, 1, 1, 1)
    pictures[0] = pictures[0, :1]  # gray
    pictures[1, 0] += 0.4  # reddish
    got = answer(pictures)
    require(isinstance(got, torch.Tensor), "return a tensor, one number per picture")
    require(
        tuple(got.shape) == (3,),
        f"three pictures give three numbers, (3,); you return {tuple(got.shape)}. Take deviations "
        "and means over the pixels only: flatten(2), then dim=1 of each channel",
    )
    require(
        abs(got[0]) < 1e-3,
        f"a gray picture has colorfulness 0, since there R = G = B; you get {got[0]:g}. Check the "
        "parentheses: yb is (R + G) / 2 - B",
    )
    wanted = metrics.colorfulness(pictures)
    for message, mistake in _mistaken(pictures):
        require(not alike(got[1:], mistake[1:], 1e-3), message)
    require_close(
        got,
        wanted,
        f"for a reddish picture it is {wanted[1]:.1f}; you get {got[1]:.1f}. Check each of the "
        "four steps on its own",
        tolerance=5e-3,
    )
    return "this is what colorlib measures; now see what it rewards."


def _mistaken(rgb):
    """The usual mistakes: a message for each, and what it would return."""
    red, green, blue = (255 * rgb).flatten(2).unbind(dim=1)
    opponents = red - green, (red + green) / 2 - blue
    deviations, means = ([f(each, 1) for each in opponents] for f in (torch.std, torch.mean))
    spread, offset = torch.hypot(*deviations), torch.hypot(*means)
    return [
        (
            "255 times too small: the formula counts in 0..255, the pictures run 0..1",
            (spread + 0.3 * offset) / 255,
        ),
        (
            "you add the two deviations; combine them like the sides of a right angle: the root "
            "of the sum of their squares",
            sum(deviations) + 0.3 * offset,
        ),
        ("you left out the 0.3 before the root of the means", spread + offset),
        ("the means are missing: a picture that is red all over is colorful too", spread),
        (
            "variances are squares already: do not square them again",
            torch.hypot(*(each**2 for each in deviations)) + 0.3 * offset,
        ),
    ]


@check
def luck(answer):
    """Exercise 4: how often a coin is right at least that many times."""
    all_right = float(answer(10, 10))
    require(
        all_right != 0,
        "10 right out of 10 happens sometimes, but you get 0. Count from `right` to `trials`, both "
        "included; range() stops before its end",
    )
    require(
        abs(all_right - 100 / 1024) > 1e-4,
        f"for 10 right out of 10 you get {all_right:.4g}; return a chance, 0..1, not a percentage",
    )
    require_close(
        all_right,
        1 / 1024,
        f"for 10 right out of 10, 1/1024 or 0.00098 is expected; you get {all_right:.4g}",
    )
    got = float(answer(7, 10))
    exactly = fooled.luck(7, 10) - fooled.luck(8, 10)
    require(
        abs(got - exactly) > 1e-6,
        f"{got:.3f} is the chance of exactly 7; 8, 9 and 10 right would have impressed us as well",
    )
    require(
        abs(got - fooled.luck(8, 10)) > 1e-6,
        f"{got:.3f} is the chance of more than 7: count 7 itself, and mind where range() ends",
    )
    require(
        abs(got - 2 * fooled.luck(7, 10)) > 1e-6,
        f"{got:.3f} also counts 3 or fewer right answers; count only 7 or more",
    )
    for right, trials in ((7, 10), (0, 4), (15, 20), (60, 100)):
        wanted = fooled.luck(right, trials)
        require_close(
            float(answer(right, trials)),
            wanted,
            f"for {right} right out of {trials} it is {wanted:.3f}; you get "
            f"{float(answer(right, trials)):.3f}",
        )
    return f"a coin gets at least seven out of ten in {fooled.luck(7, 10):.0%} of all tests."
