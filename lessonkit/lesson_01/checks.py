"""Checks of lesson 01, color spaces."""

import numpy as np
import torch

from colorlib.color import (
    WHITE_XYZ,
    XYZ_FROM_RGB,
    L_ab_to_rgb,
    rgb_to_L_ab,
    rgb_to_lab,
)
from lessonkit.checks import NotDone, alike, check, require, require_close
from lessonkit.yuv import rgb_to_yuv, yuv_to_rgb


def _require_tensor(got):
    require(isinstance(got, torch.Tensor), f"return a tensor; you return a {type(got).__name__}")


def _require_unchanged(given, original, opening="your function changes the tensor it is given"):
    message = (
        f"{opening}, as x *= 2 or x[...] = 0 would. Start with x = x.clone(), or write x = 2 * x, "
        "which makes a new tensor"
    )
    require(torch.equal(given, original), message)


def _require_channels_first(shape):
    height, width = 4, 6
    require(
        len(shape) == 4,
        f"the shape is {shape}, but a network takes a batch, (1, 3, H, W), even for one photo; "
        "add a dimension in front with [None]",
    )
    require(shape != (1, height, width, 3), "color is still the last dimension: permute(2, 0, 1)")
    require(
        shape != (1, 3, width, height),
        "width comes before height, so the photo lies on its side. .T and permute(2, 1, 0) reverse "
        "all three dimensions; permute(2, 0, 1) keeps height before width",
    )


@check
def to_batch(answer):
    """Exercise 1: turn a photo from skimage into a batch of one."""
    photo = np.random.randint(0, 256, (4, 6, 3), dtype=np.uint8)
    got = answer(photo)
    _require_tensor(got)
    _require_channels_first(tuple(got.shape))
    require(
        got.is_floating_point(),
        f"the numbers are still {got.dtype}; networks compute with floats: .float() / 255",
    )
    require(got.max() <= 1, "the numbers still go up to 255: divide by 255")
    require(got.max() > 0.05, "all numbers are close to 0: did you divide by 255 twice?")
    wanted = torch.tensor(photo).permute(2, 0, 1)[None] / 255
    require(
        not alike(got.flatten(), torch.tensor(photo).flatten() / 255),
        "the shape is right, but reshape keeps the numbers in their old order, so the colors are "
        "shuffled; use permute",
    )
    require_close(got, wanted, "some pixels have another color than in the photo")
    require(got.dtype == torch.float32, f"return float32, as networks do; you return {got.dtype}")
    return "channels first, 0 to 1, a batch of one: every network in this course takes it."


@check
def to_yuv(answer):
    """Exercise 2: from RGB to YUV."""
    rgb = torch.rand(2, 3, 4, 5)
    given = rgb.clone()
    got = answer(given)
    _require_tensor(got)
    _require_unchanged(given, rgb)
    require(
        tuple(got.shape) == (2, 3, 4, 5),
        f"(2, 3, 4, 5) becomes {tuple(got.shape)}: take the channels with rgb[:, 0] and so on, and "
        "join them with torch.stack([...], dim=1)",
    )
    wanted = rgb_to_yuv(rgb)
    luma, u, v = wanted.unbind(1)
    require(
        not alike(got[:, 0], rgb.mean(1)),
        "your Y is the plain mean of R, G and B; green counts more: 0.299, 0.587, 0.114",
    )
    require_close(got[:, 0], luma, "Y is not 0.299 R + 0.587 G + 0.114 B")
    require(not alike(got[:, 1], v), "U and V are swapped: U is the blue one")
    require(
        not (alike(got[:, 1], -u) or alike(got[:, 2], -v)),
        "a sign is flipped: U is B - Y, not Y - B, and V is R - Y",
    )
    require(
        not alike(got[:, 1], rgb[:, 2] - luma),
        "U and V lack their scales: 0.492111 for U, 0.877283 for V",
    )
    require_close(got[:, 1], u, "U is not 0.492111 (B - Y)")
    require_close(got[:, 2], v, "V is not 0.877283 (R - Y)")
    return "equal to lessonkit's rgb_to_yuv: one weighted sum and two differences from it."


@check
def undo_gamma(answer):
    """Exercise 3: the gamma step of RGB to Lab."""
    stored = torch.tensor([0.0, 0.02, 0.04, 0.041, 0.2, 0.5, 1.0])
    given = stored.clone()
    got = answer(given)
    _require_tensor(got)
    require(got.shape == stored.shape, f"seven numbers become {tuple(got.shape)}; keep the shape")
    require(
        not alike(got, stored),
        "0.5 comes back as 0.5, so nothing was bent; stored 0.5 is about a fifth of the light of 1",
    )
    require(
        got[5] < 0.5,
        f"0.5 comes back as {got[5]:.2f}, more than before: that turns light into stored numbers; "
        "this step goes the other way",
    )
    require(
        not alike(got, stored**2.2),
        "this is the plain power 2.2: nearly right, but wrong in the dark, where sRGB is straight",
    )
    power = ((stored + 0.055) / 1.055) ** 2.4
    require(
        not alike(got, power),
        "the curve is right; now the straight piece: up to 0.04045 it is stored / 12.92",
    )
    require(
        not alike(got, stored / 12.92),
        "you use the straight piece everywhere; it ends at 0.04045, where the power begins",
    )
    beyond = "above 0.04045 it is ((stored + 0.055) / 1.055) ** 2.4"
    require_close(got[4:], power[4:], beyond)
    require_close(got[3], power[3], f"just {beyond}; where does yours begin?", 1e-7)
    require_close(got[:3], stored[:3] / 12.92, "up to 0.04045 it is stored / 12.92", 1e-6)
    _require_unchanged(given, stored, "right numbers, but your function changes its input")
    rgb = torch.rand(3, 500)
    require_close(
        _lab_with(answer, rgb),
        rgb_to_lab(rgb[:, :, None])[:, :, 0],
        "your step works alone, but not inside the whole chain, on a tensor of shape (3, 500)",
        0.002,
    )
    return "with your step, the whole chain gives the same Lab as colorlib's rgb_to_lab."


def _lab_with(gamma, rgb):
    """Convert (3, N) to Lab with a learner's gamma step; the rest is CIE 15:2004."""
    matrix, white = torch.tensor(XYZ_FROM_RGB), torch.tensor(WHITE_XYZ)
    xyz = matrix @ gamma(rgb).to(matrix) / white[:, None]
    line = xyz / (3 * (6 / 29) ** 2) + 4 / 29
    x, y, z = torch.where(xyz > (6 / 29) ** 3, xyz ** (1 / 3), line)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@check
def swap_color(answer):
    """Exercise 4: the lightness of one picture, the color of another."""
    first = 0.5 + 0.1 * torch.rand(2, 3, 4, 5)  # pale, so that every swap stays in the gamut
    second = 0.5 + 0.1 * torch.rand(2, 3, 4, 5)
    given = first.clone(), second.clone()
    got = answer(*given)
    _require_tensor(got)
    _require_unchanged(given[0], first)
    _require_unchanged(given[1], second)
    require(
        tuple(got.shape) == (2, 3, 4, 5),
        f"the shape is {tuple(got.shape)}; return RGB, with the shape of the two inputs",
    )
    require(not alike(got, first), "this is the unchanged first picture: take ab from the second")
    require(not alike(got, second), "this is the unchanged second picture: take L from the first")
    (L, own_ab), (other_L, ab) = rgb_to_L_ab(first), rgb_to_L_ab(second)
    require(
        not alike(got, L_ab_to_rgb(other_L, own_ab)),
        "the other way around: take the lightness from the first and the color from the second",
    )
    require(not alike(got, torch.cat([L, ab], 1)), "you return L and ab: go back with L_ab_to_rgb")
    red, others = first[:, :1], second[:, 1:]
    require(
        not (alike(got, torch.cat([red, others], 1)) or alike(got, L_ab_to_rgb(red, others))),
        "slices of RGB are not L and ab: rgb_to_L_ab(rgb) gives the two",
    )
    scaled = L_ab_to_rgb(100 * L, ab), L_ab_to_rgb(L, 110 * ab), L_ab_to_rgb(100 * L, 110 * ab)
    require(
        not any(alike(got, wrong) for wrong in scaled),
        "rgb_to_L_ab and L_ab_to_rgb agree on the scale: pass L and ab on unchanged",
    )
    luma, chroma = rgb_to_yuv(first)[:, :1], rgb_to_yuv(second)[:, 1:]
    require(
        not alike(got, yuv_to_rgb(torch.cat([luma, chroma], 1))),
        "you swap in YUV, which works, but our networks keep L*; use rgb_to_L_ab",
    )
    require_close(got, L_ab_to_rgb(L, ab), "this is not L of the first with ab of the second")
    return "this is the last line of every colorizer: known lightness, new color, back to RGB."


USES = {
    "leaves": (
        "HSV",
        "leaves in sun and shade differ in lightness but hardly in hue: which space has hue?",
    ),
    "television": (
        "YUV",
        "an old set shows the first channel directly, and its tubes can only add and subtract",
    ),
    "screen": ("RGB", "a pixel lights up red, green and blue; which space has a number for each?"),
    "judge": ("Lab", "a judge needs a space where distance means how different colors look"),
}


@check
def choose_space(answer):
    """Exercise 5: choose a space for each job."""
    require(isinstance(answer, dict), "keep the dictionary; replace only the ... in it")
    missing = USES.keys() - answer.keys()
    require(not missing, f"there is no answer for {', '.join(sorted(missing))}")
    given = {job: answer[job] for job in USES}
    still_open = [job for job, space in given.items() if space in (None, ...)]
    if len(still_open) == len(USES):
        raise NotDone
    require(not still_open, f"still open: {', '.join(still_open)}")
    known = {"rgb", "hsv", "yuv", "lab"}
    for job, space in given.items():
        require(str(space).lower() in known, f"{job}: {space!r} is none of RGB, HSV, YUV, Lab")
    for job, (wanted, hint) in USES.items():
        require(str(given[job]).lower() == wanted.lower(), f"{job}: not {given[job]}; {hint}")
    return "no space is best at everything; each answers one question well."
