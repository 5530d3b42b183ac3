"""The figures of lesson 03: a column a way, a row a photo; each map counts all of its pixels."""

import matplotlib.pyplot as plt
import pytest
import torch

from lessonkit.lesson_03 import photo_views


def test_the_exam_is_drawn_with_few_colors():
    crops = torch.rand(2, 3, 8, 8)
    drawn = photo_views.draw_exam({"truth": crops, "gray": 0 * crops}, ["cat", "cup"])
    assert drawn.mode == "P" and drawn.width == 1100
    assert not plt.get_fignums()


def test_a_map_counts_all_pixels_where_they_lie():
    ab = torch.tensor([0.5, -0.5]).view(1, 2, 1, 1).expand(3, 2, 4, 4)  # a* 55, b* -55
    figure = photo_views.draw_ab_maps({"one color": ab, "gray": 0 * ab})
    colored, gray = (axes.collections[0].get_array().reshape(44, 44) for axes in figure.axes[:2])
    plt.close(figure)
    assert [axes.get_title() for axes in figure.axes[:2]] == ["one color", "gray"]
    for counts in (colored, gray):
        assert counts.sum() == pytest.approx(100)
    b, a = divmod(int(colored.argmax()), 44)
    assert (-110 + 5 * a, -110 + 5 * b) == (55, -55)
    assert divmod(int(gray.argmax()), 44) == (22, 22)
