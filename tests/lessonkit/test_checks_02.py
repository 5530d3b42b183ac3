"""The checks of lesson 02 accept the solutions and name the usual mistakes."""

import math

import pytest
import torch
from check_cases import cases, judge
from torch.nn import functional

from lessonkit.lesson_02 import checks


def best_critic(p, q):
    return p / (p + q)


def critic_loss(logits_real, logits_fake):
    loss_real = functional.softplus(-logits_real).mean()
    loss_fake = functional.softplus(logits_fake).mean()
    return (loss_real + loss_fake) / 2


def by_sigmoid(logits_real, logits_fake):
    real, fake = torch.sigmoid(logits_real), torch.sigmoid(logits_fake)
    return -(torch.log(real).mean() + torch.log(1 - fake).mean()) / 2


def capped(logits_real, logits_fake):
    """PyTorch's BCE on probabilities stops at 100."""
    real, fake = torch.sigmoid(logits_real), torch.sigmoid(logits_fake)
    bce = functional.binary_cross_entropy
    return (bce(real, torch.ones_like(real)) + bce(fake, torch.zeros_like(fake))) / 2


def of_all(logits_real, logits_fake):
    return torch.cat([functional.softplus(-logits_real), functional.softplus(logits_fake)]).mean()


HALF, LOG2, LOG4 = 0.5, math.log(2), math.log(4)

RIGHT = {
    "best_critic": best_critic,
    "at_equilibrium": (HALF, LOG2, -LOG4),
    "critic_loss": critic_loss,
    "procedure": ("BCDAE", (1, 0, 1)),
}
WRONG = {
    "best_critic": [
        (lambda p, q: p > q, "a yes or no"),
        (lambda p, q: q / (p + q), "the share of the fakes"),
        (lambda p, q: p / q.clamp(min=0.01), "how many times likelier"),
        (lambda p, q: p / p + q, "brackets"),
        (lambda p, q: p - q, "a difference"),
        (lambda p, q: (p > q).float(), "one number in four"),
        (lambda p, q: 0.5 + 0 * p, "everything seen there is fake"),
        (lambda p, q: (p / (p + q))[0], "one answer for each x"),
    ],
    "at_equilibrium": [
        ((1, LOG2, -LOG4), "everything real"),
        ((0, LOG2, -LOG4), "everything fake"),
        ((0.25, LOG2, -LOG4), "with q = p"),
        ((HALF, 0, -LOG4), "a loss of 0"),
        ((HALF, -LOG2, -LOG4), "positive here"),
        ((HALF, math.log10(2), -LOG4), "base 10"),
        ((HALF, LOG2, -math.log10(4)), "base 10"),
        ((HALF, LOG2, ...), "left: value"),
        ((HALF, ..., ...), "left: d_loss and value"),
        ((HALF, LOG4, -LOG4), "half of it"),
        ((HALF, 0.5, -LOG4), "for a real one"),
        ((HALF, LOG2, LOG4), "below 0"),
        ((HALF, LOG2, -LOG2), "one of V's two terms"),
        ((HALF, LOG2, -1), "log(1/2) for the real"),
    ],
    "critic_loss": [
        (lambda real, fake: 2 * critic_loss(real, fake), "halve the sum"),
        (lambda real, fake: critic_loss(-real, -fake), "pays for being right"),
        (lambda real, fake: critic_loss(real, -fake), "fakes ask for label 0"),
        (lambda real, fake: critic_loss(-real, fake), "real ones ask for label 1"),
        (lambda real, fake: -(real.log().mean() + fake.log().mean()) / 2, "not probabilities"),
        (lambda real, fake: -critic_loss(real, fake), "mind the minus"),
        (lambda real, fake: functional.softplus(-real), "one number"),
        (capped, "instead of 200"),
        (by_sigmoid, "use softplus"),
        (of_all, "the mean of both"),
        (lambda real, fake: 0.7, "return a tensor"),
    ],
    "procedure": [
        (("BCDA", (1, 0, 1)), "letters A to E"),
        (("CBDAE", (1, 0, 1)), "two players"),
        (("BCDEA", (1, 0, 1)), "repeating comes last"),
        (("BDCAE", (1, 0, 1)), "must be drawn"),
        (("BCADE", (1, 0, 1)), "D's turn comes before"),
        (("BCDAE", (0, 1, 1)), "the other way around"),
        (("BCDAE", (1, 0, 0)), "to be caught"),
        (("BCDAE", (1, 1, 1)), "each player asks"),
        (("BCDAE", (1, 0)), "three labels"),
        (("BCDAE", (1, 0, ...)), "fill in every label"),
        (("BCDAE", ("real", "fake", "real")), "labels are numbers"),
    ],
}


@pytest.mark.parametrize("check, answer, words", cases(checks, RIGHT, WRONG))
def test_check(check, answer, words):
    judge(check, answer, words)


@pytest.mark.parametrize("name", ["best_critic", "critic_loss"])
def test_untouched_function(name):
    assert getattr(checks, name).judge(lambda *_: None).kind == "not done"


@pytest.mark.parametrize(
    "name, answer",
    [
        ("at_equilibrium", (..., ..., ...)),
        ("procedure", (..., (..., ..., ...))),
        ("procedure", ("BCDAE", (..., ..., ...))),
    ],
)
def test_untouched_numbers(name, answer):
    assert getattr(checks, name).judge(answer).kind == "not done"
