"""The checks of lesson 08 accept the solutions and name the usual mistakes."""

import pytest
from check_cases import cases, judge

from tools import ROOT

if not (ROOT / "data" / "results" / "brown.json").exists():
    pytest.skip("the λ sweep is not recorded yet: make recipes", allow_module_level=True)

from lessonkit.lesson_08 import checks


def best_constant(values, loss):
    return values.mean() if loss == "l2" else values.median()


def smallest_loss(values, loss):
    off = values - best_constant(values, loss)
    return off.square().mean() if loss == "l2" else off.abs().mean()


def hinge_critic(logits_real, logits_fake):
    loss_real = (1 - logits_real).clamp(min=0).mean()
    loss_fake = (1 + logits_fake).clamp(min=0).mean()
    return (loss_real + loss_fake) / 2


def hinge_painter(logits_fake):
    return -logits_fake.mean()


means = checks.sweep_means()
decided = [weight for weight in means if means[weight][1] >= checks.ENOUGH]
weight = max(decided, key=lambda weight: means[weight][0])
price = max(psnr for psnr, _ in means.values()) - means[weight][0]
hesitant = min(means, key=lambda weight: means[weight][1])
costly = min(decided, key=lambda weight: means[weight][0])

RIGHT = {
    "best_constant": best_constant,
    "gray_from_vivid": [(90, 0), (-40, 0), (0, 90), (0, -40), (0, 35)],
    "hinge": (hinge_critic, hinge_painter),
    "taste": (weight, price),
}
WRONG = {
    "best_constant": [
        (lambda values, loss: values.mean(), "for L1 you return the mean"),
        (lambda values, loss: (values.min() + values.max()) / 2, "middle of the range"),
        (smallest_loss, "the smallest *loss*"),
        (lambda values, loss: values.mode().values, "the most frequent"),
        (lambda values, loss: values.abs().mean(), "as many values must lie above"),
        (lambda values, loss: values.median(), "for L2 you return the median"),
        (lambda values, loss: values, "one number"),
        (lambda values, loss: values.max(), "as many values must lie above"),
        (lambda values, loss: 0.2 if loss == "l1" else 0.7, "set the sum of"),
    ],
    "gray_from_vivid": [
        ([(60, 0), (-60, 0)], "too few"),
        ([(120, 0), (-60, 0), (0, 60)], "no value beyond"),
        ([(60, 0), (-60, 0), (0, 10)], "less than 30 from gray"),
        ([(60, 40), (-60, -40), (-60, 40), (60, -40)], "does not care between"),
        ([(60, 0), (50, 0), (0, 60)], "the median of the a* values is 50"),
        ([(60, 0), (-60, 0), (0, 60), (0, -60)], "so nearly does L2"),
        ([(60, 0, 0)] * 3, "a pair"),
    ],
    "hinge": [
        ((lambda r, f: 2 * hinge_critic(r, f), hinge_painter), "twice too much"),
        ((lambda r, f: hinge_critic(-r, -f), hinge_painter), "swapped"),
        ((lambda r, f: ((1 - r).mean() + (1 + f).mean()) / 2, hinge_painter), "still rewarded"),
        (
            (lambda r, f: ((-r).clamp(min=0).mean() + f.clamp(min=0).mean()) / 2, hinge_painter),
            "margin is missing",
        ),
        ((lambda r, f: (1 - r).clamp(min=0).mean(), hinge_painter), "then means"),
        ((lambda r, f: (1 - r).clamp(min=0), hinge_painter), "one number"),
        ((lambda r, f: 0.7, hinge_painter), "return a tensor"),
        ((lambda r, f: hinge_critic(r, f).detach(), hinge_painter), "could not learn from it"),
        ((lambda r, f: max(0, 1 - r).mean(), hinge_painter), "clamp"),
        ((hinge_critic, lambda f: f.mean()), "the painter's sign"),
        ((hinge_critic, lambda f: (1 - f).clamp(min=0).mean()), "no hinge"),
        ((hinge_critic, lambda f: -f.mean() / 2), "no ½"),
        ((hinge_critic, lambda f: 0.7), "a tensor, too"),
    ],
    "taste": [
        ((7, price), "was not recorded"),
        *([((hesitant, price), "share of decided")] if means[hesitant][1] < checks.ENOUGH else []),
        *([((costly, price), "with a better PSNR")] if costly != weight else []),
        ((weight, -price), "a price is positive"),
        ((weight, price + 1), "subtract its mean PSNR"),
    ],
}


@pytest.mark.parametrize("check, answer, words", cases(checks, RIGHT, WRONG))
def test_check(check, answer, words):
    judge(check, answer, words)


@pytest.mark.parametrize(
    "name, answer",
    [
        ("best_constant", lambda values, loss: None),
        ("gray_from_vivid", [(60, 0), ...]),
        ("hinge", (lambda real, fake: None, lambda fake: None)),
        ("hinge", (hinge_critic, lambda fake: None)),
        ("taste", (..., ...)),
        ("taste", (weight, ...)),
    ],
)
def test_untouched(name, answer):
    assert getattr(checks, name).judge(answer).kind == "not done"
