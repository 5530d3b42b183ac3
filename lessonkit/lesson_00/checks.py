"""Checks of lesson 00: gray by L*, small chroma on full-size L*, colorfulness, what is invented."""

import torch
from torch.nn.functional import interpolate

from colorlib.color import L_ab_to_rgb, gray_from_lightness, rgb_to_lab
from colorlib.metrics import colorfulness
from lessonkit.checks import NotDone, alike, check, require, require_close
from lessonkit.yuv import gray_from_luma


@check
def gray_of(answer):
    """Exercise 1: the gray picture that the network sees."""
    rgb = torch.eye(3)[:, :, None, None].expand(3, 3, 2, 4).clone()  # red, green, blue
    rgb[:, :, 1] = torch.rand(3, 3, 4)
    got = answer(rgb.clone())
    require(isinstance(got, torch.Tensor), "return a tensor, not " + type(got).__name__)
    require(
        tuple(got.shape) != (3, 2, 4),
        "the channel got lost: [:, 0] drops it, [:, :1] keeps it; the shape should be (B, 1, H, W)",
    )
    require(
        tuple(got.shape) != (3, 3, 2, 4),
        "three channels came back; a gray picture needs only the first of Lab, L*",
    )
    _name_the_gray(got, rgb)
    require_close(got, gray_from_lightness(rgb), "take channel 0 of Lab, and divide it by 100")
    as_bytes = (255 * rgb).round().byte()
    message = "right for floats but wrong for uint8: pass rgb to rgb_to_lab as it is"
    require_close(answer(as_bytes.clone()), gray_from_lightness(as_bytes), message)
    return "this is everything the network ever sees of a photo."


def _name_the_gray(got, rgb):
    """Recognize the grays that people take for L*/100."""
    lab = rgb_to_lab(rgb)
    mistakes = [
        (lab[:, :1], "L* runs from 0 to 100; the network wants 0..1, so divide by 100"),
        (lab[:, :1] / 255, "L* ends at 100, not at 255: divide by 100"),
        (lab[:, 1:2] / 100, "that is channel 1, a*; counting starts at 0, and L* is channel 0"),
        (
            rgb.mean(dim=1, keepdim=True),
            "that is the mean of R, G and B. It makes pure green and pure blue equally light, but "
            "green looks much lighter. Take L* from rgb_to_lab",
        ),
        (
            rgb_to_lab(rgb / 255)[:, :1] / 100,
            "do not divide rgb by 255 first: rgb_to_lab handles uint8 and floats in 0..1",
        ),
        (
            gray_from_luma(rgb) / 255,
            "that is luma, television's gray, not L*; and don't divide floats in 0..1 by 255",
        ),
        (
            gray_from_luma(rgb),
            "that is luma, television's gray: pure red gets 0.30, where L* says 0.53. The network "
            "was trained on L*",
        ),
    ]
    for wrong, message in mistakes:
        require(not alike(got, wrong), message)


@check
def join(answer):
    """Exercise 2: small chroma, enlarged and laid over full-size L*."""
    L = 0.3 + 0.4 * torch.rand(2, 1, 24, 40)
    small_ab = 0.3 * torch.rand(2, 2, 3, 5) - 0.15
    got = answer(L.clone(), small_ab.clone())
    require(isinstance(got, torch.Tensor), "return a tensor, not " + type(got).__name__)
    require(
        tuple(got.shape[-2:]) != (3, 5),
        "the result is as small as small_ab: you shrank L. Enlarge ab, and keep all of L",
    )
    require(
        tuple(got.shape) != (2, 2, 24, 40),
        "that is the enlarged ab alone; join it with L: L_ab_to_rgb",
    )
    require(
        got.max() <= 1.001,
        f"values up to {got.max():.3g}: that is Lab, not RGB. L_ab_to_rgb makes RGB in 0..1",
    )
    modes = {
        "nearest": "the colors come in blocks: use mode='bilinear', which is smooth",
        "area": "the colors come in blocks: use mode='bilinear', which is smooth",
        "bilinear": "leave out align_corners: it shifts the colors against the lightness",
    }
    for mode, message in modes.items():
        options = {"align_corners": True} if mode == "bilinear" else {}
        wrong = L_ab_to_rgb(L, interpolate(small_ab, (24, 40), mode=mode, **options))
        require(not alike(got, wrong, 1e-3), message)
    wanted = L_ab_to_rgb(L, interpolate(small_ab, (24, 40), mode="bilinear"))
    message = "only enlarge ab to L's height and width (mode='bilinear'); do not multiply ab"
    require_close(got, wanted, message, tolerance=1e-3)
    return "full-size sharpness from L*, color from a thumbnail; colorize does the same."


@check
def color_kept(answer):
    """Exercise 3: colorfulness of a prediction as a share of the truth's."""
    vivid = torch.randint(0, 256, (4, 3, 8, 8)).float()
    gray = vivid.mean(dim=1, keepdim=True).expand_as(vivid)
    pale = (vivid + gray) / 2
    predicted = torch.stack([gray[0], pale[1], vivid[2], vivid[3]]).round().byte()
    real = torch.stack([vivid[0], vivid[1], vivid[2], pale[3]]).round().byte()
    got = torch.as_tensor(answer(predicted.clone(), real.clone())).float()
    of_predicted, of_real = colorfulness(predicted), colorfulness(real)
    share = of_predicted / of_real
    require(
        got.ndim > 0,
        "one number came back for all pictures; keep one per picture, as colorfulness does",
    )
    mistakes = [
        (of_real / of_predicted, "upside down: gray should get 0, not infinity"),
        (of_predicted - of_real, "that is the difference; for a share, divide"),
        (of_predicted, "that is the prediction's colorfulness; divide it by that of the truth"),
        (100 * share, "that is in percent; 1 should mean: as colorful as the truth"),
        (
            share.clamp(max=1),
            "do not cut at 1: a prediction can be more colorful than the truth",
        ),
    ]
    for wrong, message in mistakes:
        require(not alike(got, wrong, 1e-3), message)
    require_close(got, share, "divide colorfulness(predicted) by colorfulness(real)", 1e-3)
    return "gray keeps 0 and the truth keeps 1. But the number doesn't know which colors they are."


KINDS = {  # what is to be judged: known or invented, and why
    "the grass of a painted scene": (
        "known",
        "blades show in gray, and grass is green in every painted scene",
    ),
    "the balloon of a painted scene": (
        "invented",
        "a coin chose red or blue, and both have the same L*",
    ),
    "an orange beside a lemon": (
        "known",
        "shape, skin and lightness tell them apart in gray, and each has one usual color",
    ),
    "a parked car": (
        "invented",
        "cars come in many paints, and a dark red and a dark blue one look alike in gray",
    ),
    "a dress in an old photo": (
        "invented",
        "dresses come in all colors, and a gray one, a green one and a red one may look alike",
    ),
}


@check
def known_or_invented(answer):
    """Exercise 4: which colors does a gray photo give away?"""
    require(isinstance(answer, dict), 'keep the dictionary: {"the grass …": "known", …}')
    for thing in KINDS:
        require(thing in answer, f"`{thing}` is missing from the dictionary")
    still_open = [thing for thing in KINDS if answer[thing] in (None, ...)]
    if len(still_open) == len(KINDS):
        raise NotDone
    require(not still_open, f"still open: {'; '.join(still_open)}")
    for thing, (kind, reason) in KINDS.items():
        given = str(answer[thing]).strip().lower()
        require(given in ("known", "invented"), f'{thing}: write "known" or "invented"')
        require(given == kind, f"{thing}: {reason}")
    return "where things that look alike have many colors, the network must make one up."
