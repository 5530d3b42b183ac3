"""The scenes: reproducible at every size, and a balloon whose L* does not tell its color."""

import numpy as np
import pytest
import torch
from skimage.color import lab2rgb, rgb2lab
from torch.utils.data import DataLoader

from colorlib import scenes
from colorlib.scenes import (
    BALLOON_BLUE_AB,
    BALLOON_LIGHTNESS,
    BALLOON_RED_AB,
    LABELS,
    SceneDataset,
    render_scenes,
)

BALLOON = LABELS.index("balloon")
PAINTS = np.array([BALLOON_RED_AB, BALLOON_BLUE_AB])


@pytest.fixture(scope="module")
def rendered():
    return render_scenes(200, size=64, seed=3)


def to_lab(rgb):
    """CIE Lab by skimage, (..., H, W, 3), of uint8 (..., 3, H, W)."""
    return rgb2lab(rgb.movedim(-3, -1).numpy())


@pytest.mark.parametrize("size", [32, 49, 64, 256])
def test_shapes_types_and_labels(size):
    rgb, labels = render_scenes(3, size)
    assert rgb.shape == (3, 3, size, size) and rgb.dtype == torch.uint8
    assert labels.shape == (3, size, size) and labels.dtype == torch.uint8
    assert labels.max() < len(LABELS)


@pytest.mark.parametrize("size", [0, 31, 257])
def test_other_sizes_are_refused_with_the_range(size):
    with pytest.raises(ValueError, match=f"32 to 256.*{size}"):
        render_scenes(1, size)


def test_no_scenes_are_an_empty_batch():
    assert render_scenes(0).rgb.shape == (0, 3, 64, 64)


def test_a_scene_depends_on_its_seed_and_number_alone():
    ten, seventy, other = render_scenes(10), render_scenes(70), render_scenes(10, seed=1)
    for few, many, others in zip(ten, seventy, other, strict=True):
        assert torch.equal(few, many[:10])
        assert not torch.equal(few, others)
    assert len(torch.unique(seventy.rgb.flatten(1), dim=0)) == 70


def test_a_size_changes_only_the_sharpness():
    small, large = render_scenes(30, size=64), render_scenes(30, size=192)
    middle = large.labels[:, 1::3, 1::3]  # the centers of the small picture's pixels
    assert (small.labels == middle).float().mean() > 0.98
    reduced = torch.nn.functional.avg_pool2d(large.rgb.float(), 3)
    assert (small.rgb.float() - reduced).abs().mean() < 8


def test_every_thing_occurs_and_has_its_color(rendered):
    lab = to_lab(rendered.rgb)
    for index, label in enumerate(LABELS[:-1]):
        pixels = lab[rendered.labels.numpy() == index]
        assert len(pixels) > 100, label
        # the sky pales and turns pink toward the horizon
        tolerance = 40 if label == "sky" else 15
        assert np.hypot(*(pixels.mean(0) - scenes.COLORS[label])[1:]) < tolerance, label


def test_a_share_of_the_scenes_has_a_balloon_in_full_view(rendered):
    share = (rendered.labels == BALLOON).float().mean((1, 2))
    assert (share > 0).float().mean() == pytest.approx(scenes.BALLOON_SHARE, abs=0.1)
    assert share[share > 0].min() > 0.015 and share.max() < 0.12


def test_red_and_blue_occur_equally_often():
    rgb, labels = render_scenes(600, size=32)
    balloon = labels == BALLOON
    red = [
        (picture[0][mask].float() > picture[2][mask].float()).float().mean().item()
        for picture, mask in zip(rgb, balloon, strict=True)
        if mask.any()
    ]
    assert set(red) == {0.0, 1.0}  # one balloon is of one color
    assert 0.43 < np.mean(red) < 0.57


def test_paints_are_far_apart_and_in_gamut():
    mauve = PAINTS.mean(0)
    assert np.linalg.norm(PAINTS[0] - PAINTS[1]) > 80
    assert np.linalg.norm(PAINTS - mauve, axis=1).min() > 40
    lightness = np.linspace(*BALLOON_LIGHTNESS, 50)
    for a, b in PAINTS:
        lab = np.stack([lightness, np.full(50, a), np.full(50, b)], -1)
        # what is clipped does not come back
        np.testing.assert_allclose(rgb2lab(lab2rgb(lab)), lab, atol=0.02)


def test_a_balloon_has_exactly_one_of_the_two_paints(rendered):
    ab = to_lab(rendered.rgb)[..., 1:][rendered.labels.numpy() == BALLOON]
    distance = np.linalg.norm(ab[:, None] - PAINTS, axis=-1).min(1)
    assert distance.max() < 1  # rounding to uint8


def test_nothing_but_the_paint_tells_the_coin(monkeypatch):
    versions, render = [], scenes._render_scene
    for paint in (BALLOON_RED_AB, BALLOON_BLUE_AB):
        monkeypatch.setattr(scenes, "_render_scene", lambda *scene, p=paint: render(*scene, p))
        versions.append(render_scenes(60))
    red, blue = versions
    assert torch.equal(red.labels, blue.labels)
    balloon = red.labels == BALLOON
    differs = (red.rgb != blue.rgb).any(1)
    assert torch.equal(differs, balloon)
    difference = (to_lab(red.rgb) - to_lab(blue.rgb))[..., 0][balloon.numpy()]
    assert np.abs(difference).max() < 0.5  # L*: rounding to uint8
    assert abs(difference.mean()) < 0.05


def test_dataset_is_one_picture_after_the_other():
    dataset = SceneDataset(count=5, size=32, seed=2)
    expected = render_scenes(5, size=32, seed=2)
    assert len(dataset) == 5
    assert torch.equal(dataset.rgb, expected.rgb) and torch.equal(dataset.labels, expected.labels)
    batches = list(DataLoader(dataset, batch_size=4))
    assert [len(batch) for batch in batches] == [4, 1]
    assert torch.equal(torch.cat(batches), expected.rgb)
    with pytest.raises(IndexError):
        dataset[5]
