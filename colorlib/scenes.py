"""Built-in data: small painted scenes whose colors can be learned in a minute.

Everything in a scene (sky, grass, brick, orange, ...) has its own color, and a texture, a shape and
a place that show in L* alone, so the gray picture reveals the colors. The balloon is the exception:
a coin toss makes it red or blue at the same L*. No network can know which, and what it paints
instead is the lesson.

A scene is painted back to front, directly in CIE Lab and in unit coordinates (x to the right, y
down, both 0..1), so it is the same scene at every size. A thing has a label, a depth inside its
outline at each point, and a relief: its texture, which is added to its usual L*. Lengths are in
widths of the picture; u and v are in sizes of the thing.

From top to bottom: the public functions, the two kinds of scenes, the patch to paint on, the
things, and the shapes that several of them share.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from colorlib.color import lab_to_rgb

BALLOON_RED_AB = (60.0, 52.0)
BALLOON_BLUE_AB = (32.0, -71.0)
BALLOON_LIGHTNESS = (38.0, 54.0)  # in this range of L* both paints are inside sRGB
BALLOON_SHARE = 0.5  # the fraction of scenes with a balloon

COLORS = {  # label: the thing's usual L*, a*, b* in CIE units
    "sky": (76, -8, -34),
    "cloud": (94, 0, 2),
    "sun": (89, 0, 72),
    "mountain": (58, 16, -30),
    "snow": (94, -1, -5),
    "grass": (62, -40, 50),
    "water": (62, -28, -16),
    "sand": (80, 6, 38),
    "brick": (50, 36, 34),
    "roof": (42, 8, -34),
    "door": (36, -32, 10),
    "window": (86, 2, 48),
    "trunk": (36, 14, 26),
    "crown": (46, -38, 38),
    "pine": (36, -28, 8),
    "flower": (82, 2, 68),
    "sail": (92, 0, 12),
    "hull": (40, 36, 28),
    "wall": (80, 18, 14),
    "frame": (92, 0, 6),
    "table": (52, 22, 40),
    "bowl": (88, -3, -6),
    "orange": (68, 38, 66),
    "lemon": (85, -8, 74),
    "basket": (42, 12, 30),
    "balloon": (46, 0, 0),  # a*, b*: the coin decides
}
LABELS = tuple(COLORS)


class Scenes(NamedTuple):
    """Rendered scenes.

    Attributes:
        rgb: (N, 3, H, W) uint8 sRGB.
        labels: (N, H, W) uint8, the index in `LABELS` of the thing seen at each pixel.
    """

    rgb: torch.Tensor
    labels: torch.Tensor


def render_scenes(count: int, size: int = 64, seed: int = 0) -> Scenes:
    """Render scenes 0 to count - 1 of a seed.

    Args:
        count: how many.
        size: width and height in pixels, 32 to 256. The scene is the same at every size.
        seed: another seed, other scenes. Scene i depends on `seed` and i alone.

    Returns:
        The pictures and their label maps.

    Raises:
        ValueError: the size is out of range.
    """
    if not 32 <= size <= 256:
        raise ValueError(
            f"scenes can be 32 to 256 pixels wide, not {size}: choose a smaller or larger size"
        )
    rgb = torch.empty(count, 3, size, size, dtype=torch.uint8)
    labels = np.zeros((count, size, size), np.uint8)
    for start in range(0, count, 64):  # in batches, so that Lab in floats stays small
        lab = np.zeros((min(64, count - start), 3, size, size), np.float32)
        for i in range(len(lab)):
            _render_scene(lab[i], labels[start + i], seed, start + i)
        batch = lab_to_rgb(torch.from_numpy(lab))
        rgb[start : start + len(lab)] = (batch * 255).round().to(torch.uint8)
    return Scenes(rgb, torch.from_numpy(labels))


class SceneDataset(Dataset):
    """Rendered scenes as a data set of pictures; all are rendered at once, and kept.

    Args:
        count, size, seed: as in `render_scenes`.

    Attributes:
        rgb: (N, 3, size, size) uint8.
        labels: (N, size, size) uint8, as in `Scenes`.
        source: "scenes", the name that `open_data` takes for this data.
    """

    source = "scenes"  # recorded by a run that trains on them

    def __init__(self, count: int = 3000, size: int = 64, seed: int = 0):
        self.rgb, self.labels = render_scenes(count, size, seed)

    def __len__(self) -> int:
        return len(self.rgb)

    def __getitem__(self, index: int) -> torch.Tensor:
        """The picture: (3, size, size) uint8."""
        return self.rgb[index]


def _render_scene(lab, labels, seed, index, paint=None) -> None:
    """Paint scene `index` on `lab` (3, H, W) and `labels` (H, W).

    `paint`, the a*, b* of the balloon, beats the coin: the same scene with the other balloon.
    """
    rng = np.random.default_rng((seed, index))
    coin = (BALLOON_RED_AB, BALLOON_BLUE_AB)[rng.integers(2)]
    size = len(labels)
    centers = (np.arange(size, dtype=np.float32) + 0.5) / size
    colors, cut = _scene_colors(rng, paint or coin), rng.uniform(2, 9)
    patch = _Patch(lab, labels, centers[None], centers[:, None], 1 / size, cut, colors)
    x, radius = rng.uniform(0.3, 0.7), rng.uniform(0.078, 0.112)
    y, has_balloon = radius + rng.uniform(0.07, 0.15), rng.uniform() < BALLOON_SHARE

    def balloon(patch):
        if has_balloon:
            _balloon(patch, x, y, radius)

    (_landscape if rng.uniform() < 0.8 else _still_life)(patch, rng, x, balloon)
    lab[0] += 0.6 * patch.noise(40, 40)  # the paper's grain
    # out of gamut red and blue would be clipped differently, and L* would tell which it was
    lightness = np.clip(lab[0], *BALLOON_LIGHTNESS)
    np.copyto(lab[0], lightness, where=labels == LABELS.index("balloon"))


def _scene_colors(rng, paint) -> dict:
    """Each thing a little lighter or darker than usual, its hue turned in step."""
    L, a, b = np.float32(list(COLORS.values())).T
    mood = rng.uniform(-1, 1, len(COLORS)).astype(np.float32)
    ab = np.stack([a - 0.08 * mood * b, b + 0.08 * mood * a], 1)
    ab[LABELS.index("balloon")] = paint
    return dict(zip(LABELS, zip(L + 4 * mood, ab[:, :, None, None], strict=True), strict=True))


def _landscape(patch, rng, x, balloon):
    """By the sea, by a lake, in a meadow or in a village.

    `balloon` paints one above x, if the scene has one: in front of the hills and behind everything
    that comes later.
    """
    place = ("sea", "lake", "meadow", "village")[rng.integers(4)]
    has_water = place in ("sea", "lake")
    horizon, shore = rng.uniform(0.43, 0.53), rng.uniform(0.68, 0.78)
    _sky(patch, rng, horizon, x)
    if place == "lake" or place == "meadow" and rng.uniform() < 0.6:
        _mountains(patch, rng, horizon)
    if has_water:
        _water(patch, horizon)
    else:
        _grass(patch, rng, horizon, lift=8)
    for _ in range(rng.integers(2, 6) if place in ("lake", "village") else 0):
        _pine(patch, rng.uniform(), horizon + 0.03, rng.uniform(0.07, 0.12))
    balloon(patch)
    if has_water:
        boat_x = 0.15 + (x + rng.uniform(0.2, 0.5)) % 0.7
        _boat(patch, boat_x, horizon + rng.uniform(0.06, 0.14), rng.uniform(0.1, 0.14))
    (_sand if place == "sea" else _grass)(patch, rng, shore)
    side = 0.38 if x < 0.5 else -0.38
    if place == "village":
        _house(patch, rng, x - side, shore + 0.07, rng.uniform(0.14, 0.18), rng.uniform(0.2, 0.26))
        _house(patch, rng, x + side, shore + 0.12, rng.uniform(0.16, 0.19), rng.uniform(0.2, 0.28))
    elif place != "sea":
        fruit = ("orange", "lemon", None)[rng.integers(3)]
        _tree(patch, rng, x + side, shore + 0.1, rng.uniform(0.13, 0.18), fruit)
    for _ in range(rng.integers(3, 7) if place == "meadow" else 0):
        _flower(patch, rng, rng.uniform(), rng.uniform(0.84, 0.98), rng.uniform(0.045, 0.06))


def _still_life(patch, rng, x, balloon):
    """Fruit on a table, by a window; outside is what `balloon` paints, at x."""
    _sky(patch, rng, 0.75, x)
    _grass(patch, rng, rng.uniform(0.5, 0.6))
    balloon(patch)
    height = np.minimum(patch.y - rng.uniform(0.02, 0.06), rng.uniform(0.6, 0.66) - patch.y)
    opening = np.minimum(rng.uniform(0.27, 0.33) - abs(patch.x - x), height)
    dots = np.maximum(4 * np.sin(patch.x * 60) * np.sin(patch.y * 60) - 2, 0)
    patch.paint("wall", -opening, 4 * dots + patch.noise(3, 3), ink=0)
    patch.paint("frame", np.minimum(-opening, opening + 0.035))
    edge, bowl_x = rng.uniform(0.7, 0.76), rng.uniform(0.3, 0.7)
    patch.paint("table", patch.y - edge + 0 * patch.x, 4 + 4 * patch.noise(3, 40))
    places = ((-0.11, -0.06), (0.11, -0.06), (0, -0.11), (-0.31, 0.1), (0.31, 0.12))
    for i, (across, down) in enumerate(places):
        kind, radius = ("orange", "lemon")[rng.integers(2)], rng.uniform(0.07, 0.085)
        _fruit(patch, rng, kind, bowl_x + across, edge + down, radius)
        if i == 2:  # the first three are in it
            _bowl(patch, bowl_x, edge - 0.05)


class _Patch(NamedTuple):
    """A rectangle of the picture to paint on; arrays are float32, in views of the whole picture."""

    lab: np.ndarray  # (3, H, W) CIE Lab
    labels: np.ndarray  # (H, W) uint8
    x: np.ndarray  # (1, W) in units of the whole picture, from the patch's own origin
    y: np.ndarray  # (H, 1)
    pixel: float  # the width of a pixel in the same units
    cut: float  # where this scene's textures are cut from the noise
    colors: dict  # label: L*, ab (2, 1, 1) in this scene

    def around(self, x, y, left, top, right, bottom) -> "_Patch":
        """The part from x - left to x + right and y - top to y + bottom, its origin at x, y."""
        edge = self.pixel  # outlines are soft over one pixel more
        columns = slice(*self.x[0].searchsorted([x - left - edge, x + right + edge]))
        rows = slice(*self.y[:, 0].searchsorted([y - top - edge, y + bottom + edge]))
        lab, labels = self.lab[:, rows, columns], self.labels[rows, columns]
        # a Python float: a NumPy float64 would turn these arrays into float64
        x, y = self.x[:, columns] - float(x), self.y[rows] - float(y)
        return self._replace(lab=lab, labels=labels, x=x, y=y)

    def square_around(self, x, y, radius) -> "_Patch":
        """The part that reaches this far from x, y to all four sides."""
        return self.around(x, y, radius, radius, radius, radius)

    def noise(self, across, down) -> np.ndarray:
        """Noise with about this many bumps along the width and the height of the whole picture."""
        # a bump is 32 points of the tile wide; & 511 goes on at its other end
        column = ((self.x[0] + self.cut) * (32 * across)).astype(np.int32) & 511
        row = ((self.y[:, 0] + self.cut) * (32 * down)).astype(np.int32) & 511
        return _noise_tile().take(row, 0).take(column, 1)

    def paint(self, label, inside, relief=0.0, ab=None, ink=6.0) -> None:
        """Paint a thing where `inside`, the depth within its outline, is not negative.

        Args:
            label: what it is, one of `LABELS`.
            inside: depth in units of the picture's width, (H, W).
            relief: texture, added to the thing's L*; light and shade also gray its a*, b* a little.
            ab: other a*, b* in CIE units, not grayed: (2, 1, 1) or (2, H, W).
            ink: how much darker in L* the outline is.
        """
        lightness, own_ab = self.colors[label]
        if ink:
            relief = relief - ink * np.maximum(1 - 70 * np.maximum(inside, 0), 0)
        # edges are soft in L*, over one pixel outside; chroma is as sharp as the labels, no blend
        cover = np.maximum(np.minimum(1 + inside * (1 / self.pixel), 1), 0)
        ab = own_ab * (1 - 0.01 * abs(relief)) if ab is None else ab
        self.lab[0] += cover * (lightness + relief - self.lab[0])
        np.copyto(self.lab[1:], ab, where=inside >= 0)
        np.copyto(self.labels, LABELS.index(label), where=inside >= 0)


@cache
def _noise_tile() -> np.ndarray:
    """Smooth noise of deviation 1 that repeats without a seam: 512 points, about 16 bumps."""
    frequency = np.fft.fftfreq(512, 1 / 512)
    low_pass = np.exp(-(frequency[:, None] ** 2 + frequency**2) / (2 * 10**2))
    white = np.random.default_rng(0).normal(size=(512, 512))
    noise = np.fft.ifft2(np.fft.fft2(white) * low_pass).real
    return (noise / noise.std()).astype(np.float32)


def _sky(patch, rng, horizon, x):
    """A sky that pales toward the horizon, pink in the evening; clouds, and a sun away from x."""
    down = np.minimum(patch.y / horizon, 1) + 0 * patch.x  # (H, 1) becomes (H, W)
    evening = rng.uniform() ** 2
    pink = np.float32([4 + 22 * evening, 10 + 32 * evening])[:, None, None]
    relief = (12 + 14 * evening) * (down - 0.6)
    patch.paint("sky", down + 1, relief, patch.colors["sky"][1] + pink * down, ink=0)
    for _ in range(rng.integers(1, 4)):
        _cloud(patch, rng, rng.uniform(), rng.uniform(0.05, 0.6) * horizon, rng.uniform(0.08, 0.14))
    if rng.uniform() < 0.8:
        _sun(patch, rng, (x + rng.uniform(0.4, 0.6)) % 1)


def _sun(patch, rng, x):
    """A disc with ten flames around it."""
    radius = rng.uniform(0.06, 0.085)
    patch = patch.square_around(x, rng.uniform(0.12, 0.2), 1.6 * radius)
    distance, angle = np.hypot(patch.x, patch.y), np.arctan2(patch.y, patch.x)
    flames = radius * (1.3 + 0.3 * np.cos(10 * angle)) - distance
    patch.paint("sun", flames, 4 - 8 * np.float32(distance > radius))


def _cloud(patch, rng, x, y, size):
    """Four puffs in a row, cut off flat below."""
    patch = patch.around(x, y, 1.7 * size, size, 1.7 * size, 0.2 * size)
    inside = -1.0
    for at in (-1.0, -0.3, 0.4, 1.0):
        radius = size * rng.uniform(0.4, 0.55) * (1.5 - abs(at) / 2)
        inside = np.maximum(inside, radius - np.hypot(patch.x - at * size, patch.y + 0.1 * size))
    relief = 2 * patch.noise(9, 14) - 50 * patch.y - 3
    patch.paint("cloud", np.minimum(inside, 0.2 * size - patch.y), relief)


def _balloon(patch, x, y, radius):
    """An envelope of lighter and darker gores over a basket on two ropes."""
    patch = patch.around(x, y, radius, radius, radius, 1.95 * radius)
    u, v = patch.x / radius, patch.y / radius
    ropes = np.minimum(0.07 - abs(abs(u) - 0.45 + 0.12 * v), np.minimum(v, 1.6 - v))
    patch.paint("basket", ropes * radius, ink=0)
    basket = np.minimum(0.3 - abs(u), np.minimum(v - 1.5, 1.9 - v))
    patch.paint("basket", basket * radius, 10 * _stripes(u * 6) + 10 * _stripes(v * 6) - 8)
    # a ball down to v = 0.6, from there its tangents down to the mouth
    half_width = np.where(v < 0.6, np.sqrt(np.maximum(1 - v * v, 0.01)), 1.25 - 0.75 * v)
    cone = np.minimum(0.8 * (half_width - abs(u)), 1.25 - v)
    inside = np.where(v < 0.6, 1 - np.hypot(u, v), cone) * radius
    gores = np.sin(5 * np.arcsin(np.clip(u / half_width, -1, 1)) + 0.5)
    relief = 5 * np.clip(3 * gores, -1, 1) - 3 * u - 2 * v
    patch.paint("balloon", inside, relief, patch.colors["balloon"][1])


def _mountains(patch, rng, horizon):
    """A ridge of three peaks with snow on top."""
    patch = patch.around(rng.uniform(0, 0.3), horizon, 1, 0.28, 1, 0.03)
    ridge = 1.0
    for at in (0, 0.36, 0.72):
        slope = rng.uniform(0.6, 1.1) * abs(patch.x - at)
        ridge = np.minimum(ridge, slope - rng.uniform(0.14, 0.26))
    inside, hatch = patch.y - ridge - 0.008 * patch.noise(9, 9), patch.noise(24, 6)
    patch.paint("mountain", inside, 3 * hatch + 20 * patch.y)
    patch.paint("snow", np.minimum(inside, -0.14 + 0.015 * hatch - patch.y), ink=0)


def _grass(patch, rng, top, lift=0.0):
    """Blades; `lift` in L* sets a far hill off from a near one."""
    patch, inside = _ground(patch, rng, top, 0.03)
    blades = 4 * patch.noise(44, 11) + 3 * patch.noise(6, 9)
    patch.paint("grass", inside, lift + blades - 10 * inside, ink=10)


def _water(patch, horizon):
    """Waves that lengthen toward the viewer."""
    patch = patch.around(0, horizon, 0, 0, 1, 1)
    near = np.maximum(patch.y, 0)
    swell = 9 * np.sqrt(near + 0.02) + 0.2 * np.sin(patch.x * 14 + 60 * near)
    relief = 16 * _stripes(swell) + 4 * patch.noise(7, 30) - 2 - 14 * near
    patch.paint("water", patch.y + 0 * patch.x, relief)  # (H, 1) becomes (H, W)


def _sand(patch, rng, top):
    """Grains, and a darker wet edge."""
    patch, inside = _ground(patch, rng, top, 0.04)
    grain = 2.5 * patch.noise(60, 60) + 2 * patch.noise(5, 16)
    patch.paint("sand", inside, grain - 8 * np.float32(inside < 0.03))


def _ground(patch, rng, top, bend):
    """The part of the picture below a gently waving line, and the depth below that line."""
    patch = patch.around(0, top, 0, bend, 1, 1)
    return patch, patch.y - bend * np.sin(patch.x * rng.uniform(3, 6) + rng.uniform(0, 6))


def _tree(patch, rng, x, y, size, fruit=None):
    """A round, lumpy crown on a trunk of bark, three sizes high, perhaps with fruit."""
    trunk = patch.around(x, y, 0.16 * size, 1.4 * size, 0.16 * size, 0)
    trunk.paint("trunk", _box(trunk, 0.16 * size, 1.4 * size), 5 * trunk.noise(40, 5))
    crown = patch.square_around(x, y - 1.9 * size, 1.4 * size)
    inside = _ellipse(crown, size, 1.08 * size) + 0.08 * size * crown.noise(12, 12)
    light = 8 * (crown.x + crown.y) / size
    crown.paint("crown", inside, 5 * crown.noise(20, 20) - light)
    if fruit:
        for angle in rng.uniform(0, 0.8) + np.arange(6) * 1.9:
            far = rng.uniform(0.35, 0.7) * size
            _fruit(crown, rng, fruit, far * np.cos(angle), far * np.sin(angle), 0.033)


def _pine(patch, x, y, size):
    """A fir of three tiers."""
    patch = patch.around(x, y, 0.6 * size, 2 * size, 0.6 * size, 0)
    patch.paint("trunk", _box(patch, 0.1 * size, 0.4 * size))
    down = np.clip(patch.y / size + 2, 0, 1.75) / 1.75
    tier = down * 3 - np.floor(down * 3)
    half_width = size * np.minimum(0.15 + 0.25 * down + 0.3 * tier, 1.5 * down)
    inside = 0.8 * np.minimum(half_width - abs(patch.x), -0.25 * size - patch.y)
    patch.paint("pine", inside, 12 * tier - 8 + 4 * patch.noise(30, 20))


def _flower(patch, rng, x, y, size):
    """Five petals around a dark center."""
    patch = patch.square_around(x, y, size)
    distance, angle = np.hypot(patch.x, patch.y), np.arctan2(patch.y, patch.x)
    petals = size * (0.8 + 0.2 * np.cos(5 * angle + rng.uniform(0, 6))) - distance
    patch.paint("flower", petals, 4 - 30 * np.float32(distance < 0.3 * size))


def _house(patch, rng, x, y, half_width, height):
    """Brick walls, a roof of scalloped tiles, a door and a lit window."""
    wall = patch.around(x, y, half_width, height, half_width, 0)
    down, across = _courses(wall, 0.1, 0.05)
    mortar = np.float32((down < 0.25) | (across < 0.12))
    wall.paint("brick", _box(wall, half_width, height), 20 * mortar + 4 * wall.noise(10, 20))
    rise = rng.uniform(0.7, 0.9) * height
    roof = patch.around(x, y - height, 1.3 * half_width, rise, 1.3 * half_width, 0.02)
    slope = (roof.y / rise + 1) * 1.2 * half_width - abs(roof.x)
    down, across = _courses(roof, 0.06, 0.05)
    gap = np.float32(down > 0.4 + 0.6 * np.sin(np.pi * across))
    roof.paint("roof", np.minimum(0.7 * slope, 0.02 - roof.y), 14 * down - 20 * gap)
    side = 0.45 * half_width * (-1) ** rng.integers(2)
    door = patch.around(x + side, y, 0.04, 0.12, 0.04, 0)
    door.paint("door", _box(door, 0.04, 0.12), 10 * _stripes(door.x * 50))
    pane = patch.around(x - side, y - 0.45 * height, 0.045, 0.09, 0.045, 0)
    cross = np.float32(np.minimum(abs(pane.x), abs(pane.y + 0.045)) < 0.007)
    pane.paint("window", _box(pane, 0.045, 0.09), -30 * cross, ink=25)


def _courses(patch, width, height):
    """Bricks or tiles in rows, every second row shifted: place in each, 0..1 down and across."""
    row = np.floor(patch.y / height)
    across = patch.x / width + 0.5 * row
    return patch.y / height - row, across - np.floor(across)


def _boat(patch, x, y, size):
    """Two sails over a hull of planks."""
    patch = patch.around(x, y, size, 1.6 * size, size, 0.35 * size)
    u, v = patch.x / size, patch.y / size
    right = np.minimum(u - 0.06, 1 + v / 1.6 - 1.2 * u)
    left = np.minimum(-0.02 - u, 0.8 + v / 1.6 + 1.3 * u)
    sails = np.minimum(np.maximum(left, right), -0.12 - v)
    patch.paint("sail", 0.6 * size * sails, -8 * _stripes(v * 3))
    hull = np.minimum(np.minimum(v, 0.3 - v), 0.9 - v - abs(u))
    patch.paint("hull", hull * size, 8 * _stripes(v * 7))


def _fruit(patch, rng, label, x, y, radius):
    """An orange, round and dimpled, or a lemon, smooth and pointed at both ends."""
    patch = patch.square_around(x, y, 1.4 * radius)
    if label == "orange":
        inside, dimples = radius - np.hypot(patch.x, patch.y), 5 * patch.noise(40, 40)
    else:
        across = abs(patch.y + rng.uniform(-0.5, 0.5) * patch.x)
        inside, dimples = 1.4 * radius - np.hypot(patch.x, across + 0.55 * radius), 0
    light = np.hypot(patch.x / radius + 0.35, patch.y / radius + 0.4)
    patch.paint(label, inside, dimples + 8 - 12 * light, ink=8)


def _bowl(patch, x, y):
    """Half an ellipse with a band around it."""
    patch = patch.around(x, y, 0.22, 0, 0.22, 0.17)
    band = np.float32(abs(patch.y - 0.045) < 0.014)
    inside = np.minimum(_ellipse(patch, 0.21, 0.16), patch.y)
    patch.paint("bowl", inside, -26 * band - 60 * patch.x)


def _box(patch, half_width, height):
    """Depth inside a box that stands on the origin."""
    return np.minimum(half_width - abs(patch.x), np.minimum(-patch.y, patch.y + height))


def _ellipse(patch, width, height):
    """Depth, nearly, inside an ellipse of these half axes about the origin."""
    return (1 - np.hypot(patch.x / width, patch.y / height)) * min(width, height)


def _stripes(phase):
    """0 to 1 and back to 0 with each unit of phase."""
    return 1 - abs(2 * (phase - np.floor(phase)) - 1)
