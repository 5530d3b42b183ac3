"""The discriminators: shapes, exact sizes, receptive fields measured, a second implementation."""

import pytest
import torch
from torch import nn

from colorlib.discriminator import ImageDiscriminator, PatchDiscriminator
from colorlib.generator import count_parameters


def plain_discriminator():
    """Line 8 of the tutorial, layer by layer."""
    layers, before = [], 3
    for after in (32, 64, 128, 256, 512, 512):
        layers += [nn.Conv2d(before, after, 4, 2, 1), nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]
        before = after
    return nn.Sequential(*layers, nn.Conv2d(512, 1, 4))


def test_weights_of_a_plain_implementation_load_and_agree():
    torch.manual_seed(0)
    plain, ours = plain_discriminator(), ImageDiscriminator()
    plain(torch.rand(2, 3, 256, 256))
    names = ours.state_dict().keys()
    ours.load_state_dict(dict(zip(names, plain.state_dict().values(), strict=True)))
    lab = torch.rand(2, 3, 256, 256)
    with torch.no_grad():
        answer = ours.eval()(lab[:, :1], lab[:, 1:])
        assert torch.allclose(answer, plain.eval()(lab), atol=1e-5)


def test_the_image_discriminator_has_exactly_as_many_parameters_as_the_tutorials():
    assert count_parameters(ImageDiscriminator()) == 6_993_825


@pytest.mark.parametrize("size", [64, 128, 256])
def test_one_score_a_picture(size):
    scores = ImageDiscriminator(size)(torch.rand(2, 1, size, size), torch.rand(2, 2, size, size))
    assert scores.shape == (2, 1, 1, 1)


@pytest.mark.parametrize("layers, scores", [(1, 62), (2, 30), (3, 14)])
def test_a_score_a_patch(layers, scores):
    network = PatchDiscriminator(4, layers)
    assert network(torch.rand(2, 1, 128, 128), torch.rand(2, 2, 128, 128)).shape == (
        (2, 1, scores, scores)
    )


@pytest.mark.parametrize("network", [ImageDiscriminator(64), PatchDiscriminator(8, 2)], ids=str)
def test_every_parameter_gets_a_gradient(network):
    network(torch.rand(4, 1, 64, 64), torch.rand(4, 2, 64, 64)).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("network", [ImageDiscriminator(64), PatchDiscriminator(8, 2)], ids=str)
def test_it_looks_at_lightness_and_at_chroma(network):
    L, ab = torch.rand(2, 1, 64, 64), torch.rand(2, 2, 64, 64)
    before = network.eval()(L, ab)
    assert not torch.equal(network(1 - L, ab), before)
    assert not torch.equal(network(L, -ab), before)


def test_without_norm_a_score_is_each_pictures_own():
    network = PatchDiscriminator(8, 2, norm="none")
    L, ab = torch.rand(3, 1, 64, 64), torch.rand(3, 2, 64, 64)
    assert torch.allclose(network(L, ab)[:1], network(L[:1], ab[:1]), atol=1e-6)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())


def test_the_first_layer_of_the_patch_discriminator_has_no_batch_norm():
    layers = list(PatchDiscriminator().layers)
    assert isinstance(layers[1], nn.LeakyReLU)
    assert isinstance(layers[3], nn.BatchNorm2d)


def test_what_they_cannot_judge_is_refused_with_what_to_do():
    with pytest.raises(ValueError, match="64, 128 or 256 pixels, got size=100"):
        ImageDiscriminator(100)
    with pytest.raises(ValueError, match="judges pictures of 64×64 pixels, got 128×128"):
        ImageDiscriminator(64)(torch.rand(1, 1, 128, 128), torch.rand(1, 2, 128, 128))
    with pytest.raises(ValueError, match="use fewer layers"):
        PatchDiscriminator()(torch.rand(1, 1, 16, 16), torch.rand(1, 2, 16, 16))
    with pytest.raises(ValueError, match='"batch" or "none"'):
        PatchDiscriminator(norm="instance")
