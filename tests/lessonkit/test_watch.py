"""A run seen from outside: its samples and curves, live and still."""

import threading
from dataclasses import replace

import pytest
from PIL import Image

from colorlib.config import RECIPES
from colorlib.metrics import triptych_sheet
from colorlib.scenes import render_scenes
from colorlib.training import train
from lessonkit import watch as module
from lessonkit.watch import (
    cut_sheet,
    draw_curves,
    draw_run,
    draw_samples,
    saved_samples,
    watch,
)

SMALL = {"size": 32, "generator_width": 4, "discriminator_width": 4, "discriminator_layers": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a small run."""
    folder = tmp_path_factory.mktemp("run")
    rgb = render_scenes(12, size=32).rgb
    config = replace(RECIPES["warm"], **SMALL, batch=4, steps=6)
    train(config, rgb, folder, samples=rgb[:3], device="cpu")
    return folder


@pytest.mark.parametrize("size", [32, 64, 80, 256])
def test_a_sheet_is_cut_where_it_was_joined(size):
    wanted = [
        Image.new("RGB", (3 * size + 2 * max(2, size // 32), size), c) for c in ("red", "blue")
    ]
    rows = cut_sheet(triptych_sheet(wanted), size)
    assert [row.getcolors()[0][1] for row in rows] == [(255, 0, 0), (0, 0, 255)]
    assert all(len(row.getcolors()) == 1 for row in rows)


def test_samples_stand_above_the_truth(run):
    names = [path.name for path in saved_samples(run)]
    assert names[0] == "epoch_0000.00.png" and names[-1] == "epoch_0002.00.png"
    first, last = draw_samples(run, 0), draw_samples(run, -1)
    assert first.size == last.size == (3 * 132, 24 + 2 * 132)
    top, bottom = (0, 24, first.width, 24 + 132), (0, 24 + 132, first.width, first.height)
    assert first.crop(top).tobytes() != last.crop(top).tobytes()
    assert first.crop(bottom).tobytes() == last.crop(bottom).tobytes(), "the truth stays"


ROW = {"step": 1, "stage": "game", "loss_g": 2.0}


@pytest.mark.parametrize(
    "history, labels",
    [
        ([], ["loss g", ""]),
        ([ROW | {"loss_reconstruction": 0.1, "stage": "warm-up"}], ["loss reconstruction", ""]),
        (
            [ROW | {"loss_reconstruction": 0.1, "d_real": 0.6, "d_fake": 0.4}],
            ["loss reconstruction", "D's mean answer"],
        ),
        ([ROW | {"loss_d": -1.0, "d_real": None}], ["loss g", ""]),
    ],
)
def test_curves_of_any_recipe(history, labels):
    assert [axes.get_ylabel() for axes in draw_curves(history).axes] == labels


def test_the_beginning_of_the_gan_stage_is_marked():
    rows = [
        ROW | {"step": step, "stage": "game" if step > 3 else "warm-up"} for step in range(1, 6)
    ]
    assert "GAN stage begins" in draw_curves(rows).axes[0].get_title()
    assert draw_curves([ROW]).axes[0].get_title() == ""


def test_a_run_before_its_first_sample(tmp_path):
    assert draw_run(tmp_path).height < 500


def test_still_where_nobody_can_watch(run, monkeypatch):
    shown = []
    monkeypatch.setattr(module, "show", lambda figure, alt: shown.append(alt))
    with watch(run, "curves"):
        assert not shown
    assert shown == ["curves"]


def test_live(run, monkeypatch):
    monkeypatch.setattr(module, "is_static", lambda: False)
    shown = []
    monkeypatch.setattr(module, "display", shown.append)
    threads = threading.active_count()
    drawn = threading.Event()
    monkeypatch.setattr(module, "draw_run", lambda folder: drawn.set() or draw_run(folder))
    with watch(run, "curves", seconds=0.01):
        assert drawn.wait(60)
    assert bytes(shown[0].value).startswith(b"\x89PNG")
    assert threading.active_count() == threads
    drawn.clear()
    with pytest.raises(KeyboardInterrupt), watch(run, "curves", seconds=60):
        raise KeyboardInterrupt
    assert drawn.is_set(), "the last picture is drawn, too"
