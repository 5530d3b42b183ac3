"""The measurements of lesson 05, compared with cases worked out by hand."""

import matplotlib.pyplot as plt
import pytest
import torch
from torch import nn

from colorlib.discriminator import ImageDiscriminator, PatchDiscriminator
from lessonkit.lesson_05 import measures


class MeanOfA(nn.Module):
    """A discriminator that calls a pixel real where its a* is positive."""

    def forward(self, L, ab):
        return ab[:, :1]


def test_the_best_threshold():
    low, high = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    assert measures.best_share_right(high, low) == 1
    assert measures.best_share_right(low, low) == 0.5
    assert measures.best_share_right(torch.tensor([1.0, 4.0]), torch.tensor([2.0, 3.0])) == 0.75


@pytest.mark.parametrize("layers", [1, 2])
def test_influence_reaches_as_far_as_the_window(layers):
    seen = measures.influence(layers, count=2, side=48).sum(dim=0).nonzero()[:, 0]
    discriminator = PatchDiscriminator(1, layers)
    count, step, start = measures.windows(discriminator, 48)
    begin = start + step * (count // 2)
    assert seen[0] == begin
    assert seen[-1] == begin + measures.receptive_field(discriminator) - 1


def test_windows_count_the_scores_of_the_map():
    for discriminator, side in [(PatchDiscriminator(1, 3), 256), (ImageDiscriminator(64), 64)]:
        scores = discriminator(torch.rand(2, 1, side, side), torch.rand(2, 2, side, side))
        assert measures.windows(discriminator, side)[0] == scores.shape[-1]
    assert measures.windows(PatchDiscriminator(1, 3), 256) == (30, 8, -23)


def test_a_message_passes_max_pooling_to_one_pixel_in_four():
    strength = measures.message(nn.MaxPool2d(2))
    assert strength.shape == (1, 16, 16)
    assert (strength > 0).sum() == 64
    assert strength.max() == 1
    assert (measures.message(nn.AvgPool2d(2)) > 0).all()


def test_slopes_of_a_square():
    def square(logits, labels):
        return (logits - labels) ** 2

    assert measures.slopes(square, torch.tensor([0.0, 3.0]), 1.0).tolist() == [-2, 4]


def test_change_of_the_scores():
    ab = torch.tensor([1.0, -1.0])[:, None, None, None].expand(2, 2, 3, 3)
    change = measures.change(MeanOfA(), ab[:, :1], ab, ab + 2)
    assert change.shape == (1, 3, 3)
    assert torch.allclose(change, 2 / ab[:, :1].std())


def test_share_right_and_steps_to_win():
    assert measures.share_right(torch.tensor([1.0, -1.0]), torch.tensor([-1.0, -1.0])) == 0.75
    shares = [0.5] * 10 + [1.0] * 10
    assert measures.steps_to_win(shares) == "15"
    assert measures.steps_to_win(shares[:10]) == "not yet"


def test_examine_without_batch_norm_company_does_not_matter():
    torch.manual_seed(0)
    L, real_ab, fake_ab = (
        torch.rand(6, 1, 32, 32),
        torch.rand(6, 2, 32, 32),
        -torch.rand(6, 2, 32, 32),
    )
    assert measures.examine(MeanOfA(), L, real_ab, fake_ab) == [1, 1, 1]
    shares = measures.examine(PatchDiscriminator(2, 1, norm="none"), L, real_ab, fake_ab)
    assert shares[0] == shares[1] == shares[2]


def test_drawings():
    picture = torch.zeros(3, 64, 64, dtype=torch.uint8)
    figure = measures.draw_window(picture, PatchDiscriminator(1, 1), 0)
    square = figure.axes[0].patches[0]
    assert square.get_x() == -5
    assert square.get_width() == 16
    seam = measures.draw_seam(
        MeanOfA(), torch.rand(1, 8, 8), torch.ones(2, 8, 8), -torch.ones(2, 8, 8), 2
    )
    answers = seam.axes[1].images[0].get_array()
    assert (answers[:, :2] > 0.5).all()
    assert (answers[:, 2:] < 0.5).all()
    ab = {"real": torch.rand(2, 2, 4, 4), "fake": torch.rand(2, 2, 4, 4)}
    assert len(measures.draw_chroma(ab).axes) == 1
    history = [(torch.zeros(2, 1, 3, 3), torch.full((2, 1, 3, 3), -50.0))] * 4
    panels = measures.draw_answers({"one": history, "another": history}).axes
    assert [line.get_ydata().round(3).tolist() for line in panels[1].lines] == [
        [0.5] * 4,
        [0.0] * 4,
    ]
    losses = {"a": lambda x, y: x * y, "b": lambda x, y: x * y}
    panels = measures.draw_slopes(losses, torch.linspace(-1, 1, 3)).axes
    assert panels[0].lines[0].get_ydata().tolist() == [1, 1, 1]
    plt.close("all")


@pytest.mark.parametrize(
    "network, pixels",
    [
        (ImageDiscriminator(256), 382),
        (ImageDiscriminator(64), 94),
        (PatchDiscriminator(layers=3), 70),
        (PatchDiscriminator(layers=2), 34),
        (PatchDiscriminator(layers=1), 16),
    ],
    ids=str,
)
def test_receptive_fields_by_the_formula(network, pixels):
    assert measures.receptive_field(network) == pixels


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_receptive_field_is_what_a_gradient_reaches(layers):
    network = PatchDiscriminator(2, layers, norm="none").double()
    ab = torch.rand(1, 2, 256, 256, dtype=torch.float64, requires_grad=True)
    scores = network(torch.rand(1, 1, 256, 256, dtype=torch.float64), ab)
    center = scores.shape[-1] // 2
    scores[0, 0, center, center].backward()
    touched = ab.grad.abs().sum(dim=(0, 1)).nonzero()
    extent = touched.amax(0) - touched.amin(0) + 1
    assert extent.tolist() == [measures.receptive_field(network)] * 2
