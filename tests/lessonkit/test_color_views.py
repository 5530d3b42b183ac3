"""Looking at colors: each figure shows the numbers that it was given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from colorlib.color import in_gamut, rgb_to_lab, rgb_to_yuv
from lessonkit import color_views


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_histogram_counts_every_pixel_once():
    red = np.arange(256, dtype=np.uint8).reshape(16, 16)
    figure = color_views.draw_histogram({"red": red, "L*": torch.full((4,), 255.0)}, "byte")
    (axes,) = figure.axes
    lines = {patch.get_label(): patch.get_data().values for patch in axes.patches}
    assert lines["red"] == pytest.approx(np.full(32, 100 / 32))
    assert lines["L*"].tolist() == [0] * 31 + [100]
    assert axes.get_xlabel() == "byte"


def test_cube_shows_pixels_of_the_picture_in_their_own_color():
    picture = torch.rand(3, 64, 64)
    (axes,) = color_views.draw_cube(picture, 45, 35).axes
    assert (axes.azim, axes.elev) == (45, 35)
    points = np.stack([np.asarray(part) for part in axes.collections[0]._offsets3d], axis=1)
    known = {tuple(pixel) for pixel in picture.flatten(1).T.numpy()}
    assert 200 < len(points) < 300
    assert {tuple(point) for point in points} <= known


def test_bars_are_the_numbers_of_the_color():
    red = torch.tensor([1.0, 0, 0]).view(3, 1, 1)
    numbers = {"YUV": rgb_to_yuv(red), "Lab": rgb_to_lab(red)}
    patch, yuv, lab = color_views.draw_numbers(red, numbers).axes
    assert patch.images[0].get_array().flatten().tolist() == [1, 0, 0]
    for axes, values in ((yuv, numbers["YUV"]), (lab, numbers["Lab"])):
        widths = [bar.get_width() for bar in axes.patches]
        assert widths == pytest.approx(values.flatten().tolist())
    assert lab.get_yticklabels()[0].get_text() == "L* 53.24"


def test_a_slice_is_colored_where_a_screen_can_show_it():
    lab = color_views.ab_plane(60, 23)
    assert lab[:, 0, -1].tolist() == [60, 110, -110]
    possible = in_gamut(lab)
    (axes,) = color_views.draw_slice(lab, possible).axes
    picture = axes.images[0].get_array()
    assert np.ptp(picture[11, 11]) < 1e-3  # a* = b* = 0
    assert (picture[~possible[0].numpy()] == np.float32(color_views.NO_COLOR)).all()
    assert axes.get_title() == "L* = 60"
