"""What lesson 08 measures on balloons, against pictures whose answer is known."""

import pytest
import torch

from colorlib.color import L_ab_to_rgb, rgb_to_L_ab
from colorlib.metrics import evaluate, gray_baseline
from colorlib.scenes import BALLOON_BLUE_AB, BALLOON_RED_AB, SceneDataset
from lessonkit.lesson_08 import brown
from lessonkit.lesson_08.brown import A_SPAN, B_SPAN, BIN


@pytest.fixture(scope="module")
def scenes():
    return SceneDataset(40, seed=5)


def painted(scenes, ab):
    """The scenes, all of one chroma, in CIE units."""
    L, real_ab = rgb_to_L_ab(scenes.rgb)
    one = torch.tensor(ab)[:, None, None] / 110
    return L_ab_to_rgb(L, one.expand_as(real_ab))


@pytest.mark.parametrize("ab", [BALLOON_RED_AB, BALLOON_BLUE_AB])
def test_a_single_paint_fills_the_bins_around_it(scenes, ab):
    counts = brown.histogram(painted(scenes, ab), scenes.labels)
    assert counts.shape == (36, 24)
    assert counts.sum() == brown.is_balloon(scenes.labels).sum()
    row, column = divmod(int(counts.argmax()), counts.shape[1])
    assert abs(B_SPAN[0] + BIN * (row + 0.5) - ab[1]) <= BIN
    assert abs(A_SPAN[0] + BIN * (column + 0.5) - ab[0]) <= BIN


def test_a_histogram_survives_being_written():
    counts = torch.tensor([[0, 12], [3, 400]])
    assert torch.equal(brown.from_lines(brown.to_lines(counts)), counts)


def test_all_red_is_right_as_often_as_balloons_are_red(scenes):
    truth = brown.choices(scenes.rgb, scenes.rgb, scenes.labels)
    red = brown.choices(painted(scenes, BALLOON_RED_AB), scenes.rgb, scenes.labels)
    assert truth["right"] == 1
    assert 0 < truth["red"] < 1
    assert red == {"red": 1, "right": pytest.approx(truth["red"])}


def test_gray_chooses_nothing(scenes):
    gray = brown.paint(gray_baseline, scenes.rgb)
    assert brown.choices(gray, scenes.rgb, scenes.labels) == {"red": None, "right": None}


def test_the_rival_at_factor_1_is_the_network_itself(scenes, monkeypatch):
    monkeypatch.setattr(brown, "FACTORS", (1.0, 1.2, 1.5))

    def network(L):
        return torch.cat([0.2 * L, -0.1 * L], dim=1)

    rows = brown.factor_rows(network, SceneDataset(4, seed=6), scenes)
    known = evaluate(network, scenes)
    for name in ("psnr_ab", "ciede2000", "colorfulness", "committed"):
        assert rows[0][name] == pytest.approx(known[name], rel=1e-4)
    strengths = [row["validation_colorfulness"] for row in rows]
    assert strengths == sorted(strengths)


def test_seeds_are_averaged():
    rows = [
        {"factor": f, "seed": s, "psnr_ab": s + f, "recipe": "l1"} for s in (0, 1) for f in (1, 2)
    ]
    means = [{"factor": 1, "seed": 0.5, "psnr_ab": 1.5}, {"factor": 2, "seed": 0.5, "psnr_ab": 2.5}]
    assert brown.mean_rows(rows, "factor") == means


def test_an_average_of_photographs_is_brown():
    colors = brown.photo_colors(1000)
    assert colors.shape == (2, 4000)
    mean_ab = colors.mean(dim=1)
    assert (mean_ab > 5).all(), "toward red and yellow"
    assert mean_ab.norm() < colors.norm(dim=0).mean()


def test_rows_of_pictures_are_cut_where_they_were_joined(scenes, tmp_path):
    path = tmp_path / "row.jpg"
    rgb = scenes.rgb[:3] / 255
    brown.write_row(path, rgb)
    assert brown.cut_row(path).shape == rgb.shape
    assert (brown.cut_row(path) - rgb).abs().mean() < 0.02
