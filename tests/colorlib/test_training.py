"""Training: who moves in whose step, the naive loop to the bit, resuming, and what goes wrong."""

import copy
import math
import os
import signal
from dataclasses import asdict, replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.ops import aten
from torch.utils._python_dispatch import TorchDispatchMode

import colorlib.batches as loading
import colorlib.training as module
from colorlib.batches import Batches
from colorlib.color import rgb_to_L_ab
from colorlib.config import ABOUT, RECIPES, TrainConfig
from colorlib.discriminator import ImageDiscriminator, PatchDiscriminator
from colorlib.generator import StridedUNet, UNet
from colorlib.losses import OBJECTIVES, RECONSTRUCTIONS
from colorlib.metrics import evaluate, evaluate_run
from colorlib.runs import (
    Run,
    RunError,
    load_generator,
    read_card,
    read_config,
    save_generator,
)
from colorlib.scenes import SceneDataset, render_scenes
from colorlib.steps import (
    Networks,
    choose_precision,
    discriminator_step,
    generator_step,
    train_step,
)
from colorlib.training import Loop, TrainingError, train
from lessonkit.watch import read_history

LOOKED_AT = ("delta_e", "colorfulness", "colorfulness_real")
SMALL = {"generator": "StridedUNet", "generator_width": 8, "size": 32, "batch": 4}


@pytest.fixture(autouse=True)
def save_at_every_epoch(monkeypatch):
    """However short it is."""
    monkeypatch.setattr(Loop, "SAVE_AT_MOST", 0)
    monkeypatch.setattr(Loop, "TRAINED_PER_LOOK", 0)


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


def small(recipe, **changes):
    """A recipe with networks small enough for a test."""
    config = replace(RECIPES[recipe], discriminator_width=4, discriminator_layers=1, **SMALL)
    if config.discriminator == "image":
        config = replace(config, size=64)
    return replace(config, **changes)


class Pictures(torch.utils.data.Dataset):
    """Random pictures as one tensor, as `SceneDataset` and `DecodedPhotos` keep theirs."""

    def __init__(self, count=10, size=32):
        random = torch.Generator().manual_seed(0)
        self.rgb = torch.randint(0, 256, (count, 3, size, size), generator=random).byte()

    def __len__(self):
        return len(self.rgb)

    def __getitem__(self, index):
        return self.rgb[index]


class OneByOne(torch.utils.data.Dataset):
    """The same pictures for a data set that has no tensor of them all."""

    def __init__(self, pictures):
        self.pictures = pictures

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, index):
        return self.pictures.rgb[index]


def weights(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def assert_same_weights(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def learned(network):
    return {name: parameter.detach().clone() for name, parameter in network.named_parameters()}


def batch_for(config):
    return rgb_to_L_ab(Pictures(config.batch, config.size).rgb)


GAMES = [name for name, config in RECIPES.items() if config.adversarial != "none"]


def test_losses_and_recipes_are_listed_completely():
    assert RECIPES.keys() == ABOUT.keys()
    assert {*get_args(TrainConfig.__annotations__["adversarial"])} == {*OBJECTIVES, "none"}
    assert {*get_args(TrainConfig.__annotations__["reconstruction"])} == {*RECONSTRUCTIONS, "none"}


class TestSteps:
    @pytest.mark.parametrize("recipe", GAMES)
    def test_the_discriminators_step_moves_d_and_leaves_g(self, recipe):
        config = small(recipe, warm_up=0.0)
        networks = Networks(config)
        g, d = learned(networks.generator), learned(networks.discriminator)
        discriminator_step(networks, *batch_for(config))
        assert_same_weights(learned(networks.generator), g)
        assert not all(torch.equal(d[k], v) for k, v in learned(networks.discriminator).items())

    @pytest.mark.parametrize("recipe", GAMES)
    def test_the_generators_step_moves_g_and_leaves_d(self, recipe):
        config = small(recipe, warm_up=0.0)
        networks = Networks(config)
        g, d = learned(networks.generator), learned(networks.discriminator)
        generator_step(networks, *batch_for(config))
        assert_same_weights(learned(networks.discriminator), d)
        assert not all(torch.equal(g[k], v) for k, v in learned(networks.generator).items())
        assert all(p.grad is None and p.requires_grad for p in networks.discriminator.parameters())

    def test_d_learns_to_tell_and_g_to_pass(self):
        torch.manual_seed(0)
        config = small("pix2pix", learning_rate=1e-3, d_learning_rate=1e-3)
        networks, (L, ab) = Networks(config), batch_for(config)
        before = generator_step(networks, L, ab)
        first = discriminator_step(networks, L, ab)
        for _ in range(30):
            last = discriminator_step(networks, L, ab)
        assert last["loss_d"] < 0.9 * first["loss_d"]
        assert last["d_real"] - last["d_fake"] > first["d_real"] - first["d_fake"] + 0.1
        for _ in range(10):
            after = generator_step(networks, L, ab)
        assert after["loss_reconstruction"] < before["loss_reconstruction"]

    def test_the_losses_are_made_of_their_parts(self):
        config = small("pix2pix")
        losses = generator_step(Networks(config), *batch_for(config))
        expected = losses["loss_adversarial"] + 100 * losses["loss_reconstruction"]
        assert losses["loss_g"].item() == pytest.approx(expected.item(), rel=1e-6)

    def test_while_warming_up_d_is_not_asked(self):
        config = small("warm")
        networks = Networks(config)
        before = weights(networks.discriminator)
        losses = train_step(networks, *batch_for(config), step=1)
        assert losses.keys() == {"loss_g", "loss_reconstruction"}
        assert_same_weights(weights(networks.discriminator), before)

    @pytest.mark.parametrize("d_every, g_every", [(1, 1), (1, 2), (3, 1)])
    def test_the_schedule(self, d_every, g_every):
        config = small("gan", d_every=d_every, g_every=g_every)
        networks, batch = Networks(config), batch_for(config)
        turns = [train_step(networks, *batch, step=step) for step in range(1, 7)]
        assert ["loss_d" in turn for turn in turns] == [s % d_every == 0 for s in range(1, 7)]
        assert ["loss_g" in turn for turn in turns] == [s % g_every == 0 for s in range(1, 7)]

    def test_shared_forward_gives_the_losses_and_gradients_of_separate_ones(self):
        grads, losses = [], []
        for share in (True, False):
            torch.manual_seed(0)
            config = small("pix2pix", reuse_forward=share)
            networks = Networks(config)
            losses.append(train_step(networks, *batch_for(config), step=1))
            grads.append([p.grad for p in networks.generator.parameters()])
            counts = [
                m.num_batches_tracked
                for m in networks.generator.modules()
                if isinstance(m, nn.BatchNorm2d)
            ]
            assert set(map(int, counts)) == {1 if share else 2}
        assert losses[0].keys() == losses[1].keys()
        for name in losses[0]:
            assert torch.equal(losses[0][name], losses[1][name]), name
        for one, other in zip(*grads, strict=True):
            assert torch.equal(one, other)


def naive_training(config, dataset):
    """Line 2 of the tutorial, written out: what a reader would write without this library."""
    torch.manual_seed(config.seed)
    generator = StridedUNet(8).to(memory_format=torch.channels_last)
    if config.discriminator == "image":
        discriminator = ImageDiscriminator(config.size)
    else:
        discriminator = PatchDiscriminator(4, 1)
    discriminator = discriminator.to(memory_format=torch.channels_last)
    options = {"lr": config.learning_rate, "betas": (0.5, 0.999), "fused": True}
    optimizer_d = torch.optim.Adam(discriminator.parameters(), **options)
    optimizer_g = torch.optim.Adam(generator.parameters(), **options)
    criterion, step = functional.binary_cross_entropy_with_logits, 0
    for epoch in range(config.epochs):
        random = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
        order = torch.randperm(len(dataset), generator=random)
        mirrored = torch.rand(len(order), generator=random) < 0.5
        for start in range(0, len(order), config.batch):
            step += 1
            rgb = [
                dataset.rgb[i].flip(-1) if config.flip and mirrored[at + start] else dataset.rgb[i]
                for at, i in enumerate(order[start : start + config.batch])
            ]
            L, real_ab = rgb_to_L_ab(torch.stack(rgb))
            optimizer_d.zero_grad()
            fake_ab = generator(L)
            real, fake = discriminator(L, real_ab), discriminator(L, fake_ab.detach())
            loss = OBJECTIVES["bce"].discriminator(real, fake)
            loss.backward()
            optimizer_d.step()
            if step % config.g_every:
                continue
            optimizer_g.zero_grad()
            fake_ab = generator(L)
            fake = discriminator(L, fake_ab)
            loss = functional.softplus(-fake).mean()
            assert torch.allclose(loss, criterion(fake, torch.ones_like(fake)))
            if config.reconstruction == "l1":
                loss = loss + config.lambda_reconstruction * (fake_ab - real_ab).abs().mean()
            loss.backward()
            optimizer_g.step()
    return generator, discriminator


@pytest.mark.parametrize("recipe", ["tutorial", "pix2pix"])
def test_without_sharing_the_loop_is_the_naive_one_to_the_bit(recipe):
    config = small(recipe, epochs=2, reuse_forward=False, learning_rate_decay=False)
    dataset = Pictures(10, config.size)
    generator, discriminator = naive_training(config, dataset)
    trained = train(config, dataset)
    assert_same_weights(trained.generator.state_dict(), generator.state_dict())
    assert_same_weights(trained.discriminator.state_dict(), discriminator.state_dict())


class TestBatches:
    config = small("l1", batch=4)

    def test_an_epoch_has_every_picture_once_and_a_small_last_batch(self):
        pictures = Pictures(10)
        stream = Batches(pictures, replace(self.config, flip=False), torch.device("cpu"))
        assert len(stream) == 3
        batches = [batch for batch, _ in zip(stream.stream(0), range(3), strict=False)]
        assert [len(L) for L, _ in batches] == [4, 4, 2]
        seen = torch.cat([L for L, _ in batches]).flatten(1)
        wanted = rgb_to_L_ab(pictures.rgb)[0].flatten(1)
        assert sorted(seen.sum(1).tolist()) == sorted(wanted.sum(1).tolist())

    def test_it_goes_on_anywhere_as_if_it_had_never_stopped(self):
        stream = Batches(Pictures(10), self.config, torch.device("cpu"))
        whole = [batch for batch, _ in zip(stream.stream(0), range(9), strict=False)]
        for start in range(9):
            L, ab = next(stream.stream(start))
            assert torch.equal(L, whole[start][0])
            assert torch.equal(ab, whole[start][1])

    def test_two_epochs_differ_in_order(self):
        stream = Batches(Pictures(10), self.config, torch.device("cpu"))
        batches = [batch for batch, _ in zip(stream.stream(0), range(6), strict=False)]
        assert not torch.equal(batches[0][0], batches[3][0])

    def test_half_the_pictures_are_mirrored(self):
        pictures = Pictures(200)
        stream = Batches(pictures, replace(self.config, batch=200), torch.device("cpu"))
        originals = {L.sum(dim=1).sum().item(): L for L in rgb_to_L_ab(pictures.rgb)[0]}
        (L, _) = next(stream.stream(0))
        kept = sum(any(torch.equal(each, L0) for L0 in originals.values()) for each in L)
        assert 70 < kept < 130

    def test_zoom_shows_a_part_of_each_picture_larger_lightness_and_chroma_alike(self):
        ramp = torch.arange(32).expand(32, 32)  # a picture whose pixels say where they come from
        pictures = Pictures(40)
        stream = Batches(pictures, replace(self.config, batch=40, zoom=2.0), torch.device("cpu"))
        stream.kept = [(ramp / 31).expand(40, 1, 32, 32), (ramp.T / 31).expand(40, 2, 32, 32)]
        L, ab = next(stream.stream(0))
        across, down = L[:, 0, 16].diff()[:, 4:-4].abs() * 31, ab[:, 0, :, 16].diff()[:, 4:-4] * 31
        assert torch.allclose(across, down, atol=1e-4)  # pixels of the original a pixel
        assert torch.allclose(across, across[:, :1], atol=1e-4)
        assert 0.5 <= across.min() < 0.6 and 0.9 < across.max() <= 1.0001
        again, _ = next(stream.stream(0))
        assert torch.equal(again, L)

    @pytest.mark.parametrize("kind", ["kept", "converted", "from disk", "one by one"])
    def test_all_ways_of_loading_agree(self, kind, monkeypatch, tmp_path):
        if kind in ("converted", "from disk"):
            monkeypatch.setattr(loading, "KEEP_ON_DEVICE", 0)
        pictures = Pictures(10) if kind != "one by one" else OneByOne(Pictures(10))
        if kind == "from disk":
            rgb = pictures.rgb.numpy()
            np.save(tmp_path / "rgb.npy", rgb)
            pictures.rgb = torch.from_numpy(np.load(tmp_path / "rgb.npy", mmap_mode="c"))
        stream = Batches(pictures, self.config, torch.device("cpu"))
        assert (stream.kept is not None) == (kind == "kept")
        reference = Batches(Pictures(10), self.config, torch.device("cpu"))
        for (L, ab), (L0, ab0), _ in zip(
            stream.stream(0), reference.stream(0), range(4), strict=False
        ):
            assert torch.allclose(L, L0, atol=1e-6)
            assert torch.allclose(ab, ab0, atol=1e-6)

    def test_nothing_to_learn_from(self):
        with pytest.raises(ValueError, match="data set is empty"):
            Batches(Pictures(0), self.config, torch.device("cpu"))


def interrupted_at(config, dataset, out, *stops, **options):
    """Train with interruptions after so many steps of each call, then to the end."""
    for stop in stops:
        with pytest.raises(KeyboardInterrupt, match="the same call continues"):
            train(config, dataset, out, stop_after=stop, **options)
    return train(config, dataset, out, **options)


DAMAGED_FILES = {
    "gone": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut off": lambda path: os.truncate(path, path.stat().st_size // 2),
    "saved by a spreadsheet": lambda path: path.write_bytes(path.read_bytes().replace(b",", b";")),
    "no text": lambda path: path.write_bytes(bytes(range(256))),
}


class TestARun:
    @pytest.mark.parametrize("recipe", ["warm", "tutorial", "wgan_gp"])
    def test_stopping_after_any_step_and_resuming_changes_no_bit(self, recipe, tmp_path):
        config = small(recipe, epochs=2, d_head_start=0.5)
        dataset = Pictures(10, config.size)
        whole = train(config, dataset, tmp_path / "whole")
        for stop in range(1, 6):
            resumed = interrupted_at(config, dataset, tmp_path / str(stop), stop)
            assert_same_weights(whole.generator.state_dict(), resumed.generator.state_dict())
            assert_same_weights(
                whole.discriminator.state_dict(), resumed.discriminator.state_dict()
            )
            drop = ("seconds",)
            for one, other in zip(whole.history, resumed.history, strict=True):
                assert {k: v for k, v in one.items() if k not in drop} == {
                    k: v for k, v in other.items() if k not in drop
                }

    def test_stopping_again_and_again(self, tmp_path):
        config, dataset = small("warm", steps=9), Pictures(10)
        whole = train(config, dataset)
        resumed = interrupted_at(config, dataset, tmp_path, 1, 1, 4, 2)
        assert_same_weights(whole.generator.state_dict(), resumed.generator.state_dict())

    def test_a_kill_loses_only_what_came_after_the_last_epoch(self, tmp_path, monkeypatch):
        config, dataset = small("warm", epochs=3), Pictures(10)
        whole = train(config, dataset)
        with pytest.MonkeyPatch.context() as patch:
            step = module.train_step

            def killed(networks, L, ab, number):
                if number == 5:
                    raise SystemExit("as if the machine had gone")
                return step(networks, L, ab, number)

            patch.setattr(module, "train_step", killed)
            with pytest.raises(SystemExit):
                train(config, dataset, tmp_path)
        resumed = train(config, dataset, tmp_path)
        assert_same_weights(whole.generator.state_dict(), resumed.generator.state_dict())
        assert [row["step"] for row in read_history(tmp_path / "history.csv")] == list(range(1, 10))

    def test_what_lies_in_its_folder(self, tmp_path):
        config, dataset = small("warm", epochs=2), Pictures(6)
        trained = train(config, dataset, tmp_path, samples=dataset.rgb[:2])
        assert {"config.json", "history.csv", "checkpoint.pt", "generator.safetensors"} <= set(
            os.listdir(tmp_path)
        )
        assert sorted(os.listdir(tmp_path / "samples")) == [
            "epoch_0000.00.png",
            "epoch_0001.00.png",
            "epoch_0002.00.png",
        ]
        L, _ = rgb_to_L_ab(dataset.rgb)
        loaded = load_generator(tmp_path / "generator.safetensors")
        assert torch.allclose(loaded(L), trained.generator(L), atol=1e-5)
        assert read_history(tmp_path / "history.csv") == trained.history

    def test_a_finished_run_is_not_trained_again(self, tmp_path, monkeypatch):
        config, dataset = small("l1", steps=3), Pictures(6)
        first = train(config, dataset, tmp_path)
        monkeypatch.setattr(module, "train_step", None)
        again = train(config, dataset, tmp_path)
        assert_same_weights(first.generator.state_dict(), again.generator.state_dict())
        assert again.history == first.history

    def test_fresh_starts_over(self, tmp_path):
        dataset = Pictures(6)
        train(small("l1", steps=3), dataset, tmp_path)
        with pytest.raises(RunError, match="steps 3, now 2"):
            train(small("l1", steps=2), dataset, tmp_path)
        trained = train(small("l1", steps=2), dataset, tmp_path, fresh=True)
        assert len(trained.history) == 2

    def test_a_held_folder_is_refused(self, tmp_path):
        config = small("l1", steps=1)
        with Run(tmp_path, asdict(config)), pytest.raises(RunError, match="another process"):
            train(config, Pictures(6), tmp_path)

    def test_ctrl_c_finishes_the_step_saves_and_says_so(self, tmp_path, monkeypatch):
        config, dataset = small("warm", steps=6), Pictures(6)
        step = module.train_step

        def press_ctrl_c(networks, L, ab, number):
            if number == 3:
                os.kill(os.getpid(), signal.SIGINT)
            return step(networks, L, ab, number)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "train_step", press_ctrl_c)
            with pytest.raises(
                KeyboardInterrupt, match="stopped at step 3; the same call continues"
            ):
                train(config, dataset, tmp_path)
        whole = train(config, dataset)
        assert_same_weights(
            train(config, dataset, tmp_path).generator.state_dict(), whole.generator.state_dict()
        )

    def test_a_second_ctrl_c_interrupts_at_once(self, tmp_path):
        config, dataset, step = small("l1", epochs=2), Pictures(8), module.train_step

        def press_ctrl_c_twice(networks, L, ab, number):
            if number == 3:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)
                raise AssertionError("the step went on")
            return step(networks, L, ab, number)

        handler = signal.getsignal(signal.SIGINT)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "train_step", press_ctrl_c_twice)
            with pytest.raises(KeyboardInterrupt) as interrupt:
                train(config, dataset, tmp_path)
        assert "stopped at" not in str(interrupt.value)
        assert signal.getsignal(signal.SIGINT) is handler
        whole, resumed = train(config, dataset), train(config, dataset, tmp_path)
        assert_same_weights(resumed.generator.state_dict(), whole.generator.state_dict())

    def test_the_callers_randomness_is_left_alone(self):
        torch.manual_seed(5)
        expected = torch.rand(3)
        torch.manual_seed(5)
        train(small("wgan_gp", steps=2), Pictures(6))
        assert torch.equal(torch.rand(3), expected)

    def test_a_budget_of_seconds(self):
        trained = train(small("warm", seconds=1.5), Pictures(8))
        assert 1.4 < trained.history[-1]["seconds"] < 6
        assert {row["stage"] for row in trained.history} == {"warm-up", "game"}

    def test_it_stops_when_d_cannot_tell(self):
        class Undecided(nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = nn.Parameter(torch.zeros(1))

            def forward(self, L, ab):
                return 0 * self.weight * ab.mean(dim=(1, 2, 3))

        config = small("gan", epochs=5, stop_at_half=0.01)
        trained = train(config, Pictures(8), discriminator=Undecided())
        assert len(trained.history) == 2  # one epoch of two steps

    def test_once_d_cannot_tell_the_run_is_over_for_good(self, tmp_path):
        config = small("gan", epochs=5, stop_at_half=0.5)
        assert len(train(config, Pictures(8), tmp_path).history) == 2
        assert len(train(config, Pictures(8), tmp_path).history) == 2

    def test_a_step_without_any_loss_is_written_down_as_such(self, tmp_path):
        config = small("tutorial", epochs=2, adversarial="none", reconstruction="l1")
        history = interrupted_at(config, Pictures(4, config.size), tmp_path, 1).history
        assert [row["loss_g"] is None for row in history] == [True, False]

    @pytest.mark.parametrize("recipe", ["l1", "warm"])
    def test_validation_photos_are_looked_at_and_the_best_weights_of_a_stage_kept(
        self, recipe, tmp_path
    ):
        config, validation = small(recipe, epochs=5, zoom=1.2), Pictures(3)
        seen, look = [], Loop.look  # the networks at every look
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                Loop, "look", lambda loop: seen.append(copy.deepcopy(loop.networks)) or look(loop)
            )
            train(config, Pictures(8), tmp_path, validation=validation)
        expected = [evaluate(networks.generator, validation, is_quick=True) for networks in seen]
        looks = read_history(tmp_path / "validation.csv")
        assert [look["step"] for look in looks] == [2, 4, 6, 8, 10]
        for name in LOOKED_AT:
            assert [look[name] for look in looks] == [row[name] for row in expected]
        stages = [networks.is_warming_up for networks in seen]
        assert [look["stage"] == "warm-up" for look in looks] == stages
        last_stage = [k for k in range(5) if stages[k] == stages[-1]]
        best = min(last_stage, key=lambda k: expected[k]["delta_e"])
        kept = load_generator(tmp_path / "best.safetensors")
        assert_same_weights(weights(kept), weights(seen[best].generator))
        card = read_card(tmp_path / "best.safetensors")
        assert (card["step"], card["delta_e"]) == (2 + 2 * best, expected[best]["delta_e"])

    def test_for_each_photo_looked_at_fifty_are_trained_on_and_the_end_is_looked_at(
        self, tmp_path, monkeypatch
    ):
        monkeypatch.undo()
        train(small("l1", epochs=45), Pictures(8), tmp_path, validation=Pictures(2))
        looks = read_history(tmp_path / "validation.csv")
        assert [look["step"] for look in looks] == [26, 52, 78, 90]  # of 4 photos each

    def test_the_clock_stands_still_during_looks_and_saves(self, tmp_path, monkeypatch):
        now, step, save = [0.0], module.train_step, Loop._write_files

        def pass_time(seconds, work):
            def timed(*arguments, **options):
                now[0] += seconds
                return work(*arguments, **options)

            return timed

        monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
        monkeypatch.setattr(module, "train_step", pass_time(1, step))
        monkeypatch.setattr(module, "evaluate", pass_time(100, evaluate))
        monkeypatch.setattr(Loop, "_write_files", pass_time(1000, save))
        config = small("l1", seconds=6.0)
        trained = train(config, Pictures(8), tmp_path, validation=Pictures(2))
        assert [row["seconds"] for row in trained.history] == [1, 2, 3, 4, 5, 6]
        assert now[0] >= 3 * 1100

    def test_looking_at_validation_photos_changes_nothing_and_resumes(self, tmp_path):
        config, validation = small("warm", epochs=3), Pictures(3)
        plain = train(config, Pictures(8)).generator
        interrupted_at(config, Pictures(8), tmp_path / "cut", 3, validation=validation)
        train(config, Pictures(8), tmp_path / "whole", validation=validation)
        for name in ("validation.csv", "best.safetensors", "generator.safetensors"):
            assert (tmp_path / "cut" / name).read_bytes() == (
                tmp_path / "whole" / name
            ).read_bytes()
        last = load_generator(tmp_path / "cut" / "generator.safetensors")
        assert_same_weights(weights(last), weights(plain))

    @pytest.mark.parametrize("damage", DAMAGED_FILES)
    def test_damaged_files_stop_no_run_and_are_written_again(self, damage, tmp_path, monkeypatch):
        config, dataset, validation = small("gan", epochs=3), Pictures(8), Pictures(1)
        errors = {2: 1.0, 4: 3.0, 6: 2.0}  # the weights after the second step are the best
        looks = []

        def measure(generator, validation, is_quick):
            looks.append(2 * len(looks) + 2)
            return dict.fromkeys(LOOKED_AT, errors[looks[-1]])

        monkeypatch.setattr(module, "evaluate", measure)
        whole = train(config, dataset, tmp_path / "whole", validation=validation)
        looks.clear()
        with pytest.raises(KeyboardInterrupt):
            train(config, dataset, tmp_path / "cut", validation=validation, stop_after=5)
        names = ("history.csv", "validation.csv", "best.safetensors", "generator.safetensors")
        for name in names:
            DAMAGED_FILES[damage](tmp_path / "cut" / name)
        resumed = train(config, dataset, tmp_path / "cut", validation=validation)
        assert_same_weights(resumed.generator.state_dict(), whole.generator.state_dict())
        assert looks == [2, 4, 6]
        assert read_card(tmp_path / "cut" / "best.safetensors")["step"] == 2
        for name in names[1:]:
            assert (tmp_path / "cut" / name).read_bytes() == (
                tmp_path / "whole" / name
            ).read_bytes()
        assert read_history(tmp_path / "cut" / "history.csv") == resumed.history

    def test_killed_after_the_best_weights_were_written_it_resumes_from_one_moment(self, tmp_path):
        """The checkpoint is of step 4; of step 6, which was never saved, nothing may remain."""
        config, dataset, validation = small("l1", epochs=5), Pictures(8), Pictures(2)
        with pytest.MonkeyPatch.context() as patch:
            save = Run.save_checkpoint

            def killed(run, state):
                if state["step"] == 6:
                    raise SystemExit("as if the machine had gone")
                save(run, state)

            patch.setattr(Run, "save_checkpoint", killed)
            with pytest.raises(SystemExit):
                train(config, dataset, tmp_path, validation=validation)
        assert read_card(tmp_path / "best.safetensors")["step"] == 6
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "train_step", None)
            with pytest.raises(TypeError):
                train(config, dataset, tmp_path, validation=validation)
        assert read_card(tmp_path / "best.safetensors")["step"] == 4
        for name in ("history.csv", "validation.csv"):
            assert read_history(tmp_path / name)[-1]["step"] == 4

    def test_a_larger_budget_extends_a_run(self, tmp_path):
        dataset = Pictures(8)
        train(small("warm", steps=4), dataset, tmp_path)
        trained = train(small("warm", steps=6), dataset, tmp_path)
        assert [row["step"] for row in trained.history] == [1, 2, 3, 4, 5, 6]
        assert read_config(tmp_path / "config.json")["steps"] == 6
        for other in ({"steps": 5}, {"epochs": 9}, {"steps": 7, "seed": 1}):
            with pytest.raises(RunError, match="another configuration: .*steps 6, now"):
                train(small("warm", **other), dataset, tmp_path)

    def test_what_a_run_learned_from_is_recorded(self, tmp_path):
        dataset = Pictures(6)
        train(small("l1", steps=1), dataset, tmp_path / "unknown")
        assert read_config(tmp_path / "unknown" / "config.json")["data"] == ""
        dataset.source = tmp_path / "photos"
        train(small("l1", steps=1), dataset, tmp_path / "photos run")
        assert read_config(tmp_path / "photos run" / "config.json")["data"] == str(dataset.source)
        card = read_card(tmp_path / "photos run" / "generator.safetensors")
        assert card["data"] == "photos"
        train(small("l1", steps=1), SceneDataset(4, 32), tmp_path / "scenes")
        assert read_config(tmp_path / "scenes" / "config.json")["data"] == "scenes"

    def test_loaded_weights_are_fine_tuned(self, tmp_path):
        save_generator(tmp_path / "start.safetensors", StridedUNet(8))
        generator = load_generator(tmp_path / "start.safetensors")
        before = learned(generator)
        train(small("warm", steps=4), Pictures(8), generator=generator)
        assert not any(torch.equal(before[name], v) for name, v in learned(generator).items())

    def test_a_frozen_part_stays_frozen(self):
        generator = StridedUNet(8)
        generator.first.requires_grad_(False)
        before = learned(generator)
        train(small("warm", steps=4, weight_decay=0.1), Pictures(8), generator=generator)
        moved = {k for k, v in learned(generator).items() if not torch.equal(before[k], v)}
        assert moved == {name for name in before if not name.startswith("first.")}

    def test_fine_tuning_leaves_a_pretrained_encoder_as_it_is(self):
        generator = load_generator("photos")
        before = learned(generator)
        train(small("l1", steps=2), Pictures(8), generator=generator)
        moved = {k for k, v in learned(generator).items() if not torch.equal(before[k], v)}
        assert moved == {name for name in before if not name.startswith("encoder.")}

    def test_a_photo_that_cannot_be_read_is_named(self):
        class Broken(OneByOne):
            def __getitem__(self, index):
                if index == 5:
                    raise OSError("photo 5 is damaged")
                return super().__getitem__(index)

        with pytest.raises(OSError, match="photo 5 is damaged"):
            train(small("l1", steps=3), Broken(Pictures(8)))

    def test_a_damaged_checkpoint_loses_nothing_unasked(self, tmp_path):
        config = small("l1", epochs=2)
        train(config, Pictures(8), tmp_path)
        (tmp_path / "checkpoint.pt").write_bytes(b"gone")
        with pytest.raises(RunError, match="damaged.*start over with --fresh"):
            train(config, Pictures(8), tmp_path)
        assert len(read_history(tmp_path / "history.csv")) == 4

    def test_a_generator_of_ones_own_is_saved_and_says_what_it_is(self, tmp_path):
        class Mine(nn.Module):
            def __init__(self):
                super().__init__()
                self.last = nn.Conv2d(1, 2, 1)

            def forward(self, L):
                return torch.tanh(self.last(L))

        train(small("l1", steps=1), Pictures(6), tmp_path, generator=Mine())
        with pytest.raises(RunError, match="architecture': 'Mine'"):
            load_generator(tmp_path / "generator.safetensors")

    def test_a_checkpoint_that_takes_long_to_save_is_saved_less_often(self):
        config = small("l1", steps=9)
        loop = Loop(Networks(config), Batches(Pictures(8), config, torch.device("cpu")))
        loop.SAVE_AT_MOST = 5
        loop.resume()
        loop.take_step()
        for took, seconds, is_saved in (
            (0.1, 4, False),
            (0.1, 5, True),
            (2, 39, False),
            (2, 40, True),
        ):
            loop.saved_step, loop.saved_at, loop.save_took, loop.seconds = -1, 0.0, took, seconds
            loop.end_epoch()
            assert (loop.saved_step == loop.step) == is_saved, (took, seconds)

    def test_pictures_of_another_size_are_refused(self):
        with pytest.raises(ValueError, match=r"says photos of \(3, 32, 32\).*\(3, 64, 64\)"):
            train(small("l1", steps=1), Pictures(4, 64))

    def test_networks_of_ones_own_are_trained(self):
        generator = UNet(2)
        before = learned(generator)
        trained = train(small("l1", steps=2), Pictures(6), generator=generator)
        assert trained.generator is generator
        assert not all(torch.equal(before[k], v) for k, v in learned(generator).items())
        assert trained.discriminator is None

    def test_one_batch_is_learned_by_heart(self):
        dataset = Pictures(2)
        dataset.rgb[:] = torch.nn.functional.interpolate(dataset.rgb[..., ::8, ::8].float(), 32)
        config = small("l1", steps=150, flip=False, warm_up_learning_rate=1e-2)
        history = train(config, dataset).history
        assert history[-1]["loss_g"] < 0.25 * history[0]["loss_g"]


class TestFailures:
    @pytest.mark.parametrize("recipe", ["l1", "gan"])
    def test_a_loss_that_is_not_finite_stops_the_run_and_is_named(self, recipe, tmp_path):
        class Bad(StridedUNet):
            calls = 0

            def forward(self, L):
                self.calls += 1
                return super().forward(L) * (float("nan") if self.calls > 4 else 1)

        config = small(recipe, epochs=9)
        message = "not finite at step [56].*last checkpoint is good.*smaller learning rate"
        with pytest.raises(TrainingError, match=message):
            train(config, Pictures(8), tmp_path, generator=Bad(8))
        assert all(p.isfinite().all() for p in load_generator_weights(tmp_path))

    def test_weights_that_are_not_finite_are_never_saved(self, tmp_path):
        config, dataset = small("l1", steps=4), Pictures(8)
        with pytest.MonkeyPatch.context() as patch:
            step = module.train_step

            def spoil(networks, L, ab, number):
                losses = step(networks, L, ab, number)
                if number == 4:
                    next(networks.generator.parameters()).data[0] = math.inf
                return losses

            patch.setattr(module, "train_step", spoil)
            with pytest.raises(TrainingError, match="a weight is not finite after step 4"):
                train(config, dataset, tmp_path)
        assert all(p.isfinite().all() for p in load_generator_weights(tmp_path))

    def test_the_best_weights_are_never_broken_ones(self, tmp_path, monkeypatch):
        """Not even if they answer in numbers, and would be the best."""
        step, errors = module.train_step, [2.0, 1.0]

        def spoil(networks, L, ab, number):
            losses = step(networks, L, ab, number)
            if number == 4:
                statistics = dict(networks.generator.named_buffers())
                next(v for name, v in statistics.items() if "running_var" in name).fill_(math.inf)
            return losses

        monkeypatch.setattr(module, "train_step", spoil)
        measured = lambda *_, **__: dict.fromkeys(LOOKED_AT, errors.pop(0))  # noqa: E731
        monkeypatch.setattr(module, "evaluate", measured)
        with pytest.raises(TrainingError, match="a weight is not finite after step 4"):
            train(small("l1", steps=4), Pictures(8), tmp_path, validation=Pictures(1))
        best = load_generator(tmp_path / "best.safetensors").state_dict()
        assert all(value.isfinite().all() for value in best.values())

    @pytest.mark.parametrize(
        "changes, message",
        [
            ({"epochs": 1, "steps": 1}, "give one budget"),
            ({"steps": 0}, "steps is .*greater than 0"),
            ({"adversarial": "none", "reconstruction": "none"}, "reconstruction=none needs"),
            ({"warm_up": 1.5}, "warm_up is .*less than or equal to 1"),
            ({"d_head_start": -0.1}, "d_head_start is .*greater than or equal to 0"),
            ({"reconstruction": "none"}, "needs warm_up=0"),
            ({"batch": 0}, "batch is .*greater than 0"),
            ({"discriminator_layers": 0}, "discriminator_layers is .*greater than 0"),
            ({"generator_width": 1}, "generator_width is .*greater than or equal to 2"),
            ({"size": 100}, "size is .*multiple of 16"),
            ({"generator": "Unet"}, "generator is .*'UNet' or 'StridedUNet'"),
            ({"adversarial": "wgan_gp", "discriminator": "image"}, "discriminator_norm=none"),
            ({"adversarial": "wgan_gp", "discriminator_norm": "batch"}, "discriminator_norm=none"),
            ({"zoom": 0.5}, "zoom is .*greater than or equal to 1"),
            ({"learning_rate": math.nan}, "learning_rate is .*finite"),
            ({"learning_rat": 1e-3}, "learning_rat is .*Unexpected keyword"),
        ],
    )
    def test_a_config_that_makes_no_sense(self, changes, message):
        with pytest.raises(ValueError, match=message):
            TrainConfig(**changes)


def load_generator_weights(folder):
    checkpoint = torch.load(folder / "checkpoint.pt", weights_only=True)
    return [v for v in checkpoint["networks"]["parts"][0].values() if v.is_floating_point()]


class TestPrecision:
    def test_the_rule(self, monkeypatch):
        assert choose_precision("auto", torch.device("cpu")) == torch.float32
        for capability, dtype in (((7, 5), torch.float16), ((8, 0), torch.bfloat16)):
            monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, c=capability: c)
            assert choose_precision("auto", torch.device("cuda")) == dtype
        assert choose_precision("float32", torch.device("cuda")) == torch.float32
        assert choose_precision("auto", torch.device("mps")) == torch.float32

    def test_wgan_gp_takes_bfloat16(self):
        config = small("wgan_gp", precision="bfloat16", warm_up=0.0)
        losses = train_step(Networks(config), *batch_for(config), step=1)
        assert all(value.isfinite() for value in losses.values())

    @pytest.mark.parametrize("recipe", ["tutorial", "pix2pix", "hinge", "l1"])
    def test_bfloat16_starts_near_float32(self, recipe):
        assert_near_float32(recipe, torch.device("cpu"), precision="bfloat16")


def assert_near_float32(recipe, device, **changes):
    """The first step of a run with these changes is nearly the one in float32.

    The losses agree within 1%, and the gradients within 8 degrees (a cosine of 0.99); but for G's
    where nothing but D teaches it: what D makes of G's colors changes with their last digits.
    """
    losses, gradients = [], []
    for options in ({"precision": "float32"}, changes):
        torch.manual_seed(0)
        config = small(recipe, g_every=1, warm_up=float(recipe == "l1"), **options)
        networks = Networks(config, device=device)
        rgb = render_scenes(config.batch, config.size).rgb.to(device)
        losses.append(train_step(networks, *rgb_to_L_ab(rgb), step=1))
        networks = filter(None, (networks.generator, networks.discriminator))
        gradients.append([gradient_of(network) for network in networks])
    for name, exact in losses[0].items():
        assert losses[1][name].item() == pytest.approx(exact.item(), rel=0.01), name
        assert losses[1][name].dtype == torch.float32
    of_g, *of_d = (functional.cosine_similarity(*pair, dim=0) for pair in zip(*gradients))
    assert of_g >= (0.9 if config.reconstruction == "none" else 0.99)
    assert all(cosine >= 0.99 for cosine in of_d)


def gradient_of(network):
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


@pytest.mark.trust
def test_a_compiled_generator_learns_what_a_plain_one_does(tmp_path):
    """With the schedule, the two stages, a smaller last batch, a look, and in the same files.

    The backend needs no compiler: what is traced is the same for all.
    """
    dataset, config = Pictures(6, 64), small("warm", size=64, epochs=2)
    torch.manual_seed(config.seed)
    start = StridedUNet(8)
    compiled = copy.deepcopy(start)
    compiled.compile(backend="aot_eager")
    plain = train(config, dataset, generator=start, validation=Pictures(1, 64))
    options = {"generator": compiled, "validation": Pictures(1, 64)}
    history = interrupted_at(config, dataset, tmp_path, 3, **options).history
    for one, other in zip(plain.history, history, strict=True):
        for name in module.LOSSES:
            assert one[name] == (other[name] and pytest.approx(other[name], rel=1e-3))
    for name in ("generator.safetensors", "best.safetensors"):
        assert type(load_generator(tmp_path / name)) is StridedUNet


class NobodyReads(TorchDispatchMode):
    """In this block it is an error to ask for the value of a tensor: a GPU would be waited for."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        assert operation.overloadpacket not in (aten._local_scalar_dense, aten.nonzero, aten.equal)
        return operation(*args, **(kwargs or {}))


@pytest.mark.parametrize("recipe", GAMES)
def test_between_two_looks_at_the_losses_nothing_is_read(recipe):
    config = small(recipe, steps=99, warm_up=0.0, zoom=1.5)
    networks = Networks(config)
    loop = Loop(networks, Batches(Pictures(40, config.size), config, networks.device))
    loop.resume()
    with NobodyReads():
        for _ in range(9):
            loop.take_step()
        with pytest.raises(AssertionError):
            loop.pending[0][1]["loss_d"].item()


def test_the_learning_rate_is_annealed_in_each_stage():
    rates = {"warm_up_learning_rate": 1e-3, "learning_rate": 1e-4, "d_learning_rate": 3e-4}
    config = small("warm", steps=10, warm_up=0.6, **rates)
    networks = Networks(config)
    loop = Loop(networks, Batches(Pictures(8), config, networks.device))
    loop.resume()
    rates = []
    while not loop.is_done():
        loop.take_step()
        rates.append(networks.optimizer_g.param_groups[0]["lr"])
    assert rates[0] == pytest.approx(1e-3)
    assert rates[3] == pytest.approx(1e-3 / 2)
    assert rates[6] == pytest.approx(1e-4)
    assert rates[8] == pytest.approx(1e-4)
    assert rates[9] == pytest.approx(1e-4 / 2)
    assert networks.optimizer_d.param_groups[0]["lr"] == pytest.approx(3 * rates[-1])


def test_toward_the_end_of_the_warm_up_d_gets_a_head_start():
    """Of 10 steps 6 warm up, and in the last third of those D learns, at its full rate."""
    config = small("warm", steps=10, warm_up=0.6, d_head_start=1 / 3)
    networks = Networks(config)
    loop = Loop(networks, Batches(Pictures(8), config, networks.device))
    loop.resume()
    learned, rates = [], []
    while not loop.is_done():
        before = weights(networks.discriminator)
        loop.take_step()
        after = weights(networks.discriminator)
        learned.append(any(not torch.equal(before[name], after[name]) for name in before))
        rates.append(networks.optimizer_d.param_groups[0]["lr"])
    assert learned == [False] * 4 + [True] * 6
    assert rates[:6] == [config.d_learning_rate] * 6 and rates[-1] < rates[5]
    loop.flush()
    for row in loop.history:
        assert (row["d_real"] is not None) == (row["step"] > 4)
        assert (row["loss_adversarial"] is not None) == (row["stage"] == "game")


def test_every_recipe_trains_a_little():
    for recipe in RECIPES:
        config = small(recipe, steps=3)
        trained = train(config, Pictures(8, config.size))
        assert len(trained.history) == 3
        assert (trained.discriminator is None) == (config.adversarial == "none")


def test_the_tutorial_is_line_nine():
    tutorial = RECIPES["tutorial"]
    assert (tutorial.learning_rate, tutorial.betas, tutorial.batch) == (1e-4, (0.5, 0.999), 4)
    assert (tutorial.d_every, tutorial.g_every, module.EPOCHS) == (1, 2, 10)
    assert tutorial.adversarial == "bce" and tutorial.reconstruction == "none"
    networks = Networks(replace(tutorial, generator_width=2))
    assert isinstance(networks.generator, UNet)
    assert isinstance(networks.discriminator, ImageDiscriminator)
    assert (tutorial.generator_width, tutorial.size, tutorial.fit) == (64, 256, "stretch")


@pytest.mark.trust
def test_the_tutorial_at_full_size_on_five_photos(tmp_path):
    """The full networks at 256 pixels, with a last batch of one: train, stop, resume, test."""
    config = replace(RECIPES["tutorial"], epochs=1)
    photos = Pictures(5, config.size)
    with pytest.raises(KeyboardInterrupt):
        train(config, photos, tmp_path, stop_after=1)
    trained = train(config, photos, tmp_path)
    assert [row["loss_g"] is None for row in trained.history] == [True, False]
    rows = evaluate_run(tmp_path, photos, photos, pictures=1)
    assert 0 < rows["generator"]["psnr_ab"] < 60
    assert sorted(os.listdir(tmp_path / "triptychs")) == ["000.png", "sheet.png"]


@pytest.mark.cuda
@needs_cuda
class TestOnAGPU:
    @pytest.mark.parametrize("recipe", GAMES)
    def test_a_run_stops_and_goes_on(self, recipe, tmp_path):
        config = small(recipe, epochs=2)
        dataset = Pictures(10, config.size)
        trained = interrupted_at(config, dataset, tmp_path, 2)
        assert len(trained.history) == 6
        assert next(trained.generator.parameters()).is_cuda

    @pytest.mark.parametrize("recipe", GAMES)
    @pytest.mark.parametrize("photos", ["Lab on the GPU", "in memory"])
    def test_the_loop_never_waits_for_the_gpu(self, recipe, photos, monkeypatch):
        if photos != "Lab on the GPU":
            monkeypatch.setattr(loading, "KEEP_ON_DEVICE", 0)
        config = small(recipe, steps=99, zoom=1.5, warm_up=0.0)
        networks = Networks(config, device="cuda")
        batches = Batches(Pictures(80, config.size), config, networks.device)
        assert (batches.kept is None) == (photos == "in memory")
        loop = Loop(networks, batches)
        loop.resume()
        loop.take_step()  # an epoch begins: its order is copied
        torch.cuda.set_sync_debug_mode("error")
        try:
            for _ in range(10):
                loop.take_step()
        finally:
            torch.cuda.set_sync_debug_mode("default")

    @pytest.mark.parametrize("precision", ["auto", "bfloat16"])
    @pytest.mark.parametrize("recipe", ["tutorial", "pix2pix", "hinge", "l1"])
    def test_less_precision_starts_near_float32(self, recipe, precision):
        assert_near_float32(recipe, torch.device("cuda"), precision=precision)

    def test_compiled_it_learns_what_the_plain_networks_do(self, tmp_path):
        dataset = Pictures(10, 64)
        config = small("warm", size=64, precision="float32", epochs=2)
        torch.manual_seed(config.seed)
        start = StridedUNet(8)
        compiled = copy.deepcopy(start)
        compiled.compile()
        plain = train(config, dataset, generator=start)
        history = interrupted_at(config, dataset, tmp_path, 4, generator=compiled).history
        for one, other in zip(plain.history, history, strict=True):
            for name in module.LOSSES:
                assert one[name] == (other[name] and pytest.approx(other[name], rel=0.05))

    def test_it_starts_near_the_cpu(self):
        losses = []
        for device in ("cpu", "cuda"):
            torch.manual_seed(0)
            config = small("pix2pix")
            networks = Networks(config, device=device)
            L, ab = batch_for(config)
            losses.append(train_step(networks, L.to(device), ab.to(device), step=1))
        for name, exact in losses[0].items():
            assert losses[1][name].item() == pytest.approx(exact.item(), rel=0.02)


def test_a_call_that_is_refused_does_not_claim_the_folder(tmp_path):
    for refused in (small("l1", size=64), small("l1")):
        with pytest.raises(ValueError, match="the config says|the data set is empty"):
            train(refused, Pictures(10 if refused.size == 64 else 0, 32), tmp_path)
        assert not list(tmp_path.iterdir())
    train(small("l1", steps=1), Pictures(10, 32), tmp_path)
    assert read_config(tmp_path / "config.json")["size"] == 32
