"""colorlib.color against scikit-image in float64, colorsys, PIL and published values."""

import numpy as np
import pytest
import skimage.color
import skimage.data
import skimage.filters
import torch
from torch.testing import assert_close

from colorlib import color

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
FROM_RGB = (
    color.rgb_to_lab,
    color.rgb_to_L_ab,
    color.gray_from_lightness,
    color.to_black_and_white,
)
FROM_FLOATS = (color.lab_to_rgb, color.lab_to_L_ab)
DIFFERENTIABLE = (*FROM_RGB[:-1], *FROM_FLOATS)
CASES = [
    *((convert, dtype) for convert in FROM_RGB for dtype in color.BYTES_AND_FLOATS),
    *((convert, dtype) for convert in FROM_FLOATS for dtype in color.FLOATS),
]


def pixels(*colors, dtype=torch.float32):
    """(3, 1, N) from N colors."""
    return torch.tensor(colors, dtype=dtype).T.unsqueeze(1)


def to_tensor(array):
    return torch.from_numpy(np.ascontiguousarray(array)).movedim(-1, -3)


def random_picture(*shape, low=0.0, high=1.0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(shape, generator=generator, dtype=dtype) * (high - low) + low


def random_lab(dtype):
    """Colors from the whole box the networks can predict, most of them outside sRGB."""
    unit = random_picture(3, 300, 300, dtype=dtype)
    low, high = pixels((0, -110, -110), (100, 110, 110), dtype=dtype).unbind(-1)
    return low[..., None] + unit * (high - low)[..., None]


def joined(result):
    """What a conversion returns as one tensor: L and ab are put together."""
    return torch.cat(result, dim=-3) if isinstance(result, tuple) else result


@pytest.fixture(scope="module", params=["cube", *PHOTOS])
def picture(request):
    """Bytes, (H, W, 3): every fifth value of the sRGB cube with its corners, or a photo."""
    if request.param != "cube":
        return getattr(skimage.data, request.param)()
    steps = np.arange(0, 256, 5, dtype=np.uint8)
    return np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(52, -1, 3)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_lab_agrees_with_skimage(picture, dtype):
    rgb = to_tensor(picture if dtype == torch.uint8 else picture / 255).to(dtype)
    expected = to_tensor(skimage.color.rgb2lab(picture))
    lab = color.rgb_to_lab(rgb)
    assert lab.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert_close(lab.double(), expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rgb_agrees_with_skimage(picture, dtype):
    lab = skimage.color.rgb2lab(picture)
    rgb = color.lab_to_rgb(to_tensor(lab).to(dtype), clip=False)
    assert_close(rgb.double(), to_tensor(skimage.color.lab2rgb(lab)), atol=1e-5, rtol=0)
    assert_close(rgb.double(), to_tensor(picture / 255), atol=1e-5, rtol=0)


def test_bytes_give_what_floats_give(picture):
    as_bytes, as_floats = to_tensor(picture), to_tensor(picture).float() / 255
    assert_close(color.rgb_to_lab(as_bytes), color.rgb_to_lab(as_floats), atol=1e-4, rtol=0)


def test_lab_of_the_primaries_is_the_published_one():
    # http://www.brucelindbloom.com, sRGB, D65
    lab = color.rgb_to_lab(pixels((1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)))
    expected = pixels(
        (53.24, 80.09, 67.20), (87.73, -86.18, 83.18), (32.30, 79.19, -107.86), (0,) * 3
    )
    assert_close(lab, expected, atol=0.02, rtol=0)


def test_srgb_spans_the_ab_that_ab_scale_documents(picture):
    lab = color.rgb_to_lab(to_tensor(picture))
    low, high = torch.tensor([-0.01, -86.2, -107.9]), torch.tensor([100.01, 98.3, 94.5])
    assert (lab.amin((1, 2)) >= low).all() and (lab.amax((1, 2)) <= high).all()
    if picture.shape[0] == 52:  # the cube touches the ends
        assert_close(lab.amin((1, 2)), low, atol=0.06, rtol=0)
        assert_close(lab.amax((1, 2)), high, atol=0.07, rtol=0)


def test_grays_have_no_chroma():
    grays = torch.arange(256, dtype=torch.uint8).expand(3, 1, 256)
    assert color.rgb_to_lab(grays)[1:].abs().max() <= 0.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rgb_survives_the_round_trip_in_and_out_of_gamut(dtype):
    rgb = random_picture(3, 300, 300, low=-1, high=2, dtype=dtype)
    tolerance = 1e-4 if dtype == torch.float32 else 1e-12
    back = color.lab_to_rgb(color.rgb_to_lab(rgb), clip=False)
    assert_close(back, rgb, atol=tolerance, rtol=0)


def test_lab_survives_the_round_trip_in_and_out_of_gamut():
    lab = random_lab(torch.float64)
    back = color.rgb_to_lab(color.lab_to_rgb(lab, clip=False))
    assert_close(back, lab, atol=1e-10, rtol=0)


def test_lab_survives_the_round_trip_in_float32():
    lab = random_lab(torch.float32)
    rgb = color.lab_to_rgb(lab, clip=False)
    error = (color.rgb_to_lab(rgb) - lab).abs().amax(0)
    assert error[((rgb >= -0.1) & (rgb <= 1.1)).all(0)].max() <= 1e-4
    # One rounding of float32 RGB alone costs 1e-4 where red is -7, which no eye can see.
    assert (error <= 1e-4).float().mean() >= 0.999
    assert error.max() <= 5e-4


def test_clipping_cuts_to_what_a_screen_can_show():
    lab = random_lab(torch.float32)
    free, clipped = color.lab_to_rgb(lab, clip=False), color.lab_to_rgb(lab)
    assert free.min() < -1 and free.max() > 1.5
    assert_close(clipped, free.clamp(0, 1), atol=0, rtol=0)


def test_the_scale_of_the_networks():
    lab = pixels((50.0, 110, -55))
    L, ab = color.lab_to_L_ab(lab)
    assert_close(L, torch.tensor([[[0.5]]]))
    assert_close(ab, torch.tensor([[[1.0]], [[-0.5]]]))
    assert_close(color.L_ab_to_lab(L, ab), lab)


def test_rgb_to_L_ab_and_back():
    rgb = random_picture(2, 3, 8, 8)
    L, ab = color.rgb_to_L_ab(rgb)
    assert L.shape == (2, 1, 8, 8) and ab.shape == (2, 2, 8, 8)
    assert_close(color.L_ab_to_rgb(L, ab), rgb, atol=1e-5, rtol=0)


def test_the_gray_shown_has_the_lightness_of_the_photo(picture):
    L, ab = color.rgb_to_L_ab(to_tensor(picture))
    assert_close(color.gray_from_lightness(to_tensor(picture)), L, atol=1e-6, rtol=0)
    shown = color.L_ab_to_rgb(L, torch.zeros_like(ab))
    assert_close(color.gray_from_lightness(shown), L, atol=1e-4, rtol=0)


def test_black_and_white_uses_otsu_for_each_picture():
    batch = torch.stack([to_tensor(getattr(skimage.data, name)()[:200, :200]) for name in PHOTOS])
    result = color.to_black_and_white(batch)
    assert result.dtype == torch.bool and result.shape == (4, 1, 200, 200)
    for rgb, one in zip(batch, result):
        L = skimage.color.rgb2lab(rgb.movedim(0, -1).numpy())[..., 0] / 100
        threshold = skimage.filters.threshold_otsu(L)
        expected = torch.from_numpy(L) > threshold
        assert (one[0] == expected).float().mean() >= 0.999  # a bin's edge may round either way


def test_black_and_white_of_gray_and_by_threshold():
    gray = torch.tensor([[[0, 127, 128, 255]]], dtype=torch.uint8)
    assert color.to_black_and_white(gray, 0.5).tolist() == [[[False, False, True, True]]]
    assert color.to_black_and_white(gray.float() / 255, 0.6).tolist() == [[[False] * 3 + [True]]]
    assert color.to_black_and_white(pixels((1.0, 0, 0), (0, 0, 1.0)), 0.5).tolist() == [
        [[True, False]]
    ]


def test_a_blank_page_stays_white_and_a_black_one_black():
    pages = torch.tensor([255, 0], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 1, 8, 8)
    white, black = color.to_black_and_white(pages)
    assert white.all() and not black.any()


@pytest.mark.parametrize("convert", FROM_RGB + FROM_FLOATS)
def test_any_leading_shape_gives_the_same_pictures(convert):
    pictures = random_picture(2, 4, 3, 6, 5)
    whole = joined(convert(pictures))
    assert whole.shape[:2] == (2, 4) and whole.shape[-2:] == (6, 5)
    for index in range(2):
        batch, single = joined(convert(pictures[index])), joined(convert(pictures[index, 3]))
        assert_close(batch, whole[index], atol=1e-5, rtol=1e-5)
        assert_close(single, whole[index, 3], atol=1e-5, rtol=1e-5)


def test_memory_formats_do_not_matter():
    rgb = random_picture(2, 3, 16, 16)
    for other in (rgb.to(memory_format=torch.channels_last), rgb.mT.contiguous().mT):
        assert_close(color.rgb_to_lab(other), color.rgb_to_lab(rgb), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("convert", "dtype"), CASES)
def test_input_is_left_unchanged(convert, dtype):
    given = random_picture(2, 3, 6, 5, high=255 if dtype == torch.uint8 else 2).to(dtype)
    before = given.clone()
    convert(given)
    assert torch.equal(given, before)


def test_joining_leaves_its_inputs_unchanged():
    L, ab = random_picture(2, 1, 4, 4), random_picture(2, 2, 4, 4)
    before = L.clone(), ab.clone()
    color.L_ab_to_rgb(L, ab)
    assert torch.equal(L, before[0]) and torch.equal(ab, before[1])


@pytest.mark.parametrize("convert", DIFFERENTIABLE)
def test_gradients_are_right_in_float64(convert):
    # From below 0 to above 1, so that both pieces of each curve are met; Lab is given as Lab.
    given = random_picture(2, 3, 3, 4, low=-0.1, high=1.1, dtype=torch.float64)
    if convert is color.lab_to_rgb:
        given = color.rgb_to_lab(given)
        assert torch.autograd.gradcheck(
            lambda lab: convert(lab, clip=False), given.requires_grad_()
        )
    else:
        assert torch.autograd.gradcheck(convert, given.requires_grad_())


@pytest.mark.parametrize("convert", DIFFERENTIABLE)
def test_gradients_are_finite_at_black_white_gray_and_beyond(convert):
    corners = [
        (0.0,) * 3,
        (1,) * 3,
        (0.5,) * 3,
        (-0.5,) * 3,
        (1, 0, 0),
        (0, 1, 0),
        (0, 0, 1),
        (2, -1, 0),
    ]
    given = pixels(*corners).requires_grad_()
    result = joined(convert(given))
    result.sum().backward()
    assert result.isfinite().all() and given.grad.isfinite().all()


def test_autocast_does_not_round():
    rgb = random_picture(3, 16, 16)
    expected = color.rgb_to_lab(rgb)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        lab = color.rgb_to_lab(rgb)
        back = color.lab_to_rgb(lab)
    assert torch.equal(lab, expected)
    assert_close(back, rgb, atol=1e-5, rtol=0)


@pytest.mark.parametrize("convert", FROM_RGB + FROM_FLOATS)
@pytest.mark.parametrize(
    ("given", "quoted"),
    [
        (torch.zeros(64, 64, 3), "(64, 64, 3)"),
        (torch.zeros(2, 4, 8, 8), "(2, 4, 8, 8)"),
        (torch.zeros(3, 8), "(3, 8)"),
        (torch.zeros(3, 8, 8, dtype=torch.float16), "torch.float16"),
        (torch.zeros(3, 8, 8, dtype=torch.int64), "torch.int64"),
        (np.zeros((8, 8, 3)), "ndarray"),
    ],
)
def test_errors_quote_what_was_given(convert, given, quoted):
    with pytest.raises(ValueError) as error:
        convert(given)
    assert quoted in str(error.value)


@pytest.mark.parametrize("convert", FROM_FLOATS)
def test_bytes_are_refused_where_they_mean_nothing(convert):
    with pytest.raises(ValueError, match="torch.uint8"):
        convert(torch.zeros(3, 8, 8, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("L", "ab", "quoted"),
    [
        (
            torch.zeros(2, 3, 8, 8),
            torch.zeros(2, 2, 8, 8),
            r"L must be .*\(2, 3, 8, 8\)",
        ),
        (
            torch.zeros(2, 1, 8, 8),
            torch.zeros(2, 3, 8, 8),
            r"ab must be .*\(2, 3, 8, 8\)",
        ),
        (torch.zeros(2, 1, 8, 8), torch.zeros(2, 2, 8, 8).bfloat16(), "bfloat16"),
    ],
)
def test_L_and_ab_are_checked(L, ab, quoted):
    with pytest.raises(ValueError, match=quoted):
        color.L_ab_to_rgb(L, ab)


@pytest.mark.parametrize("threshold", [-0.1, 128, float("nan")])
def test_a_threshold_outside_the_range_is_refused(threshold):
    with pytest.raises(ValueError, match=str(threshold)):
        color.to_black_and_white(torch.zeros(1, 4, 4), threshold)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize(("convert", "dtype"), CASES)
def test_cuda_gives_what_the_cpu_gives(convert, dtype):
    given = random_picture(2, 3, 60, 50, high=255 if dtype == torch.uint8 else 1).to(dtype)
    here, there = joined(convert(given)), joined(convert(given.cuda()))
    assert there.is_cuda and there.dtype == here.dtype
    if here.dtype == torch.bool:  # a value at the threshold may round either way
        assert (there.cpu() == here).float().mean() >= 0.999
    else:
        assert_close(there.cpu(), here, atol=1e-3, rtol=0)
