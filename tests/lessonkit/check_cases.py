"""What the tests of a lesson's checks share: each accepts its solution and refuses wrong answers.

A lesson's test file, tests/lessonkit/test_checks_NN.py, holds two tables:

    RIGHT = {"gamma": gamma}
    WRONG = {"gamma": [(lambda v: v, "no gamma at all"), ...]}  # answer, words of the message

    @pytest.mark.parametrize("check, answer, words", cases(checks, RIGHT, WRONG))
    def test_check(check, answer, words):
        judge(check, answer, words)
"""

import pytest

from lessonkit.checks import Check


def cases(module, right, wrong):
    """Make the test cases of a lesson; every check must be in both tables.

    Args:
        module: lessonkit.lesson_NN.checks.
        right: an answer for each check, by name.
        wrong: (answer, words) for each check, at least three: `words` must be in the message.
    """
    checks = {name: value for name, value in vars(module).items() if isinstance(value, Check)}
    assert checks.keys() == right.keys() == wrong.keys(), "each check needs RIGHT and WRONG answers"
    few = [name for name in checks if len(wrong[name]) < 3]
    assert not few, f"fewer than three wrong answers for {few}"
    accepted = [pytest.param(checks[n], right[n], None, id=f"{n}-right") for n in right]
    refused = [
        pytest.param(checks[name], answer, words, id=f"{name}-wrong{number}")
        for name in wrong
        for number, (answer, words) in enumerate(wrong[name])
    ]
    return accepted + refused


def judge(check, answer, words):
    """Assert the verdict on an answer: right where `words` is None, else wrong, saying `words`."""
    verdict = check.judge(answer)
    if words is None:
        assert verdict.kind == "right", verdict.message
    else:
        assert verdict.kind == "wrong", verdict
        assert words in verdict.message
