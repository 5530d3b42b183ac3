"""Color profiles (ICC.1:2001-04, version 2), built byte by byte: what cameras and scanners embed.

The connection space of the standard has the white D50; the primaries below are given for D65, so
they are adapted with Bradford's matrix, as the standard recommends.
"""

import struct
from itertools import product

import numpy as np

D65, D50 = (0.95047, 1.0, 1.08883), (0.9642, 1.0, 0.8249)
WHITE_XY = (0.3127, 0.3290)  # of D65
PRIMARIES = {  # x and y of red, green and blue
    "sRGB": ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)),
    "AdobeRGB": ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)),
    "Display P3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
ADOBE_GAMMA = 563 / 256  # 2.19921875
BRADFORD = np.array(
    [(0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296)]
)


def gamma_off(values: np.ndarray) -> np.ndarray:
    """Turn sRGB in 0..1 into linear light (IEC 61966-2-1), float64."""
    values = np.asarray(values, np.float64)
    return np.where(values > 0.04045, ((values + 0.055) / 1.055) ** 2.4, values / 12.92)


def gamma_on(light: np.ndarray) -> np.ndarray:
    """Turn linear light into sRGB in 0..1, the inverse of `gamma_off`."""
    light = np.clip(light, 0, 1)
    return np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)


def xyz_matrix(space: str) -> np.ndarray:
    """The 3x3 matrix from linear light to XYZ (D65), from the primaries and the white."""
    x, y = np.array([*PRIMARIES[space], WHITE_XY]).T
    columns = np.stack([x / y, np.ones(4), (1 - x - y) / y])
    return columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3])


def xyz_matrix_d50(space: str) -> np.ndarray:
    """The same matrix, adapted to the white D50."""
    cones = (BRADFORD @ D50) / (BRADFORD @ (xyz_matrix(space) @ np.ones(3)))
    return np.linalg.inv(BRADFORD) @ np.diag(cones) @ BRADFORD @ xyz_matrix(space)


def lab_to_srgb(lab: np.ndarray) -> np.ndarray:
    """Convert Lab for D50, (..., 3), to sRGB in 0..1."""
    L, a, b = np.moveaxis(np.asarray(lab, np.float64), -1, 0)
    f = np.stack([(L + 16) / 116 + a / 500, (L + 16) / 116, (L + 16) / 116 - b / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * D50
    return gamma_on(xyz @ np.linalg.inv(xyz_matrix_d50("sRGB")).T)


def lightness_curve(gray: np.ndarray) -> np.ndarray:
    """The light of a gray value in 0..1 that is proportional to L*."""
    f = (np.asarray(gray) * 100 + 16) / 116
    return np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29))


def dot_gain_curve(gray: np.ndarray, gain: float = 0.2) -> np.ndarray:
    """The light of a gray value on paper, where a dot of 50% grows by `gain` (Murray-Davies)."""
    dot = 1 - np.asarray(gray)
    return 1 - (dot + 4 * gain * dot * (1 - dot))


GRAY_CURVES = {
    "L*": lightness_curve,
    "Dot Gain 20%": dot_gain_curve,
    "Gray Gamma 2.2": lambda gray: np.asarray(gray) ** 2.2,
}


def rgb_profile(space: str) -> bytes:
    """A profile of three primaries and one curve."""
    is_adobe = space == "AdobeRGB"
    curve = (lambda values: values**ADOBE_GAMMA) if is_adobe else gamma_off
    tags = {f"{name}TRC": _curve(curve) for name in "rgb"}
    tags |= {f"{name}XYZ": _xyz(column) for name, column in zip("rgb", xyz_matrix_d50(space).T)}
    return _profile(space, b"mntr", b"RGB ", b"XYZ ", tags)


def gray_profile(name: str) -> bytes:
    """A profile of one curve, one of `GRAY_CURVES`."""
    return _profile(name, b"mntr", b"GRAY", b"XYZ ", {"kTRC": _curve(GRAY_CURVES[name])})


def cmyk_profile(lab_of_inks) -> bytes:
    """A profile with a table of 2 points per ink; between them Lab is interpolated.

    Args:
        lab_of_inks: maps (c, m, y, k), each 0 or 1, to Lab for D50.
    """
    corners = [lab_of_inks(*inks) for inks in product((0, 1), repeat=4)]  # the last ink is fastest
    table = np.rint(np.array(corners) * (2.55, 1, 1) + (0, 128, 128)).astype(np.uint8)
    straight = bytes(range(256))
    body = b"mft1" + bytes(4) + bytes((4, 3, 2, 0))
    body += struct.pack(">9i", *np.eye(3, dtype=int).ravel() * 65536)
    body += straight * 4 + table.tobytes() + straight * 3
    return _profile("Tiny ink", b"prtr", b"CMYK", b"Lab ", {"A2B0": body})


def lab_profile() -> bytes:
    """A valid profile that no photo can use: its pixels would have to be Lab."""
    curves = struct.pack(">HH", 2, 2) + struct.pack(">HH", 0, 65535) * 3
    grid = [(L, a, b) for L in (0, 65280) for a in (0, 65535) for b in (0, 65535)]
    body = b"mft2" + bytes(4) + bytes((3, 3, 2, 0))
    body += struct.pack(">9i", *np.eye(3, dtype=int).ravel() * 65536)
    body += curves + struct.pack(">24H", *np.ravel(grid)) + curves[4:]
    return _profile("Lab", b"abst", b"Lab ", b"Lab ", {"A2B0": body})


def _profile(name: str, kind: bytes, space: bytes, connection: bytes, tags: dict) -> bytes:
    text = name.encode() + b"\0"
    description = b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78)
    tags = {"desc": description, "cprt": b"text" + bytes(4) + b"none\0", "wtpt": _xyz(D50), **tags}
    table, content, start = b"", b"", 128 + 4 + 12 * len(tags)
    for signature, body in tags.items():
        table += signature.encode() + struct.pack(">II", start + len(content), len(body))
        content += body + bytes(-len(body) % 4)
    header = struct.pack(
        ">I4sI4s4s4s", start + len(content), b"", 0x02100000, kind, space, connection
    )
    header += struct.pack(">6H4s28x", 2026, 1, 1, 0, 0, 0, b"acsp") + _xyz(D50)[8:] + bytes(48)
    return header + struct.pack(">I", len(tags)) + table + content


def _xyz(values) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))


def _curve(curve) -> bytes:
    values = np.rint(curve(np.linspace(0, 1, 4096)) * 65535).astype(">u2")
    return b"curv" + bytes(4) + struct.pack(">I", len(values)) + values.tobytes()
