"""Instant checks of the exercises: helpful messages, never an exception in a learner's notebook.

The checks of a lesson are in its own folder, in `lesson_NN/checks.py`:

    @check
    def best_constant(answer):
        values = torch.tensor([0.0, 0.0, 1.0])
        got = answer(values, "l1")
        require(got == 0, f"for L1 you return {got:g}; which guess costs least on 0, 0, 1?")
        return "L1 asks for the median."

The notebook calls them as `checks.best_constant(best_constant)`. An untouched stub gets "not done
yet", a wrong answer gets "not yet" and the reason, and a right one gets "right". The tests run
the solutions with COLORLIB_STRICT=1, which turns a wrong answer into a `Mistake`.
"""

import ast
import functools
import inspect
import os
import random
import textwrap
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch

CHECKS: dict[str, "Check"] = {}  # "lesson_08.best_constant" -> the check, in order of definition


class NotDone(Exception):  # noqa: N818 (nobody made an error)
    """The learner has not touched the stub."""


class Mistake(AssertionError):  # noqa: N818 (the word that learners use)
    """The answer is wrong; the message names the mistake."""


class Verdict(NamedTuple):
    """The outcome of a check."""

    kind: str
    """"right", "wrong" or "not done"."""
    message: str
    """For the learner: what is right, what is wrong, or what to do."""


class Check:
    """The check of one exercise; calling it on an answer prints the verdict. See `check`."""

    def __init__(self, examine: Callable[[Any], str]) -> None:
        functools.update_wrapper(self, examine)
        self.examine = examine

    def __call__(self, answer: Any) -> None:
        """Print the verdict on a learner's answer.

        Raises:
            Mistake: the answer is wrong, and COLORLIB_STRICT is set.
        """
        verdict = self.judge(answer)
        opening = {"right": "right", "wrong": "not yet", "not done": "not done yet"}[verdict.kind]
        print(f"{opening}: {verdict.message}")
        if verdict.kind == "wrong" and os.environ.get("COLORLIB_STRICT"):
            raise Mistake(f"{self.__name__}: {verdict.message}")

    def judge(self, answer: Any) -> Verdict:
        """Examine an answer, catching any error; the random state is left unchanged."""
        name = getattr(answer, "__name__", self.__name__)
        try:
            with _own_random_numbers():
                return Verdict("right", self.examine(_guarded(filled(answer))))
        except (NotDone, NotImplementedError) as error:
            if isinstance(error, NotImplementedError) and error.args:  # not the stub's, but torch's
                return Verdict("wrong", _explain(name, error, self.examine))
            if error.args == (None,) and _is_written(answer):
                place = f"`{name}`"
                if not inspect.isroutine(answer):  # a class, or a pair of functions
                    place = f"a {'method' if inspect.isclass(answer) else 'function'} of {place}"
                return Verdict("wrong", f"{place} returns None; did you forget `return`?")
            if callable(answer):
                return Verdict(
                    "not done", f"`{name}` is still the stub; fill it in and run it again."
                )
            return Verdict("not done", "replace each ... above and run the cell again.")
        except Mistake as mistake:
            return Verdict("wrong", str(mistake))
        except Exception as error:
            if "ellipsis" in str(error):  # the stub's ... was used as a value
                return Verdict("not done", f"`{name}` still has a ... to replace.")
            return Verdict("wrong", _explain(name, error, self.examine))


def check(examine: Callable[[Any], str]) -> Check:
    """Turn a function that examines an answer into a check, and register it in `CHECKS`.

    Args:
        examine: takes the learner's function, class or value. It calls `require` for each
            condition, and returns one sentence that says why the answer matters.
    """
    made = Check(examine)
    lesson = examine.__module__.removesuffix(".checks").rpartition(".")[2]
    CHECKS[f"{lesson}.{examine.__name__}"] = made
    return made


def require(is_right: Any, message: str) -> None:
    """End the check with a message that names the mistake, unless `is_right`."""
    if not is_right:
        raise Mistake(message)


def require_close(got: Any, wanted: Any, message: str, tolerance: float = 1e-4) -> None:
    """Require numbers or tensors to have the same shape and nearly the same values.

    Args:
        got: the learner's number, array or tensor.
        wanted: the correct one.
        message: names the likeliest mistake.
        tolerance: largest difference allowed, both absolute and relative.
    """
    shape, right = (tuple(torch.as_tensor(value).shape) for value in (got, wanted))
    require(shape == right, f"the shape is {shape}; it should be {right}.")
    require(alike(got, wanted, tolerance), message)


def alike(got: Any, wanted: Any, tolerance: float = 1e-4) -> bool:
    """Whether numbers or tensors of any types have one shape and nearly the same values."""
    got, wanted = (torch.as_tensor(value).detach().double().cpu() for value in (got, wanted))
    if got.shape != wanted.shape:
        return False
    return torch.allclose(got, wanted, rtol=tolerance, atol=tolerance)


def filled(value: Any) -> Any:
    """Return a value from the learner's code, unless it is None or ..., as from the stub."""
    if value is None or value is Ellipsis:
        raise NotDone(value)
    return value


def _is_written(answer: Any) -> bool:
    """Whether every `...` has been replaced in a function, a class's methods, or a tuple's."""
    if inspect.isclass(answer):
        answer = vars(answer).values()
    elif not isinstance(answer, tuple | list):
        answer = [answer]
    functions = [part for part in answer if inspect.isfunction(part)]
    try:
        trees = [ast.parse(textwrap.dedent(inspect.getsource(function))) for function in functions]
    except (OSError, SyntaxError):  # no source, or a lambda in the middle of a line
        return False
    # a lambda's source is the line around it
    is_definition = all(isinstance(tree.body[0], ast.FunctionDef) for tree in trees)
    nodes = [node for tree in trees for node in ast.walk(tree)]
    dots = [node for node in nodes if isinstance(node, ast.Constant) and node.value is ...]
    indices = [node.slice for node in nodes if isinstance(node, ast.Subscript)]
    in_indices = [node for index in indices for node in ast.walk(index) if node in dots]
    return bool(nodes) and is_definition and len(dots) == len(in_indices)  # x[..., 0] may stay


def _guarded(answer: Any) -> Any:
    """Wrap a learner's function so that returning nothing counts as an unfinished stub."""
    if not inspect.isroutine(answer):
        return answer

    @functools.wraps(answer)
    def call(*arguments: Any, **options: Any) -> Any:
        return filled(answer(*arguments, **options))

    return call


@contextmanager
def _own_random_numbers() -> Iterator[None]:
    """Use seed 0 in this block, then restore the notebook's random state."""
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):  # checks compute on the CPU
            torch.default_generator.manual_seed(0)
            np.random.seed(0)
            random.seed(0)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def _explain(name: str, error: Exception, examine: Callable) -> str:
    """Say which error stopped the learner's code, and in which of its lines."""
    frames = traceback.extract_tb(error.__traceback__)
    of_check = examine.__code__.co_filename, examine.__name__  # may be called like the answer
    frames = [frame for frame in frames if (frame.filename, frame.name) != of_check]
    own = [frame for frame in frames if frame.name == name or "ipykernel" in frame.filename]
    place = f" in its line `{own[-1].line}`" if own and own[-1].line else ""
    return f"`{name}` stopped{place} with {type(error).__name__}: {error}"
