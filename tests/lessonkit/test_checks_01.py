import pytest
import torch
from check_cases import cases, judge

from colorlib.color import L_ab_to_rgb, rgb_to_L_ab
from lessonkit.lesson_01 import checks
from lessonkit.yuv import rgb_to_yuv, yuv_to_rgb


def to_batch(photo):
    channels_first = torch.tensor(photo).permute(2, 0, 1)
    return channels_first[None].float() / 255


def to_yuv(rgb):
    red, green, blue = rgb[:, 0], rgb[:, 1], rgb[:, 2]
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return torch.stack([luma, 0.492111 * (blue - luma), 0.877283 * (red - luma)], dim=1)


def undo_gamma(stored):
    power = ((stored + 0.055) / 1.055) ** 2.4
    return torch.where(stored > 0.04045, power, stored / 12.92)


def swap_color(light_from, color_from):
    L, _ = rgb_to_L_ab(light_from)
    _, ab = rgb_to_L_ab(color_from)
    return L_ab_to_rgb(L, ab)


SPACES = {"leaves": "HSV", "television": "YUV", "screen": "RGB", "judge": "Lab"}


def bends_too_late(stored):
    return torch.where(stored > 0.05, ((stored + 0.055) / 1.055) ** 2.4, stored / 12.92)


RIGHT = {
    "to_batch": to_batch,
    "to_yuv": to_yuv,
    "undo_gamma": undo_gamma,
    "swap_color": swap_color,
    "choose_space": SPACES,
}


def mean_as_luma(rgb):
    yuv = to_yuv(rgb)
    return torch.cat([rgb.mean(1, keepdim=True), yuv[:, 1:]], dim=1)


def unscaled(rgb):
    luma = to_yuv(rgb)[:, 0]
    return torch.stack([luma, rgb[:, 2] - luma, rgb[:, 0] - luma], dim=1)


def if_on_a_tensor(stored):
    if stored > 0.04045:
        return ((stored + 0.055) / 1.055) ** 2.4
    return stored / 12.92


def swap_in_yuv(light_from, color_from):
    return yuv_to_rgb(torch.cat([rgb_to_yuv(light_from)[:, :1], rgb_to_yuv(color_from)[:, 1:]], 1))


def yuv_in_place(rgb):
    red, green, blue = rgb[:, 0], rgb[:, 1], rgb[:, 2]
    red *= 0.299
    luma = red + 0.587 * green + 0.114 * blue
    return torch.stack([luma, 0.492111 * (blue - luma), 0.877283 * (red - luma)], dim=1)


def gamma_in_place(stored):
    dark = stored <= 0.04045
    stored[~dark] = ((stored[~dark] + 0.055) / 1.055) ** 2.4
    stored[dark] = stored[dark] / 12.92
    return stored


def swap_in_place(light_from, color_from):
    swapped = swap_color(light_from, color_from)
    light_from *= 0
    return swapped


def swap_scaled(light_from, color_from):
    return L_ab_to_rgb(100 * rgb_to_L_ab(light_from)[0], rgb_to_L_ab(color_from)[1])


def without_return_to_rgb(light_from, color_from):
    return torch.cat([rgb_to_L_ab(light_from)[0], rgb_to_L_ab(color_from)[1]], dim=1)


WRONG = {
    "to_batch": [
        (lambda photo: photo.transpose(2, 0, 1)[None] / 255, "return a tensor"),
        (lambda photo: torch.tensor(photo).permute(2, 0, 1) / 255, "[None]"),
        (lambda photo: torch.tensor(photo)[None] / 255, "still the last"),
        (
            lambda photo: torch.tensor(photo).permute(2, 1, 0)[None] / 255,
            "permute(2, 1, 0) reverse",
        ),
        (lambda photo: torch.tensor(photo.T)[None] / 255, ".T and permute"),
        (lambda photo: torch.tensor(photo).permute(2, 0, 1)[None], "still torch.uint8"),
        (lambda photo: torch.tensor(photo).permute(2, 0, 1)[None].float(), "divide by 255"),
        (lambda photo: to_batch(photo) / 255, "twice"),
        (lambda photo: torch.tensor(photo).reshape(1, 3, 4, 6) / 255, "reshape"),
        (lambda photo: to_batch(photo).flip(1), "another color"),
        (lambda photo: to_batch(photo).double(), "float32"),
    ],
    "to_yuv": [
        (lambda rgb: to_yuv(rgb)[:, 0], "torch.stack"),
        (mean_as_luma, "plain mean"),
        (lambda rgb: to_yuv(rgb.flip(1)), "Y is not"),
        (lambda rgb: to_yuv(rgb)[:, [0, 2, 1]], "swapped"),
        (lambda rgb: to_yuv(rgb) * torch.tensor([1, -1, -1]).view(3, 1, 1), "a sign"),
        (unscaled, "0.492111 for U"),
        (yuv_in_place, "changes the tensor"),
        (lambda rgb: to_yuv(rgb) * torch.tensor([1, 2, 1]).view(3, 1, 1), "U is not"),
        (lambda rgb: to_yuv(rgb) * torch.tensor([1, 1, 2]).view(3, 1, 1), "V is not"),
    ],
    "undo_gamma": [
        (lambda stored: [0.0], "return a tensor"),
        (lambda stored: stored, "a fifth"),
        (lambda stored: stored ** (1 / 2.4), "the other way"),
        (lambda stored: stored**2.2, "plain power"),
        (lambda stored: ((stored + 0.055) / 1.055) ** 2.4, "straight piece"),
        (lambda stored: stored / 12.92, "everywhere"),
        (lambda stored: stored**2.4, "0.055"),
        (bends_too_late, "where does"),
        (if_on_a_tensor, "ambiguous"),
        (gamma_in_place, "right numbers, but your function changes its input"),
    ],
    "swap_color": [
        (lambda first, second: first, "take ab from the second"),
        (lambda first, second: second, "take L from the first"),
        (lambda first, second: swap_color(second, first), "other way around"),
        (without_return_to_rgb, "go back"),
        (swap_in_yuv, "in YUV"),
        (swap_in_place, "changes the tensor"),
        (lambda first, second: torch.cat([first[:, :1], second[:, 1:]], 1), "slices of RGB"),
        (lambda first, second: L_ab_to_rgb(first[:, :1], second[:, 1:]), "slices of RGB"),
        (swap_scaled, "agree on the scale"),
        (lambda first, second: (first + second) / 2, "is not L of the first"),
    ],
    "choose_space": [
        (SPACES | {"leaves": "RGB"}, "which space has hue"),
        (SPACES | {"television": "Lab"}, "add and subtract"),
        (SPACES | {"screen": "YUV"}, "lights up"),
        (SPACES | {"judge": "HSV"}, "distance"),
        (SPACES | {"judge": "CMYK"}, "none of"),
        (SPACES | {"judge": ...}, "still open: judge"),
        ({"leaves": "HSV"}, "no answer for"),
        ("HSV", "dictionary"),
    ],
}


@pytest.mark.parametrize("check, answer, words", cases(checks, RIGHT, WRONG))
def test_check(check, answer, words):
    judge(check, answer, words)


def test_an_empty_dictionary_is_not_done():
    verdict = checks.choose_space.judge(dict.fromkeys(SPACES, ...))
    assert verdict.kind == "not done"
