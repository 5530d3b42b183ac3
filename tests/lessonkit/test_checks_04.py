"""The checks of lesson 04 accept their solutions and name the usual mistakes."""

import pytest
import torch
from check_cases import cases, judge
from torch import nn
from torch.nn import functional

from colorlib.generator import DoubleConv
from lessonkit.lesson_04 import checks


def convolution_parameters(in_channels, out_channels, kernel):
    return kernel * kernel * in_channels * out_channels + out_channels


class MyUp(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.enlarge = nn.ConvTranspose2d(in_channels, out_channels, kernel_size=2, stride=2)
        self.mix = DoubleConv(2 * out_channels, out_channels)

    def forward(self, below, skip):
        return self.mix(torch.cat([skip, self.enlarge(below)], dim=1))


def solved_bottom():
    bottom_sees = 1 + 2 * 2
    for spacing in (1, 2, 4, 8):
        bottom_sees += spacing
        bottom_sees += 2 * 2 * (2 * spacing)
    return bottom_sees


def pad_to_multiple(L, multiple):
    height, width = L.shape[-2:]
    below = -height % multiple
    right = -width % multiple
    return functional.pad(L, (0, right, 0, below), mode="replicate")


class Swapped(MyUp):
    def forward(self, below, skip):
        return self.mix(torch.cat([self.enlarge(below), skip], dim=1))


class NoSkip(MyUp):
    def forward(self, below, skip):
        enlarged = self.enlarge(below)
        return self.mix(torch.cat([enlarged, enlarged], dim=1))


class Added(MyUp):
    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels)
        self.mix = DoubleConv(out_channels, out_channels)

    def forward(self, below, skip):
        return self.mix(skip + self.enlarge(below))


class Behind(MyUp):
    def forward(self, below, skip):
        return torch.cat([skip, self.enlarge(below)], dim=0)


class WithoutDim(MyUp):
    def forward(self, below, skip):
        return self.mix(torch.cat([skip, self.enlarge(below)]))


class NotEnlarged(MyUp):
    def forward(self, below, skip):
        return self.mix(torch.cat([skip, below], dim=1))


class WithoutBias(MyUp):
    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels)
        self.enlarge = nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2, bias=False)


class WithoutReturn(MyUp):
    def forward(self, below, skip):
        self.mix(torch.cat([skip, self.enlarge(below)], dim=1))


class LargeWindow(MyUp):
    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels)
        self.enlarge = nn.ConvTranspose2d(in_channels, out_channels, kernel_size=3, stride=2)


class NotLearned(MyUp):
    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels)
        self.enlarge = nn.Upsample(scale_factor=2)


class NotMixed(MyUp):
    def forward(self, below, skip):
        return torch.cat([skip, self.enlarge(below)], dim=1)


def with_black(L, multiple):
    height, width = L.shape[-2:]
    return functional.pad(L, (0, -width % multiple, 0, -height % multiple))


def reflected(L, multiple):
    height, width = L.shape[-2:]
    return functional.pad(L, (0, -width % multiple, 0, -height % multiple), mode="reflect")


def sixteen(L, multiple):
    return pad_to_multiple(L, 16)


def black_columns(L, multiple):
    padded = pad_to_multiple(L, multiple)
    padded[..., L.shape[-1] :] = 0
    return padded


def always_more(L, multiple):
    height, width = L.shape[-2:]
    below, right = multiple - height % multiple, multiple - width % multiple
    return functional.pad(L, (0, right, 0, below), mode="replicate")


def remainder(L, multiple):
    height, width = L.shape[-2:]
    return functional.pad(L, (0, width % multiple, 0, height % multiple), mode="replicate")


def mixed_up(L, multiple):
    height, width = L.shape[-2:]
    return functional.pad(L, (0, -height % multiple, 0, -width % multiple), mode="replicate")


def cropped(L, multiple):
    height, width = L.shape[-2:]
    return L[:, :, : height - height % multiple, : width - width % multiple]


def resized(L, multiple):
    height, width = L.shape[-2:]
    size = height + -height % multiple, width + -width % multiple
    return functional.interpolate(L, size=size)


RIGHT = {
    "convolution_parameters": convolution_parameters,
    "up_block": MyUp,
    "bottom_sees": solved_bottom(),
    "pad_to_multiple": pad_to_multiple,
}
WRONG = {
    "convolution_parameters": [
        (lambda i, o, k: k * k * i * o, "one bias"),
        (lambda i, o, k: k * k * o + o, "*every* input channel"),
        (lambda i, o, k: k * i * o + o, "9 weights"),
        (lambda i, o, k: k * k * i * o + i, "output channel, 128"),
        (lambda i, o, k: float(k * k * i * o + o), "whole number"),
        (lambda i, o, k: 9 * i * o + o, "should give 130"),
    ],
    "up_block": [
        (Swapped, "skip first"),
        (NoSkip, "another skip gives the same"),
        (Added, "side by side (not added)"),
        (Behind, "dim=0"),
        (WithoutDim, "dim=1"),
        (NotEnlarged, "Did you upsample `below`"),
        (WithoutBias, "has a bias"),
        (WithoutReturn, "did you forget `return`?"),
        (LargeWindow, "kernel_size=2 and stride=2"),
        (NotLearned, "ConvTranspose2d"),
        (NotMixed, "once mixed, it should be"),
    ],
    "bottom_sees": [
        (21, "after a pooling"),
        (125, "left out the poolings"),
        (78, "you counted one"),
        (76, "before the last two"),
        (155, "doubled first"),
        (16, "the spacing at the bottom"),
        (100, "Go on from there"),
        ("140", "a number of pixels"),
    ],
    "pad_to_multiple": [
        (with_black, "black"),
        (black_columns, "columns are black"),
        (reflected, "repeat the last one"),
        (sixteen, "not 16"),
        (always_more, "a whole multiple more"),
        (remainder, "what is missing"),
        (mixed_up, "mixed up"),
        (cropped, "cut pixels off"),
        (resized, "unchanged at the top left"),
    ],
}


@pytest.mark.parametrize("check, answer, words", cases(checks, RIGHT, WRONG))
def test_check(check, answer, words):
    judge(check, answer, words)


class Stub(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.enlarge = ...
        self.mix = ...

    def forward(self, below, skip): ...


class HalfDone(Stub):
    def forward(self, below, skip):
        return self.mix(torch.cat([skip, self.enlarge(below)], dim=1))


def half_padded(L, multiple):
    return functional.pad(L, (0, ..., 0, ...), mode="replicate")


@pytest.mark.parametrize(
    "check, stub",
    [
        (checks.convolution_parameters, lambda i, o, k: None),
        (checks.up_block, Stub),
        (checks.up_block, HalfDone),
        (checks.bottom_sees, ...),
        (checks.pad_to_multiple, half_padded),
    ],
)
def test_an_untouched_stub_is_not_wrong(check, stub):
    assert check.judge(stub).kind == "not done"
