"""The objectives: hand-computed values, PyTorch's own losses, gradients where D is sure."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from colorlib.losses import OBJECTIVES, RECONSTRUCTIONS, gradient_penalty

ZERO = torch.zeros(3, 1, 2, 2)


def test_bce_at_logit_zero_is_log_two():
    assert OBJECTIVES["bce"].discriminator(ZERO, ZERO).item() == pytest.approx(math.log(2))
    assert OBJECTIVES["bce"].generator(ZERO).item() == pytest.approx(math.log(2))


def test_bce_is_pytorchs_on_labels_one_and_zero():
    real, fake = torch.randn(4, 1, 3, 3), torch.randn(4, 1, 3, 3)
    of = functional.binary_cross_entropy_with_logits
    expected = (of(real, torch.ones_like(real)) + of(fake, torch.zeros_like(fake))) / 2
    assert torch.allclose(OBJECTIVES["bce"].discriminator(real, fake), expected)
    assert torch.allclose(OBJECTIVES["bce"].generator(fake), of(fake, torch.ones_like(fake)))


@pytest.mark.parametrize(
    "name, loss_d, loss_g",
    [
        # real logits 2 and 0, fake logits -3 and 1, each by hand
        ("lsgan", ((1 + 1) / 2 + (9 + 1) / 2) / 2, (16 + 0) / 2 / 2),
        ("hinge", ((0 + 1) / 2 + (0 + 2) / 2) / 2, 1.0),
        ("wgan_gp", -1.0 - 1.0, 1.0),
    ],
)
def test_by_hand(name, loss_d, loss_g):
    real, fake = torch.tensor([2.0, 0.0]), torch.tensor([-3.0, 1.0])
    assert OBJECTIVES[name].discriminator(real, fake).item() == pytest.approx(loss_d)
    assert OBJECTIVES[name].generator(fake).item() == pytest.approx(loss_g)


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("logit", [-0.9, 0.0, 0.5])
def test_either_player_pushes_the_logits_its_own_way(name, logit):
    real = torch.full((2, 1), logit, requires_grad=True)
    fake = torch.full((2, 1), abs(logit) + 0.1, requires_grad=True)
    OBJECTIVES[name].discriminator(real, fake).backward()
    assert (real.grad < 0).all()  # going down the loss lifts the logit of real
    assert (fake.grad > 0).all()
    asked = torch.full((2, 1), logit, requires_grad=True)
    OBJECTIVES[name].generator(asked).backward()
    assert (asked.grad < 0).all()


@pytest.mark.parametrize("logit", [-40.0, -17.0, 17.0, 40.0])
def test_bce_keeps_a_finite_right_gradient_where_a_sigmoid_would_be_sure(logit):
    asked = torch.tensor([logit], requires_grad=True)
    OBJECTIVES["bce"].generator(asked).backward()
    exact = -1 / (1 + math.exp(logit))
    assert asked.grad.item() == pytest.approx(exact, rel=1e-5)


def test_reconstructions_by_hand():
    predicted, real = torch.tensor([0.0, 0.5]), torch.tensor([1.0, 0.0])
    assert RECONSTRUCTIONS["l1"](predicted, real).item() == pytest.approx(0.75)
    assert RECONSTRUCTIONS["l2"](predicted, real).item() == pytest.approx(0.625)


class Linear(nn.Module):
    """A critic of a known slope: every ab value counts `weight`."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, L, ab):
        return self.weight * ab.sum(dim=(1, 2, 3), keepdim=True) + 0 * L.sum()


@pytest.mark.parametrize("weight", [0.0, 0.1, 0.5])
def test_the_gradient_penalty_of_a_known_slope(weight):
    L, real, fake = torch.rand(3, 1, 4, 4), torch.rand(3, 2, 4, 4), torch.rand(3, 2, 4, 4)
    critic = Linear(weight)
    penalty = gradient_penalty(critic, L, real, fake)
    slope = weight * math.sqrt(2 * 4 * 4)
    assert penalty.item() == pytest.approx((slope - 1) ** 2, rel=1e-5)
    penalty.backward()
    assert torch.isfinite(critic.weight.grad)


def test_the_gradient_penalty_sends_nothing_back_into_the_generator():
    fake = torch.rand(2, 2, 4, 4, requires_grad=True)
    gradient_penalty(Linear(0.5), torch.rand(2, 1, 4, 4), torch.rand(2, 2, 4, 4), fake).backward()
    assert fake.grad is None
