"""The figures of lesson 03: one row per photo, and each map in the colors it speaks of."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from lessonkit.lesson_03 import photo_views


def test_the_exam_is_drawn_with_few_colors():
    photos, crops = torch.randint(0, 256, (2, 3, 16, 16)), torch.rand(2, 3, 8, 8)
    columns = {"truth": crops, "gray": 0 * crops}
    drawn = photo_views.draw_exam(photos, columns, (4, 4, 8, 8), ["cat", "cup"])
    assert drawn.mode == "P" and drawn.width == 900
    assert not plt.get_fignums()


def test_a_map_shows_pixels_where_they_lie_and_in_their_color():
    ab = torch.tensor([0.5, -0.5]).view(1, 2, 1, 1).expand(3, 2, 4, 4)  # a* 55, b* -55: purple
    figure = photo_views.draw_ab_maps({"one color": ab, "gray": 0 * ab})
    colored, gray = (np.asarray(axes.images[0].get_array()) for axes in figure.axes[:2])
    plt.close(figure)
    assert [axes.get_title() for axes in figure.axes[:2]] == ["one color", "gray"]
    for picture in (colored, gray):
        assert (picture[..., 3] > 0).sum() == 1  # all pixels fall into one place
        assert picture[..., 3].max() == pytest.approx(1)
    b, a = divmod(int(colored[..., 3].argmax()), 44)
    assert (-110 + 5 * a, -110 + 5 * b) == (55, -55)
    red, green, blue = colored[b, a, :3]
    assert blue > red > green
    assert divmod(int(gray[..., 3].argmax()), 44) == (22, 22)
    assert np.ptp(gray[22, 22, :3]) < 0.05
