"""The checks of lesson 05 accept the solutions and name the usual mistakes."""

import pytest
import torch
from check_cases import cases, judge
from torch import nn

from lessonkit.lesson_05 import checks


def pixels_seen(layers):
    field = 1
    for kernel, stride in reversed(layers):
        field = (field - 1) * stride + kernel
    return field


def without_minus_one(layers):
    field = 1
    for kernel, stride in reversed(layers):
        field = field * stride + kernel
    return field


def from_zero(layers):
    field = 0
    for kernel, stride in reversed(layers):
        field = (field - 1) * stride + kernel
    return field


def forward(layers):
    field = 1
    for kernel, stride in layers:
        field = (field - 1) * stride + kernel
    return field


def without_strides(layers):
    return 1 + sum(kernel - 1 for kernel, _ in layers)


def head(channels, last=(), **changes):
    first = {"kernel_size": 4, "padding": 1} | changes
    return nn.Sequential(
        nn.Conv2d(channels, 2 * channels, **first),
        nn.BatchNorm2d(2 * channels),
        nn.LeakyReLU(0.2),
        nn.Conv2d(2 * channels, 1, kernel_size=4, padding=1),
        *last,
    )


def patch_head(channels):
    return head(channels)


def small_kernel(channels):
    return nn.Sequential(
        nn.Conv2d(channels, 2 * channels, 3, padding=1),
        nn.BatchNorm2d(2 * channels),
        nn.LeakyReLU(0.2),
        nn.Conv2d(2 * channels, 1, 3, padding=1),
    )


def narrow(channels):
    return nn.Sequential(
        nn.Conv2d(channels, channels, 4, padding=1),
        nn.BatchNorm2d(channels),
        nn.LeakyReLU(0.2),
        nn.Conv2d(channels, 1, 4, padding=1),
    )


def without_norm(channels):
    return nn.Sequential(
        nn.Conv2d(channels, 2 * channels, 4, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(2 * channels, 1, 4, padding=1),
    )


def with_norm_of(width):
    def answer(channels):
        layers = head(channels)
        layers[1] = nn.BatchNorm2d(width(channels))
        return layers

    return answer


def not_doubled(channels):
    layers = head(channels)
    layers[3] = nn.Conv2d(channels, 1, 4, padding=1)
    return layers


def with_relu(channels):
    layers = head(channels)
    layers[2] = nn.ReLU()
    return layers


def two_channels(channels):
    layers = head(channels)
    layers[3] = nn.Conv2d(2 * channels, 2, 4, padding=1)
    return layers


def logit_slope(logits, label):
    return torch.sigmoid(logits) - label


def overflowing(logits, label):
    return torch.exp(logits) / (1 + torch.exp(logits)) - label


def slope_of_sigmoid(logits, label):
    return torch.sigmoid(logits) * (1 - torch.sigmoid(logits))


def sign_only(logits, label):
    return 0.5 * torch.ones_like(logits) - label


def leak(network, L, ab):
    with torch.no_grad():
        together = network(L, ab)[:1]
        alone = network(L[:1], ab[:1])
    return (together - alone).abs().max().item()


def without_abs(network, L, ab):
    return (network(L, ab)[:1] - network(L[:1], ab[:1])).min().item()


def mean_change(network, L, ab):
    return (network(L, ab)[:1] - network(L[:1], ab[:1])).abs().mean().item()


def all_scores(network, L, ab):
    return (network(L, ab) - network(L[:1], ab[:1])).abs().max().item()


def in_eval_mode(network, L, ab):
    return leak(network.eval(), L, ab)


def eval_mode_undone(network, L, ab):
    together = network(L, ab)[:1]
    alone = network.eval()(L[:1], ab[:1])
    network.train()
    return (together - alone).abs().max().item()


def difference_map(network, L, ab):
    return network(L, ab)[:1] - network(L[:1], ab[:1])


def second_alone(network, L, ab):
    return (network(L, ab)[:1] - network(L[1:2], ab[1:2])).abs().max().item()


def without_batch(network, L, ab):
    return (network(L, ab)[:1] - network(L[0], ab[0])).abs().max().item()


def only_L(network, L, ab):
    return (network(L, ab)[:1] - network(L[:1], ab)).abs().max().item()


def norm(network, L, ab):
    return difference_map(network, L, ab).norm().item()


def the_same_twice(network, L, ab):
    return (network(L, ab)[:1] - network(L, ab)[:1]).abs().max().item()


RIGHT = {
    "pixels_seen": pixels_seen,
    "patch_head": patch_head,
    "logit_slope": logit_slope,
    "leak": leak,
}
WRONG = {
    "pixels_seen": [
        (without_minus_one, "f - 1 strides"),
        (from_zero, "Start with the one score"),
        (forward, "the last layer comes first"),
        (without_strides, "the order of the strides matters"),
        (lambda layers: sum(kernel for kernel, _ in layers), "windows overlap"),
        (lambda layers: 70, "you get 70"),
    ],
    "patch_head": [
        (lambda channels: head(channels, [nn.Sigmoid()]), "leave out the sigmoid"),
        (lambda channels: head(channels, [nn.AdaptiveAvgPool2d(1)]), "no flattening, no pooling"),
        (lambda channels: head(channels, [nn.Flatten()]), "no flattening, no pooling"),
        (lambda channels: head(channels, [nn.BatchNorm2d(1)]), "only between the two"),
        (lambda channels: head(channels, stride=2), "stride 1"),
        (lambda channels: head(channels, padding=0), "give 6×6 scores"),
        (lambda channels: head(channels, bias=False), "with a bias"),
        (small_kernel, "as large as the features"),
        (narrow, "0.weight has the shape (8, 8, 4, 4)"),
        (with_norm_of(lambda channels: channels), "batch norm needs as many channels"),
        (with_norm_of(lambda channels: 16), "features of 4 channels"),
        (not_doubled, "another number of channels"),
        (without_norm, "no batch norm"),
        (with_relu, "activation"),
        (two_channels, "you return 2 channels"),
        (lambda channels: [nn.Conv2d(channels, 1, 4)], "return one nn.Sequential"),
    ],
    "logit_slope": [
        (lambda logits, label: label - torch.sigmoid(logits), "you get +0.5"),
        (lambda logits, label: torch.sigmoid(logits) - 1, "label 0 the slope of the loss is +0.5"),
        (slope_of_sigmoid, "you get +0.25"),
        (sign_only, "not from -100 to 100"),
        (overflowing, "overflows a float32"),
    ],
    "leak": [
        (without_abs, "take the absolute value"),
        (mean_change, "take the largest change"),
        (all_scores, "take only [:1]"),
        (in_eval_mode, "eval mode"),
        (eval_mode_undone, "eval mode"),
        (difference_map, ".abs().max()"),
        (second_alone, "the second picture"),
        (without_batch, "takes batches"),
        (only_L, "different numbers"),
        (norm, "not 2.24"),
        (the_same_twice, "no leak where there is one"),
        (lambda network, L, ab: 0.5, "not 0.5"),
    ],
}


def reversing(layers):
    layers.reverse()
    field = 1
    for kernel, stride in layers:
        field = (field - 1) * stride + kernel
    return field


def test_an_answer_that_turns_its_list_around_spoils_nothing():
    for answer in (reversing, pixels_seen):
        assert checks.pixels_seen.judge(answer).kind == "right"


def test_no_hint_gives_the_answer_away():
    """The answers: twice the channels for every layer of the head, sigmoid minus the label."""
    for check, answers in (
        (checks.patch_head, WRONG["patch_head"]),
        (checks.logit_slope, WRONG["logit_slope"]),
    ):
        for answer, _ in answers:
            message = check.judge(answer).message
            assert not any(word in message for word in ("twice", "LeakyReLU", "sigmoid(", "minus"))


@pytest.mark.parametrize("check, answer, words", cases(checks, RIGHT, WRONG))
def test_check(check, answer, words):
    judge(check, answer, words)
