"""Training with hints: what random hints look like, and that the loss falls."""

import numpy as np
import pytest
import torch
from torch import nn

from colorlib.generator import StridedUNet
from colorlib.hints import BINS, Hinted, Spread
from colorlib.scenes import render_scenes
from lessonkit.lesson_12.training import (
    MOST,
    HintTraining,
    draw_count,
    in_bins,
    random_hints,
    repaint,
)


def test_random_hints_are_means_of_small_squares():
    random = torch.Generator().manual_seed(0)
    ab = torch.rand(60, 2, 200, 210, generator=random) - 0.5
    sides = []
    for truth, marked in zip(ab, random_hints(ab, random, count=1)):
        rows, columns = marked[2].nonzero().unbind(dim=1)
        square = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
        assert marked[2].sum() == len(rows) == marked[2][square].numel()
        mean = truth[:, square[0], square[1]].mean(dim=(1, 2))
        torch.testing.assert_close(marked[:2, rows[0], columns[0]], mean)
        assert (marked[:, marked[2] == 0] == 0).all()
        sides.append(len(rows))
    assert set(sides) == {1, 4, 9}, "at most a 64th of the height"
    assert random_hints(ab[..., :64, :64], random, count=1)[:, 2].sum() == 60


def test_the_first_hints_stay_when_more_are_asked_for():
    ab = torch.rand(1, 2, 20, 20)
    few, many = (random_hints(ab, torch.Generator().manual_seed(3), n) for n in (2, 5))
    assert (many[few[:, 2:].expand(-1, 3, -1, -1) > 0] != 0).any()
    assert many[0, 2].sum() > few[0, 2].sum() and (many[0, 2] >= few[0, 2]).all()
    assert random_hints(ab, torch.Generator(), 0).abs().sum() == 0


def test_the_number_of_hints_is_geometric():
    random = torch.Generator().manual_seed(0)
    counts = np.bincount([draw_count(random) for _ in range(4000)], minlength=MOST + 1)
    assert counts[0] == 0 and len(counts) == MOST + 1
    for number in (1, 2, 3, 4):
        assert counts[number] / 4000 == pytest.approx(0.25 * 0.75 ** (number - 1), abs=0.02)


def test_the_thing_at_a_pixel_gets_another_color_and_nothing_else_does():
    things = torch.zeros(8, 8, dtype=torch.long)
    things[:, 4:], things[6:, 6:] = 1, 2  # the last one has the color of the first
    palette = torch.tensor([[0.3, 0.0], [0.0, -0.3], [0.3, 0.0]])
    ab = palette[things].permute(2, 0, 1).repeat(400, 1, 1, 1)
    error = torch.ones(400, 8, 8)
    error[:, :6, :4] = 30  # of the first thing
    made, pixels = repaint(ab, error, torch.Generator().manual_seed(0))
    changed = (made != ab).any(dim=1)
    for where, colors, (row, column) in zip(changed, made, pixels):
        assert not where.any() or torch.equal(where, things == things[row, column])
        assert colors[:, where].unique(dim=1).shape[1] <= 1
    assert changed.flatten(1).any(dim=1).float().mean() == pytest.approx(0.5, abs=0.1)
    assert made.norm(dim=1).max() <= 80 / 110 + 1e-6
    on_first = (things[pixels[:, 0], pixels[:, 1]] == 0).float().mean()
    assert on_first > 0.7, "where the network errs, more things are repainted"


def test_a_color_is_shared_out_so_that_its_mean_stays():
    ab = torch.rand(50, 2) - 0.5
    shares = in_bins(ab)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(50))
    torch.testing.assert_close(shares @ BINS / 110, ab, atol=1e-5, rtol=1e-4)
    assert ((shares > 0).sum(dim=1) <= 4).all()


def test_a_network_learns_where_hints_go():
    torch.manual_seed(0)
    generator = StridedUNet(8).eval()
    nn.init.zeros_(generator.last.weight)  # a painter of grays: everything is left to the hints
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    training = HintTraining(Hinted(generator, Spread(8, width=8)), learning_rate=1e-2)
    rgb = render_scenes(8, size=32).rgb
    for step in range(30):
        training.take_step(rgb, step / 30)
    assert sum(training.losses[-5:]) < 0.9 * sum(training.losses[:5])
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())
    states = training.average.spread.state_dict(), training.hinted.spread.state_dict()
    assert any(not torch.equal(*pair) for pair in zip(*(state.values() for state in states)))


def test_the_same_seed_gives_the_same_weights():
    losses = []
    for seed in (0, 0, 1):
        torch.manual_seed(0)
        training = HintTraining(Hinted(StridedUNet(8), Spread(8, width=8)), seed)
        for _ in range(2):
            training.take_step(render_scenes(2, size=32).rgb, 0)
        losses.append(training.losses)
    assert losses[0] == losses[1] != losses[2]
