"""The runs recorded for lesson 07: the loop, its faults, and what is written down."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from colorlib.color import L_ab_to_rgb
from colorlib.config import RECIPES
from colorlib.steps import Networks, discriminator_step, generator_step
from lessonkit.lesson_07 import recordings
from lessonkit.lesson_07.case_files import LETTERS
from lessonkit.lesson_07.recordings import CASES, Game, make_data, measure, record
from tools import ROOT
from tools import recordings as tool
from tools.recordings import Recordings

HEALTHY = CASES["healthy"]
CURVES = ROOT / "data" / "results" / "curves"


@pytest.fixture(scope="module")
def data():
    return make_data(count=32, size=32, test_count=20)


@pytest.fixture
def game(data):
    torch.manual_seed(0)
    return Game(HEALTHY, data, batch=4, width=4)


def weights(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def gradient(network):
    return sum(p.grad.abs().sum() for p in network.parameters() if p.grad is not None)


def test_the_healthy_turns_are_those_of_colorlib(game):
    config = replace(RECIPES["gan"], reconstruction="l1", lambda_reconstruction=HEALTHY.lambda_l1)
    networks = Networks(config, game.generator, game.discriminator)
    L, real_ab = game.draw()
    of_d, seen_d = recordings.d_loss(game, L, real_ab, game.generator(L))
    theirs = discriminator_step(networks, L, real_ab)
    torch.testing.assert_close(of_d.detach(), theirs["loss_d"])
    assert seen_d["d_real"] == pytest.approx(theirs["d_real"].item(), abs=1e-5)
    of_g, seen_g = recordings.g_loss(game, L, real_ab, game.generator(L))
    theirs = generator_step(networks, L, real_ab)
    torch.testing.assert_close(of_g.detach(), theirs["loss_g"])
    assert seen_g["loss_g"] == pytest.approx(theirs["loss_adversarial"].item(), abs=1e-5)


def test_the_other_is_held(game):
    before = weights(game.generator)
    recordings.d_turn(game)
    assert torch.equal(weights(game.generator), before)
    assert gradient(game.generator) == 0
    before = weights(game.discriminator)
    recordings.g_turn(game)
    assert torch.equal(weights(game.discriminator), before)


def test_without_detach_d_reaches_g(game):
    game.case = replace(HEALTHY, is_detached=False)
    recordings.d_turn(game)
    assert gradient(game.generator) > 0


def test_swapped_labels_ask_for_the_opposite(game):
    L, real_ab = game.draw()
    fake_ab = game.generator(L)
    game.case = replace(HEALTHY, is_swapped=True)
    swapped, _ = recordings.d_loss(game, L, real_ab, fake_ab)
    game.case = HEALTHY
    torch.testing.assert_close(swapped, recordings.d_loss(game, L, fake_ab, real_ab)[0])


def test_together_the_batch_norm_sees_both(game):
    L, real_ab = game.draw()
    fake_ab = game.generator(L)
    _, apart = recordings.d_loss(game, L, real_ab, fake_ab)
    game.case = replace(HEALTHY, is_together=True)
    _, together = recordings.d_loss(game, L, real_ab, fake_ab)
    assert apart["d_real"] != together["d_real"]


@pytest.mark.parametrize("name", CASES)
def test_every_case_repeats_to_the_bit(name, data, monkeypatch):
    monkeypatch.setattr(Game.__init__, "__defaults__", (4, 4))
    state = torch.get_rng_state()
    first, second = (record(CASES[name], data, steps=5, every=5) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert first.columns == second.columns
    assert all(map(torch.equal, first.pictures, second.pictures))
    assert len(first.pictures) == len(first.moments)


def test_gradient_norm():
    network = torch.nn.Linear(1, 1)
    network.weight.grad = torch.tensor([[3.0]])
    network.bias.grad = torch.tensor([-4.0])
    assert recordings.gradient_norm(network) == 5


def test_measures_of_the_truth_and_of_gray(data):
    real_ab = data.test_ab
    truth, gray = measure(real_ab, data), measure(torch.zeros_like(real_ab), data)
    assert truth["distance"] == 0
    assert 0 < truth["red"] < 1
    assert gray["distance"] == pytest.approx(110 * real_ab.norm(dim=1).mean().item(), rel=1e-4)
    assert gray["spread"] == 0
    assert gray["colorfulness"] < 1


def test_the_sheet_ends_with_the_truth(data):
    real_ab = data.test_ab
    recording = recordings.Recording({}, [1], [torch.zeros_like(real_ab[data.shown])])
    sheet = tool.sheet(recording, data)
    assert sheet.size == (6 * 32, 2 * 32)
    L, ab = data.test_L[data.shown[:1]], data.test_ab[data.shown[:1]]
    truth = (255 * L_ab_to_rgb(L, ab)[0]).round().byte().permute(1, 2, 0)
    last = sheet.crop((0, 32, 32, 64))
    assert np.array_equal(np.asarray(last), truth.numpy())


def test_what_is_done_is_not_done_again(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Game.__init__, "__defaults__", (2, 4))
    monkeypatch.setattr(tool, "make_data", lambda count: make_data(count, 32, 20))
    runs = Recordings(names=("healthy",), steps=2, count=8, out=tmp_path)
    monkeypatch.setattr(tool, "EVERY", 1)
    runs.run()
    kept = (tmp_path / "healthy.json").read_bytes()
    facts = json.loads(kept)
    assert facts["changed"] == "nothing"
    assert facts["columns"]["step"] == [1, 2]
    runs.run()
    assert "already recorded" in capsys.readouterr().out
    Recordings(names=("healthy",), steps=3, count=8, out=tmp_path).run()
    assert json.loads((tmp_path / "healthy.json").read_bytes())["config"]["steps"] == 3
    runs.run()
    assert (tmp_path / "healthy.json").read_bytes() == kept


def test_the_committed_runs_are_of_these_cases():
    for name in LETTERS.values():
        assert Recordings().is_done(name, Recordings().facts(name)), f"{name} has to be made again"
        facts = json.loads((CURVES / f"{name}.json").read_text("utf-8"))
        lengths = {len(column) for column in facts["columns"].values()}
        assert len(lengths) == 1 and lengths.pop() >= 20
        with Image.open(CURVES / f"{name}.jpg") as sheet:
            assert sheet.size == (6 * 64, 64 * (1 + len(facts["moments"])))
    assert sum(path.stat().st_size for path in CURVES.iterdir()) < 1_500_000
