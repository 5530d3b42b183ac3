"""The copier of lesson 03 remembers what it has seen, and nothing else."""

import pytest
import torch

from lessonkit.lesson_03 import leak


def pictures(count=2):
    """Random pictures: no two windows are alike, so that the nearest one is unambiguous."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 3, 128, 128, generator=generator)


def test_crops_start_at_every_stride():
    whole = pictures(1)
    side_by_side, overlapping = leak.cut(whole, 32), leak.cut(whole, 16)
    assert side_by_side.shape == (1, 16, 3, 32, 32) and overlapping.shape == (1, 49, 3, 32, 32)
    assert torch.equal(side_by_side[0, 5], whole[0, :, 32:64, 32:64])
    assert torch.equal(overlapping[0, 8], whole[0, :, 16:48, 16:48])


def test_what_was_seen_is_remembered_exactly():
    crops = leak.cut(pictures(1), 32)[0, :3]
    remembered = leak.remember(crops, crops, limit=10_000)
    assert torch.equal(remembered, leak.surroundings(crops)[1])


def test_the_colors_asked_for_are_not_looked_at():
    torch.manual_seed(0)
    memory, asked = leak.cut(pictures(2), 32)[:, :2]
    recolored = torch.cat([asked[:, :1], torch.rand_like(asked[:, 1:])], dim=1)
    answers = [leak.remember(memory, crops, 10_000) for crops in (asked, recolored)]
    assert torch.equal(*answers)


def test_only_overlapping_crops_share_pixels_with_the_exam():
    frame, questions, answers = leak.take_exam(pictures(), seed=0, limit=100_000)
    row, column, height, width = frame
    framed = pictures()[:, 1:, row : row + height, column : column + width]
    assert torch.equal(framed, questions[:, 0, 1:, 3:-3, 3:-3])
    wrong = {way: leak.distances(questions, answer).mean() for way, answer in answers.items()}
    gray = leak.distances(questions).mean()
    assert wrong["overlapping crops"] < gray / 2  # random colors cannot be guessed otherwise
    assert min(wrong["crops side by side"], wrong["other photos"]) > gray / 2


def test_a_distance_is_in_cie_units():
    questions = torch.zeros(1, 3, 3, 32, 32)
    answer = torch.tensor([0.3, 0.4]).view(1, 1, 2, 1, 1).expand(1, 3, 2, 26, 26)
    assert leak.distances(questions, answer).item() == pytest.approx(55)
    assert leak.distances(questions).item() == 0
