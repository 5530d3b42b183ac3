import random

import numpy as np
import pytest
import torch

from lessonkit.profiles import PROFILES, begin, choose, profile, seed_everything


@pytest.fixture(autouse=True)
def laptop(monkeypatch):
    """A machine without CUDA, on which nobody has chosen a profile."""
    monkeypatch.delenv("COLORLIB_PROFILE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_argument_then_variable_then_hardware(monkeypatch):
    assert profile() == "laptop"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert profile() == "full"
    monkeypatch.setenv("COLORLIB_PROFILE", "ci")
    assert profile() == "ci"
    assert profile("laptop") == "laptop"


def test_an_empty_variable_is_none(monkeypatch):
    monkeypatch.setenv("COLORLIB_PROFILE", "")
    assert profile() == "laptop"


def test_an_unknown_name_says_where_it_came_from_and_what_there_is(monkeypatch):
    with pytest.raises(
        ValueError, match="argument: unknown profile 'fast'; use one of ci, laptop, full"
    ):
        profile("fast")
    monkeypatch.setenv("COLORLIB_PROFILE", "quick")
    with pytest.raises(ValueError, match="COLORLIB_PROFILE: unknown profile 'quick'"):
        profile()


@pytest.mark.parametrize("name", PROFILES)
def test_choose_takes_the_value_of_the_profile(monkeypatch, name):
    values = dict(zip(PROFILES, (1, 2, 3), strict=True))
    assert choose(**values, name=name) == values[name]
    monkeypatch.setenv("COLORLIB_PROFILE", name)
    assert choose(**values) == values[name]


def test_seed_everything_repeats_all_random_numbers():
    def draw():
        return random.random(), np.random.rand(), torch.rand(1).item()

    seed_everything(3)
    first = draw()
    assert draw() != first
    seed_everything(3)
    assert draw() == first


def test_begin_seeds_and_prints_one_line(capsys):
    setting = begin(seed=7, profile="ci")
    drawn = torch.rand(1)
    assert setting == ("ci", torch.device("cpu"), 7)
    assert setting.choose(ci="little", laptop="more", full="all") == "little"
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    for part in ("Python", f"torch {torch.__version__.split('+')[0]}", "profile ci", "seed 7"):
        assert part in line
    begin(seed=7, profile="ci")
    assert torch.equal(torch.rand(1), drawn)


def test_begin_names_the_gpu(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Some GPU")
    assert begin().device.type == "cuda"
    assert "Some GPU · profile full" in capsys.readouterr().out
