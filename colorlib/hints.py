"""Tell it the color: hints from a user, on top of any trained generator.

A hint is a color at a place. It doesn't say where that color ends: a click on a balloon means the
balloon, not a disk around the click. So a second network describes each pixel by a few numbers
that are similar within a thing. The more similar a pixel's description is to that of a hinted
pixel, the larger its share of the hint's color. The shares of all hints and of "no change" add up
to 1:

    share of hint k = exp(s_k) / (1 + Σ exp(s_j)),  s_k = strength - |description - that of k|²

The shares don't depend on the requested colors, so an unusual color is obeyed like a usual one.
Without hints, the result is bit for bit that of the plain generator.

References: Zhang et al. 2017, "Real-time user-guided image colorization with learned deep priors",
for hint maps, random hints in training and suggested colors. Differs: their network turns L and
hints into ab by convolutions alone; here hints spread by attention (Vaswani et al. 2017), with
distances instead of products.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import ImageColor
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from colorlib.color import L_ab_to_rgb, rgb_to_L_ab
from colorlib.generator import StridedUNet, convolution
from colorlib.runs import SHIPPED, WEIGHTS, RunError, load_generator, read_weights

Hint = tuple[float, float, str]  # x and y in pixels from the upper left corner; color
DESCRIPTION = 16  # learned numbers that describe a pixel; its place is added
BIN = 20  # side of a bin of (a*, b*) in CIE units; the bins' centers:
BINS = torch.cartesian_prod(torch.arange(-90.0, 111, BIN), torch.arange(-110.0, 111, BIN))
ROUNDED = 2 / 255  # how far RGB may leave 0..1, because colors are rounded to bytes


class Spread(nn.Module):
    """Describe each pixel, so that a hint's color spreads over the thing it was placed on.

    Args:
        channels: number of channels that the generator's last layer sees.
        width: see `StridedUNet`.
        depth: see `StridedUNet`.
    """

    def __init__(self, channels: int = 32, width: int = 32, depth: int = 3):
        super().__init__()
        self.config = {"channels": channels, "width": width, "depth": depth}
        self.body = StridedUNet(width, depth)
        self.body.first = convolution(channels + 3, width // 2, stride=1)
        self.body.last = nn.Conv2d(width, DESCRIPTION, kernel_size=1)
        self.guess = nn.Linear(width, len(BINS))  # logits of the color bins
        self.reach = nn.Parameter(torch.tensor(2.0))  # weight of the place
        self.strength = nn.Parameter(torch.tensor(4.0))
        self.tolerance = nn.Parameter(torch.tensor(0.1))

    def forward(self, features: Tensor) -> Tensor:
        """Describe pixels by features (B, width, h, w): (B, 18, h, w), the last two their place."""
        place = (self.reach * places(features)).expand(len(features), -1, -1, -1)
        return torch.cat([self.body.last(features), place], dim=1)


class Hinted(nn.Module):
    """A generator that takes hints.

    Args:
        generator: a trained generator whose last layer is called `last`. It isn't changed.
        spread: decides where the colors of hints go.
    """

    def __init__(self, generator: nn.Module, spread: Spread):
        super().__init__()
        self.generator, self.spread = generator.requires_grad_(False), spread

    def train(self, mode: bool = True) -> "Hinted":
        """Set the mode of `spread` only; the generator stays in eval mode."""
        super().train(mode)
        self.generator.eval()
        return self

    def forward(self, L: Tensor, hints: Tensor | None = None) -> Tensor:
        """Predict chroma from lightness and hints.

        Args:
            L: L*/100, (B, 1, H, W), as for the generator.
            hints: hint map, (B, 3, H, W): ab and 1 at each hint, 0 elsewhere; see `hint_map`.

        Returns:
            ab: (B, 2, H, W), in -1..1.
        """
        ab, features = self.look(L)
        return ab if hints is None else self.apply_hints(ab, features, hints)

    def look(self, L: Tensor) -> tuple[Tensor, Tensor]:
        """Do the slow part, which doesn't depend on the hints.

        Returns:
            ab: the generator's prediction, (B, 2, H, W).
            features: (B, width, h, w), at the resolution of the generator's last layer.
        """
        seen = []
        hook = self.generator.last.register_forward_pre_hook(lambda _, inputs: seen.extend(inputs))
        with hook, torch.no_grad():
            ab = self.generator(L)
        pixels = avg_pool2d(torch.cat([L, ab], dim=1), L.shape[-1] // seen[0].shape[-1])
        return ab, self.spread.body.features(torch.cat([seen[0], pixels], dim=1))

    def apply_hints(self, ab: Tensor, features: Tensor, hints: Tensor) -> Tensor:
        """Apply hints to the result of `look`; see `forward`."""
        scale = ab.shape[-1] // features.shape[-1]
        painted, marked = avg_pool2d(ab, scale), avg_pool2d(hints, scale)
        described, rules = self.spread(features), (self.spread.strength, self.spread.tolerance)
        change = spread_hints(painted, marked, described, *rules) - painted
        return (ab + interpolate(change, ab.shape[-2:], mode="bilinear")).clamp(-1, 1)

    def likely(self, features: Tensor, x: int, y: int) -> Tensor:
        """Return the probability of each color in `BINS` at a pixel of one picture, without hints.

        Args:
            features: (1, width, h, w), from `look`.
            x: column of the pixel in the features.
            y: its row.
        """
        return self.spread.guess(features[0, :, y, x]).softmax(dim=0)


def load_hinted(name: str | Path = "photos", device: torch.device | str = "cpu") -> Hinted:
    """Load the shipped generator "photos" or "scenes", ready to take hints.

    Raises:
        RunError: these weights can't take hints.
    """
    if name not in SHIPPED:
        raise RunError(f"only the weights {' and '.join(SHIPPED)} take hints, not {name}")
    spread = load_spread(WEIGHTS / f"hints-{name}.safetensors")
    return Hinted(load_generator(name), spread).to(device).eval().requires_grad_(False)


def load_spread(path: Path) -> Spread:
    """Load a `Spread` from its weight file; raises RunError as `load_generator` does."""
    weights, card = read_weights(path)
    spread = Spread(**card["arguments"])
    spread.load_state_dict(weights)
    return spread


def places(picture: Tensor) -> Tensor:
    """Return each pixel's distance from the top and left edge, in shorter sides: (2, h, w)."""
    height, width = picture.shape[-2:]
    down, right = (torch.arange(side) / min(height, width) for side in (height, width))
    return torch.stack(torch.meshgrid(down, right, indexing="ij")).to(picture)


def spread_hints(
    ab: Tensor,
    hints: Tensor,
    described: Tensor,
    strength: Tensor | float,
    tolerance: Tensor | float = torch.inf,
) -> Tensor:
    """Give each pixel its share of each hint's color; the module's docstring has the equation.

    Args:
        ab: as painted without hints, (B, 2, H, W).
        hints: hint map, (B, 3, H, W). The mask may be a fraction; the first two channels are ab
            times the mask.
        described: descriptions of the pixels, (B, C, H, W); similar ones share a hint.
        strength: at a hint, about exp(-strength) of the painted color stays.
        tolerance: a hint that differs from the painted ab by much less than this shifts it, so
            that shades stay; a hint that differs by much more replaces it.

    Returns:
        ab: (B, 2, H, W).
    """
    is_hint = (hints[:, 2:] > 0).flatten(1).float()  # (B, H·W)
    # K is the largest number of hints in any picture; pictures with fewer are filled up with pixels
    # that aren't hints
    chosen = is_hint.topk(int(is_hint.sum(dim=1).max()), dim=1)  # K pixels

    def at_hints(x: Tensor) -> Tensor:  # (B, C, H, W) to (B, C, K)
        return x.flatten(2).gather(2, chosen.indices[:, None].expand(-1, x.shape[1], -1))

    pixels, own = described.flatten(2), at_hints(described)
    apart = pixels.square().sum(1)[:, :, None] + own.square().sum(1)[:, None] - 2 * pixels.mT @ own
    score = (strength - apart).masked_fill(chosen.values[:, None] == 0, -torch.inf)  # (B, H·W, K)
    no_change = torch.zeros_like(score[..., :1])
    share = torch.cat([no_change, score], dim=2).softmax(dim=2)[..., 1:]
    wanted, painted = at_hints(hints[:, :2] / hints[:, 2:].clamp(min=1e-6)), at_hints(ab)
    kept = (-((wanted - painted) / tolerance).square().sum(1, keepdim=True)).exp()  # (B, 1, K)
    added, replaced = (
        (part @ share.mT).unflatten(2, ab.shape[-2:])
        for part in (wanted - kept * painted, 1 - kept)
    )
    return ab + added - replaced * ab


def hint_map(hints: Sequence[Hint], L: Tensor, size: tuple[int, int]) -> Tensor:
    """Write hints into a hint map of the size that the network sees.

    Only a color's hue and chroma count, because the photo has its own lightness. If a screen can't
    show that much chroma at that lightness, a warning says which color is used instead.

    Args:
        hints: (x, y, color) in pixels of the photo; a color is "#c03020" or a name such as "red".
            If two hints fall on one pixel, the later one counts.
        L: L*/100 of the picture that the network sees, (1, 1, H, W).
        size: width and height of the photo.

    Returns:
        (1, 3, H, W): ab and 1 at hinted pixels, 0 elsewhere.

    Raises:
        ValueError: a hint is malformed or outside the photo.
    """
    made = L.new_zeros(1, 3, *L.shape[-2:])
    for hint in hints:
        try:
            x, y, color = float(hint[0]), float(hint[1]), hint[2]
            rgb = torch.tensor(ImageColor.getcolor(color, "RGB"), dtype=torch.uint8)
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            wanted = "x, y and a color, such as (120, 80, '#c03020')"
            raise ValueError(f"a hint is {wanted}, not {hint!r}") from error
        if not (0 <= x < size[0] and 0 <= y < size[1]):
            sides = f"{size[0]} pixels wide and {size[1]} high"
            raise ValueError(f"the hint at ({x:g}, {y:g}) is outside the photo, which is {sides}")
        row, column = int(y / size[1] * L.shape[-2]), int(x / size[0] * L.shape[-1])
        here = L[..., row : row + 1, column : column + 1]
        own, ab = (part.to(L) for part in rgb_to_L_ab(rgb[None, :, None, None]))
        shown = within_gamut(here, ab)
        if not torch.equal(shown, ab):
            taken = (255 * L_ab_to_rgb(here, shown)).round().flatten().int().tolist()
            why = f"too {'dark' if here < own else 'light'} for {color} at ({x:g}, {y:g})"
            instead = f"#{bytes(taken).hex()} is used instead"
            warnings.warn(f"the photo is {why}; {instead}", stacklevel=3)
        made[..., row, column] = torch.cat([shown, torch.ones_like(here)], dim=1)[..., 0, 0]
    return made


def within_gamut(L: Tensor, ab: Tensor) -> Tensor:
    """Reduce chroma at constant hue until a screen can show it at this lightness.

    Args:
        L: L*/100, (B, 1, H, W).
        ab: (B, 2, H, W).

    Returns:
        ab, (B, 2, H, W); unchanged where a screen can show it.
    """
    factors = torch.linspace(1, 0, 65).to(L)
    colors = factors[:, None, None, None, None] * ab
    rgb = L_ab_to_rgb(L.expand(65, *L.shape), colors, clip=False)
    can_show = ((rgb > -ROUNDED) & (rgb < 1 + ROUNDED)).all(dim=2)  # (65, B, H, W)
    return factors[can_show.int().argmax(dim=0)][:, None] * ab
