"""Checks of lesson 04: a count, the block that goes up, a receptive field, a padding."""

from numbers import Integral, Real

import torch
from torch import Tensor, nn
from torch.nn import functional

from colorlib.generator import DoubleConv, Up
from lessonkit.checks import Mistake, check, filled, require, require_close


@check
def convolution_parameters(answer):
    """Exercise 1: how many numbers a convolution learns."""
    got = answer(64, 128, 3)
    require(
        isinstance(got, Integral), f"a count is a whole number; you return a {type(got).__name__}."
    )
    require(
        got != 3 * 3 * 64 * 128,
        "64 → 128 channels: you count only the windows; each output channel also has one bias.",
    )
    require(
        got != 3 * 3 * 128 + 128,
        "each output channel has a window for *every* input channel; you count only one.",
    )
    require(
        got != 3 * 64 * 128 + 128,
        "a window 3 wide is also 3 high, so it has 9 weights; you count 3.",
    )
    require(
        got != 3 * 3 * 64 * 128 + 64,
        "there is one bias per output channel, 128 in all; you add one per input channel.",
    )
    for arguments in ((64, 128, 3), (1, 64, 3), (64, 2, 1), (3, 5, 4)):
        wanted = sum(p.numel() for p in nn.Conv2d(*arguments).parameters())
        got = answer(*arguments)
        require(got == wanted, f"{arguments} should give {wanted:,}; you return {got:,}.")
    return "a 3×3 layer from 64 to 128 channels learns 73,856 numbers."


@check
def up_block(answer):
    """Exercise 2: upsample, place the skip beside the result, mix."""
    block, wanted = answer(8, 4), Up(8, 4)
    below, skip = torch.rand(2, 8, 6, 6), torch.rand(2, 4, 12, 12)
    _examine_layers(block)
    got = filled(_run(block, below, skip))
    require(isinstance(got, Tensor), f"forward returns a {type(got).__name__}, not a tensor.")
    require(
        got.shape[0] == 2,
        "2 pictures went in and another number came out: without dim=1, torch.cat joins along "
        "dim=0, the pictures; channels are dim=1.",
    )
    require(
        got.shape == (2, 4, 12, 12),
        f"the result is {tuple(got.shape)}; once mixed, it should be (2, 4, 12, 12).",
    )
    with torch.no_grad():
        uses_skip = not torch.allclose(block(below, skip), block(below, 1 - skip))
        uses_below = not torch.allclose(block(below, skip), block(1 - below, skip))
    require(uses_skip, "another skip gives the same result: place the skip beside what came up.")
    require(
        uses_below,
        "what comes from below changes nothing: upsample it and place it beside the skip.",
    )
    wanted.enlarge.load_state_dict(block.enlarge.state_dict())
    wanted.mix.load_state_dict(block.mix.state_dict())
    swapped = block.mix(torch.cat([block.enlarge(below), skip], dim=1))
    got = block(below, skip)
    require(
        not torch.allclose(got, swapped, atol=1e-5),
        "you put what came up first and the skip second. That would train just as well, but "
        "colorlib's weights expect the skip first.",
    )
    require_close(
        got,
        wanted(below, skip),
        "the shapes fit, but the values differ from colorlib's. Return self.mix of the two side "
        "by side, and do nothing else.",
    )
    return "with your weights, colorlib's block gives the same answer."


def _run(block, below, skip):
    """Run a learner's block; where torch refuses the shapes, say what they should be."""
    try:
        return block(below, skip)
    except RuntimeError as error:
        raise Mistake(
            "torch can't place these side by side and mix them. To join channels, use "
            "torch.cat([..., ...], dim=1). Did you upsample `below` first? torch says: "
            + str(error).partition("\n")[0]
        ) from error


def _examine_layers(block):
    """Name what is wrong with the two layers, where they have been filled in."""
    require(isinstance(block, nn.Module), "MyUp should be a class that inherits from nn.Module.")
    enlarge, mix = getattr(block, "enlarge", ...), getattr(block, "mix", ...)
    if enlarge is not ...:
        is_transposed = isinstance(enlarge, nn.ConvTranspose2d)
        require(
            is_transposed, "self.enlarge should be an nn.ConvTranspose2d, which learns its pattern."
        )
        require(
            enlarge.kernel_size == enlarge.stride == (2, 2),
            "self.enlarge needs kernel_size=2 and stride=2; yours has "
            f"{enlarge.kernel_size[0]} and {enlarge.stride[0]}, which gives other sizes.",
        )
        require(
            (enlarge.in_channels, enlarge.out_channels) == (8, 4),
            "self.enlarge goes from in_channels to out_channels; for MyUp(8, 4) yours goes from "
            f"{enlarge.in_channels} to {enlarge.out_channels}.",
        )
        require(
            enlarge.bias is not None, "in colorlib, self.enlarge has a bias: leave out bias=False."
        )
    if mix is not ...:
        require(isinstance(mix, DoubleConv), "self.mix should be a DoubleConv.")
        require(
            mix[0].in_channels == 8,
            f"self.mix takes {mix[0].in_channels} channels. The skip has 4 and what came up has "
            "4; side by side (not added) they make another number.",
        )
        require(mix[3].out_channels == 4, "self.mix should give out_channels channels.")


@check
def bottom_sees(answer):
    """Exercise 3: the receptive field at the bottom of the U-Net."""
    require(isinstance(answer, Real), f"write a number of pixels, not a {type(answer).__name__}.")
    mistakes = {
        16: "16 is the spacing at the bottom: how far neighbors are apart, not how far one sees.",
        21: "you let every convolution add 2; after a pooling it adds 2 × the spacing.",
        25: "you let every layer add at spacing 1; each pooling doubles it for what follows.",
        125: "you left out the poolings: each adds (2 − 1) × the spacing before it.",
        155: "a pooling adds at the spacing before it and then doubles it; you doubled first.",
        78: "there are two convolutions on each level; you counted one.",
        76: "you stopped before the last two convolutions, those at the bottom with spacing 16.",
        68: "that is level 3; there is one more pooling and two more convolutions below it.",
    }
    require(answer not in mistakes, mistakes.get(answer, ""))
    require(
        answer == 140,
        f"{answer} isn't right. It is 5 after level 0, 6 after the first pooling (spacing 2), "
        "and 14 after level 1. Go on from there.",
    )
    return "5, 14, 32, 68, 140: each level sees two to three times as far as the one above."


@check
def pad_to_multiple(answer):
    """Exercise 4: the next size that a U-Net takes."""
    L = torch.rand(2, 1, 37, 50)
    got = answer(L, 16)
    require(isinstance(got, Tensor), f"return a tensor, not a {type(got).__name__}.")
    height, width = got.shape[-2:]
    require(
        (height, width) != (32, 48),
        "37×50 became 32×48: you cut pixels off instead of adding some.",
    )
    require(
        (height, width) != (37 + 14, 50 + 11),
        "rows and columns are mixed up: pad takes (left, right, top, bottom), the width first.",
    )
    require(
        (height, width) != (37 + 5, 50 + 2),
        "37 % 16 = 5 is what is left over, not what is missing: 48 needs 11 more rows.",
    )
    require(
        height % 16 == 0 and width % 16 == 0,
        f"37×50 became {height}×{width}, and these aren't multiples of 16.",
    )
    require((height, width) == (48, 64), f"37×50 became {height}×{width}; 48×64 is enough.")
    for multiple, fits in ((8, (40, 56)), (32, (64, 64))):
        size = tuple(answer(L, multiple).shape[-2:])
        require(
            size == fits,
            f"with multiple={multiple}, 37×50 should become {fits[0]}×{fits[1]}, but it becomes "
            f"{size[0]}×{size[1]}: write `multiple`, not 16.",
        )
    fitting = answer(L[:, :, :32, :48], 16)
    require(
        fitting.shape == (2, 1, 32, 48),
        "32×48 already fits; you add a whole multiple more (what is 16 - 0?).",
    )
    require(
        torch.equal(got[:, :, :37, :50], L),
        "the old picture must be unchanged at the top left, so that a crop gets it back.",
    )
    added = got[:, :, 37:, :50], got[:, :, :37, 50:]
    require(
        all(part.any() for part in added),
        "your new rows or columns are black, which adds a false edge: "
        'mode="replicate" repeats the last ones.',
    )
    require(
        torch.equal(got, functional.pad(L, (0, 14, 0, 11), mode="replicate")),
        "each new row should repeat the last one, and so should each new column: "
        'mode="replicate". Yours hold other values.',
    )
    return "now a photo of any size fits: pad, predict, crop."
