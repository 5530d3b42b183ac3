"""What lesson 08 draws: the right curves are there, and their marks where they should be."""

from itertools import combinations

import matplotlib.pyplot as plt
import pytest
import torch

from colorlib.metrics import COLUMNS
from colorlib.scenes import SceneDataset
from lessonkit.lesson_08 import brown, brown_views


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_a_crop_shows_the_whole_balloon():
    scenes = SceneDataset(40, seed=5)
    shown = brown.large_balloons(scenes.labels, 5)
    assert len(shown) == 5
    labels = scenes.labels[shown]
    inside = brown.is_balloon(labels)[:, None].float()
    crops = brown_views.crop_balloons(inside, labels)
    assert crops.shape == (5, 1, 28, 28)
    assert torch.equal(crops.sum(dim=(1, 2, 3)), inside.sum(dim=(1, 2, 3)))


def test_histograms_are_drawn_with_names():
    counts = torch.zeros(36, 24, dtype=torch.long)
    counts[3, 4] = 5
    figure = brown_views.draw_histograms({"l1": counts, "l2": counts, "real": counts}, columns=2)
    assert [axes.get_title() for axes in figure.axes] == ["l1", "l2", "real", ""]


def test_the_lowest_places_are_marked():
    guesses = torch.linspace(0, 1, 101)
    figure = brown_views.draw_losses(guesses, {"L2": (guesses - 0.3) ** 2})
    curve, mark = figure.axes[0].lines
    assert len(curve.get_xdata()) == 101
    assert mark.get_xdata().mean() == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("red", range(10, 21))
def test_the_mean_and_the_median_are_the_only_places_marked(red):
    """As in the lesson, which has a guess at every multiple of 0.01."""
    guesses = torch.linspace(-0.2, 1.2, 141)
    off = guesses[:, None] - torch.tensor([1.0] * red + [0.0] * (20 - red))
    losses = {"L1": off.abs().mean(dim=1), "L2": off.square().mean(dim=1)}
    _, of_l1, _, of_l2 = brown_views.draw_losses(guesses, losses).axes[0].lines
    assert of_l2.get_xdata() == pytest.approx([red / 20]), "a single dot at the mean"
    flat = [number / 100 for number in range(101)]
    assert of_l1.get_xdata() == pytest.approx(flat if red == 10 else [1.0], abs=1e-6)


def test_each_metric_of_a_sweep_has_a_panel():
    rows = [
        {"lambda": weight, "seed": seed, "psnr_ab": weight, "committed": 0.5}
        for seed in (0, 1)
        for weight in (0.0, 3.0)
    ]
    figure = brown_views.draw_sweep(rows, ("psnr_ab", "committed"))
    assert [len(axes.lines) for axes in figure.axes] == [2, 2]
    assert [axes.get_ylabel() for axes in figure.axes] == [COLUMNS["psnr_ab"], COLUMNS["committed"]]


def test_the_loss_of_d_is_that_of_a_fake_alone():
    figure = brown_views.draw_objectives(torch.tensor([-5.0, 0.0, 5.0]))
    of_d, slope_of_d = figure.axes[1], figure.axes[3]
    names = [line.get_label() for line in of_d.lines]
    known = {"bce": 0.5, "lsgan": 5.0, "hinge": 0.5, "wgan_gp": 1.0}  # slopes at 5
    for name, line in zip(names, slope_of_d.lines):
        assert line.get_ydata()[-1] == pytest.approx(known[name], abs=0.01)
    assert names == list(known)


def test_no_objective_hides_another():
    """Hinge and WGAN-GP have the same loss for G, so one line must show beneath the other."""
    for axes in brown_views.draw_objectives(torch.linspace(-6, 6, 13)).axes:
        for below, above in combinations(axes.lines, 2):
            if (below.get_ydata() == above.get_ydata()).all():
                assert below.get_linewidth() > 2 * above.get_linewidth()
                assert below.get_zorder() < above.get_zorder()


def test_l1_times_k_is_a_curve_and_each_other_recipe_a_point():
    row = {"colorfulness": 90.0, "ciede2000": 4.0, "committed": 0.1}
    factors = [row | {"factor": factor, "seed": 0} for factor in brown.FACTORS]
    runs = [row | {"recipe": recipe} for recipe in ("l1", "l2", "warm")]
    left, right = brown_views.draw_rival(factors, runs).axes
    assert [line.get_label() for line in left.lines] == ["l1 × k", "l1", "l2", "warm"]
    assert right.get_ylabel() == COLUMNS["committed"]
