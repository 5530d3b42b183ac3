"""lessonkit.yuv against scikit-image in float64 and PIL."""

import numpy as np
import pytest
import skimage.color
import skimage.data
import torch
from PIL import Image
from torch.testing import assert_close

from colorlib.color import gray_from_lightness
from lessonkit.yuv import gray_from_luma, rgb_to_yuv, yuv_to_rgb

PHOTO = skimage.data.astronaut()[:200, :200]


def to_tensor(array):
    return torch.from_numpy(np.ascontiguousarray(array)).movedim(-1, 0)


def test_yuv_agrees_with_skimage():
    yuv = rgb_to_yuv(to_tensor(PHOTO / 255))
    assert_close(yuv, to_tensor(skimage.color.rgb2yuv(PHOTO)), atol=1e-6, rtol=0)


def test_bytes_give_what_floats_give():
    as_bytes, as_floats = to_tensor(PHOTO), to_tensor(PHOTO).float() / 255
    for convert in (rgb_to_yuv, gray_from_luma):
        assert_close(convert(as_bytes), convert(as_floats), atol=1e-4, rtol=0)


def test_grays_have_no_chroma():
    grays = torch.arange(256, dtype=torch.uint8).expand(3, 1, 256)
    assert rgb_to_yuv(grays)[1:].abs().max() <= 1e-6


def test_rgb_survives_the_round_trip_and_clipping_cuts():
    rgb = 3 * torch.rand(3, 50, 50, dtype=torch.float64) - 1
    yuv = rgb_to_yuv(rgb)
    assert_close(yuv_to_rgb(yuv), rgb, atol=1e-12, rtol=0)
    assert_close(yuv_to_rgb(yuv, clip=True), rgb.clamp(0, 1), atol=1e-12, rtol=0)


def test_luma_is_what_pil_shows_and_not_lightness():
    pil = torch.from_numpy(np.array(Image.fromarray(PHOTO).convert("L"))).float()
    assert_close(gray_from_luma(to_tensor(PHOTO))[0] * 255, pil, atol=1, rtol=0)
    red = torch.tensor([1.0, 0, 0]).view(3, 1, 1)
    assert gray_from_luma(red).item() == pytest.approx(0.299, abs=1e-6)
    assert gray_from_lightness(red).item() == pytest.approx(0.532, abs=5e-4)
