"""Hints: nothing changes without them, and with them only what should."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor
from skimage.color import lab2rgb, rgb2lab
from torch import nn

from colorlib import hints as module
from colorlib.coloring import colorize
from colorlib.generator import PretrainedUNet, StridedUNet, UNet
from colorlib.hints import (
    BINS,
    Hinted,
    Spread,
    hint_map,
    load_hinted,
    places,
    spread_hints,
    within_gamut,
)
from colorlib.runs import RunError, save_generator
from colorlib.scenes import LABELS, render_scenes


def hinted(generator=None, seed=0):
    """A network that has not learned anything, but moves colors around."""
    torch.manual_seed(seed)
    generator = generator or StridedUNet(8)
    return Hinted(generator, Spread(generator.last.in_channels, width=8)).eval()


def random_L(count=2, height=32, width=32):
    return torch.rand(count, 1, height, width, generator=torch.Generator().manual_seed(0))


def marked(count, *marks, side=32):
    """A hint map with (picture, row, column, a, b) in it."""
    made = torch.zeros(count, 3, side, side)
    for picture, row, column, *ab in marks:
        made[picture, :, row, column] = torch.tensor([*ab, 1.0])
    return made


# --- without hints ---


@pytest.mark.parametrize("generator", [StridedUNet(8), UNet(4), PretrainedUNet((8, 8, 8, 8))])
def test_without_hints_it_is_the_plain_generator_to_the_bit(generator):
    network, L = hinted(generator), random_L()
    with torch.no_grad():
        plain = generator.eval()(L)
        assert torch.equal(network(L), plain)
        assert torch.equal(network(L, torch.zeros(2, 3, 32, 32)), plain)
        one = network(L, marked(2, (1, 5, 7, 0.5, -0.3)))
    assert torch.equal(one[0], plain[0]), "the other picture of the batch has the hint"
    assert not torch.equal(one[1], plain[1])


def test_only_what_spreads_hints_learns():
    network = hinted().train()
    before = {name: value.clone() for name, value in network.generator.state_dict().items()}
    assert not network.generator.training and network.spread.training
    network(random_L(), marked(2, (0, 1, 2, 0.3, 0.3))).sum().backward()
    assert all(p.grad is None for p in network.generator.parameters())
    learning = {name for name, p in network.spread.named_parameters() if p.grad is not None}
    assert {"reach", "strength", "body.first.0.weight", "body.last.weight"} <= learning
    after = network.generator.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


# --- how hints spread ---


def slowly(ab, hints, described, strength, tolerance):
    """`spread_hints` for one picture, pixel by pixel: (2, H, W) from (2, H, W), (3, H, W), ..."""
    result = ab.copy()
    at = np.argwhere(hints[2] > 0)
    for row, column in np.ndindex(*ab.shape[1:]):
        own = described[:, row, column]
        weights = [np.exp(strength - ((own - described[:, r, c]) ** 2).sum()) for r, c in at]
        for weight, (r, c) in zip(weights, at):
            color = hints[:2, r, c] / hints[2, r, c]
            keep = np.exp(-(((color - ab[:, r, c]) / tolerance) ** 2).sum())
            shift = color - keep * ab[:, r, c] - (1 - keep) * ab[:, row, column]
            result[:, row, column] += weight / (1 + sum(weights)) * shift
    return result


def test_shares_are_those_of_the_equation():
    random = torch.Generator().manual_seed(1)
    ab, described = (
        torch.rand(2, channels, 6, 9, generator=random, dtype=torch.float64) for channels in (2, 5)
    )
    hints = torch.zeros(2, 3, 6, 9, dtype=torch.float64)
    for picture, row, column, mark in ((0, 1, 2, 1.0), (0, 5, 8, 0.25), (1, 0, 0, 1.0)):
        color = torch.rand(2, generator=random, dtype=torch.float64)
        hints[picture, :, row, column] = torch.cat([mark * color, torch.tensor([mark])])
    got = spread_hints(ab, hints, described, 1.5, 0.4)
    for index in range(2):
        arrays = (part[index].numpy() for part in (ab, hints, described))
        wanted = slowly(*arrays, 1.5, 0.4)
        np.testing.assert_allclose(got[index], wanted, atol=1e-12)


def test_an_unusual_color_spreads_as_far_as_a_usual_one():
    network, L = hinted(), random_L(1)
    ab, features = network.look(L)
    painted = ab[0, :, 4, 4].tolist()
    small, middle, large = (
        network.apply_hints(ab, features, marked(1, (0, 4, 4, painted[0] + by, painted[1])))
        for by in (0.4, 0.5, 0.8)  # all far beyond the tolerance
    )
    torch.testing.assert_close(large - small, 4 * (middle - small), atol=1e-5, rtol=1e-4)


def test_places_are_measured_in_shorter_sides():
    down, right = places(torch.zeros(1, 1, 10, 20))
    assert down[5, 0] == 0.5 and right[0, 5] == 0.5 and right[0, 15] == 1.5


# --- hint maps ---


def test_a_color_is_marked_where_the_photo_is_hinted_at():
    L = torch.full((1, 1, 32, 64), 0.45)
    made = hint_map([(120, 80, "#c03020"), (0, 99, "#407070")], L, (200, 100))
    assert made.shape == (1, 3, 32, 64) and made[0, 2].sum() == 2
    for row, column, color in ((25, 38, "#c03020"), (31, 0, "#407070")):
        wanted = rgb2lab(np.float64([[ImageColor.getrgb(color)]]) / 255)[0, 0, 1:] / 110
        np.testing.assert_allclose(made[0, :2, row, column], wanted, atol=1e-4)
        assert made[0, 2, row, column] == 1


def test_the_order_does_not_matter_but_at_one_pixel_the_later_hint_counts():
    L, size = torch.full((1, 1, 32, 32), 0.5), (32, 32)
    one, other, later = (3, 4, "#a04040"), (20, 9, "#406080"), (3, 4, "#608040")
    there, back = (hint_map(hints, L, size) for hints in ([one, other], [other, one]))
    assert torch.equal(there, back)
    assert torch.equal(hint_map([one, later], L, size), hint_map([later], L, size))


@pytest.mark.parametrize("x, y", [(-1, 5), (200, 5), (5, 100), (5, -0.5), (float("nan"), 5)])
def test_a_hint_outside_of_the_photo_is_named(x, y):
    with pytest.raises(ValueError, match=rf"\({x:g}, {y:g}\).* 200 pixels wide and 100 high"):
        hint_map([(x, y, "red")], torch.full((1, 1, 32, 64), 0.5), (200, 100))


@pytest.mark.parametrize(
    "hint", [(1, 2), (1, 2, "#12"), (1, 2, "reddish"), ("#c03020", 1, 2), (1, 2, None), 7, "120"]
)
def test_what_is_not_a_hint_is_shown_beside_one_that_is(hint):
    with pytest.raises(ValueError, match=r"a hint is x, y and a color, such as \(120, 80, '#"):
        hint_map([hint], torch.full((1, 1, 32, 32), 0.5), (32, 32))


@pytest.mark.parametrize("L, word", [(0.1, "dark"), (0.9, "light")])
def test_a_color_that_no_screen_can_show_becomes_paler_with_a_warning(L, word):
    with pytest.warns(UserWarning, match=rf"too {word} for #c03020 at \(5, 6\); #\w+ is used"):
        made = hint_map([(5, 6, "#c03020")], torch.full((1, 1, 32, 32), L), (32, 32))
    a, b = made[0, :2, 6, 5].double() * 110
    asked = rgb2lab(np.float64([[[0xC0, 0x30, 0x20]]]) / 255)[0, 0, 1:]
    assert torch.atan2(b, a).item() == pytest.approx(np.arctan2(asked[1], asked[0]), abs=1e-3)
    assert torch.hypot(a, b) < np.hypot(*asked)
    lab = np.array([100 * L, a, b])
    np.testing.assert_allclose(rgb2lab(lab2rgb(lab)), lab, atol=2.5)


def test_a_color_that_a_screen_can_show_stays():
    rgb = np.random.default_rng(0).integers(0, 256, (1, 200, 3)) / 255
    lab = torch.from_numpy(rgb2lab(rgb)).permute(2, 0, 1)[None].float()
    ab = lab[:, 1:] / 110
    assert torch.equal(within_gamut(lab[:, :1] / 100, ab), ab)


# --- photos, and the shipped weights ---


def gray_photo(width=60, height=40):
    values = np.random.default_rng(0).integers(90, 160, (height, width), dtype=np.uint8)
    return Image.fromarray(values)


def test_colorize_takes_hints():
    network, photo = hinted(), gray_photo()
    plain = colorize(photo, network, size=32)
    assert colorize(photo, network.generator, size=32) == plain
    hints = [(50, 10, "#c03020")]
    told = np.asarray(colorize(photo, network, size=32, hints=hints), int)
    changed = np.abs(told - np.asarray(plain, int)).sum(axis=2)
    assert changed[10, 50] > 20, "it is obeyed at its pixel"


def test_a_network_that_takes_no_hints_says_so():
    with pytest.raises(ValueError, match="takes no hints"):
        colorize(gray_photo(), StridedUNet(8), hints=[(1, 1, "red")])


def test_other_weights_take_no_hints():
    with pytest.raises(RunError, match="photos and scenes take hints, not my.safetensors"):
        load_hinted("my.safetensors")


def test_weights_are_read_as_they_were_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "WEIGHTS", tmp_path)
    torch.manual_seed(0)
    spread = Spread(width=16)
    nn.init.normal_(spread.guess.weight)
    save_generator(tmp_path / "hints-scenes.safetensors", spread)
    network, L = load_hinted("scenes"), random_L()
    assert not network.training and not any(p.requires_grad for p in network.parameters())
    for name, value in spread.state_dict().items():
        assert torch.equal(network.spread.state_dict()[name], value)
    ab, features = network.look(L[:1])
    share = network.likely(features, 3, 4)
    assert share.shape == (len(BINS),) and share.sum().item() == pytest.approx(1, abs=1e-5)


def test_one_hint_turns_a_balloon_red_or_blue_and_leaves_the_rest():
    network = load_hinted("scenes")
    rgb, labels = render_scenes(40, seed=77)
    inside = labels == LABELS.index("balloon")
    index = int(inside.sum(dim=(1, 2)).argmax())
    row, column = inside[index].nonzero().float().mean(dim=0).int().tolist()
    gray = Image.fromarray(rgb[index].permute(1, 2, 0).numpy())
    plain = rgb2lab(colorize(gray, network, size=64))
    for color in ("#aa2020", "#5060b0"):
        told = rgb2lab(colorize(gray, network, size=64, hints=[(column, row, color)]))
        wanted = rgb2lab(np.float64([[ImageColor.getrgb(color)]]) / 255)[0, 0, 1:]
        off = np.linalg.norm(told[..., 1:] - wanted, axis=2)
        assert off[inside[index]].mean() < 12
        assert np.linalg.norm(told - plain, axis=2)[~inside[index]].mean() < 3
