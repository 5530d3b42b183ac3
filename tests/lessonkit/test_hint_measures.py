"""The baselines of lesson 12, its curves, and the test with balloons."""

import pytest
import torch
from torch import nn

from colorlib.color import rgb_to_L_ab
from colorlib.generator import StridedUNet
from colorlib.hints import Hinted, Spread
from colorlib.scenes import render_scenes
from lessonkit.lesson_12.measures import (
    ask_balloons,
    best_painter,
    filled_disk,
    hint_curves,
    obeyed,
    similar_lightness,
)


def gray_painter():
    generator = StridedUNet(8)
    nn.init.zeros_(generator.last.weight)
    nn.init.zeros_(generator.last.bias)
    return Hinted(generator, Spread(8, width=8)).eval()


def one_hint(row, column, a, b, side=20):
    made = torch.zeros(1, 3, side, side)
    made[0, :, row, column] = torch.tensor([a, b, 1.0])
    return made


def test_a_disk_is_shifted_and_nothing_else():
    ab = torch.rand(1, 2, 20, 20) * 0.2
    L, hints = torch.zeros(1, 1, 20, 20), one_hint(8, 10, 0.5, -0.4)
    painted = filled_disk(0.21)(L, ab, hints)
    shift = torch.tensor([0.5, -0.4]) - ab[0, :, 8, 10]
    down, right = torch.arange(20)[:, None] - 8, torch.arange(20) - 10
    inside = torch.hypot(down.float(), right.float()) <= 3
    torch.testing.assert_close(
        (painted - ab)[0][:, inside],
        shift[:, None].expand(-1, int(inside.sum())),
        atol=1e-3,
        rtol=0,
    )
    far = torch.hypot(down.float(), right.float()) >= 5
    torch.testing.assert_close(painted[0][:, far], ab[0][:, far], atol=1e-3, rtol=0)


def test_colors_follow_similar_lightness():
    L = torch.full((1, 1, 20, 20), 0.3)
    L[..., 10:] = 0.7
    ab = torch.zeros(1, 2, 20, 20)
    painted = similar_lightness(1.0, 0.05, 5.0)(L, ab, one_hint(10, 2, 0.4, 0.2))
    assert painted[0, 0, 10, 2] > 0.39 and painted[0, 0, 10, 9] > 0.3
    assert painted[0, 0, :, 10:].abs().max() < 1e-3


def test_curves_begin_at_the_plain_network_and_share_their_hints():
    rgb = render_scenes(3, size=32).rgb
    curves = hint_curves(gray_painter(), rgb, {"disk": filled_disk(0.2)}, counts=(0, 4))
    L, real_ab = rgb_to_L_ab(rgb)
    plain = 10 * torch.log10(4 / real_ab.square().mean(dim=(1, 2, 3)))
    for values in curves.values():
        assert values.shape == (3, 2)
        torch.testing.assert_close(values[:, 0], plain, atol=1e-3, rtol=0)
    again = hint_curves(gray_painter(), rgb, {"disk": filled_disk(0.2)}, counts=(4,))
    torch.testing.assert_close(again["disk"][:, 0], curves["disk"][:, 1])


def test_the_better_painter_is_found():
    def spoiled(L, ab, hints):
        return -filled_disk(0.2)(L, ab, hints)

    rgb = render_scenes(3, size=32).rgb
    assert best_painter(gray_painter(), rgb, [spoiled, filled_disk(0.2), spoiled]) == 1


class Obedient(nn.Module):
    """Paints the whole picture in the hint's color."""

    def __init__(self, width):
        super().__init__()
        self.width = width

    def forward(self, L, hints=None):
        ab = torch.zeros(1, 2, *L.shape[-2:])
        if hints is not None:
            ab[..., : self.width] = hints[:, :2].sum(dim=(2, 3))[..., None, None]
        return ab


@pytest.mark.parametrize("request_", ["other", "any"])
def test_balloons_are_asked_for_a_color_and_the_rest_is_watched(request_):
    rgb, labels = render_scenes(12)
    everywhere = ask_balloons(Obedient(64), rgb, labels, request_)
    nowhere = ask_balloons(Obedient(0), rgb, labels, request_)
    assert len(everywhere) == len(nowhere) > 2
    assert obeyed(everywhere)["obeyed"] == 1 and obeyed(everywhere)["rest"] > 10
    assert obeyed(nowhere)["obeyed"] == 0 and obeyed(nowhere)["rest"] == 0
    assert obeyed(nowhere)["off"] > 20 and obeyed(nowhere)["balloons"] == len(nowhere)
