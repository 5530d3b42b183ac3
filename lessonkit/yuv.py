"""YUV and the gray of television, for lesson 01. The networks use Lab (`colorlib.color`).

Pictures are (..., 3, H, W) with any leading dimensions. RGB is uint8 in 0..255 or float in 0..1;
everything else is float. The input is left unchanged.
"""

import torch
from torch import Tensor

from colorlib.color import to_unit

LUMA_WEIGHTS = (0.299, 0.587, 0.114)  # ITU-R BT.601
U_SCALE, V_SCALE = 0.492111, 0.877283  # SMPTE 170M-2004


def gray_from_luma(rgb: Tensor) -> Tensor:
    """Make the gray picture of television and PIL: 0.299 R + 0.587 G + 0.114 B.

    It weighs sRGB as stored, not light, so saturated colors come out too dark.

    Args:
        rgb: (..., 3, H, W), uint8 in 0..255 or float in 0..1.

    Returns:
        Luma, (..., 1, H, W), in 0..1; pure red gives 0.299.

    Reference: ITU-R BT.601.
    """
    return _luma(*to_unit(rgb).unbind(-3)).unsqueeze(-3)


def rgb_to_yuv(rgb: Tensor) -> Tensor:
    """Convert sRGB to YUV, color television's split into luma and two color differences.

    Y = 0.299 R + 0.587 G + 0.114 B,  U = 0.492111 (B - Y),  V = 0.877283 (R - Y).

    Args:
        rgb: (..., 3, H, W), uint8 in 0..255 or float in 0..1.

    Returns:
        yuv: (..., 3, H, W): Y in 0..1, U in -0.436..0.436, V in -0.615..0.615.

    Reference: ITU-R BT.601 (Y), SMPTE 170M-2004 (U, V).
    """
    red, green, blue = to_unit(rgb).unbind(-3)
    luma = _luma(red, green, blue)
    return torch.stack([luma, U_SCALE * (blue - luma), V_SCALE * (red - luma)], dim=-3)


def yuv_to_rgb(yuv: Tensor, clip: bool = False) -> Tensor:
    """Convert YUV to sRGB; without clipping the inverse of `rgb_to_yuv`.

    Args:
        yuv: (..., 3, H, W); float.
        clip: cut to 0..1.

    Returns:
        rgb: (..., 3, H, W), float.
    """
    luma, u, v = yuv.unbind(-3)
    red, blue = luma + v / V_SCALE, luma + u / U_SCALE
    red_weight, green_weight, blue_weight = LUMA_WEIGHTS
    green = (luma - red_weight * red - blue_weight * blue) / green_weight
    rgb = torch.stack([red, green, blue], dim=-3)
    return rgb.clamp_(0, 1) if clip else rgb


def _luma(red: Tensor, green: Tensor, blue: Tensor) -> Tensor:
    red_weight, green_weight, blue_weight = LUMA_WEIGHTS
    return red_weight * red + green_weight * green + blue_weight * blue
