"""Checks of lesson 12: the hint map, the shares of hints, a random hint, a hint that fools."""

import warnings
from functools import cache

import torch

from colorlib.color import L_ab_to_rgb, rgb_to_L_ab
from colorlib.hints import Hinted, hint_map, load_hinted
from colorlib.photos import TEST_SCENES_SEED
from colorlib.scenes import LABELS, render_scenes
from lessonkit.checks import alike, check, filled, require, require_close
from lessonkit.lesson_09.fooled import difference_map

SCENE = 5  # number of the test scene of exercise 4
SEEN = 20.0  # ΔE of a change that nobody overlooks
FOOLED = 0.1  # share of everything else that must show such a change


@check
def mark(answer):
    """Exercise 1: write hints into a hint map."""
    hints = [(2, 5, 0.3, -0.2), (7, 1, 0.0, 0.0), (2, 5, 0.1, 0.4)]
    got = answer(list(hints), 8, 12)
    require(isinstance(got, torch.Tensor), f"return a tensor, not a {type(got).__name__}")
    wanted = torch.zeros(1, 3, 8, 12)
    for row, column, *ab in hints:
        wanted[0, :, row, column] = torch.tensor([*ab, 1.0])
    if tuple(got.shape) == (3, 8, 12):
        require(False, "the batch dimension is missing: (1, 3, height, width)")
    require(
        tuple(got.shape) == (1, 3, 8, 12),
        f"the shape is {tuple(got.shape)}; for a picture of 8 rows and 12 columns it should be "
        "(1, 3, 8, 12)",
    )
    got = got.float()
    gray = got[0, 2, 7, 1]
    require(
        gray == 1 or got[0, 2].sum() == 0 or got[0, 2, 2, 5] != 1,
        "the gray hint at row 7, column 1 is not marked. Its a* and b* are 0, as they are where "
        "there is no hint, so only the mask can tell. Mark every hint, whatever its color",
    )
    require(got[0, 2].sum() != 0, "the mask, channel 2, is 0 everywhere: put a 1 at each hint")
    require(
        not torch.equal(got[:, [1, 2, 0]], wanted) and not torch.equal(got[:, [2, 0, 1]], wanted),
        "the channels are in another order: a*, b*, then the mask",
    )
    require(got[0, 2].sum() < 90, "the mask is 1 everywhere: put 1 only where there is a hint")
    require(
        not alike(got[0, :2, 2, 5], [0.4, 0.2]),
        "two hints at one pixel were added up: the later one should replace the earlier one",
    )
    require(
        not alike(got[0, :2, 2, 5], [0.3, -0.2]),
        "two hints are at one pixel, and you keep the earlier one: the later one should replace it",
    )
    require(
        got[0, 2, 5, 2] == 0,
        "row and column are swapped: the row comes first, made[0, :, row, column]",
    )
    require_close(got, wanted, "put a*, b* and 1 at each hint, and leave 0 everywhere else")
    return "only the mask can tell a gray hint from no hint at all."


@check
def shares(answer):
    """Exercise 2: each hint's share of each pixel."""
    apart, strength = torch.tensor([[0.0, 3.0], [9.0, 9.5], [1.0, 1.0], [40.0, 45.0]]), 2.0
    got = answer(apart.clone(), strength)
    require(isinstance(got, torch.Tensor), f"return a tensor, not a {type(got).__name__}")
    score = strength - apart
    full = torch.cat([torch.zeros(4, 1), score], dim=1).softmax(dim=1)
    require(
        not alike(got, full),
        "the first column is the share of no change; return only those of the hints",
    )
    require(
        tuple(got.shape) == (4, 2),
        f"4 pixels and 2 hints give shares of shape (4, 2); you return {tuple(got.shape)}",
    )
    mistakes = [
        (
            score.softmax(dim=1),
            "your shares add up to 1 even far away from all hints: there, "
            "nothing should change. Add 1, the weight of no change, to the denominator",
        ),
        (
            score.softmax(dim=0),
            "you sum over the pixels; each pixel has shares of its own: dim=1",
        ),
        (score.exp(), "these are the weights; divide them by 1 plus their sum"),
        (
            score.sigmoid(),
            "you treat each hint by itself, so the shares of a pixel can add up to more than 1",
        ),
        (
            (-apart).exp() / (1 + (-apart).exp().sum(dim=1, keepdim=True)),
            "the strength is missing: a hint's own pixel should take nearly all of its color",
        ),
        (
            (apart - strength).exp() / (1 + (apart - strength).exp().sum(dim=1, keepdim=True)),
            "the sign is wrong: the farther apart, the smaller the share",
        ),
    ]
    for wrong, message in mistakes:
        require(not alike(got, wrong), message)
    require_close(
        got,
        full[:, 1:],
        "divide exp(strength - apart) by 1 plus the pixel's sum of these",
    )
    return "near a hint, a pixel takes its color; far away it takes nothing; two hints compete."


@check
def random_hint(answer):
    """Exercise 3: one random hint with its true color."""
    ab = torch.rand(2, 6, 9) - 0.5
    boxes = []
    for _ in range(400):
        got = answer(ab.clone())
        require(isinstance(got, torch.Tensor), f"return a tensor, not a {type(got).__name__}")
        require(
            tuple(got.shape) == (3, 6, 9),
            f"the shape is {tuple(got.shape)}; for ab of (2, 6, 9) it should be (3, 6, 9)",
        )
        _examine_hint(got.float(), ab)
        rows, columns = (got[2] > 0).nonzero().unbind(dim=1)
        boxes.append([rows.min(), columns.min(), rows.max(), columns.max()])
    _examine_boxes(torch.tensor(boxes), height=6, width=9)
    return "many such hints are training data that nobody had to click."


def _examine_boxes(boxes, height, width):
    """Require all sides and all places; boxes: (400, 4), the first and last row and column."""
    top, left, bottom, right = boxes.unbind(dim=1)
    sides = bottom - top + 1
    seen, counts = sides.unique(return_counts=True)
    require(len(seen) > 1, f"all squares have side {seen[0]}: draw the side at random as well")
    message = f"your sides are {seen.tolist()}; randint excludes its upper end"
    require(seen.tolist() == [1, 2, 3], f"the side should be 1, 2 or 3 pixels: {message}")
    often = f"of 400 squares, {counts.tolist()} had the sides 1, 2 and 3: draw all equally often"
    require(counts.min() > 80, often)
    edges = (top == 0, "top"), (left == 0, "left")
    edges += (bottom == height - 1, "bottom"), (right == width - 1, "right")
    for touches, edge in edges:
        require(touches.any(), f"no square ever touches the {edge} edge: use n - side + 1 places")
        small, large = touches[sides == 1].float().mean(), touches[sides == 3].float().mean()
        for side, share in ((1, small), (3, large)):
            never = f"no square of side {side} ever touches the {edge} edge"
            require(share > 0, f"{never}: use n - side + 1 places")
        crowded = (
            f"squares touch the {edge} edge too often. If a square doesn't fit, don't move or "
        )
        crowded += "cut it: draw its corner from the n - side + 1 places where it fits"
        require(max(small, large) < 0.4, crowded)


def _examine_hint(got, ab):
    """Require a hint map (3, 6, 9) with one square that has the mean color of ab (2, 6, 9)."""
    mask = got[2]
    require(mask.any(), "the mask, channel 2, is empty: no hint was marked")
    require(((mask == 0) | (mask == 1)).all(), "the mask should be 0 or 1")
    rows, columns = mask.nonzero().unbind(dim=1)
    height, width = (int(x.max() - x.min()) + 1 for x in (rows, columns))
    require(
        height == width and mask.sum() == height * width,
        f"the mask marks {int(mask.sum())} pixels in a box of {height}×{width}: it should be one "
        "square. Near an edge, slices get cut off: draw the corner so that the square fits",
    )
    square = ab[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    marked = got[:2, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    require(
        height == 1 or not torch.equal(marked, square),
        "each pixel keeps its own color: a hint has one color, the mean over its square",
    )
    mean = square.mean(dim=(1, 2), keepdim=True)
    overall = square.mean()
    require(
        height == 1 or not alike(marked, overall.expand_as(marked), 1e-5),
        "a* and b* are equal: take the mean over rows and columns, dim=(1, 2), not over channels",
    )
    require_close(marked, mean.expand_as(marked), "take the mean of ab inside the square")
    require((got[:2] * (1 - mask) == 0).all(), "outside the square, ab should be 0 as well")


@check
def fool(answer):
    """Exercise 4: a hint that spills onto something else."""
    values = [filled(value) for value in filled(answer)]
    require(len(values) == 3, 'a hint is (x, y, color), such as (20, 50, "#c03020")')
    hinted, L, labels = scene_to_fool()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            marked = hint_map([values], L, (64, 64))
        except ValueError as error:
            require(False, str(error))
    row, column = marked[0, 2].nonzero()[0].tolist()
    thing = labels == labels[row, column]
    name = LABELS[int(labels[row, column])]
    with torch.no_grad():
        before, after = (L_ab_to_rgb(L, hinted(L, hints)) for hints in (None, marked))
    changed = difference_map(after, before)[0]
    spilled = (changed[~thing] > SEEN).float().mean().item()
    own = changed[thing].mean().item()
    require(
        own > 3 or spilled >= FOOLED,
        f"your hint on the {name} changes hardly anything: that is nearly the color it had",
    )
    require(
        spilled >= FOOLED,
        f"your hint on the {name} changes {spilled:.1%} of everything else by more than ΔE "
        f"{SEEN:.0f}; at least {FOOLED:.0%} is needed. "
        f"Where does the {name} look like something else? Look at its edge, too.",
    )
    return f"it was meant for the {name}, and has spilled over {spilled:.0%} of everything else."


@cache
def scene_to_fool() -> tuple[Hinted, torch.Tensor, torch.Tensor]:
    """Return the network of exercise 4, and its scene's L (1, 1, 64, 64) and labels (64, 64)."""
    rgb, labels = render_scenes(SCENE + 1, seed=TEST_SCENES_SEED)
    return load_hinted("scenes"), rgb_to_L_ab(rgb[-1:])[0], labels[-1]
