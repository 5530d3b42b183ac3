"""RGB and CIE Lab on tensors of pictures, colorfulness, and the scale of the networks.

Getting from the bytes of a photo to Lab takes four steps:

    bytes --/255--> sRGB --gamma off--> linear light --3x3 matrix--> XYZ --cube root--> L*a*b*

- *sRGB* is what files store and screens expect. A curve ("gamma") makes equal steps look about
  equal: the value 0.5 means a fifth of the light of 1.
- *Linear light* is proportional to the light itself. Only here can lights be added or averaged.
- *XYZ* is three weighted sums of linear light that contain everything the eye can distinguish; Y
  is the luminance.
- *Lab* measures how different colors look: L* is the lightness, a* goes from green to red, and b*
  from blue to yellow. Grays have a* = b* = 0, so L* alone is the black-and-white photo.

Pictures are (..., 3, H, W) with any leading dimensions. RGB is uint8 in 0..255 or float in 0..1;
everything else is float. float64 stays float64, and uint8 becomes float32. All functions run on any
device, have finite gradients (even at black and white), and leave their input unchanged. A wrong
shape or dtype raises a ValueError that quotes it. Ranges are not checked, because unclipped
predictions can be outside 0..1.

References:
    IEC 61966-2-1:1999, the sRGB standard: gamma and primaries.
    CIE 15:2004, Colorimetry, section 8.2.1.1: L*a*b*.
"""

from collections.abc import Sequence

import skimage  # loads skimage.filters when it is first used
import torch
from torch import Tensor

AB_SCALE = 110.0
"""The divisor of a* and b* for the networks, whose tanh outputs -1..1.

sRGB spans a* from -86.2 (green) to 98.2 (magenta) and b* from -107.9 (blue) to 94.5
(yellow), so dividing by 110 keeps every color that a screen can show within -1..1.
"""

# The primaries of sRGB in XYZ, and the reference white: D65 for the 2-degree observer. Both are
# rounded as in scikit-image, which is why white has b* = 0.005 instead of 0.
XYZ_FROM_RGB = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
WHITE_XYZ = (0.95047, 1.0, 1.08883)

# Lab only needs XYZ divided by white, so the matrix includes that division. Inverted in float64.
_relative = torch.tensor(XYZ_FROM_RGB, dtype=torch.float64)
_relative /= torch.tensor(WHITE_XYZ, dtype=torch.float64)[:, None]
RELATIVE_XYZ_FROM_RGB = _relative.tolist()
RGB_FROM_RELATIVE_XYZ = torch.linalg.inv(_relative).tolist()

# Near black each curve is a straight line. This is where sRGB's line ends, on both scales.
SRGB_KNEE = 0.04045
LINEAR_KNEE = 0.0031308

# Lab's line ends here in f, and at its cube in light. These are the exact fractions of CIE 15:2004;
# the rounded 7.787 and 0.008856 of older texts and scikit-image make a* jump by 2e-4 at the joint.
LAB_KNEE = 6 / 29
LAB_SLOPE = 1 / (3 * LAB_KNEE**2)  # 7.787, the slope of the cube root at the joint

FLOATS = (torch.float32, torch.float64)
BYTES_AND_FLOATS = (torch.uint8, *FLOATS)


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """Convert sRGB to CIE Lab.

    L* = 116 f(Y) - 16,  a* = 500 (f(X) - f(Y)),  b* = 200 (f(Y) - f(Z)),
    where X, Y, Z are those of the color divided by those of white, and f is nearly a cube root.

    Args:
        rgb: (..., 3, H, W), uint8 in 0..255 or float in 0..1. Floats outside it convert, too.

    Returns:
        lab: (..., 3, H, W) in CIE units for D65, 2 degrees: L* in 0..100, and for the colors of
            a screen a* in -86.2..98.2, b* in -107.9..94.5. Grays have |a*|, |b*| below 0.01.

    Reference: CIE 15:2004, 8.2.1.1; IEC 61966-2-1. Differs: matrix and white are scikit-image's.
    """
    _check(rgb, "rgb", BYTES_AND_FLOATS)
    linear = _gamma_off(rgb).unbind(-3)
    x, y, z = (_lab_curve(_weighted_sum(row, linear)) for row in RELATIVE_XYZ_FROM_RGB)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-3)


def lab_to_rgb(lab: Tensor, clip: bool = True) -> Tensor:
    """Convert CIE Lab to sRGB; without clipping the inverse of `rgb_to_lab`.

    Args:
        lab: (..., 3, H, W) in CIE units; float.
        clip: limit the values to 0..1. Clipped values have no gradient and don't survive a round
            trip, so use `clip=False` in a loss.

    Returns:
        rgb: (..., 3, H, W), float, in 0..1 if clipped.
    """
    _check(lab, "lab", FLOATS)
    lightness, a, b = lab.unbind(-3)
    y = (lightness + 16) / 116
    xyz = [_lab_curve_inverse(value) for value in (y + a / 500, y, y - b / 200)]
    rgb = torch.stack([_gamma_on(_weighted_sum(row, xyz)) for row in RGB_FROM_RELATIVE_XYZ], -3)
    return rgb.clamp_(0, 1) if clip else rgb  # in place, as nobody else has seen it


def lab_to_L_ab(lab: Tensor) -> tuple[Tensor, Tensor]:
    """Split Lab into what the generator sees and what it predicts.

    Args:
        lab: (..., 3, H, W) in CIE units; float.

    Returns:
        L: L*/100, (..., 1, H, W), in 0..1.
        ab: a*/110 and b*/110, (..., 2, H, W), in -1..1; see `AB_SCALE`.
    """
    _check(lab, "lab", FLOATS)
    return lab[..., :1, :, :] / 100, lab[..., 1:, :, :] / AB_SCALE


def L_ab_to_lab(L: Tensor, ab: Tensor) -> Tensor:
    """Join lightness and chroma to Lab, the inverse of `lab_to_L_ab`.

    Args:
        L: L*/100, (..., 1, H, W); float.
        ab: a*/110 and b*/110, (..., 2, H, W); float.

    Returns:
        lab: (..., 3, H, W) in CIE units.
    """
    _check(L, "L", FLOATS, channels=(1,))
    _check(ab, "ab", FLOATS, channels=(2,))
    return torch.cat([L * 100, ab * AB_SCALE], dim=-3)


def rgb_to_L_ab(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """Convert sRGB, as `rgb_to_lab` takes it, to L and ab, as `lab_to_L_ab` returns them.

    Example:
        >>> L, ab = rgb_to_L_ab(torch.zeros(4, 3, 64, 64, dtype=torch.uint8))
        >>> L.shape, ab.shape
        (torch.Size([4, 1, 64, 64]), torch.Size([4, 2, 64, 64]))
    """
    return lab_to_L_ab(rgb_to_lab(rgb))


def L_ab_to_rgb(L: Tensor, ab: Tensor, clip: bool = True) -> Tensor:
    """Convert L and ab, as `L_ab_to_lab` takes them, to sRGB, as `lab_to_rgb` returns it.

    With ab = 0 it draws what the generator sees: a gray picture of the same L*.
    """
    return lab_to_rgb(L_ab_to_lab(L, ab), clip)


def gray_from_lightness(rgb: Tensor) -> Tensor:
    """Make the gray picture that the generator sees: how light each color looks.

    Args:
        rgb: (..., 3, H, W), uint8 in 0..255 or float in 0..1.

    Returns:
        L*/100, (..., 1, H, W), in 0..1; pure red gives 0.532.

    Reference: CIE 15:2004, 8.2.1.1.
    """
    _check(rgb, "rgb", BYTES_AND_FLOATS)
    y = _lab_curve(_weighted_sum(RELATIVE_XYZ_FROM_RGB[1], _gamma_off(rgb).unbind(-3)))
    return (1.16 * y - 0.16).unsqueeze(-3)  # L*/100, with L* = 116 y - 16


def to_black_and_white(gray_or_rgb: Tensor, threshold: float | None = None) -> Tensor:
    """Cut a picture to one bit a pixel, as for a scanned signature.

    Args:
        gray_or_rgb: (..., 1, H, W), gray, or (..., 3, H, W), sRGB, of which L*/100 is taken;
            uint8 in 0..255 or float in 0..1.
        threshold: all above it becomes white; in 0..1. None: Otsu's threshold, which best
            separates a picture's values into two groups. It is 0.5 if all values are equal.

    Returns:
        bool, (..., 1, H, W); True is white.

    Raises:
        ValueError: a threshold outside 0..1.

    Reference: Otsu 1979, "A threshold selection method from gray-level histograms".
    """
    _check(gray_or_rgb, "gray_or_rgb", BYTES_AND_FLOATS, channels=(1, 3))
    if threshold is not None and not 0 <= threshold <= 1:
        raise ValueError(f"threshold must lie in 0..1, not {threshold}; divide a byte by 255")
    gray = gray_from_lightness(gray_or_rgb) if gray_or_rgb.shape[-3] == 3 else to_unit(gray_or_rgb)
    return gray > (_otsu_thresholds(gray) if threshold is None else threshold)


def colorfulness(rgb: Tensor) -> Tensor:
    """How colorful a picture looks: gray 0, moderately 33, quite 59, extremely 109.

    With rg = R - G and yb = (R + G)/2 - B on the scale 0..255, it is
    sqrt(σ²(rg) + σ²(yb)) + 0.3 sqrt(μ²(rg) + μ²(yb)). It ignores the truth: blue grass scores high.

    Reference: Hasler and Süsstrunk 2003, metric M(3).
    """
    _check(rgb, "rgb", BYTES_AND_FLOATS)
    red, green, blue = (255 * to_unit(rgb)).flatten(-2).unbind(dim=-2)  # (..., H·W) each
    opponents = torch.stack([red - green, (red + green) / 2 - blue])  # (2, ..., H·W)
    # a loss needs finite gradients, and the square root at 0 (all gray) has none
    spread = opponents.var(dim=-1, correction=0).sum(dim=0).clamp(min=1e-12).sqrt()
    offset = opponents.mean(dim=-1).square().sum(dim=0).clamp(min=1e-12).sqrt()
    return spread + 0.3 * offset


def to_unit(picture: Tensor) -> Tensor:
    """Convert RGB or gray from bytes to float32 in 0..1; floats are returned unchanged."""
    return picture.float() / 255 if picture.dtype == torch.uint8 else picture


# Each curve is a power with a line near black. `torch.where` computes both everywhere, and sends
# zero gradient back to the one not taken; but at and below 0 the slope of a power is infinite or
# NaN, and zero times that is NaN. So a power sees only values clamped to its own side of the joint.


def _gamma_off(rgb: Tensor) -> Tensor:
    """Turn sRGB into linear light (IEC 61966-2-1); below 0 the line goes on."""
    if rgb.dtype == torch.uint8:  # there are only 256 bytes: convert those and look the rest up
        table = _gamma_off(torch.arange(256, dtype=torch.float32, device=rgb.device) / 255)
        return table.index_select(0, rgb.flatten().int()).view(rgb.shape)
    power = ((rgb.clamp(min=SRGB_KNEE) + 0.055) / 1.055) ** 2.4
    return torch.where(rgb > SRGB_KNEE, power, rgb / 12.92)


def _gamma_on(linear: Tensor) -> Tensor:
    """Turn linear light into sRGB, the inverse of `_gamma_off`."""
    power = 1.055 * linear.clamp(min=LINEAR_KNEE) ** (1 / 2.4) - 0.055
    return torch.where(linear > LINEAR_KNEE, power, 12.92 * linear)


def _lab_curve(light: Tensor) -> Tensor:
    """Apply the f of CIE Lab: a cube root, and near black its tangent, 4/29 = 16/116 at 0."""
    cube_root = light.clamp(min=LAB_KNEE**3) ** (1 / 3)
    return torch.where(light > LAB_KNEE**3, cube_root, LAB_SLOPE * light + 4 / 29)


def _lab_curve_inverse(value: Tensor) -> Tensor:
    """Undo `_lab_curve`; a cube needs no clamp."""
    return torch.where(value > LAB_KNEE, value**3, (value - 4 / 29) / LAB_SLOPE)


def _weighted_sum(weights: Sequence[float], channels: Sequence[Tensor]) -> Tensor:
    # not a matrix product, which would keep only three digits under autocast or TF32
    first, second, third = (weight * channel for weight, channel in zip(weights, channels))
    return first + second + third


def _otsu_thresholds(gray: Tensor) -> Tensor:
    """Find Otsu's threshold of each picture: (..., 1, H, W) to (..., 1, 1, 1)."""
    pictures = gray.detach().cpu().flatten(0, -3).numpy()
    thresholds = [skimage.filters.threshold_otsu(p) if p.min() < p.max() else 0.5 for p in pictures]
    return gray.new_tensor(thresholds).view(*gray.shape[:-2], 1, 1)


def _check(
    picture: Tensor, name: str, dtypes: Sequence[torch.dtype], channels: Sequence[int] = (3,)
) -> None:
    """Raise a ValueError that says what to do if this is not a picture of these kinds."""
    is_tensor = isinstance(picture, Tensor)
    is_right_kind = is_tensor and picture.dtype in dtypes
    if is_right_kind and picture.ndim >= 3 and picture.shape[-3] in channels:
        return
    shapes = " or ".join(f"(..., {count}, H, W)" for count in channels)
    kinds = ", ".join(str(dtype) for dtype in dtypes)
    given = f"{tuple(picture.shape)} {picture.dtype}" if is_tensor else type(picture).__name__
    raise ValueError(
        f"{name} must be a tensor of shape {shapes} and one of {kinds}, not {given}. "
        ".movedim(-1, -3) turns (..., H, W, C) into (..., C, H, W), and .float() converts half "
        "precision; torch.from_numpy makes a tensor of an array"
    )
