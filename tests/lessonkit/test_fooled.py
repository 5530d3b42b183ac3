"""The pairs fool as promised, the map's mean is the metric, the blind test counts correctly."""

import pytest
import torch
from torch import nn

from colorlib import metrics
from colorlib.color import gray_from_lightness, rgb_to_lab
from colorlib.scenes import BALLOON_BLUE_AB, BALLOON_RED_AB, LABELS, render_scenes
from lessonkit.figures import render
from lessonkit.lesson_09 import fooled

SCENES = render_scenes(4, seed=1_000_000)
TRUTH = SCENES.rgb.float() / 255
BALLOONS = SCENES.labels == LABELS.index("balloon")


def test_kept_for_gradients():
    network = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Tanh())
    L = torch.rand(4, 1, 8, 8)
    weights, tanh = (
        2 * 9,
        4 * 2 * 8 * 8,
    )  # a convolution keeps its input and weights, tanh its output
    assert fooled.kept_for_gradients(network, L) == 4 * (L.numel() + weights + tanh)
    with torch.no_grad():
        assert fooled.kept_for_gradients(network, L) == 0


def test_difference_map_has_the_metric_as_its_mean():
    predicted = TRUTH.roll(1, -1)
    mean = fooled.difference_map(predicted, TRUTH).mean(dim=(1, 2))
    assert torch.allclose(mean, metrics.ciede2000(predicted, TRUTH), atol=1e-4)


def test_outlines_lie_on_both_sides():
    labels = torch.zeros(1, 4, 5, dtype=torch.uint8)
    labels[0, 1:, 2:] = 7
    wanted = [[0, 0, 1, 1, 1], [0, 1, 1, 1, 1], [0, 1, 1, 0, 0], [0, 1, 1, 0, 0]]
    assert fooled.outlines(labels)[0].int().tolist() == wanted


def test_repaint_balloons_changes_their_color_and_nothing_else():
    other = fooled.repaint_balloons(SCENES.rgb, SCENES.labels, "other")
    assert torch.allclose(gray_from_lightness(other), gray_from_lightness(TRUTH), atol=2e-3)
    outside = ~BALLOONS[:, None].expand_as(other)
    assert torch.allclose(other[outside], TRUTH[outside], atol=1e-3)
    for before, after in ((BALLOON_RED_AB, BALLOON_BLUE_AB), (BALLOON_BLUE_AB, BALLOON_RED_AB)):
        was, now = (rgb_to_lab(each)[:, 1:].movedim(1, -1)[BALLOONS] for each in (TRUTH, other))
        chosen = (was - torch.tensor(before)).norm(dim=1) < 5
        assert chosen.any() and torch.allclose(now[chosen], torch.tensor(after), atol=0.5)
    red = fooled.repaint_balloons(SCENES.rgb, SCENES.labels, BALLOON_RED_AB)
    assert metrics.committed(red, SCENES.labels) == 1


def test_paint_spot():
    spotted = fooled.paint_spot(TRUTH[:1], 10, 20, 3)
    off = fooled.difference_map(spotted, TRUTH[:1])[0]
    assert off[10, 20] > 20 and off[10, 24] < 0.1 and off[14, 20] < 0.1
    assert metrics.ciede2000(spotted, TRUTH[:1]) < 1


@pytest.mark.parametrize("width", [32, 64])
def test_close_up_stays_inside(width):
    is_thing = torch.zeros(64, 64, dtype=torch.bool)
    is_thing[2, 60] = True
    part = fooled.close_up(TRUTH, is_thing, width)
    assert torch.equal(part, TRUTH[..., :width, 64 - width :])


def test_lpips_unavailable_is_said_once_in_clear_words(monkeypatch, capsys):
    def refuse(predicted, real):
        raise ConnectionError("no weights")

    monkeypatch.setattr(fooled, "lpips", refuse)
    assert fooled.try_lpips(TRUTH, TRUTH) == ["?"] * 4
    assert "LPIPS is not available here" in capsys.readouterr().out


def test_luck():
    assert fooled.luck(7, 10) == pytest.approx(176 / 1024)
    assert fooled.luck(0, 10) == pytest.approx(1)
    assert fooled.luck(11, 10) == 0
    assert [fooled.needed(trials) for trials in (10, 20, 40)] == [9, 15, 26]
    assert render(fooled.draw_trials(10, 0.7)).width > 100


def test_blind_test_shows_the_real_one_where_it_says():
    real, painted = torch.ones(8, 3, 4, 4), torch.zeros(8, 3, 4, 4)
    test = fooled.BlindTest(real, painted, trials=6, seed=1)
    lefts = [left.min() == 1 for left, right in test._pairs]
    assert lefts == test.is_left_real.tolist() and 0 < sum(lefts) < 6
    for said in [*lefts[:-1], not lefts[-1]]:
        assert "pairs answered" in test.verdict()
        test.answer(said)
    test.answer(True)  # one too many
    assert len(test.answers) == 6 and test.right() == 5
    assert test.verdict() == "5 of 6 right; a coin does as well in 11% of tests"
    assert fooled.BlindTest(real, painted, 6, seed=1).is_left_real.tolist() == lefts


def test_blind_test_buttons():
    test = fooled.BlindTest(TRUTH, TRUTH.roll(1, -1), trials=2)
    box = test.live()
    picture, buttons, line = box.children
    first = picture.value
    buttons.children[0].click()
    assert test.answers == [True] and picture.value != first and "1 of 2" in line.value
    buttons.children[1].click()
    assert test.answers == [True, False] and buttons.children[0].disabled
    assert "right" in line.value
