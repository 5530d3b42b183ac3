"""The weights for hints: trained, tested and written down, in seconds and on a few pictures."""

import json

import pytest
import torch
from skimage import data, io

from colorlib import hints
from colorlib.generator import PretrainedUNet
from colorlib.hints import Hinted, Spread, load_hinted
from colorlib.photos import write_split
from colorlib.runs import read_card, save_generator
from lessonkit.lesson_12.training import HintTraining
from tools import hint_weights
from tools.hint_weights import OfPhotos, OfScenes, resume, save


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """Small everywhere, and writes to a folder of its own."""
    monkeypatch.setattr(hint_weights, "SCENES", 8)
    monkeypatch.setattr(hint_weights, "TEST_SCENES", 8)
    monkeypatch.setattr(hint_weights, "CHOSEN_ON", 2)
    monkeypatch.setattr(hint_weights, "WARM_STEPS", 2)
    monkeypatch.setattr(hint_weights, "RESULTS", tmp_path / "hints.json")
    monkeypatch.setattr(hint_weights, "RUNS", tmp_path / "runs")
    for module in (hint_weights, hints):
        monkeypatch.setattr(module, "WEIGHTS", tmp_path)
    return tmp_path


def test_scenes(quick):
    OfScenes(steps=2, seeds=(0, 1)).run()
    results = json.loads((quick / "hints.json").read_text("utf-8"))["scenes"]
    assert results["counts"] == [0, 1, 2, 5, 10, 20]
    for row in results["seeds"]:
        assert row["psnr_ab"] == row["psnr_ab_generator"]
        assert {"filled disk", "similar lightness", "network"} == set(row["curves"])
        assert len({curve["mean"][0] for curve in row["curves"].values()}) == 1, "no hints"
        assert row["other"]["balloons"] > 0 and 0 <= row["any"]["obeyed"] <= 1
    assert load_hinted("scenes").spread.config["width"] == 32

    def trained():
        return {path: path.stat().st_mtime_ns for path in (quick / "runs").glob("scenes-0-*")}

    written = trained()
    OfScenes(steps=2, seeds=(0,)).run()
    assert trained() == written and len(written) == 1, "it isn't trained again"
    OfScenes(steps=3, seeds=(0,)).run()
    assert len(trained()) == 2, "with other steps it is"
    assert read_card(quick / "hints-scenes.safetensors")["steps"] == 3


def test_photos(quick, monkeypatch):
    root = quick / "photos"
    for folder in ("natural", "caltech101", "landscapes", "tiny-imagenet"):
        (root / folder).mkdir(parents=True)
        for index in range(6):
            crop = data.astronaut()[60 * index : 60 * index + 200, :200]
            io.imsave(root / folder / f"{index}.jpg", crop, check_contrast=False)
    write_split(quick / "photos.txt", ["natural/0.jpg"], ["natural/5.jpg", "caltech101/5.jpg"])
    generator = PretrainedUNet((8, 8, 8, 8))
    save_generator(quick / "base.safetensors", generator, size=64)
    monkeypatch.setattr("tools.photo_data.VALIDATION", 2)
    monkeypatch.setattr("tools.photo_data.TWINS", 2)
    monkeypatch.setattr(hint_weights, "load_generator", lambda name: generator.eval())
    monkeypatch.setattr(hint_weights, "read_card", lambda name: {"size": 64})
    work = OfPhotos(root, steps=2, width=8, split=quick / "photos.txt", runs=quick / "runs")
    work.run()
    results = json.loads((quick / "hints.json").read_text("utf-8"))["photos"]
    assert results["photos"] == 2 and results["size"] == 64
    assert set(results["ahead"]) == {"filled disk", "similar lightness"}
    assert (quick / "hints-photos.safetensors").exists()


def test_a_training_continues_where_it_was_saved(tmp_path):
    def training():
        torch.manual_seed(0)
        return HintTraining(Hinted(PretrainedUNet((8, 8, 8, 8)), Spread(8, width=8)))

    rgb = torch.rand(2, 3, 32, 32)
    whole, part, rest = training(), training(), training()
    resume(rest, tmp_path / "none.pt")
    for one in (whole, whole, part):
        one.take_step(rgb, 0.2)
    save(part, tmp_path / "saved.pt")
    resume(rest, tmp_path / "saved.pt")
    rest.take_step(rgb, 0.2)
    assert rest.losses == whole.losses
    for name, value in whole.average.state_dict().items():
        assert torch.equal(rest.average.state_dict()[name], value), name
