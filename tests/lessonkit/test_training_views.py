"""What lesson 06 measures: what a step moves, what a run must save, how balloons are painted."""

import signal
from dataclasses import replace

import pytest
import torch
from torch import nn

from colorlib.config import RECIPES
from colorlib.scenes import render_scenes
from colorlib.training import train
from lessonkit.lesson_06.training import (
    PARTS,
    Before,
    StopsItself,
    balloon_colors,
    gradient_of,
    resume_error,
)

SMALL = {"size": 32, "generator_width": 4, "discriminator_width": 4, "discriminator_layers": 1}


def test_before_counts_what_moved_and_what_was_heard():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    before = Before(N=network, other=nn.Linear(1, 1))
    network(torch.randn(4, 2)).square().sum().backward()
    network[0].bias.grad = None
    with torch.no_grad():
        network[1].weight += 1
    row = before.report().loc["N"]
    assert row["weights that moved"] == "1 of 4"
    assert row["running statistics that moved"] == "3 of 3"
    assert row["weights with a gradient"] in ("2 of 4", "3 of 4")  # of a sum of squares: tiny
    assert list(before.report().loc["other"]) == ["0 of 2", "0 of 2", "0 of 0"]


def test_gradient_of_a_network():
    network = nn.Linear(2, 1)
    assert gradient_of(network).tolist() == [0, 0, 0]
    network(torch.tensor([[3.0, 4.0]])).backward()
    assert gradient_of(network).tolist() == [3, 4, 1]


def test_resuming_needs_five_parts_and_each_of_them():
    assert resume_error(PARTS) == resume_error(PARTS[:5]) == 0
    for part in PARTS[:5]:
        assert resume_error(set(PARTS[:5]) - {part}) > 0, part


def test_pictures_that_press_stop(tmp_path):
    """Ctrl-C in the middle of a run: the step ends, all is saved, and the same call goes on."""
    rgb = render_scenes(8, size=32).rgb
    config = replace(RECIPES["warm"], **SMALL, batch=4, steps=6)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="stopped at step 5"):
        train(config, StopsItself(rgb, last=18), tmp_path / "stopped", device="cpu")
    assert signal.getsignal(signal.SIGINT) is before
    resumed = train(config, rgb, tmp_path / "stopped", device="cpu")
    unstopped = train(config, rgb, tmp_path / "unstopped", device="cpu")
    states = resumed.generator.state_dict(), unstopped.generator.state_dict()
    assert all(torch.equal(*pair) for pair in zip(*(state.values() for state in states)))


def test_balloon_colors():
    scenes = render_scenes(24, seed=3)
    truth = balloon_colors(scenes.rgb, scenes.labels)
    assert {"red", "blue"} <= set(truth) <= {"red", "blue", None}
    gray = scenes.rgb.float().mean(dim=1, keepdim=True).expand(-1, 3, -1, -1) / 255
    assert set(balloon_colors(gray, scenes.labels)) <= {"neither", None}
