"""The U-Nets: shapes, exact sizes, what a skip is worth, a second implementation that agrees."""

import pytest
import torch
from torch import nn

from colorlib.generator import GENERATORS, StridedUNet, UNet, count_parameters


class PlainUNet(nn.Module):
    """Line 7 of the tutorial written out layer by layer, as one would without any helper."""

    def __init__(self, w):
        super().__init__()
        self.d1a, self.d1b = self.block(1, w)
        self.d2a, self.d2b = self.block(w, 2 * w)
        self.d3a, self.d3b = self.block(2 * w, 4 * w)
        self.d4a, self.d4b = self.block(4 * w, 8 * w)
        self.d5a, self.d5b = self.block(8 * w, 16 * w)
        self.u4 = nn.ConvTranspose2d(16 * w, 8 * w, 2, 2)
        self.m4a, self.m4b = self.block(16 * w, 8 * w)
        self.u3 = nn.ConvTranspose2d(8 * w, 4 * w, 2, 2)
        self.m3a, self.m3b = self.block(8 * w, 4 * w)
        self.u2 = nn.ConvTranspose2d(4 * w, 2 * w, 2, 2)
        self.m2a, self.m2b = self.block(4 * w, 2 * w)
        self.u1 = nn.ConvTranspose2d(2 * w, w, 2, 2)
        self.m1a, self.m1b = self.block(2 * w, w)
        self.out = nn.Conv2d(w, 2, 1)

    def block(self, i, o):
        first = nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU())
        return first, nn.Sequential(nn.Conv2d(o, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU())

    def forward(self, x):
        pool = nn.MaxPool2d(2)
        x1 = self.d1b(self.d1a(x))
        x2 = self.d2b(self.d2a(pool(x1)))
        x3 = self.d3b(self.d3a(pool(x2)))
        x4 = self.d4b(self.d4a(pool(x3)))
        x5 = self.d5b(self.d5a(pool(x4)))
        y4 = self.m4b(self.m4a(torch.cat([x4, self.u4(x5)], 1)))
        y3 = self.m3b(self.m3a(torch.cat([x3, self.u3(y4)], 1)))
        y2 = self.m2b(self.m2a(torch.cat([x2, self.u2(y3)], 1)))
        y1 = self.m1b(self.m1a(torch.cat([x1, self.u1(y2)], 1)))
        return torch.tanh(self.out(y1))


def in_order(weights):
    return list(weights.values())


@pytest.mark.parametrize("width", [8, 64])
def test_weights_of_a_plain_implementation_load_and_agree(width):
    torch.manual_seed(0)
    plain, ours = PlainUNet(width), UNet(width)
    plain(torch.rand(2, 1, 32, 32))  # so that the running statistics are not the initial ones
    names = ours.state_dict().keys()
    ours.load_state_dict(dict(zip(names, in_order(plain.state_dict()), strict=True)))
    L = torch.rand(1, 1, 32, 48)
    with torch.no_grad():
        assert torch.allclose(ours.eval()(L), plain.eval()(L), atol=1e-5)
        assert torch.allclose(ours.train()(L), plain.train()(L), atol=1e-5)


def test_the_full_unet_has_exactly_as_many_parameters_as_the_tutorials():
    assert count_parameters(UNet()) == 31_042_434


def test_the_lean_unet_has_about_a_million():
    assert count_parameters(StridedUNet()) == 882_322


@pytest.mark.parametrize("network", [UNet(4), StridedUNet(8)], ids=lambda n: type(n).__name__)
class TestBoth:
    @pytest.mark.parametrize("shape", [(1, 32, 32), (3, 64, 32), (2, 16, 48)])
    def test_shape_and_range(self, network, shape):
        batch, height, width = shape
        ab = network.eval()(torch.rand(batch, 1, height, width))
        assert ab.shape == (batch, 2, height, width)
        assert ab.abs().max() <= 1

    def test_every_parameter_gets_a_gradient(self, network):
        network.train().zero_grad()
        network(torch.rand(4, 1, 32, 32)).square().sum().backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            # even a bias in front of a batch norm, which takes it away again: by rounding
            assert parameter.grad.abs().max() > 0, name

    def test_a_skip_matters_at_every_level(self, network):
        network.train()  # in eval mode an untrained network hardly lets the deep levels through
        L = torch.rand(2, 1, 32, 32)
        with torch.no_grad():
            whole = network(L)
            for level in range(4):
                cut = run_without_skip(network, L, level)
                assert not torch.allclose(cut, whole, atol=1e-4), f"level {level}"

    @pytest.mark.parametrize("height, width", [(33, 32), (32, 40), (8, 8)])
    def test_an_indivisible_size_is_refused_with_a_size_that_would_do(self, network, height, width):
        with pytest.raises(ValueError, match="multiples of 16.*resize or pad the picture, to"):
            network(torch.rand(1, 1, height, width))

    @pytest.mark.parametrize("shape", [(1, 3, 32, 32), (1, 32, 32)])
    def test_a_wrong_shape_is_refused(self, network, shape):
        with pytest.raises(ValueError, match=r"expected L of shape \(B, 1, H, W\)"):
            network(torch.rand(*shape))

    def test_its_config_builds_it_again(self, network):
        twin = GENERATORS[type(network).__name__](**network.config)
        twin.load_state_dict(network.state_dict())


def run_without_skip(network, L, level):
    """The network's answer where the skip of one level is replaced by zeros."""
    cat, calls = torch.cat, []

    def cut_cat(tensors, dim):
        calls.append(None)
        is_cut = len(calls) == 4 - level  # the deepest skip is used first
        return cat([torch.zeros_like(tensors[0]) if is_cut else tensors[0], tensors[1]], dim)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "cat", cut_cat)
        result = network(L)
    assert len(calls) == 4
    return result


def test_a_channels_last_network_answers_the_same():
    torch.manual_seed(1)
    network, L = StridedUNet(8).eval(), torch.rand(2, 1, 32, 32)
    before = network(L)
    assert torch.allclose(network.to(memory_format=torch.channels_last)(L), before, atol=1e-5)
