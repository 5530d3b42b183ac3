"""Looking at colors: each figure shows the numbers that it was given."""

import colorsys

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from colorlib.color import rgb_to_lab
from lessonkit.lesson_01 import color_views
from lessonkit.lesson_01.color_views import in_gamut


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_hsv_agrees_with_colorsys(dtype):
    rgb = torch.rand(2, 3, 1, 50, dtype=dtype)
    hsv = color_views.rgb_to_hsv(rgb)
    assert hsv.shape == rgb.shape and hsv.dtype == dtype
    for before, after in zip(rgb.movedim(1, -1).reshape(-1, 3), hsv.movedim(1, -1).reshape(-1, 3)):
        assert after.tolist() == pytest.approx(colorsys.rgb_to_hsv(*before.tolist()), abs=1e-5)


def test_hsv_of_bytes_and_of_grays():
    grays = torch.arange(256, dtype=torch.uint8).expand(3, 1, 256)
    hsv = color_views.rgb_to_hsv(grays)
    assert hsv[:2].abs().max() == 0
    torch.testing.assert_close(hsv[2], grays[0] / 255)


def test_the_gamut_holds_the_rgb_cube_and_nothing_else():
    levels = torch.linspace(0, 1, 9, dtype=torch.float64)
    cube = torch.cartesian_prod(levels, levels, levels).T[:, :, None]
    inside = in_gamut(rgb_to_lab(cube))
    assert inside.dtype == torch.bool and inside.shape == (1, 729, 1) and inside.all()
    beyond = torch.tensor([[50.0, 100, -100], [101, 0, 0], [-1, 0, 0], [90, 0, -60]])
    assert not in_gamut(beyond.T[:, :, None]).any()


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


def test_a_slice_is_colored_where_a_screen_can_show_it():
    lab = color_views.ab_plane(60, 23)
    assert lab[:, 0, -1].tolist() == [60, 110, -110]
    possible = in_gamut(lab)
    (axes,) = color_views.draw_slice(lab, possible).axes
    picture = axes.images[0].get_array()
    assert np.ptp(picture[11, 11]) < 1e-3  # a* = b* = 0
    assert (picture[~possible[0].numpy()] == np.float32(color_views.NO_COLOR)).all()
    assert axes.get_title() == "L* = 60"
