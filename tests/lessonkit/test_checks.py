"""Checks: a kind word for a stub, the reason for a mistake, and never an exception in a lesson."""

import importlib
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from check_cases import judge

from lessonkit import checks
from lessonkit.checks import CHECKS, Check, Mistake, filled, require_close

FOLDER = Path(checks.__file__).parent
LESSONS = sorted(path.parent.name for path in FOLDER.glob("lesson_*/checks.py"))


@Check
def double(answer):
    """Accepts a function that doubles."""
    got = answer(torch.tensor([1.0, 2.0]))
    require_close(got[:1] != 1, [True], "1 comes back as 1")
    require_close(got, [2.0, 4.0], "1 and 2 should become 2 and 4")
    return "twice as much."


def all_checks():
    assert LESSONS
    for lesson in LESSONS:
        importlib.import_module(f"lessonkit.{lesson}.checks")
    return {name: one for name, one in CHECKS.items() if name.startswith("lesson_")}


def stub(*arguments, **options): ...


def raising_stub(*arguments, **options):
    raise NotImplementedError


def returning_ellipsis(*arguments):
    result = ...
    return result


def using_ellipsis(*arguments):
    return arguments[0] * ...


@pytest.mark.parametrize(
    "answer", [None, ..., stub, raising_stub, returning_ellipsis, using_ellipsis]
)
def test_a_stub_is_not_done(answer, capsys, monkeypatch):
    monkeypatch.setenv("COLORLIB_STRICT", "1")
    double(answer)
    assert capsys.readouterr().out.startswith("not done yet: ")


def in_float64(answer):
    """The same answer, with numbers as NumPy would make them."""
    if isinstance(answer, tuple):
        return tuple(map(in_float64, answer))

    def call(*arguments, **options):
        got = answer(*arguments, **options)
        return in_float64(got) if callable(got) else got.double()

    return call


@pytest.mark.parametrize(
    "name",
    [
        "00.gray_of",
        "00.join",
        "00.color_kept",
        "01.to_yuv",
        "01.undo_gamma",
        "01.swap_color",
        "02.best_critic",
        "02.critic_loss",
        "08.hinge",
        "09.mean_color",
        "09.colorfulness",
        "12.mark",
        "12.shares",
        "12.random_hint",
    ],
)
def test_a_right_answer_is_also_right_in_float64(name):
    lesson, check = name.split(".")
    answer = importlib.import_module(f"test_checks_{lesson}").RIGHT[check]
    judge(all_checks()[f"lesson_{name}"], in_float64(answer), None)


def test_torch_may_say_that_something_is_not_implemented():
    def answer(x):
        return torch.nn.functional.interpolate(x[None, None], 4, mode="bilinear")

    verdict = double.judge(answer)
    assert verdict.kind == "wrong" and "NotImplementedError" in verdict.message


def test_right(capsys):
    assert double(lambda x: 2 * x) is None
    assert capsys.readouterr().out == "right: twice as much.\n"


@pytest.mark.parametrize(
    "answer, message",
    [
        (lambda x: x, "1 comes back as 1"),
        (lambda x: 2 * x + 1, "1 and 2 should become 2 and 4"),
        (lambda x: torch.zeros(3), "the shape is (3,); it should be (2,)."),
        (lambda x: x.undefined, "AttributeError"),
        (17, "TypeError"),
    ],
)
def test_wrong(answer, message, capsys, monkeypatch):
    monkeypatch.delenv("COLORLIB_STRICT", raising=False)
    double(answer)
    out = capsys.readouterr().out
    assert out.startswith("not yet: ") and message in out
    monkeypatch.setenv("COLORLIB_STRICT", "1")
    with pytest.raises(Mistake):
        double(answer)


def test_the_line_that_failed_is_named():
    def halve(x):
        return x * (1 / 0)

    assert "in its line `return x * (1 / 0)` with ZeroDivisionError" in double.judge(halve).message


def test_classes_and_values_are_examined_as_they_are():
    @Check
    def module(answer):
        filled(answer().forward())
        return "it answers."

    class Stub:
        def forward(self): ...

    class Done:
        def forward(self):
            return 1

    assert module.judge(Stub).kind == "not done"
    assert module.judge(Done).kind == "right"


def forgetful(x):
    """Return twice x, of shape (...)."""
    print(2 * x[..., :])


class Forgetful:
    def forward(self):
        self.result = 1


class Unfinished(Forgetful):
    def forward(self):
        result = ...  # noqa: F841

    def other(self):
        return 1


def unfinished(x):
    doubled = ...  # noqa: F841


def test_a_forgotten_return_is_named_but_not_in_a_stub():
    @Check
    def module(answer):
        filled(answer().forward())
        return "it answers."

    verdict = double.judge(forgetful)
    assert verdict == ("wrong", "`forgetful` returns None; did you forget `return`?")
    verdict = module.judge(Forgetful)
    assert verdict == ("wrong", "a method of `Forgetful` returns None; did you forget `return`?")
    assert double.judge(unfinished).kind == module.judge(Unfinished).kind == "not done"
    assert double.judge(lambda x: None).kind == "not done"


def test_random_numbers_stay_as_they_were():
    def draw():
        return random.random(), np.random.rand(), torch.rand(()).item()

    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = draw()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    seen = []
    for _ in range(2):
        double.judge(lambda x: seen.append(draw()) or 2 * x)
    assert len(set(seen)) == 1, "each check begins with the same random numbers"
    assert draw() == expected


def test_checks_are_registered():
    made = checks.check(double.examine)
    assert CHECKS.pop("test_checks.double") is made


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_lesson_has_tests_of_its_checks(lesson):
    number = lesson.removeprefix("lesson_")
    assert Path(__file__).with_name(f"test_checks_{number}.py").exists()
    assert any(name.startswith(f"{lesson}.") for name in all_checks())


@pytest.mark.parametrize("answer", [None, ...])
def test_every_check_knows_a_stub(answer):
    for name, one in all_checks().items():
        assert one.judge(answer).kind == "not done", name
        assert one.__doc__, name
