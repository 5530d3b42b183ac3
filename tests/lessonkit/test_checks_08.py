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


def hinge_d(logits_real, logits_fake):
    loss_real = (1 - logits_real).clamp(min=0).mean()
    loss_fake = (1 + logits_fake).clamp(min=0).mean()
    return (loss_real + loss_fake) / 2


def adds_the_halves(logits_real, logits_fake):
    return ((1 - logits_real).clamp(min=0) + (1 + logits_fake).clamp(min=0)).mean() / 2


def hinge_g(logits_fake):
    return -logits_fake.mean()


means = checks.sweep_means()
decided = [weight for weight in means if means[weight][1] >= checks.ENOUGH]
weight = max(decided, key=lambda weight: means[weight][0])
price = max(psnr for psnr, _ in means.values()) - means[weight][0]
hesitant = min(means, key=lambda weight: means[weight][1])
costly = min(decided, key=lambda weight: means[weight][0])


def forgets_to_return(real, fake):
    hinge_d(real, fake)


RIGHT = {
    "best_constant": best_constant,
    "gray_from_vivid": [(60, 0), (0, 60), (-40, -40)],
    "hinge": (hinge_d, hinge_g),
    "taste": (weight, price),
}
WRONG = {
    "best_constant": [
        (lambda values, loss: values.mean(), "for L1 you return the mean"),
        (lambda values, loss: (values.min() + values.max()) / 2, "middle of the range"),
        (smallest_loss, "the smallest *loss*"),
        (lambda values, loss: values.mode().values, "the most frequent"),
        (lambda values, loss: values.abs().mean(), "as many values must be above"),
        (lambda values, loss: values.median(), "for L2 you return the median"),
        (lambda values, loss: values, "one number"),
        (lambda values, loss: values.max(), "as many values must be above"),
        (lambda values, loss: 0.2 if loss == "l1" else 0.7, "set the sum of"),
    ],
    "gray_from_vivid": [
        ([(60, 0), (-60, 0)], "too few"),
        ([(120, 0), (-60, 0), (0, 60)], "no value may be beyond"),
        ([(60, 0), (-60, 0), (0, 10)], "less than 30 from gray"),
        ([(60, 40), (-60, -40), (-60, 40), (60, -40)], "doesn't care between"),
        ([(60, 0), (50, 0), (0, 60)], "the median of the a* values is 50"),
        ([(60, 0), (-60, 0), (0, 60), (0, -60)], "L2 nearly does too"),
        ([(60, 0, 0)] * 3, "a pair"),
    ],
    "hinge": [
        ((lambda r, f: 2 * hinge_d(r, f), hinge_g), "twice too much"),
        ((lambda r, f: hinge_d(-r, -f), hinge_g), "swapped"),
        ((lambda r, f: ((1 - r).mean() + (1 + f).mean()) / 2, hinge_g), "still rewarded"),
        (
            (lambda r, f: ((-r).clamp(min=0).mean() + f.clamp(min=0).mean()) / 2, hinge_g),
            "margin is missing",
        ),
        ((lambda r, f: (1 - r).clamp(min=0).mean(), hinge_g), "compare with max"),
        ((lambda r, f: (1 - r).clamp(min=0), hinge_g), "one number"),
        ((lambda r, f: 0.7, hinge_g), "return a tensor"),
        ((lambda r, f: hinge_d(r, f).detach(), hinge_g), "could not learn from it"),
        ((lambda r, f: max(0, 1 - r).mean(), hinge_g), "clamp"),
        ((adds_the_halves, hinge_g), "the mean of each half first"),
        ((lambda r, f: r.no_such_method(), hinge_g), "no_such_method"),
        ((hinge_d, lambda f: f.mean()), "G's sign"),
        ((hinge_d, lambda f: (1 - f).clamp(min=0).mean()), "no hinge"),
        ((hinge_d, lambda f: -f.mean() / 2), "no ½"),
        ((hinge_d, lambda f: 0.7), "a tensor too"),
        ((hinge_d, lambda f: -f.sum()), "a mean, not a sum"),
        ((hinge_d, lambda f: -f), "one number, the mean"),
        ((forgets_to_return, hinge_g), "did you forget `return`"),
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
        ("hinge", (hinge_d, lambda fake: None)),
        ("taste", (..., ...)),
        ("taste", (weight, ...)),
    ],
)
def test_untouched(name, answer):
    assert getattr(checks, name).judge(answer).kind == "not done"


def test_an_error_is_never_blamed_on_a_line_of_the_check():
    verdict = checks.hinge.judge((lambda real, fake: real.no_such_method(), hinge_g))
    assert verdict.kind == "wrong" and "in its line" not in verdict.message


def test_two_lambdas_that_tie_are_both_right_and_the_check_says_so():
    for chosen, other in ((60.0, 240.0), (240.0, 60.0)):
        psnr = max(psnr for psnr, _ in means.values()) - means[chosen][0]
        verdict = checks.taste.judge((chosen, psnr))
        assert verdict.kind == "right"
        assert f"λ = {other:g} ties: 0.00 dB apart" in verdict.message
