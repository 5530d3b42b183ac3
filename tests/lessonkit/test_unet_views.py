"""Looking into a U-Net: figures are drawn, counts agree with what is known, cuts leave no trace."""

import matplotlib.pyplot as plt
import pytest
import torch

from colorlib.generator import StridedUNet, UNet
from colorlib.scenes import render_scenes
from lessonkit.lesson_04 import unet_views


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_a_network_learns_one_picture_by_heart():
    torch.manual_seed(0)
    L, ab = torch.rand(1, 1, 32, 32), torch.full((1, 2, 32, 32), 0.3)
    losses, answers = unet_views.learn(UNet(4), L, ab, 31)
    assert losses[-1] < losses[0] / 2
    assert len(losses) == 31 and len(answers) == 4


def test_a_keyhole_is_centered_and_black_outside():
    picture = torch.arange(1, 26.0).reshape(1, 5, 5)
    assert unet_views.keyhole(picture, (2, 3), 3)[0, 1, 1] == picture[0, 2, 3]
    assert unet_views.keyhole(picture, (0, 0), 3)[0, 0].tolist() == [0, 0, 0]


def test_multiplications_are_the_known_ones():
    with torch.device("meta"):
        network = UNet()
    assert sum(unet_views.multiplications(network, 256).values()) == pytest.approx(48.10, abs=0.01)


def test_blocks_are_passed_in_the_order_of_their_names():
    made = unet_views.outputs(UNet(2).eval(), torch.rand(1, 1, 32, 32))
    assert list(made) == [
        "first",
        *(f"down.{n}" for n in range(4)),
        *(f"up.{n}" for n in range(4)),
        "last",
    ]
    assert made["down.3"].shape == (1, 32, 2, 2) and made["last"].shape == (1, 2, 32, 32)


@pytest.mark.parametrize("block, side", [("first", 5), ("down.0", 14), ("down.1", 32)])
def test_a_gradient_reaches_as_far_as_the_rule_says(block, side):
    torch.manual_seed(0)
    network = UNet(2).double().eval()
    for parameter in network.parameters():
        parameter.data.abs_()
    first, last = unet_views.gradient_span(
        network, block, torch.rand(8, 1, 64, 64, dtype=torch.double)
    )
    assert last - first + 1 == side


def test_cuts_change_the_answer_and_leave_no_hook_behind():
    torch.manual_seed(0)
    network, L = StridedUNet(8).train(), torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        whole = network(L)
    for level in range(4):
        cut = unet_views.color_with_cuts(network, L, [level])
        assert not torch.allclose(cut, whole, atol=1e-4), level
    assert not torch.allclose(unet_views.color_with_cuts(network, L, [], True), whole, atol=1e-4)
    with pytest.raises(ValueError, match="multiples of 16"):
        unet_views.color_with_cuts(network, L[..., :30], [0], True)
    torch.testing.assert_close(unet_views.color_with_cuts(network, L, []), whole)


def test_a_skip_is_averaged_and_what_came_up_stays():
    joined = torch.rand(1, 4, 8, 8)
    cut = unet_views.average_skip(None, (joined,))
    assert torch.equal(cut[:, 2:], joined[:, 2:]) and cut[:, :2].std(dim=(2, 3)).max() < 1e-6
    cut = unet_views.drop_skip(None, (joined,))
    assert torch.equal(cut[:, 2:], joined[:, 2:]) and not cut[:, :2].any()
    cut = unet_views.average_risen(None, (joined,))
    assert torch.equal(cut[:, :2], joined[:, :2]) and cut[:, 2:].std(dim=(2, 3)).max() < 1e-6


def test_without_any_skip_only_the_bottom_reaches_the_answer():
    torch.manual_seed(0)
    network, L = StridedUNet(8).eval(), torch.rand(1, 1, 32, 32)
    for layer in unet_views.joins(network):
        layer.register_forward_pre_hook(unet_views.drop_skip)
    network.down[3].register_forward_hook(lambda layer, given, made: torch.zeros_like(made))
    with torch.no_grad():
        assert torch.allclose(network(L), network(1 - L))


def test_all_figures_can_be_drawn():
    scene, network = render_scenes(1, size=32).rgb, StridedUNet(8).eval()
    L, ab = torch.rand(1, 1, 32, 32), torch.zeros(1, 2, 32, 32)
    unet_views.draw_keyholes(scene[0], {"A": (4, 5)}, [3, 7])
    unet_views.draw_costs(UNet, 64)
    unet_views.draw_squares(L[0], [(14, 18), (9, 22), (4, 28)])
    for cut in unet_views.CUTS:
        unet_views.draw_cuts(network, L, ab, 0, cut)
